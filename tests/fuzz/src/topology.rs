//! Any bytes as the topology replies of a cluster's nodes, merged into one slot map.
//!
//! The first byte says whether the connection uses TLS, the rest is what servers send.
//! Checked: nothing panics; no slot loses its owner; the order of the views does not matter (both
//! in `fuzz_api`).
//! Run: `cargo +nightly fuzz run --fuzz-dir tests/fuzz topology`. `corpus/topology` holds the
//! seeds: replies of real servers.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use slotcar_core::fuzz_api::{frames, topology};

/// Room for two whole replies of a small cluster.
const REPLY_BYTES_MAX: usize = 1 << 14;
const REPLY_DEPTH_MAX: usize = 9;

fuzz_target!(|input: &[u8]| {
    let Some((tls, stream)) = input.split_first() else { return };
    let stream = Bytes::copy_from_slice(stream);
    let (frames, _) = frames(&stream, &[], REPLY_BYTES_MAX, REPLY_DEPTH_MAX);
    assert!(topology(&frames, tls % 2 == 1) <= 16384);
});
