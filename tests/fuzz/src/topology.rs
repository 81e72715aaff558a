//! Any bytes as the topology replies of a cluster's nodes, merged into one slot map.
//!
//! The first byte says whether the connection uses TLS, the rest is what servers send.
//! Checked: nothing panics; no slot loses its owner; the order of the views does not matter (both
//! in `fuzz_api`). The seeds are replies of real servers.

use bytes::Bytes;
use slotcar_core::fuzz_api::{frames, topology};

/// Room for two whole replies of a small cluster.
const REPLY_BYTES_MAX: usize = 1 << 14;
const REPLY_DEPTH_MAX: usize = 9;

/// Frames of one input that are read.
const FRAMES_MAX: usize = 6;

pub(crate) fn run(input: &[u8]) {
    let Some((tls, stream)) = input.split_first() else { return };
    let stream = Bytes::copy_from_slice(stream);
    let (mut frames, _) = frames(&stream, &[], REPLY_BYTES_MAX, REPLY_DEPTH_MAX);
    frames.truncate(FRAMES_MAX);
    assert!(topology(&frames, tls % 2 == 1) <= 16384);
}
