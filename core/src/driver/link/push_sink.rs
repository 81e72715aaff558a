//! What receives a link's pushes. Implemented by subscriptions and by the part of the client that
//! listens to sentinels.

use crate::bounds::{MaybeSend, MaybeSync};
use crate::connection::outcome::Lost;
use crate::subscription::channel_table::UnknownState;
use crate::time::Timestamp;
use bytes::Bytes;
use std::fmt;

/// Receives a link's pushes.
///
/// The task that drives the link calls both methods and holds the link's I/O meanwhile. So they
/// must neither wait nor drive a link.
pub(crate) trait PushSink: fmt::Debug + MaybeSend + MaybeSync {
    /// Takes the frames of one read, in the order in which they came: pushes and, of commands that
    /// are answered by pushes, errors and the last reply. `now` is when they were read.
    ///
    /// # Errors
    /// They do not fit the commands: the connection's state is not known, and it is closed.
    fn handle(&self, frames: &mut Vec<Bytes>, now: Timestamp) -> Result<(), UnknownState>;

    /// The link is lost: no frame follows.
    fn handle_lost(&self, cause: &Lost);
}
