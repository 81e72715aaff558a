//! Any bytes as what sentinels say of a service.
//!
//! The first byte says what the client sees of the primary that it has; the rest is what sentinels
//! send, four replies each. Checked, in `fuzz_api`: nothing panics; the order of the sentinels does
//! not matter to whether a primary is chosen; a chosen one was named.

use bytes::Bytes;
use slotcar_core::fuzz_api::{frames, sentinels};

/// Room for the replies of a few sentinels.
const REPLY_BYTES_MAX: usize = 1 << 12;
const REPLY_DEPTH_MAX: usize = 9;
/// Frames of one input that are read.
const FRAMES_MAX: usize = 16;

pub(crate) fn run(input: &[u8]) {
    let Some((state, stream)) = input.split_first() else { return };
    let stream = Bytes::copy_from_slice(stream);
    let (mut frames, _) = frames(&stream, &[], REPLY_BYTES_MAX, REPLY_DEPTH_MAX);
    frames.truncate(FRAMES_MAX);
    sentinels(&frames, *state);
}
