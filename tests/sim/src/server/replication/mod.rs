//! Asynchronous replication: a primary's stream of changes, and replicas that apply them some time
//! later.
//!
//! A record is the command with the primary's clock and seed, so a replica that applies it comes to
//! the same data. Offsets count the bytes of the commands. A history has an id. A promoted replica
//! keeps the id of the history that it came from, so its peers can continue without copying
//! everything.
//!
//! **Invariants**:
//! - a replica applies records in order, each exactly once: a record that does not start at the
//!   replica's offset is dropped, and the next acknowledgement makes the primary send the missing
//!   ones;
//! - all changes of one EXEC or script are one record, so no replica shows half of it.
//!
//! **Limits**: [`BACKLOG_RECORDS`] records are kept for replicas that reconnect.

pub(crate) mod commands;
mod follow;
mod lead;

use super::Server;
use super::keyspace::Entry;
use crate::ids::HostId;
use crate::rng::mix;
use bytes::Bytes;
use slotcar::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Records kept for replicas that reconnect.
const BACKLOG_RECORDS: usize = 4096;

/// One change to apply.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// The number of the database.
    db: usize,
    /// The primary's clock at that time.
    now_ms: u64,
    /// The primary's seed for it.
    seed: u64,
    /// The change itself.
    change: Change,
}

/// A change that a replica applies.
#[derive(Clone, Debug)]
enum Change {
    /// A command.
    Command(Vec<Bytes>),
    /// Keys that another server migrated here.
    Entries(Vec<(Bytes, Entry)>),
}

impl Change {
    /// About how many bytes a real primary would send.
    fn size(&self) -> usize {
        match self {
            Self::Command(arguments) => arguments.iter().map(|a| a.len() + 15).sum(),
            Self::Entries(entries) => entries.iter().map(|(key, _)| key.len() + 60).sum(),
        }
    }
}

/// Changes that belong together.
#[derive(Debug)]
pub(crate) struct Record {
    /// Offset before them.
    start: u64,
    /// Offset after them.
    end: u64,
    /// The changes.
    writes: Vec<Write>,
}

/// A replica as its primary knows it.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The offset up to which records were sent.
    sent: u64,
    /// The offset that it acknowledged.
    pub(crate) acked: u64,
    /// When it did.
    pub(crate) acked_at: Timestamp,
}

/// A replica's link to its primary.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The address of the primary.
    pub(crate) primary: SocketAddr,
    /// It is synchronised with the primary.
    pub(crate) up: bool,
    /// When the last message came, or when the link was lost.
    pub(crate) since: Timestamp,
}

/// A server's part in replication.
#[derive(Debug)]
pub(crate) struct Replication {
    /// The id of the history that this server writes or follows.
    pub(crate) history: String,
    /// The history that it replicated before it was promoted, and the offset of that promotion.
    pub(crate) former: Option<(String, u64)>,
    /// The offset up to which it has the history.
    pub(crate) offset: u64,
    /// The last records.
    backlog: VecDeque<Arc<Record>>,
    /// Replicas, for a primary.
    pub(crate) followers: BTreeMap<HostId, Follower>,
    /// The link, for a replica.
    pub(crate) link: Option<Link>,
    /// Changes of a transaction or script that has not ended.
    group: Option<Vec<Write>>,
    /// Additional delay of records that arrive here: replica lag.
    pub(crate) lag: Duration,
}

impl Replication {
    pub(crate) fn new(host: HostId, name: &str) -> Self {
        let seed = name.bytes().fold(u64::from(host.0), |h, b| mix(h ^ u64::from(b)));
        Self {
            history: new_history(seed),
            former: None,
            offset: 0,
            backlog: VecDeque::new(),
            followers: BTreeMap::new(),
            link: None,
            group: None,
            lag: Duration::ZERO,
        }
    }

    /// Replicates that primary from the start, with all of its data.
    pub(crate) fn start_following(&mut self, primary: SocketAddr, history: &str) {
        history.clone_into(&mut self.history);
        self.link = Some(Link { primary, up: true, since: Timestamp::ZERO });
    }

    /// Has that replica from the start.
    pub(crate) fn start_with(&mut self, replica: HostId, address: SocketAddr) {
        let acked_at = Timestamp::ZERO;
        self.followers.insert(replica, Follower { address, sent: 0, acked: 0, acked_at });
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.link.is_some()
    }

    pub(crate) fn link_is_up(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.up)
    }

    /// How many replicas have everything up to `offset`.
    pub(crate) fn acknowledged_by(&self, offset: u64) -> usize {
        self.followers.values().filter(|f| f.acked >= offset).count()
    }

    /// The start of the oldest record that is kept.
    pub(crate) fn backlog_start(&self) -> u64 {
        self.backlog.front().map_or(self.offset, |r| r.start)
    }

    fn append(&mut self, writes: Vec<Write>) {
        let size: usize = writes.iter().map(|write| write.change.size()).sum();
        let start = self.offset;
        self.offset += size.max(1) as u64;
        self.keep(Arc::new(Record { start, end: self.offset, writes }));
    }

    fn keep(&mut self, record: Arc<Record>) {
        if self.backlog.len() == BACKLOG_RECORDS {
            self.backlog.pop_front();
        }
        self.backlog.push_back(record);
    }

    /// The records after `offset`; `None` when they are not kept any more.
    fn after(&self, offset: u64) -> Option<Vec<Arc<Record>>> {
        if offset > self.offset || offset < self.backlog_start() {
            return None;
        }
        let first = self.backlog.partition_point(|r| r.start < offset);
        Some(self.backlog.range(first..).cloned().collect())
    }

    /// Whether a replica with this history and offset can continue from here.
    fn continues(&self, history: &str, offset: u64) -> bool {
        history == self.history
            || self.former.as_ref().is_some_and(|(id, end)| id == history && offset <= *end)
    }
}

/// An id as `INFO` shows it.
pub(crate) fn new_history(seed: u64) -> String {
    let (a, b, c) = (mix(seed ^ 1), mix(seed ^ 2), mix(seed ^ 3));
    format!("{a:016x}{b:016x}{:08x}", c >> 32)
}

impl Server {
    /// Records a change for the replicas.
    pub(crate) fn record(&mut self, db: usize, now_ms: u64, seed: u64, arguments: &[Bytes]) {
        let change = Change::Command(arguments.to_vec());
        self.record_write(Write { db, now_ms, seed, change });
    }

    /// Records keys that another server migrated here.
    pub(crate) fn record_restore(&mut self, entries: Vec<(Bytes, Entry)>) {
        let change = Change::Entries(entries);
        self.record_write(Write { db: 0, now_ms: 0, seed: 0, change });
    }

    fn record_write(&mut self, write: Write) {
        if self.replication.is_replica() {
            return;
        }
        match self.replication.group.as_mut() {
            Some(group) => group.push(write),
            None => self.replication.append(vec![write]),
        }
    }

    /// From now on changes form one record.
    pub(crate) fn begin_group(&mut self) {
        self.replication.group.get_or_insert_default();
    }

    /// The changes since `begin_group` are complete.
    pub(crate) fn end_group(&mut self) {
        if let Some(writes) = self.replication.group.take()
            && !writes.is_empty()
        {
            self.replication.append(writes);
        }
    }
}
