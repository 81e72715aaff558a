//! Asynchronous replication: a primary's stream of changes, and replicas that repeat them some time later.
//!
//! A record is the command with the primary's clock and seed, so that a replica that repeats it comes to the same data. Offsets count
//! the bytes of the commands; a history has an id, and a promoted replica keeps the id of the history it came from, so that its peers
//! can go on without copying everything.
//!
//! Invariants:
//! - a replica applies records in order, each exactly once: one that does not start at its offset is dropped, and the next
//!   acknowledgement makes the primary send what is missing;
//! - what EXEC or a script did is one record, so no replica shows half of it.
//!
//! Limits: [`BACKLOG_RECORDS`] records are kept for replicas that come back.

use super::call::Call;
use super::command::{ADMIN, BLOCKING, FAST, LOADING, NOSCRIPT, Outcome, Run, STALE, Spec, fail};
use super::keyspace::{Changes, Entry};
use super::message::Message;
use super::session::Blocked;
use super::{Server, Timer, arguments};
use crate::env::Env;
use crate::ids::HostId;
use crate::resp::Reply;
use crate::rng::mix;
use bytes::Bytes;
use slotcar::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("replicaof", 3, ADMIN | NOSCRIPT | STALE, replicaof).since(5, 0),
    Spec::server("role", 1, NOSCRIPT | LOADING | STALE | FAST, role),
    Spec::server("slaveof", 3, ADMIN | NOSCRIPT | STALE, replicaof),
    Spec::server("wait", 3, BLOCKING, wait),
];

/// Records kept for replicas that come back.
const BACKLOG_RECORDS: usize = 4096;
/// How often a replica says what it has.
const TICK: Duration = Duration::from_secs(1);
/// A link on which nothing came for so long is down (`repl-timeout`).
const LINK_TIMEOUT: Duration = Duration::from_secs(60);

/// One change to repeat.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// In which database.
    db: usize,
    /// The primary's clock then.
    now_ms: u64,
    /// The primary's seed for it.
    seed: u64,
    /// What was done.
    change: Change,
}

/// What a replica repeats.
#[derive(Clone, Debug)]
enum Change {
    /// A command.
    Command(Vec<Bytes>),
    /// Keys that another server handed over.
    Entries(Vec<(Bytes, Entry)>),
}

impl Change {
    /// About how many bytes a real replica would be sent.
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
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Up to where records were sent.
    sent: u64,
    /// Up to where it said that it has them.
    pub(crate) acked: u64,
    /// When it said so.
    pub(crate) acked_at: Timestamp,
}

/// A replica's link to its primary.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Where the primary is.
    pub(crate) primary: SocketAddr,
    /// It is in step with the primary.
    pub(crate) up: bool,
    /// When something came last, or when the link was lost.
    pub(crate) since: Timestamp,
}

/// A server's part in replication.
#[derive(Debug)]
pub(crate) struct Replication {
    /// The id of the history that this server writes or follows.
    pub(crate) history: String,
    /// The history that it followed before it was promoted, and up to where.
    pub(crate) former: Option<(String, u64)>,
    /// Up to where it has the history.
    pub(crate) offset: u64,
    /// The last records.
    backlog: VecDeque<Arc<Record>>,
    /// Replicas, for a primary.
    pub(crate) followers: BTreeMap<HostId, Follower>,
    /// The link, for a replica.
    pub(crate) link: Option<Link>,
    /// Changes of a transaction or script that has not ended.
    group: Option<Vec<Write>>,
    /// Extra time that records take to get here: a replica that lags.
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

    /// Follows that primary from the start on, with all that it has.
    pub(crate) fn start_following(&mut self, primary: SocketAddr, history: &str) {
        history.clone_into(&mut self.history);
        self.link = Some(Link { primary, up: true, since: Timestamp::ZERO });
    }

    /// Has that replica from the start on.
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

    /// Where the oldest record that is kept starts.
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

    /// The records after `offset`; nothing when they are not kept any more.
    fn after(&self, offset: u64) -> Option<Vec<Arc<Record>>> {
        if offset > self.offset || offset < self.backlog_start() {
            return None;
        }
        let first = self.backlog.partition_point(|r| r.start < offset);
        Some(self.backlog.range(first..).cloned().collect())
    }

    /// Whether a replica with this part of this history can go on from here.
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
    /// Notes a change for the replicas.
    pub(crate) fn record(&mut self, db: usize, now_ms: u64, seed: u64, arguments: &[Bytes]) {
        let change = Change::Command(arguments.to_vec());
        self.record_write(Write { db, now_ms, seed, change });
    }

    /// Notes keys that another server handed over.
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

    /// From now on changes belong together.
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

    /// Sends to each replica what it has not been sent.
    pub(crate) fn send_records(&mut self, env: &mut Env<'_>) {
        let offset = self.replication.offset;
        let behind: Vec<HostId> = self
            .replication
            .followers
            .iter()
            .filter(|(_, f)| f.sent < offset)
            .map(|(host, _)| *host)
            .collect();
        for host in behind {
            self.send_records_to(env, host, false);
        }
    }

    fn send_records_to(&mut self, env: &mut Env<'_>, host: HostId, want_ack: bool) {
        let Some(follower) = self.replication.followers.get(&host) else { return };
        let (address, sent) = (follower.address, follower.sent);
        match self.replication.after(sent) {
            Some(records) => {
                let history = self.replication.history.clone();
                let offset = self.replication.offset;
                if let Some(follower) = self.replication.followers.get_mut(&host) {
                    follower.sent = offset;
                }
                env.send(self.host, address, Message::Records { history, records, want_ack });
            }
            None => self.send_snapshot(env, host, address),
        }
    }

    fn send_snapshot(&mut self, env: &mut Env<'_>, host: HostId, address: SocketAddr) {
        let (history, offset) = (self.replication.history.clone(), self.replication.offset);
        let now = env.now();
        let follower = Follower { address, sent: offset, acked: 0, acked_at: now };
        self.replication.followers.insert(host, follower);
        let keyspace = Box::new(self.keyspace.clone());
        env.send(self.host, address, Message::Snapshot { history, offset, keyspace });
    }

    /// A message of another server's replication.
    pub(crate) fn handle_replication(&mut self, env: &mut Env<'_>, from: HostId, message: Message) {
        match message {
            Message::Sync { address, history, offset } => {
                self.accept_follower(env, from, address, &history, offset);
            }
            Message::Snapshot { history, offset, keyspace } => {
                self.load_snapshot(env, history, offset, *keyspace);
            }
            Message::Records { history, records, want_ack } => {
                self.repeat(env, history, records, want_ack);
            }
            Message::Ack { offset } => self.acknowledge(env, from, offset),
            Message::Bus(_) | Message::Restore { .. } | Message::Restored { .. } => {}
        }
    }

    fn accept_follower(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        address: SocketAddr,
        history: &str,
        offset: u64,
    ) {
        // A replica that has no primary itself has nothing to pass on.
        if !self.replication.link_is_up() {
            return;
        }
        if self.replication.continues(history, offset) && self.replication.after(offset).is_some() {
            let now = env.now();
            let follower = Follower { address, sent: offset, acked: offset, acked_at: now };
            self.replication.followers.insert(from, follower);
            self.send_records_to(env, from, true);
        } else {
            self.send_snapshot(env, from, address);
        }
    }

    fn load_snapshot(
        &mut self,
        env: &mut Env<'_>,
        history: String,
        offset: u64,
        keyspace: super::keyspace::Keyspace,
    ) {
        if !self.replication.is_replica() {
            return;
        }
        self.keyspace = keyspace;
        self.invalidate_all(None);
        let replication = &mut self.replication;
        (replication.history, replication.offset, replication.former) = (history, offset, None);
        replication.backlog.clear();
        replication.followers.clear();
        if !self.config.loading.is_zero() {
            self.conditions.loading_until = env.now().after(self.config.loading);
        }
        self.link_alive(env);
        self.send_ack(env);
    }

    fn repeat(
        &mut self,
        env: &mut Env<'_>,
        history: String,
        records: Vec<Arc<Record>>,
        want_ack: bool,
    ) {
        if !self.replication.is_replica() {
            return;
        }
        self.replication.history = history;
        for record in records {
            if record.start != self.replication.offset {
                continue;
            }
            self.replication.offset = record.end;
            for write in &record.writes {
                self.repeat_write(env, write);
            }
            self.replication.keep(record);
        }
        self.link_alive(env);
        if want_ack {
            self.send_ack(env);
        }
    }

    fn repeat_write(&mut self, env: &mut Env<'_>, write: &Write) {
        let arguments = match &write.change {
            Change::Command(arguments) => arguments,
            Change::Entries(entries) => {
                let mut changes = Changes::default();
                for (key, entry) in entries {
                    self.keyspace.databases[write.db].insert(key.clone(), entry.clone());
                    changes.touched.push((write.db, key.clone()));
                }
                return self.absorb(None, changes);
            }
        };
        let Ok(spec) = self.find(arguments) else { return };
        match spec.run {
            Run::Data(run) => {
                let (_, changes) = self.apply(write.db, write.now_ms, write.seed, run, arguments);
                self.absorb(None, changes);
            }
            _ => self.repeat_publish(env, arguments),
        }
    }

    fn link_alive(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        if let Some(link) = self.replication.link.as_mut() {
            if !std::mem::replace(&mut link.up, true) {
                env.decide(self.host, "link to primary is up");
            }
            link.since = now;
        }
    }

    fn send_ack(&mut self, env: &mut Env<'_>) {
        if let Some(link) = &self.replication.link {
            let offset = self.replication.offset;
            env.send(self.host, link.primary, Message::Ack { offset });
        }
    }

    fn acknowledge(&mut self, env: &mut Env<'_>, from: HostId, offset: u64) {
        let now = env.now();
        let Some(follower) = self.replication.followers.get_mut(&from) else { return };
        let stalled = follower.acked == offset && follower.sent > offset;
        follower.acked = offset;
        follower.acked_at = now;
        if stalled {
            // What was sent is lost, as it seems: send it again.
            follower.sent = offset;
        }
        self.send_records_to(env, from, false);
        self.serve_waiting(env);
    }

    fn serve_waiting(&mut self, env: &mut Env<'_>) {
        let done: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(conn, session)| match session.blocked {
                Some(Blocked::Replicas { count, offset }) => {
                    let have = self.replication.acknowledged_by(offset);
                    (have >= count).then_some((*conn, have))
                }
                _ => None,
            })
            .collect();
        for (conn, have) in done {
            self.unblock(conn, &Reply::count(have));
            self.process_input(env, conn);
        }
    }

    /// Follows another server from now on, or nobody.
    pub(crate) fn follow(&mut self, env: &mut Env<'_>, primary: Option<SocketAddr>) {
        if self.replication.link.as_ref().map(|l| l.primary) == primary {
            return;
        }
        let was_replica = self.replication.is_replica();
        match primary {
            None => {
                let replication = &mut self.replication;
                let former = replication.history.clone();
                replication.former = Some((former, replication.offset));
                replication.history = new_history(env.rng.next_u64());
                replication.link = None;
                env.decide(self.host, "is a primary now");
            }
            Some(address) => {
                let since = env.now();
                self.replication.link = Some(Link { primary: address, up: false, since });
                self.replication.followers.clear();
                env.decide(self.host, format!("follows {address} now"));
                self.request_sync(env);
                if !was_replica {
                    let text = "UNBLOCKED force unblock from blocking operation, instance state \
                                changed (master -> replica?)";
                    self.disconnect_blocked(env, text);
                }
            }
        }
    }

    fn request_sync(&mut self, env: &mut Env<'_>) {
        if let Some(link) = &self.replication.link {
            let (history, offset) = (self.replication.history.clone(), self.replication.offset);
            let message = Message::Sync { address: self.address, history, offset };
            env.send(self.host, link.primary, message);
        }
    }

    pub(crate) fn start_replication(&mut self, env: &mut Env<'_>) {
        self.replication.group = None;
        // The first start is in step already; a later one has to find its place again.
        if self.incarnation > 1 {
            self.replication.followers.clear();
            if let Some(link) = self.replication.link.as_mut() {
                link.up = false;
                link.since = env.now();
                self.request_sync(env);
            }
        }
        // Ticks of different servers do not coincide.
        let first = env.now().after(env.rng.duration(TICK));
        self.timer(env, first, Timer::Replication);
    }

    /// Once a second: a replica says what it has, or asks again for a link.
    pub(crate) fn replication_tick(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        self.timer(env, now.after(TICK), Timer::Replication);
        if let Some(link) = self.replication.link.as_mut() {
            if link.up && now.since(link.since) > LINK_TIMEOUT {
                link.up = false;
                env.decide(self.host, "link to primary timed out");
            }
            if link.up { self.send_ack(env) } else { self.request_sync(env) }
        }
        self.replication.followers.retain(|_, f| now.since(f.acked_at) < LINK_TIMEOUT);
    }

    /// The process of another server ended, and its connections with it.
    pub(crate) fn peer_died(&mut self, env: &mut Env<'_>, peer: HostId, address: SocketAddr) {
        self.replication.followers.remove(&peer);
        let now = env.now();
        if let Some(link) = self.replication.link.as_mut()
            && link.primary == address
            && link.up
        {
            link.up = false;
            link.since = now;
            env.decide(self.host, "link to primary is down");
        }
    }
}

fn replicaof(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if call.server.cluster.is_some() {
        return Err(fail("ERR REPLICAOF not allowed in cluster mode."));
    }
    let (host, port) = (&arguments[1], &arguments[2]);
    if arguments::is(host, "NO") && arguments::is(port, "ONE") {
        call.server.follow(call.env, None);
        return Ok(Reply::OK);
    }
    let port = arguments::int_or(port, "ERR Invalid master port")?;
    let port = u16::try_from(port).map_err(|_| fail("ERR Invalid master port"))?;
    let host = std::str::from_utf8(host).unwrap_or("");
    let address = call.env.resolve(host).map(|ip| SocketAddr::new(ip, port));
    let address = address.ok_or(fail("ERR can't resolve the primary's name"))?;
    let current = call.server.replication.link.as_ref().map(|l| l.primary);
    if current == Some(address) {
        return Ok(Reply::Status("OK Already connected to specified master".into()));
    }
    call.server.follow(call.env, Some(address));
    Ok(Reply::OK)
}

fn role(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let replication = &call.server.replication;
    let offset = Reply::Int(replication.offset as i64);
    Ok(match &replication.link {
        None => {
            let followers = replication.followers.values().map(|f| {
                Reply::Array(vec![
                    Reply::string(f.address.ip().to_string()),
                    Reply::string(f.address.port().to_string()),
                    Reply::string(f.acked.to_string()),
                ])
            });
            let followers = Reply::Array(followers.collect());
            Reply::Array(vec![Reply::text("master"), offset, followers])
        }
        Some(link) => Reply::Array(vec![
            Reply::text("slave"),
            Reply::string(link.primary.ip().to_string()),
            Reply::Int(i64::from(link.primary.port())),
            Reply::text(if link.up { "connected" } else { "connect" }),
            if link.up { offset } else { Reply::Int(-1) },
        ]),
    })
}

fn wait(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let count = arguments::int(&arguments[1])?;
    let timeout = arguments::timeout_ms(&arguments[2])?;
    if call.server.replication.is_replica() {
        return Err(fail(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 \
             if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let offset = call.server.replication.offset;
    let have = call.server.replication.acknowledged_by(offset);
    if have as i64 >= count || call.in_exec {
        return Ok(Reply::count(have));
    }
    let followers: Vec<HostId> = call.server.replication.followers.keys().copied().collect();
    for host in followers {
        call.server.send_records_to(call.env, host, true);
    }
    call.block(Blocked::Replicas { count: count.max(0) as usize, offset }, timeout);
    Ok(Reply::Nothing)
}
