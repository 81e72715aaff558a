//! Any bytes as what servers send to a client with subscriptions: messages, confirmations,
//! refusals, ends, and what none of them is.
//!
//! Each frame of the input goes to the table of channels, which has asked for channels named a to
//! d. A bulk string is an event instead: its first bytes say what the client or the topology does.
//! Checked, in `fuzz_api`: nothing panics; a message has the channel and the bytes that its frame
//! has; readers are told of a gap or a move only where they were subscribed.

use bytes::Bytes;
use slotcar_core::fuzz_api::{frames, subscriptions};

const REPLY_BYTES_MAX: usize = 1000;
const REPLY_DEPTH_MAX: usize = 9;

pub(crate) fn run(input: &[u8]) {
    let stream = Bytes::copy_from_slice(input);
    let (frames, _) = frames(&stream, &[7], REPLY_BYTES_MAX, REPLY_DEPTH_MAX);
    subscriptions(&frames);
}
