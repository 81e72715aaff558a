//! A process that watches a service of a primary and its replicas, agrees with others of its kind
//! when the primary is down, and puts a replica in its place.
//!
//! Every sentinel has opinions of its own, which differ from others' for as long as messages take,
//! or until a partition ends; they spread through the servers that all of them watch, and are
//! ordered by config epochs. A file per duty: who answers (`watch`), who leads and what is promoted
//! (`failover`), what is said to whom (`word`), and what clients may ask (`commands`).
//!
//! Limits: one service; no scripts, no TILT mode.
//! Spec: redis.io/docs, "High availability with Redis Sentinel"; `sentinel.c` where it is silent.

pub(crate) mod commands;
mod describe;
mod failover;
mod watch;
pub(crate) mod word;

use crate::env::Env;
use crate::ids::HostId;
use crate::journal::Opinion;
use crate::server::{Server, Timer};
use bytes::Bytes;
use failover::Failover;
use slotcar::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use word::{Report, Role, Word};

/// How often a sentinel looks at what it knows.
const TICK: Duration = Duration::from_millis(100);

/// Former opinions that are kept.
const PAST_MAX: usize = 64;

/// What all sentinels of a service are set up as.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The name of the service.
    pub(crate) service: Arc<str>,
    /// How many have to say that the primary is down.
    pub(crate) quorum: usize,
    /// Without an answer for so long a server counts as down (`down-after-milliseconds`).
    pub(crate) down_after: Duration,
    /// Twice this long passes before a failover is tried again (`failover-timeout`).
    pub(crate) failover_timeout: Duration,
}

/// A server as a sentinel knows it.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// The oldest question that was not answered.
    asked_at: Option<Timestamp>,
    /// The last answer.
    pub(crate) answered_at: Timestamp,
    /// What it said.
    pub(crate) report: Option<Report>,
    /// Since when it says that it has this role.
    role_since: Timestamp,
    /// It has not answered for too long; since when.
    pub(crate) s_down: Option<Timestamp>,
}

impl Instance {
    pub(crate) fn new(address: SocketAddr, now: Timestamp) -> Self {
        let (asked_at, report, s_down) = (None, None, None);
        Self { address, asked_at, answered_at: now, report, role_since: now, s_down }
    }

    fn says(&self, role: &Role) -> bool {
        self.report.as_ref().is_some_and(|report| report.role == *role)
    }
}

/// Another sentinel as a sentinel knows it.
#[derive(Clone, Debug)]
pub(crate) struct Colleague {
    /// Its id, 40 hexadecimal digits, for life.
    pub(crate) id: Arc<str>,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// The last it said, by any way.
    pub(crate) heard_at: Timestamp,
    /// The last time it introduced itself.
    pub(crate) hello_at: Timestamp,
    /// It says that the primary is down; when it said so.
    down_at: Option<Timestamp>,
    /// For whom it voted, and in which epoch.
    pub(crate) vote: Option<(u64, HostId)>,
}

/// A sentinel's state. All but what is under way outlives the process, as in its file.
#[derive(Debug)]
pub(crate) struct Sentinel {
    /// Its id.
    pub(crate) id: Arc<str>,
    /// How it is set up.
    pub(crate) settings: Settings,
    /// The primary, in its opinion.
    pub(crate) primary: Instance,
    /// A quorum says that the primary is down; since when.
    pub(crate) o_down: Option<Timestamp>,
    /// Replicas, and former primaries that are to be some.
    pub(crate) replicas: BTreeMap<SocketAddr, Instance>,
    /// The other sentinels.
    pub(crate) colleagues: BTreeMap<HostId, Colleague>,
    /// The epoch of the failover that made the primary one.
    pub(crate) config_epoch: u64,
    /// The greatest epoch that it has heard of.
    pub(crate) current_epoch: u64,
    /// What it believed before: primaries and their epochs, oldest first.
    pub(crate) past: Vec<(u64, SocketAddr)>,
    /// For whom it voted last, and in which epoch.
    pub(crate) vote: Option<(u64, HostId)>,
    /// A failover that it tries to lead, or leads.
    pub(crate) failover: Option<Failover>,
    /// Not before then does it try one.
    try_at: Timestamp,
    /// When it asks servers again.
    probe_at: Timestamp,
    /// When it introduces itself again.
    hello_at: Timestamp,
    /// When it asks its colleagues again.
    ask_at: Timestamp,
    /// What it told clients last, by the journal: the epoch and the primary.
    told: Option<(u64, SocketAddr)>,
}

impl Sentinel {
    pub(crate) fn new(id: Arc<str>, settings: Settings, primary: SocketAddr) -> Self {
        Self {
            id,
            settings,
            primary: Instance::new(primary, Timestamp::ZERO),
            o_down: None,
            replicas: BTreeMap::new(),
            colleagues: BTreeMap::new(),
            config_epoch: 0,
            current_epoch: 0,
            past: Vec::new(),
            vote: None,
            failover: None,
            try_at: Timestamp::ZERO,
            probe_at: Timestamp::ZERO,
            hello_at: Timestamp::ZERO,
            ask_at: Timestamp::ZERO,
            told: None,
        }
    }

    /// Knows that replica from the start on.
    pub(crate) fn know_replica(&mut self, address: SocketAddr) {
        self.replicas.insert(address, Instance::new(address, Timestamp::ZERO));
    }

    /// Knows that colleague from the start on.
    pub(crate) fn know_colleague(&mut self, host: HostId, id: Arc<str>, address: SocketAddr) {
        let (heard_at, hello_at) = (Timestamp::ZERO, Timestamp::ZERO);
        let colleague = Colleague { id, address, heard_at, hello_at, down_at: None, vote: None };
        self.colleagues.insert(host, colleague);
    }

    /// Where it sends clients: during a failover already to the promoted replica.
    pub(crate) fn primary_address(&self) -> SocketAddr {
        let promoted = self.failover.as_ref().and_then(Failover::promoted);
        promoted.unwrap_or(self.primary.address)
    }

    /// How many sentinels make a majority.
    pub(crate) fn majority(&self) -> usize {
        self.colleagues.len().div_ceil(2) + 1
    }

    /// Whether it has reason to fail over by hand and nobody else does: nothing is wrong, nothing
    /// is under way, and the others would hear of it.
    pub(crate) fn is_calm(&self, now: Timestamp) -> bool {
        self.failover.is_none()
            && self.primary.s_down.is_none()
            && self.usable(now) == 1 + self.colleagues.len()
    }

    /// How many sentinels answer, itself included.
    pub(crate) fn usable(&self, now: Timestamp) -> usize {
        let answers = |c: &&Colleague| !self.is_silent(c, now);
        1 + self.colleagues.values().filter(answers).count()
    }

    /// Whether a colleague has said nothing for too long.
    pub(crate) fn is_silent(&self, colleague: &Colleague, now: Timestamp) -> bool {
        now.since(colleague.heard_at) > self.settings.down_after + watch::PROBE
    }

    /// What is known of the server at an address.
    fn instance_mut(&mut self, address: SocketAddr) -> Option<&mut Instance> {
        if self.primary.address == address {
            return Some(&mut self.primary);
        }
        self.replicas.get_mut(&address)
    }
}

impl Server {
    /// The process starts as a sentinel, with what its file says.
    pub(crate) fn start_sentinel(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        // The file names the promoted replica already.
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
        for colleague in sentinel.colleagues.values_mut() {
            (colleague.heard_at, colleague.down_at) = (now, None);
        }
        self.note_opinion_told(env);
        let tick = now.after(env.rng.duration(TICK));
        self.timer(env, tick, Timer::Sentinel);
    }

    /// Ten times a second.
    pub(crate) fn sentinel_tick(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        self.timer(env, now.after(TICK), Timer::Sentinel);
        self.probe_servers(env);
        self.introduce_itself(env);
        self.notice_silence(env);
        self.ask_colleagues(env);
        self.notice_agreement(env);
        self.correct_servers(env);
        self.begin_failover(env);
        self.go_on_with_failover(env);
        self.note_opinion_told(env);
    }

    /// Keeps the journal of what clients are told.
    pub(crate) fn note_opinion_told(&mut self, env: &mut Env<'_>) {
        let (sentinel, at) = (self.host, env.now());
        let Some(state) = self.sentinel.as_mut() else { return };
        let (epoch, primary) = (state.config_epoch, state.primary_address());
        if state.told.replace((epoch, primary)) != Some((epoch, primary)) {
            env.journal.told(Opinion { sentinel, at, epoch, primary });
        }
    }

    /// Somebody said something of the sentinels' own.
    pub(crate) fn handle_word(&mut self, env: &mut Env<'_>, from: HostId, word: Word) {
        match word {
            Word::Probe { address } => self.answer_probe(env, from, address),
            Word::Report(report) => self.note_report(env, from, *report),
            Word::Hello(hello) => self.hear_hello(env, from, &hello),
            Word::AskDown { address, primary, epoch, candidate } => {
                self.answer_question(env, from, (address, primary), epoch, candidate);
            }
            Word::Opinion { down, vote } => self.note_opinion(env, from, down, vote),
            Word::Follow { primary, epoch } => self.obey(env, primary, epoch),
        }
        self.note_opinion_told(env);
    }

    /// Tells subscribers what happened.
    fn announce(&mut self, env: &mut Env<'_>, event: &'static str, text: String) {
        env.decide(self.host, format!("{event} {text}"));
        self.deliver(&Bytes::from_static(event.as_bytes()), &Bytes::from(text));
    }

    /// Another server is the primary from now on; up to `epoch` the one before was.
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
        for colleague in sentinel.colleagues.values_mut() {
            colleague.down_at = None;
        }
        let service = Arc::clone(&sentinel.settings.service);
        let (from, ip) = (old.address, to.ip());
        let text = format!("{service} {} {} {ip} {}", from.ip(), from.port(), to.port());
        let replicas: Vec<SocketAddr> = sentinel.replicas.keys().copied().collect();
        self.announce(env, "+switch-master", text);
        // What it knows of the others begins anew.
        for address in replicas {
            let text = self.instance_text(address);
            self.announce(env, "+slave", text);
        }
    }
}
