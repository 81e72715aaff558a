//! A sentinel: it monitors a service of a primary and its replicas, agrees with other sentinels
//! when the primary is down, and promotes a replica.
//!
//! Every sentinel has its own view. Views differ for as long as messages take, or until a partition
//! ends. They spread through the servers that all sentinels monitor, and are ordered by config
//! epochs. One file per duty: failure detection (`watch`), election and promotion (`failover`),
//! messages (`message`), and commands of clients (`commands`).
//!
//! **Limits**: one service; no scripts, no TILT mode.
//!
//! Spec: redis.io/docs, "High availability with Redis Sentinel"; `sentinel.c` where it is silent.

pub(crate) mod commands;
mod describe;
mod failover;
pub(crate) mod message;
mod watch;

use crate::env::Env;
use crate::ids::HostId;
use crate::journal::Opinion;
use crate::server::{Server, Timer};
use bytes::Bytes;
use failover::Failover;
use message::{Report, Role, SentinelMessage};
use slotcar::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often a sentinel runs its checks.
const TICK: Duration = Duration::from_millis(100);

/// Earlier views that are kept.
const PAST_MAX: usize = 64;

/// The configuration of all sentinels of a service.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The name of the service.
    pub(crate) service: Arc<str>,
    /// How many sentinels must report the primary down.
    pub(crate) quorum: usize,
    /// A server without a reply for this long counts as down (`down-after-milliseconds`).
    pub(crate) down_after: Duration,
    /// A failover is tried again after twice this time (`failover-timeout`).
    pub(crate) failover_timeout: Duration,
}

/// A monitored server, as one sentinel knows it.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// When the oldest request without a reply was sent.
    asked_at: Option<Timestamp>,
    /// When the last reply came.
    pub(crate) answered_at: Timestamp,
    /// Its description in that reply.
    pub(crate) report: Option<Report>,
    /// Since when it reports this role.
    role_since: Timestamp,
    /// Since when it counts as down, because it has not replied for too long.
    pub(crate) s_down: Option<Timestamp>,
}

impl Instance {
    pub(crate) fn new(address: SocketAddr, now: Timestamp) -> Self {
        let (asked_at, report, s_down) = (None, None, None);
        Self { address, asked_at, answered_at: now, report, role_since: now, s_down }
    }

    fn has_role(&self, role: &Role) -> bool {
        self.report.as_ref().is_some_and(|report| report.role == *role)
    }
}

/// Another sentinel, as one sentinel knows it.
#[derive(Clone, Debug)]
pub(crate) struct PeerSentinel {
    /// Its id, 40 hexadecimal digits, which never changes.
    pub(crate) id: Arc<str>,
    /// Its address.
    pub(crate) address: SocketAddr,
    /// When its last message of any kind came.
    pub(crate) message_at: Timestamp,
    /// When it introduced itself last.
    pub(crate) hello_at: Timestamp,
    /// When it reported the primary down.
    down_at: Option<Timestamp>,
    /// The leader that it voted for, and the epoch of the vote.
    pub(crate) vote: Option<(u64, HostId)>,
}

/// A sentinel's state. All of it survives a restart, as in the sentinel's file, except what is in
/// progress.
#[derive(Debug)]
pub(crate) struct Sentinel {
    /// Its id.
    pub(crate) id: Arc<str>,
    /// Its configuration.
    pub(crate) settings: Settings,
    /// The primary, in its view.
    pub(crate) primary: Instance,
    /// Since when a quorum reports the primary down.
    pub(crate) o_down: Option<Timestamp>,
    /// Replicas, and former primaries that are to become replicas.
    pub(crate) replicas: BTreeMap<SocketAddr, Instance>,
    /// The other sentinels.
    pub(crate) peers: BTreeMap<HostId, PeerSentinel>,
    /// The epoch of the failover that promoted the primary.
    pub(crate) config_epoch: u64,
    /// The greatest epoch that it has seen.
    pub(crate) current_epoch: u64,
    /// Its earlier views: primaries and their epochs, oldest first.
    pub(crate) past: Vec<(u64, SocketAddr)>,
    /// The leader that it voted for last, and the epoch of that vote.
    pub(crate) vote: Option<(u64, HostId)>,
    /// A failover that it tries to lead, or leads.
    pub(crate) failover: Option<Failover>,
    /// The earliest time of its next failover attempt.
    try_at: Timestamp,
    /// When it polls servers next.
    probe_at: Timestamp,
    /// When it introduces itself next.
    hello_at: Timestamp,
    /// When it asks the other sentinels next.
    ask_at: Timestamp,
    /// The last report to clients in the journal: the epoch and the primary.
    reported: Option<(u64, SocketAddr)>,
}

impl Sentinel {
    pub(crate) fn new(id: Arc<str>, settings: Settings, primary: SocketAddr) -> Self {
        Self {
            id,
            settings,
            primary: Instance::new(primary, Timestamp::ZERO),
            o_down: None,
            replicas: BTreeMap::new(),
            peers: BTreeMap::new(),
            config_epoch: 0,
            current_epoch: 0,
            past: Vec::new(),
            vote: None,
            failover: None,
            try_at: Timestamp::ZERO,
            probe_at: Timestamp::ZERO,
            hello_at: Timestamp::ZERO,
            ask_at: Timestamp::ZERO,
            reported: None,
        }
    }

    /// Adds a replica that it knows from the start.
    pub(crate) fn add_known_replica(&mut self, address: SocketAddr) {
        self.replicas.insert(address, Instance::new(address, Timestamp::ZERO));
    }

    /// Adds a sentinel that it knows from the start.
    pub(crate) fn add_known_peer(&mut self, host: HostId, id: Arc<str>, address: SocketAddr) {
        let (message_at, hello_at) = (Timestamp::ZERO, Timestamp::ZERO);
        let peer = PeerSentinel { id, address, message_at, hello_at, down_at: None, vote: None };
        self.peers.insert(host, peer);
    }

    /// The address that it gives to clients: during a failover already the promoted replica's.
    pub(crate) fn primary_address(&self) -> SocketAddr {
        let promoted = self.failover.as_ref().and_then(Failover::promoted);
        promoted.unwrap_or(self.primary.address)
    }

    /// How many sentinels make a majority.
    pub(crate) fn majority(&self) -> usize {
        self.peers.len().div_ceil(2) + 1
    }

    /// Whether a manual failover at this sentinel alone is safe: nothing is down, no failover is in
    /// progress, and the others would learn of it.
    pub(crate) fn can_fail_over(&self, now: Timestamp) -> bool {
        self.failover.is_none()
            && self.primary.s_down.is_none()
            && self.usable(now) == 1 + self.peers.len()
    }

    /// How many sentinels reply, itself included.
    pub(crate) fn usable(&self, now: Timestamp) -> usize {
        let answers = |c: &&PeerSentinel| !self.is_silent(c, now);
        1 + self.peers.values().filter(answers).count()
    }

    /// Whether another sentinel has been silent for too long.
    pub(crate) fn is_silent(&self, peer: &PeerSentinel, now: Timestamp) -> bool {
        now.since(peer.message_at) > self.settings.down_after + watch::PROBE
    }

    /// The known state of the server at an address.
    fn instance_mut(&mut self, address: SocketAddr) -> Option<&mut Instance> {
        if self.primary.address == address {
            return Some(&mut self.primary);
        }
        self.replicas.get_mut(&address)
    }
}

impl Server {
    /// The process starts as a sentinel, with the state of its file.
    pub(crate) fn start_sentinel(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        // The file already names the promoted replica.
        let written = sentinel.primary_address();
        if written != sentinel.primary.address {
            sentinel.replicas.remove(&written);
            let old = std::mem::replace(&mut sentinel.primary, Instance::new(written, now));
            sentinel.replicas.insert(old.address, old);
        }
        sentinel.failover = None;
        sentinel.o_down = None;
        let primary = &mut sentinel.primary;
        for instance in sentinel.replicas.values_mut().chain([primary]) {
            *instance = Instance::new(instance.address, now);
        }
        for peer in sentinel.peers.values_mut() {
            (peer.message_at, peer.down_at) = (now, None);
        }
        self.note_reported_primary(env);
        let tick = now.after(env.rng.duration(TICK));
        self.timer(env, tick, Timer::Sentinel);
    }

    /// Runs ten times a second.
    pub(crate) fn sentinel_tick(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        self.timer(env, now.after(TICK), Timer::Sentinel);
        self.probe_servers(env);
        self.introduce_itself(env);
        self.notice_silence(env);
        self.ask_peers(env);
        self.notice_agreement(env);
        self.correct_servers(env);
        self.begin_failover(env);
        self.continue_failover(env);
        self.note_reported_primary(env);
    }

    /// Records in the journal what clients get.
    pub(crate) fn note_reported_primary(&mut self, env: &mut Env<'_>) {
        let (sentinel, at) = (self.host, env.now());
        let Some(state) = self.sentinel.as_mut() else { return };
        let (epoch, primary) = (state.config_epoch, state.primary_address());
        if state.reported.replace((epoch, primary)) != Some((epoch, primary)) {
            env.journal.record_report(Opinion { sentinel, at, epoch, primary });
        }
    }

    /// A message of the sentinel protocol has arrived.
    pub(crate) fn handle_sentinel_message(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        message: SentinelMessage,
    ) {
        match message {
            SentinelMessage::Probe { address } => self.answer_probe(env, from, address),
            SentinelMessage::Report(report) => self.note_report(env, from, *report),
            SentinelMessage::Hello(hello) => self.handle_hello(env, from, &hello),
            SentinelMessage::AskDown { address, primary, epoch, candidate } => {
                self.answer_question(env, from, (address, primary), epoch, candidate);
            }
            SentinelMessage::Opinion { down, vote } => self.note_opinion(env, from, down, vote),
            SentinelMessage::Follow { primary, epoch } => self.follow_order(env, primary, epoch),
        }
        self.note_reported_primary(env);
    }

    /// Publishes an event to subscribers.
    fn announce(&mut self, env: &mut Env<'_>, event: &'static str, text: String) {
        env.decide(self.host, format!("{event} {text}"));
        self.deliver(&Bytes::from_static(event.as_bytes()), &Bytes::from(text));
    }

    /// Switches to another primary; until `epoch` the former one was the primary.
    fn switch_primary(&mut self, env: &mut Env<'_>, to: SocketAddr, epoch: u64) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let old = std::mem::replace(&mut sentinel.primary, Instance::new(to, now));
        if sentinel.past.len() < PAST_MAX {
            sentinel.past.push((epoch, old.address));
        }
        sentinel.replicas.remove(&to);
        sentinel.replicas.insert(old.address, Instance::new(old.address, now));
        for instance in sentinel.replicas.values_mut() {
            instance.role_since = now;
        }
        (sentinel.failover, sentinel.o_down) = (None, None);
        for peer in sentinel.peers.values_mut() {
            peer.down_at = None;
        }
        let service = Arc::clone(&sentinel.settings.service);
        let (from, ip) = (old.address, to.ip());
        let text = format!("{service} {} {} {ip} {}", from.ip(), from.port(), to.port());
        let replicas: Vec<SocketAddr> = sentinel.replicas.keys().copied().collect();
        self.announce(env, "+switch-master", text);
        // Its knowledge of the others starts from zero.
        for address in replicas {
            let text = self.instance_text(address);
            self.announce(env, "+slave", text);
        }
    }
}
