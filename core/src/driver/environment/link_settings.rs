//! What a connection takes from the configuration and from its node.
//!
//! Plain data, made by `Environment` once for each connection.

use super::cached_clock::CachedClock;
use super::connection_limit::Place;
use crate::connection::budget::Budget;
use crate::resp::ScanLimits;
use crate::transport::AbortFlag;
use std::sync::Arc;
use std::time::Duration;

/// The settings of one connection.
#[derive(Clone, Debug)]
pub(crate) struct LinkSettings {
    /// The node's byte budget; an entry is charged from enqueue to its last reply.
    pub(crate) budget: Arc<Budget>,
    /// Limits for the size and the depth of a reply.
    pub(crate) scan: ScanLimits,
    /// A server that owes replies and sends nothing for this long is silent: see
    /// `link/io/timing.rs`. `None` where a server may be silent while it owes a reply: for blocking
    /// commands.
    pub(crate) progress_timeout: Option<Duration>,
    /// A step of the handshake that a server refuses because it runs a script is left out. For a
    /// connection whose only command is to end that script.
    pub(crate) tolerates_busy: bool,
    /// One caller has the connection to itself: it is not closed to make room for another one.
    pub(crate) is_held: bool,
    /// Its place among the connections of the client, where these are limited.
    pub(crate) place: Option<Arc<Place>>,
    /// Set before a stream is dropped on which commands are in flight.
    pub(crate) abort: AbortFlag,
    /// The client's cached time, which each turn clears.
    pub(crate) cached_clock: Arc<CachedClock>,
}
