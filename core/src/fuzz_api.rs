//! Functions for the fuzz targets in `tests/fuzz`: they feed bytes to the private parts of the
//! crate.
//!
//! They exist only with `--cfg fuzzing`, which cargo-fuzz passes to every crate that it builds. A
//! feature would be public: `--all-features` and the docs would show it, and users would turn it
//! on. Invariant: the published API is the same with and without fuzzing.

use crate::connection::reader::Reader;
use crate::resp::{self, Found, FrameKind, ScanLimits, Scanner};
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::merge;
use crate::topology::parse::announced_address::AddressRule;
use crate::topology::parse::cluster_nodes::parse_nodes;
use crate::topology::parse::cluster_shards::parse_shards;
use crate::topology::parse::cluster_slots::parse_slots;
use crate::topology::snapshot::Topology;
use crate::{Endpoint, Value};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The frames of `stream`, scanned in chunks of these lengths, which are repeated (in one chunk if
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
    let error = resp::ServerError::from_frame(frame)?;
    Some(format!("{} {:?}", error.code(), error.redirect()))
}

/// The length of the frame that `buf` begins with, 0 if there is none: the scanner alone.
#[must_use]
pub fn scan_one(buf: &[u8]) -> usize {
    let limits = ScanLimits { reply_bytes_max: 1 << 30, reply_depth_max: 128 };
    match Scanner::new(limits).scan(buf) {
        Ok(Found::Frame(length)) => length,
        _ => 0,
    }
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
        if let Ok(nodes) = parse_nodes(&value) {
            let joined = views
                .last()
                .cloned()
                .map(|view: crate::topology::view::View| view.with_epochs(nodes.clone()));
            views.extend(joined.and_then(Result::ok));
            views.extend(nodes.into_view(rule));
        }
        views.extend(parse_shards(&value, rule));
        views.extend(parse_slots(&value, rule));
        let before = map.slots().owned();
        let backwards: Vec<_> = views.iter().rev().cloned().collect();
        let decision = merge(Some(&map), &views, 0, Timestamp::ZERO);
        let turned = merge(Some(&map), &backwards, 0, Timestamp::ZERO);
        assert_eq!(decision.map, turned.map);
        map = decision.map;
        assert!(map.slots().owned() >= before);
        let _ = Topology::of(&map, None).to_map(Timestamp::ZERO);
        if views.len() > 4 {
            views.clear();
        }
    }
    map.slots().owned()
}
