//! What looks after a link whose server owes replies and sends nothing. Implemented by the node's
//! connection, which can dial another link.

use crate::bounds::{BoxFuture, MaybeSend, MaybeSync};
use crate::time::Timestamp;
use std::fmt;

/// Looks after a link while it is silent.
///
/// The task that drives the link calls the methods and holds the link's I/O meanwhile. So they must
/// not wait, and drive no link but through its `drive`.
pub(crate) trait SilenceWatch: fmt::Debug + MaybeSend + MaybeSync {
    /// Asks the server over another link how it is, until it is known whether this one is dead. The
    /// link polls it, and drops it when it is not silent any more.
    fn ask(&self) -> BoxFuture<'static, ()>;

    /// The server has sent something.
    fn handle_progress(&self);
}

/// A link is silent, and callers still wait.
pub(super) struct Silence {
    /// When the server last took or sent a byte.
    pub(super) since: Timestamp,
    /// When the silence is reported again.
    pub(super) report_at: Timestamp,
    /// What the watch asks; `None` once it has nothing more to ask.
    pub(super) watch: Option<BoxFuture<'static, ()>>,
}
