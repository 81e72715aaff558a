//! What servers say to each other.
//!
//! Real servers use RESP and a binary bus for it; here it is data, because no client sees it. What
//! a client does see (who is told when, and who is not told because of a partition) is the same.

use super::keyspace::{Entry, Keyspace};
use super::replication::Record;
use crate::cluster::bus::Packet;
use crate::sentinel::word::Word;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;

/// A message from one server to another.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A replica asks for everything after what it has.
    Sync {
        /// Where the replica listens.
        address: SocketAddr,
        /// The history that the replica has a part of.
        history: String,
        /// Up to where.
        offset: u64,
    },
    /// The primary's data set, for a replica that has nothing in common with it.
    Snapshot {
        /// The primary's history.
        history: String,
        /// Up to where.
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
        /// The replica is to say at once what it has.
        want_ack: bool,
    },
    /// Something on the cluster bus.
    Bus(Packet),
    /// Something between sentinels and the servers that they watch.
    Sentinel(Word),
    /// Keys for another server, which is to answer.
    Restore {
        /// Where the answer goes.
        address: SocketAddr,
        /// The keys.
        entries: Vec<(Bytes, Entry)>,
        /// They take the place of keys that are there.
        replace: bool,
    },
    /// The answer.
    Restored {
        /// Why the keys were not taken.
        error: Option<String>,
    },
    /// What a replica has.
    Ack {
        /// Up to where.
        offset: u64,
    },
}
