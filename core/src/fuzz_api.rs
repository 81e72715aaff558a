//! What the fuzz targets reach, and nobody else: the crate's inner machines, fed with bytes.
//!
//! It exists only under `--cfg fuzzing`, which cargo-fuzz passes to every crate it builds. A
//! feature would be a promise: `--all-features` and docs would show it, and some user would turn it
//! on. With a `cfg` the published API is the same whether or not there is fuzzing.
//! Called by `tests/fuzz` (a workspace of its own), and by hand-made profiles of the decoder.

use crate::resp::{self, FrameKind, ScanLimits, Scanner};
use bytes::Bytes;
use serde::de::DeserializeOwned;

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
