//! Messages between servers.
//!
//! Real servers use RESP and a binary bus for this; here it is data, because no client sees it.
//! What a client can see is the same: which server gets a message and when, and which one a
//! partition cuts off.

use super::keyspace::{Entry, Keyspace};
use super::replication::Record;
use crate::cluster::bus::Packet;
use crate::sentinel::message::SentinelMessage;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;

/// A message from one server to another.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A replica asks for everything after its own offset.
    Sync {
        /// Where the replica listens.
        address: SocketAddr,
        /// The history of the replica's data.
        history: String,
        /// The replica's offset in it.
        offset: u64,
    },
    /// The primary's data set, for a replica whose history differs.
    Snapshot {
        /// The primary's history.
        history: String,
        /// The primary's offset.
        offset: u64,
        /// The data.
        keyspace: Box<Keyspace>,
    },
    /// The primary's next changes, or none of them as a sign of life.
    Records {
        /// The primary's history.
        history: String,
        /// The changes.
        records: Vec<Arc<Record>>,
        /// The replica is to acknowledge at once.
        want_ack: bool,
    },
    /// A packet of the cluster bus.
    Bus(Packet),
    /// A message between sentinels and the servers that they monitor.
    Sentinel(SentinelMessage),
    /// Keys for another server, which has to reply.
    Restore {
        /// The address for the reply.
        address: SocketAddr,
        /// The keys.
        entries: Vec<(Bytes, Entry)>,
        /// They replace keys of the same name.
        replace: bool,
    },
    /// The reply to it.
    Restored {
        /// The reason if the keys were refused.
        error: Option<String>,
    },
    /// An acknowledgement of a replica.
    Ack {
        /// The replica's offset.
        offset: u64,
    },
}
