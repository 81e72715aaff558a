//! What the fuzz targets reach, and nobody else: the crate's inner machines, fed with bytes.
//!
//! It exists only under `--cfg fuzzing`, which cargo-fuzz passes to every crate it builds. A
//! feature would be a promise: `--all-features` and docs would show it, and some user would turn it
//! on. With a `cfg` the published API is the same whether or not there is fuzzing.
//! Used by `tests/fuzz` (a workspace of its own).

use crate::resp::{self, FrameKind, ScanLimits, Scanner};
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

/// The frames of `stream`, found as if it had come in chunks of these lengths (taken in turn; all
/// at once if there are none), and the error that ended it.
pub fn frames(
    stream: &Bytes,
    chunk_lengths: &[usize],
    reply_bytes_max: usize,
    reply_depth_max: usize,
) -> (Vec<Bytes>, Option<String>) {
    let mut scanner = Scanner::new(ScanLimits { reply_bytes_max, reply_depth_max });
    let mut lengths = chunk_lengths.iter().cycle();
    let (mut start, mut end, mut frames) = (0, 0, Vec::new());
    loop {
        match scanner.scan(&stream[start..end]) {
            Ok(Some(length)) => {
                frames.push(stream.slice(start..start + length));
                start += length;
            }
            Ok(None) if end == stream.len() => return (frames, None),
            Ok(None) => {
                assert!(scanner.missing() > 0);
                let length = lengths.next().map_or(usize::MAX, |length| (*length).max(1));
                end = end.saturating_add(length).min(stream.len());
            }
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

/// One frame as a type; the error as its text.
///
/// # Errors
/// The frame does not fit.
#[inline]
pub fn decode<T: DeserializeOwned>(frame: &Bytes) -> Result<T, String> {
    resp::from_frame(frame).map_err(|error| error.to_string())
}

/// Several frames as one list; the error as its text.
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

/// What an error frame says: its code, and its redirect or why it is none.
#[must_use]
pub fn server_error(frame: &[u8]) -> Option<String> {
    let error = resp::ServerError::from_frame(frame)?;
    Some(format!("{} {:?}", error.code(), error.redirect()))
}

/// The length of the frame that `buf` starts with, 0 if there is none: the scanner alone.
#[must_use]
pub fn scan_one(buf: &[u8]) -> usize {
    let limits = ScanLimits { reply_bytes_max: 1 << 30, reply_depth_max: 128 };
    Scanner::new(limits).scan(buf).ok().flatten().unwrap_or(0)
}

/// Takes each frame for CLUSTER SHARDS, SLOTS and NODES, and every view that comes of it, alone and
/// joined, into one map, in both orders of the views at hand. How many slots have an owner.
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
