//! What a connection takes from the configuration and from its node.
//!
//! Plain data, made by `Environment` once for each connection.

use super::cached_clock::CachedClock;
use crate::connection::budget::Budget;
use crate::resp::ScanLimits;
use std::sync::Arc;
use std::time::Duration;

/// What a link needs to know of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct LinkSettings {
    /// The node's, from enqueue to reply.
    pub(crate) budget: Arc<Budget>,
    /// Limits of a reply.
    pub(crate) scan: ScanLimits,
    /// A server that owes bytes and sends none for this long is dead; `None` while it may rightly
    /// be silent.
    pub(crate) progress_timeout: Option<Duration>,
    /// The client's; each turn ends it.
    pub(crate) cached_clock: Arc<CachedClock>,
}
