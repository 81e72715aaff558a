//! What receives a link's pushes. Implemented by subscriptions and by the part of the client that
//! listens to sentinels.

use crate::bounds::{MaybeSend, MaybeSync};
use crate::connection::outcome::Lost;
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
    /// What is wrong with a frame, if it shows that the server and the sink no longer agree on the
    /// state of the connection. The link is lost then.
    fn handle(&self, frames: &mut Vec<Bytes>, now: Timestamp) -> Result<(), String>;

    /// The link is lost: no frame follows.
    fn handle_lost(&self, cause: &Lost);
}
