//! All servers of a world, by host.
//!
//! It passes input to the right process and collects the output of processes. A process that is
//! stopped by a signal gets its timers and messages when it resumes.

use crate::env::{Env, Event};
use crate::ids::{ConnId, HostId};
use crate::server::config::Config;
use crate::server::message::Message;
use crate::server::script::{self, Scripts};
use crate::server::{Effect, Server, Timer};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Output of a server on a connection.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send these bytes.
    Bytes {
        /// The server.
        host: HostId,
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Close it, once everything is sent.
    Close {
        /// The connection.
        conn: ConnId,
    },
}

/// What a stopped process gets when it resumes.
#[derive(Debug)]
enum Held {
    /// A timer of that incarnation.
    Timer(u64, Timer),
    /// A message from that server.
    Message(HostId, Box<Message>),
}

/// All servers.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// By host.
    servers: BTreeMap<HostId, Server>,
    /// Output of servers, in order.
    output: VecDeque<Output>,
    /// Input that stopped processes have not got yet, by host.
    held: BTreeMap<HostId, Vec<Held>>,
    /// Scripts that every server knows.
    scripts: Scripts,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            servers: BTreeMap::new(),
            output: VecDeque::new(),
            held: BTreeMap::new(),
            scripts: script::builtin(),
        }
    }
}

impl Fleet {
    /// Adds a server that is not started yet.
    pub(crate) fn add(
        &mut self,
        host: HostId,
        name: &str,
        address: SocketAddr,
        config: Config,
    ) -> &mut Server {
        let mut server = Server::new(host, name, address, config);
        server.scripts.share(&self.scripts);
        self.servers.entry(host).or_insert(server)
    }

    pub(crate) fn server_mut(&mut self, host: HostId) -> Option<&mut Server> {
        self.servers.get_mut(&host)
    }

    /// All servers in the order of their hosts.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    /// Makes a script known to every server.
    pub(crate) fn register_script(&mut self, text: &str, script: script::Script) {
        self.scripts.register(text, script);
        for server in self.servers.values_mut() {
            server.scripts.share(&self.scripts);
        }
    }

    /// Ends the injected errors and delays of all servers.
    pub(crate) fn heal(&mut self) {
        for server in self.servers.values_mut() {
            server.conditions.injections.clear();
            server.config.out_of_memory = false;
            server.replication.lag = std::time::Duration::ZERO;
        }
    }

    /// Runs `act` on one server, and collects its output.
    pub(crate) fn with<T>(
        &mut self,
        host: HostId,
        work: impl FnOnce(&mut Server) -> T,
    ) -> Option<T> {
        let server = self.servers.get_mut(&host)?;
        let result = work(server);
        while let Some(effect) = server.poll_effect() {
            self.output.push_back(match effect {
                Effect::Bytes(conn, bytes) => Output::Bytes { host, conn, bytes },
                Effect::Close(conn) => Output::Close { conn },
            });
        }
        Some(result)
    }

    pub(crate) fn accept(&mut self, env: &mut Env<'_>, host: HostId, conn: ConnId, from: String) {
        self.with(host, |server| server.accept(env, conn, from));
    }

    pub(crate) fn bytes(&mut self, env: &mut Env<'_>, host: HostId, conn: ConnId, bytes: Bytes) {
        if self.with(host, |server| server.handle_bytes(env, conn, bytes.clone())).is_none() {
            // A host without a server echoes its input: the tests of the network use that.
            self.output.push_back(Output::Bytes { host, conn, bytes });
        }
    }

    pub(crate) fn closed(&mut self, env: &mut Env<'_>, host: HostId, conn: ConnId) {
        self.with(host, |server| server.handle_close(env, conn));
    }

    /// A timer ended. It is ignored if its process is gone.
    pub(crate) fn timer(
        &mut self,
        env: &mut Env<'_>,
        (host, incarnation): (HostId, u64),
        timer: Timer,
        hung: bool,
    ) {
        if hung {
            self.held.entry(host).or_default().push(Held::Timer(incarnation, timer));
            return;
        }
        self.with(host, |server| {
            if server.incarnation == incarnation {
                server.handle_timer(env, timer);
            }
        });
    }

    /// A message arrived.
    pub(crate) fn message(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        to: HostId,
        message: Box<Message>,
        hung: bool,
    ) {
        if hung {
            self.held.entry(to).or_default().push(Held::Message(from, message));
            return;
        }
        let lag = self.servers.get(&to).map(|s| s.replication.lag).unwrap_or_default();
        if matches!(*message, Message::Records { .. }) && !lag.is_zero() {
            let at = env.now().after(lag);
            env.queue.push(at, Event::Delayed(from, to, message));
            return;
        }
        self.delayed_message(env, from, to, message);
    }

    /// A message is handled.
    pub(crate) fn delayed_message(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        to: HostId,
        message: Box<Message>,
    ) {
        self.with(to, |server| server.handle_message(env, from, *message));
    }

    /// A process ended; its peers' connections to it broke, where `told` says that they notice.
    pub(crate) fn stopped(
        &mut self,
        env: &mut Env<'_>,
        host: HostId,
        told: impl Fn(HostId) -> bool,
    ) {
        self.held.remove(&host);
        let Some(server) = self.servers.get_mut(&host) else { return };
        server.stop();
        let address = server.address;
        let others: Vec<HostId> = self.servers.keys().copied().filter(|h| told(*h)).collect();
        for other in others {
            self.with(other, |server| {
                server.peer_died(env, host, address);
                server.settle(env);
            });
        }
    }

    /// A process starts.
    pub(crate) fn started(&mut self, env: &mut Env<'_>, host: HostId) {
        self.with(host, |server| server.start(env));
    }

    /// A stopped process resumes, and gets the input that it missed.
    pub(crate) fn resumed(&mut self, env: &mut Env<'_>, host: HostId) {
        for held in self.held.remove(&host).unwrap_or_default() {
            match held {
                Held::Timer(incarnation, timer) => {
                    self.timer(env, (host, incarnation), timer, false);
                }
                Held::Message(from, message) => {
                    self.delayed_message(env, from, host, message);
                }
            }
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }
}
