//! Functions for the fuzz targets in `tests/fuzz`: they feed bytes to the private parts of the
//! crate.
//!
//! They exist only with `--cfg fuzzing`, which `cargo xtask fuzz` passes to every crate that it
//! builds, and in this crate's tests, which run the corpora. A feature would be public:
//! `--all-features` and the docs would show it, and users would turn it on. Invariant: the
//! published API is the same with and without fuzzing.

use crate::connection::reader::Reader;
use crate::resp::{self, FrameKind, ScanLimits};
use crate::rng::Rng;
use crate::subscription::channel_table::{ChannelTable, ConnectionId, ReaderId};
use crate::subscription::kind::ChannelKind;
use crate::subscription::push::Push;
use crate::subscription::update::Update;
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::merge;
use crate::topology::parse::announced_address::AddressRule;
use crate::topology::parse::cluster_nodes::parse_nodes;
use crate::topology::parse::cluster_shards::parse_shards;
use crate::topology::parse::cluster_slots::parse_slots;
use crate::topology::sentinel::{
    Knowledge, PrimaryChoice, PrimaryState, Proof, Proofs, Service, choose, disputed, parse_opinion,
};
use crate::topology::snapshot::Topology;
use crate::{Endpoint, ServerError, Value};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The frames of `stream`, read in chunks of these lengths, which are repeated (in one chunk if
/// there are none), and the error that ended it.
pub fn frames(
    stream: &Bytes,
    chunk_lengths: &[usize],
    reply_bytes_max: usize,
    reply_depth_max: usize,
) -> (Vec<Bytes>, Option<String>) {
    let mut reader = Reader::new(ScanLimits { reply_bytes_max, reply_depth_max });
    let mut lengths = chunk_lengths.iter().cycle();
    let (mut rest, mut frames) = (&stream[..], Vec::new());
    while !rest.is_empty() {
        let space = reader.space();
        let length = lengths.next().map_or(usize::MAX, |length| (*length).max(1));
        let (chunk, later) = rest.split_at(length.min(rest.len()).min(space.len()));
        space[..chunk.len()].copy_from_slice(chunk);
        rest = later;
        let scanned = reader.scan(chunk.len());
        frames.extend(reader.frames());
        if let Err(error) = scanned {
            return (frames, Some(error.to_string()));
        }
        assert!(reader.missing() > 0);
    }
    (frames, None)
}

/// Decodes one frame; returns the text of the error.
///
/// # Errors
/// The frame does not fit.
#[inline]
pub fn decode<T: DeserializeOwned>(frame: &Bytes) -> Result<T, String> {
    resp::from_frame(frame).map_err(|error| error.to_string())
}

/// Decodes several frames as one list; returns the text of the error.
///
/// # Errors
/// A frame does not fit, or there are more or fewer than `T` takes.
#[inline]
pub fn decode_list<T: DeserializeOwned>(frames: &[Bytes]) -> Result<T, String> {
    resp::from_frames(frames).map_err(|error| error.to_string())
}

/// Whether the frame is a reply, an error or a push: 0, 1, 2.
#[must_use]
pub fn kind(frame: &[u8]) -> u8 {
    match resp::frame_kind(frame) {
        FrameKind::Reply => 0,
        FrameKind::Error => 1,
        FrameKind::Push => 2,
    }
}

/// The code of an error frame, and its redirect or why it has none.
#[must_use]
pub fn server_error(frame: &[u8]) -> Option<String> {
    let error = ServerError::from_frame(frame)?;
    Some(format!("{} {:?}", error.code(), error.redirect()))
}

/// Parses each frame as CLUSTER SHARDS, SLOTS and NODES, and merges all views that result into one
/// map, in both orders. Returns the number of slots with an owner.
///
/// # Panics
/// When a slot lost its owner, or the order of the views mattered.
#[must_use]
pub fn topology(frames: &[Bytes], tls: bool) -> u16 {
    let asked = Endpoint::tcp("asked", 7000);
    let rule = AddressRule { asked: &asked, tls, address_map: &BTreeMap::new() };
    let mut map = ClusterMap::empty();
    let mut views = Vec::new();
    for frame in frames {
        let Ok(value) = resp::from_frame::<Value>(frame) else { continue };
        let known = views.len();
        if let Ok(nodes) = parse_nodes(&value) {
            let joined = views
                .last()
                .cloned()
                .map(|view: crate::topology::view::View| view.with_epochs(nodes.clone(), rule));
            views.extend(joined.and_then(Result::ok));
            views.extend(nodes.into_view(rule));
        }
        views.extend(parse_shards(&value, rule));
        views.extend(parse_slots(&value, rule));
        if views.len() == known {
            continue;
        }
        let before = map.slots().owned();
        let backwards: Vec<_> = views.iter().rev().cloned().collect();
        let decision = merge(Some(&map), &views, 0, Timestamp::ZERO);
        let turned = merge(Some(&map), &backwards, 0, Timestamp::ZERO);
        assert_eq!(decision.map, turned.map);
        map = decision.map;
        assert!(map.slots().owned() >= before);
        start_from(&Topology::of(&map, None));
        if views.len() > 4 {
            views.clear();
        }
    }
    map.slots().owned()
}

/// Starts a client's map from a topology that a user has kept. Returns whether it is one.
///
/// # Panics
/// When the map, written down again, is another one.
pub fn start_from(topology: &Topology) -> bool {
    let Ok(map) = topology.to_map(Timestamp::ZERO) else { return false };
    let again = Topology::of(&map, None).to_map(Timestamp::ZERO);
    let again = again.expect("a map can be written down");
    assert_eq!(again.slots().owned(), map.slots().owned());
    true
}

/// Parses each four frames as what one sentinel says, and chooses a primary by all of it, in both
/// orders, with and without a known one.
///
/// # Panics
/// When a chosen primary was named by no sentinel, or the order of the opinions mattered.
pub fn sentinels(frames: &[Bytes], state: u8) {
    let values: Vec<Value> =
        frames.iter().filter_map(|frame| resp::from_frame(frame).ok()).collect();
    let endpoint = |host: &str, port: u16| Endpoint::tcp(host, port);
    let parse = |four: &[Value]| {
        let [primary, address, replicas, sentinels] = four else { return None };
        let read = parse_opinion([primary, address, replicas, sentinels].map(Some), &endpoint);
        read.ok().map(|(opinion, _)| opinion)
    };
    let opinions: Vec<_> = values.chunks(4).filter_map(parse).collect();
    let backwards: Vec<_> = opinions.iter().rev().cloned().collect();
    let seen = match state % 3 {
        0 => PrimaryState::Reachable,
        1 => PrimaryState::Unreachable,
        _ => PrimaryState::LongUnreachable,
    };
    let proof = match state / 3 % 3 {
        0 => Proof::None,
        1 => Proof::Unknown,
        _ => Proof::Primary { replicas: usize::from(state / 9), offset: 7 },
    };
    let mut held: Option<Service> = None;
    for _ in 0..3 {
        let held_now = held.clone();
        let held_now = held_now.as_ref();
        let knowledge =
            Knowledge { held: held_now, state: seen, given_up: None, known: opinions.len() };
        let asked = disputed(knowledge, &opinions);
        let proofs: Proofs = asked.into_iter().map(|endpoint| (endpoint, proof)).collect();
        let choice = choose(knowledge, &opinions, &proofs);
        let turned = choose(knowledge, &backwards, &proofs);
        assert_eq!(choice, turned);
        let PrimaryChoice::Take(service) = choice else { break };
        assert!(opinions.iter().any(|opinion| opinion.primary == service.primary));
        held = Some(service);
    }
}

/// The channels of `subscriptions`, and who wants them.
const CHANNELS: [(ChannelKind, &[u8]); 6] = [
    (ChannelKind::Classic, b"a"),
    (ChannelKind::Classic, b"b"),
    (ChannelKind::Sharded, b"c"),
    (ChannelKind::Sharded, b"d"),
    (ChannelKind::Pattern, b"a*"),
    (ChannelKind::Pattern, b"__key*"),
];

/// Gives frames to a table of channels with three connections. A bulk string is an event: what the
/// client or the topology does.
///
/// # Panics
/// When readers are told of a gap or a move where they were not subscribed, or a message has other
/// bytes than its frame.
pub fn subscriptions(frames: &[Bytes]) {
    let pauses = (Duration::from_millis(20), Duration::from_secs(2));
    let mut table = ChannelTable::new(true, pauses, Rng::new(3));
    let (mut now, mut owner, mut live) = (0_u64, 0_u64, BTreeSet::new());
    let mut open: BTreeSet<u64> = BTreeSet::new();
    let mut next = 0;
    for frame in frames {
        now += 1;
        let at = Timestamp::from_duration(Duration::from_millis(now));
        let target = ConnectionId(open.iter().next_back().copied().unwrap_or(0));
        match (Push::parse(frame), frame.first(), frame.get(4)) {
            (Push::Message { channel, payload, pattern, .. }, ..) => {
                let bytes = frame.len();
                let ranges = [Some(channel), Some(payload), pattern];
                assert!(ranges.into_iter().flatten().all(|r| r.start <= r.end && r.end < bytes));
            }
            (Push::Subscribed(kind, name), ..) => {
                let _ = table.handle_subscribed(target, kind, &frame[name], at);
            }
            (Push::Unsubscribed(kind, name), ..) => {
                let _ = table.handle_unsubscribed(target, kind, &frame[name], at);
            }
            (Push::Other, Some(b'-' | b'!'), _) => {
                if let Some(error) = ServerError::from_frame(frame) {
                    let _ = table.handle_error(target, &error, at);
                }
            }
            (Push::Other, Some(b'$'), Some(event)) => {
                let (kind, name) = CHANNELS[usize::from(event >> 4) % CHANNELS.len()];
                let reader = ReaderId(u64::from(event >> 3 & 1));
                match event % 8 {
                    0 | 1 => table.subscribe(kind, name, reader),
                    2 => table.unsubscribe(kind, name, reader),
                    3 => {
                        next += 1;
                        open.insert(next);
                        table.open(ConnectionId(next), Arc::new(Endpoint::tcp("h", 1)));
                    }
                    4 => {
                        if let Some(one) = open.pop_first() {
                            let cause = crate::subscription::update::GapCause::ConnectionLost;
                            table.close(ConnectionId(one), at, cause);
                        }
                    }
                    5 => {
                        owner += 1;
                        let port = |n: u64| 1 + ((owner + n) % 4) as u16;
                        let primary = |n| Some(Arc::new(Endpoint::tcp("h", port(n))));
                        table.follow_primaries((0..1 + owner % 3).map(primary).collect(), at, at);
                        table.handle_owner_change(at, at);
                    }
                    6 => {
                        table.remove_reader(reader);
                        live.retain(|(told, _): &(u64, String)| *told != reader.0);
                    }
                    _ => now += 100,
                }
            }
            (Push::Other, ..) => _ = table.handle_marker(target, at),
        }
        let at = Timestamp::from_duration(Duration::from_millis(now));
        let count = open.len().max(1) as u64;
        let _ = table.plan(at, |query| {
            let number = match query.primary {
                Some(primary) => primary as u64,
                None => (owner + u64::from(query.slot.number())) % count,
            };
            open.iter().nth(usize::try_from(number).unwrap_or(0)).map(|id| ConnectionId(*id))
        });
        check_updates(table.take_updates(), &mut live);
    }
}

/// What readers are told fits what they were told before.
fn check_updates(
    updates: crate::subscription::channel_table::ReaderUpdates,
    live: &mut BTreeSet<(u64, String)>,
) {
    for (reader, update) in updates {
        let name =
            |channel: &crate::subscription::kind::Channel| (reader.0, format!("{channel:?}"));
        match &update {
            Update::Subscribed { channel, .. } => {
                assert!(live.insert(name(channel)), "told once: {update:?}");
            }
            Update::Unsubscribed { channel } => drop(live.remove(&name(channel))),
            Update::Gap { channel, .. } | Update::Moved { channel, .. } => {
                assert!(live.contains(&name(channel)), "nothing began: {update:?}");
            }
            _ => {}
        }
    }
}
