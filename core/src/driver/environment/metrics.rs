//! What a client has counted, and the state of its nodes, as plain data for users.
//!
//! The counters themselves are in `telemetry.rs`. Users get the numbers from `Client::metrics`.

use crate::Endpoint;
use crate::error::Error;
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use std::time::Duration;

/// What a client has done on its own since it was made, and the state of its nodes.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connection attempts started.
    pub dials: u64,
    /// Connection attempts that failed, in the handshake or before.
    pub dials_failed: u64,
    /// Total time for opening streams: name resolution, connection and TLS.
    pub dial_time: Duration,
    /// The part of it that name resolution took, where the transport measures that.
    pub name_time: Duration,
    /// Commands sent again, not counting redirects.
    pub retries: u64,
    /// Redirects followed.
    pub redirects: u64,
    /// Refreshes of the topology.
    pub refreshes: u64,
    /// Refreshes that got no usable answer from any node.
    pub refreshes_failed: u64,
    /// The reason of the last failed refresh, and its error.
    pub refresh_failure: Option<(RefreshReason, Option<Error>)>,
    /// Entries of the servers' replies about the topology (nodes, slot ranges, lines, replicas and
    /// sentinels) that were left out, because they could not be read or contradicted others.
    /// Counted at each refresh.
    pub entries_left_out: u64,
    /// The nodes of the topology.
    pub nodes: Vec<NodeMetrics>,
}

/// The state of one node, as this client sees it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// The node's name in the cluster.
    pub id: NodeId,
    /// The address that the client connects to.
    pub endpoint: Endpoint,
    /// Whether it is a primary.
    pub primary: bool,
    /// Whether commands reach it.
    pub state: NodeState,
    /// Commands that are queued or sent and not answered, as of the last time that bytes moved.
    pub in_flight: usize,
    /// Connections that one caller has to itself now, for a blocking command or a transaction, and
    /// calls that dial one.
    pub exclusive_busy: usize,
    /// Such connections that wait for the next caller. One that nobody used for a minute is closed.
    pub exclusive_idle: usize,
}

/// Whether commands reach a node.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// A connection to it is open.
    Connected,
    /// No connection is open, and the last attempt failed.
    Failing,
    /// No connection is open, because no command needed one.
    Idle,
}
