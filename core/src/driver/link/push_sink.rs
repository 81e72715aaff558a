//! Who gets what a server sends unasked.
//!
//! Called by `driver/io.rs`; implemented by `driver/hub.rs` (subscriptions) and
//! `driver/sentinels.rs` (announcements).

use crate::bounds::{MaybeSend, MaybeSync};
use crate::connection::outcome::Lost;
use crate::time::Timestamp;
use bytes::Bytes;
use std::fmt;

/// Gets a link's pushes.
///
/// Both are called by whoever drives the link, with nothing locked but the link's I/O: they must
/// neither wait nor drive a link themselves.
pub(crate) trait PushSink: fmt::Debug + MaybeSend + MaybeSync {
    /// Takes the frames of one read out: pushes and, of what was posted, errors and the last reply,
    /// in the order in which they came. `now` is when they were read.
    fn handle(&self, frames: &mut Vec<Bytes>, now: Timestamp);

    /// No frame will follow.
    fn handle_lost(&self, cause: &Lost);
}
