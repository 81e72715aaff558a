//! What a client has counted, and the state of its nodes, as plain data for users.
//!
//! The counters themselves are in `telemetry.rs`. Users get the numbers from `Client::metrics`.

use crate::Endpoint;
use crate::error::Error;
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use std::time::Duration;

/// What a client has done on its own since it was made, and the state of its nodes.
///
/// Counts only grow, and wrap around at 2^64. Clones and views of a client share them. A command
/// that is answered at its first attempt, over a connection that is there, counts nowhere.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connection attempts started: to servers and to sentinels, for commands, blocking commands,
    /// subscriptions and refreshes. A server that hangs up on a command of the handshake that it
    /// need not know is dialled again without it, which is one attempt more.
    pub dials: u64,
    /// Of these, the attempts that failed: no name, no connection, no TLS, a handshake that was
    /// refused or not answered, another server than the one that was meant. One that is still under
    /// way counts in `dials` only; so does one that ended because nobody waited for it any more,
    /// and one whose introduction travelled with the first command, which then fails.
    pub dials_failed: u64,
    /// Total time for opening streams: name resolution, connection and TLS, without the handshake.
    /// An attempt counts when its stream is open; one that fails before counts nothing.
    pub dial_time: Duration,
    /// The part of `dial_time` that name resolution took, where the transport measures that: those
    /// on smol and on tokio do. An address needs none.
    pub name_time: Duration,
    /// Times that a command was to be sent again, after a lost connection, a failed dial or an
    /// error that says that a later attempt may succeed. Each command of a pipeline counts for
    /// itself, and each attempt after the first. Not counted: an attempt that follows a redirect
    /// (see `redirects`), and a script that is sent whole because the server did not know it.
    pub retries: u64,
    /// Redirects, MOVED and ASK, that a cluster's servers answered to commands. Each command of a
    /// pipeline counts for itself. Also counts one that is not followed, because it was one more
    /// than `redirects_max` or cannot be read. Not counted: redirects of subscriptions, of commands
    /// on watched keys, and what a script answers.
    pub redirects: u64,
    /// Refreshes of the topology that began, whatever the reason. Requests that come while one is
    /// due or under way are one refresh. Always 0 for a standalone server.
    pub refreshes: u64,
    /// Of these, the refreshes that ended without a usable answer from any node or sentinel. What
    /// is known stays in use.
    pub refreshes_failed: u64,
    /// The reason of the last failed refresh, and its error. A refresh that succeeds later leaves
    /// it as it is: compare `refreshes_failed` of two moments.
    pub refresh_failure: Option<(RefreshReason, Option<Error>)>,
    /// Entries of the servers' replies about the topology (nodes, slot ranges, lines, replicas and
    /// sentinels) that were left out, because they could not be read or contradicted others.
    /// Counted at each refresh, and for each server that tells them.
    pub entries_left_out: u64,
    /// The nodes of the topology that have an address, as of now.
    pub nodes: Vec<NodeMetrics>,
}

/// The state of one node, as this client sees it now. Sentinels are not among the nodes.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// The node's name in the cluster; where servers tell none, one made of its address.
    pub id: NodeId,
    /// The address that the client connects to, after `address_map`.
    pub endpoint: Endpoint,
    /// Whether it is a primary, as of the last refresh.
    pub primary: bool,
    /// Whether commands reach it.
    pub state: NodeState,
    /// Commands that are queued or sent and not answered, as of the last time that bytes moved, on
    /// all connections that callers share. Exclusive connections are counted in `exclusive_busy`;
    /// those of subscriptions are not counted. The introduction that travels with a connection's
    /// first command counts as one more.
    pub in_flight: usize,
    /// Connections that one caller has to itself now, for a blocking command or a transaction, and
    /// calls that dial one. Callers that wait for one are not counted.
    pub exclusive_busy: usize,
    /// Such connections that wait for the next caller. One that nobody used for a minute is closed.
    pub exclusive_idle: usize,
}

/// Whether commands reach a node.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// A connection that callers share is open.
    Connected,
    /// No such connection is open, and the last attempt failed.
    Failing,
    /// No such connection is open, and none was needed since the last one ended.
    Idle,
}
