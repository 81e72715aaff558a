//! One simulated server process: data, sessions, and the order in which a request is checked and
//! executed.
//!
//! It is a state machine. Bytes, timers and messages of other servers come in; bytes for sessions,
//! messages and timers go out. It owns no socket and no clock, so the same code serves a simulation
//! and real loopback TCP.
//!
//! Spec: the command pages, `server.c` for the order of checks, and the cluster specification.

pub(crate) mod admin;
pub(crate) mod arguments;
pub(crate) mod blocking;
pub(crate) mod call;
pub(crate) mod client_command;
pub(crate) mod command;
pub(crate) mod command_command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod data;
pub(crate) mod dispatch;
pub(crate) mod effects;
pub(crate) mod info;
pub(crate) mod keyspace;
pub(crate) mod keyspace_events;
pub(crate) mod message;
pub(crate) mod parameters;
pub(crate) mod pubsub;
pub(crate) mod pubsub_info;
pub(crate) mod refusal;
pub(crate) mod replication;
pub(crate) mod script;
pub(crate) mod session;
pub(crate) mod sha1;
pub(crate) mod tracking;
pub(crate) mod transaction;
pub(crate) mod value;

use crate::cluster::migrate::Transfer;
use crate::cluster::{self, Cluster};
use crate::env::{Env, Event};
use crate::ids::{ConnId, HostId};
use crate::sentinel::{self, Sentinel};
use blocking::Blocking;
use bytes::Bytes;
use command::Spec;
use config::Config;
use effects::Stats;
use keyspace::Keyspace;
use message::Message;
use pubsub::Channels;
use refusal::Conditions;
use replication::Replication;
use script::Scripts;
use session::Session;
use slotcar::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use tracking::Tracking;

/// Every part of the command table.
pub(crate) fn all_commands() -> &'static [&'static [Spec]] {
    &[
        data::bits::COMMANDS,
        data::expire::COMMANDS,
        data::hashes::COMMANDS,
        data::keys::COMMANDS,
        data::list_moves::COMMANDS,
        data::lists::COMMANDS,
        data::scan::COMMANDS,
        data::sets::COMMANDS,
        data::sorted::COMMANDS,
        data::sorted_algebra::COMMANDS,
        data::sorted_ranges::COMMANDS,
        data::stream_claims::COMMANDS,
        data::stream_groups::COMMANDS,
        data::stream_info::COMMANDS,
        data::streams::COMMANDS,
        data::strings::COMMANDS,
        admin::COMMANDS,
        client_command::COMMANDS,
        cluster::commands::COMMANDS,
        command_command::COMMANDS,
        connection::COMMANDS,
        info::COMMANDS,
        pubsub::COMMANDS,
        pubsub_info::COMMANDS,
        replication::commands::COMMANDS,
        script::COMMANDS,
        sentinel::commands::COMMANDS,
        transaction::COMMANDS,
    ]
}

/// A timer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Keys expire.
    Expire,
    /// The timeout of a blocked session, if it is still at that block.
    Unblock(ConnId, u64),
    /// `CLIENT PAUSE` ends.
    Unpause,
    /// The process continues after it was busy.
    Thaw,
    /// The tick of replication: replicas acknowledge, links are checked.
    Replication,
    /// The tick of a cluster node: peers are pinged, failovers move on.
    Cluster,
    /// The tick of a sentinel: servers are polled, failovers move on.
    Sentinel,
}

/// Output of a server.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send bytes to a client.
    Bytes(ConnId, Bytes),
    /// Close a client's connection once everything is sent.
    Close(ConnId),
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its host on the network.
    pub(crate) host: HostId,
    /// Its name in tests.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Its configuration.
    pub(crate) config: Config,
    /// Counts starts, so that timers of a dead process can be ignored.
    pub(crate) incarnation: u64,
    /// When this process started.
    pub(crate) started_at: Timestamp,
    /// All data.
    pub(crate) keyspace: Keyspace,
    /// Client connections.
    pub(crate) sessions: BTreeMap<ConnId, Session>,
    /// The number of the next session.
    pub(crate) next_session: u64,
    /// Sessions by watched key.
    pub(crate) watchers: BTreeMap<(usize, Bytes), BTreeSet<ConnId>>,
    /// Sessions that wait for keys.
    pub(crate) blocking: Blocking,
    /// Subscriptions of sessions.
    pub(crate) channels: Channels,
    /// Keys that clients cache.
    pub(crate) tracking: Tracking,
    /// Known and loaded scripts.
    pub(crate) scripts: Scripts,
    /// The stream of changes.
    pub(crate) replication: Replication,
    /// This process's part in a cluster.
    pub(crate) cluster: Option<Box<Cluster>>,
    /// The state of a sentinel: such a process is no data server.
    pub(crate) sentinel: Option<Box<Sentinel>>,
    /// Sentinels that monitor this server, their addresses, and the times of their last polls.
    pub(crate) watched_by: BTreeMap<HostId, (SocketAddr, Timestamp)>,
    /// Keys in migration to another server.
    pub(crate) transfer: Option<Transfer>,
    /// The reasons why requests are refused now.
    pub(crate) conditions: Conditions,
    /// Counters for INFO.
    pub(crate) stats: Stats,
    /// Unblocked sessions are being served.
    serving: bool,
    /// The time for which the next `Timer::Expire` is set.
    expire_timer: Option<Timestamp>,
    /// Sessions with bytes to send, or to close.
    dirty: BTreeSet<ConnId>,
    /// Output for other parts of the world.
    effects: VecDeque<Effect>,
}

impl Server {
    pub(crate) fn new(host: HostId, name: &str, address: SocketAddr, config: Config) -> Self {
        let keyspace = Keyspace::new(config.databases);
        Self {
            host,
            name: name.to_owned(),
            address,
            config,
            incarnation: 0,
            started_at: Timestamp::ZERO,
            keyspace,
            sessions: BTreeMap::new(),
            next_session: 1,
            watchers: BTreeMap::new(),
            blocking: Blocking::default(),
            channels: Channels::default(),
            tracking: Tracking::default(),
            scripts: Scripts::default(),
            replication: Replication::new(host, name),
            cluster: None,
            sentinel: None,
            watched_by: BTreeMap::new(),
            transfer: None,
            conditions: Conditions::default(),
            stats: Stats::default(),
            serving: false,
            expire_timer: None,
            dirty: BTreeSet::new(),
            effects: VecDeque::new(),
        }
    }

    /// The process starts, with the data from its disk.
    pub(crate) fn start(&mut self, env: &mut Env<'_>) {
        self.incarnation += 1;
        self.started_at = env.now();
        if !self.config.loading.is_zero() && self.incarnation > 1 {
            self.conditions.loading_until = env.now().after(self.config.loading);
        }
        self.expire_timer = None;
        self.start_replication(env);
        self.start_cluster(env);
        self.start_sentinel(env);
        self.settle(env);
    }

    /// The process ends: everything that is not on disk is lost.
    pub(crate) fn stop(&mut self) {
        self.sessions.clear();
        self.watchers.clear();
        self.blocking = Blocking::default();
        self.channels = Channels::default();
        self.tracking = Tracking::default();
        self.scripts.forget_loaded();
        self.conditions.forget();
        self.transfer = None;
        self.watched_by.clear();
        self.dirty.clear();
        self.effects.clear();
        self.incarnation += 1;
    }

    /// A client connected.
    pub(crate) fn accept(&mut self, env: &mut Env<'_>, conn: ConnId, address: String) {
        let id = self.next_session;
        self.next_session += 1;
        self.stats.connections += 1;
        let open = !self.config.requires_password();
        let mut session = Session::new(id, address, open, env.now());
        if self.sessions.len() >= self.config.clients_max {
            self.stats.rejected_connections += 1;
            session.reply(&crate::resp::Reply::error("ERR max number of clients reached"));
            session.closing = true;
            self.dirty.insert(conn);
        }
        self.sessions.insert(conn, session);
        self.settle(env);
    }

    /// A client sent bytes.
    pub(crate) fn handle_bytes(&mut self, env: &mut Env<'_>, conn: ConnId, bytes: Bytes) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.reader.feed(bytes);
            self.process_input(env, conn);
        }
        self.settle(env);
    }

    /// A client's connection is gone.
    pub(crate) fn handle_close(&mut self, env: &mut Env<'_>, conn: ConnId) {
        self.drop_session(conn);
        self.settle(env);
    }

    /// A timer of this process ended.
    pub(crate) fn handle_timer(&mut self, env: &mut Env<'_>, timer: Timer) {
        match timer {
            Timer::Expire => self.expire_due(env),
            Timer::Unblock(conn, count) => self.give_up(env, conn, count),
            Timer::Unpause => self.resume_paused(env),
            Timer::Thaw => self.process_all(env),
            Timer::Replication => self.replication_tick(env),
            Timer::Cluster => self.cluster_tick(env),
            Timer::Sentinel => self.sentinel_tick(env),
        }
        self.settle(env);
    }

    /// A message of another server arrived.
    pub(crate) fn handle_message(&mut self, env: &mut Env<'_>, from: HostId, message: Message) {
        match message {
            Message::Bus(packet) => self.handle_packet(env, from, packet),
            Message::Sentinel(message) => self.handle_sentinel_message(env, from, message),
            Message::Restore { address, entries, replace } => {
                self.restore(env, address, entries, replace);
            }
            Message::Restored { error } => self.restored(env, from, error),
            other => self.handle_replication(env, from, other),
        }
        self.settle(env);
    }

    /// Takes the next output.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Sets a timer of this process.
    pub(crate) fn timer(&self, env: &mut Env<'_>, at: Timestamp, timer: Timer) {
        env.queue.push(at, Event::Timer(self.host, self.incarnation, timer));
    }

    /// Marks a session that has bytes to send, or is to be closed.
    pub(crate) fn mark_dirty(&mut self, conn: ConnId) {
        self.dirty.insert(conn);
    }

    /// Applies all consequences of the last input.
    pub(crate) fn settle(&mut self, env: &mut Env<'_>) {
        self.serve_ready(env);
        self.send_records(env);
        self.schedule_expiry(env);
        while let Some(conn) = self.dirty.pop_first() {
            let Some(session) = self.sessions.get_mut(&conn) else { continue };
            if !session.out.is_empty() {
                let bytes = session.out.split().freeze();
                self.effects.push_back(Effect::Bytes(conn, bytes));
            }
            if session.closing {
                self.effects.push_back(Effect::Close(conn));
                self.drop_session(conn);
            }
        }
    }

    /// Removes a session and all references to it.
    pub(crate) fn drop_session(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.remove(&conn) else { return };
        for key in &session.watched {
            if let Some(watchers) = self.watchers.get_mut(key) {
                watchers.remove(&conn);
                if watchers.is_empty() {
                    self.watchers.remove(key);
                }
            }
        }
        self.channels.forget(conn, &session);
        self.blocking.forget(conn);
        self.tracking.forget(conn);
    }

    fn schedule_expiry(&mut self, env: &mut Env<'_>) {
        let Some(at_ms) = self.keyspace.next_expiry() else { return };
        let at = env.at_unix_ms(at_ms);
        if self.expire_timer.is_none_or(|set| at < set || set < env.now()) {
            self.expire_timer = Some(at);
            self.timer(env, at, Timer::Expire);
        }
    }
}
