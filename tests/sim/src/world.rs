//! The whole simulated world: the event queue, the network, and its servers.
//!
//! [`World::step`] takes one event and handles it. Its caller defines time: the executor of a
//! simulation calls it as soon as no task can run, so the clock jumps; `serve` calls it as real
//! time passes.
//!
//! **Invariants**: nothing here runs a task or wakes one. [`World::take_wakers`] returns the wakers
//! once the world is consistent.
//!
//! **Limits**: the output buffer of a subscriber has at most [`SUBSCRIBER_OUTPUT_MAX`] bytes.

use crate::env::{Env, Event};
use crate::fleet::{Fleet, Output};
use crate::ids::{ConnId, HostId};
use crate::journal::Journal;
use crate::network::connection::Way;
use crate::network::fault_rates::FaultRates;
use crate::network::names::Names;
use crate::network::pipe::End;
use crate::network::{Network, Power};
use crate::queue::{Key, Queue};
use crate::rng::Rng;
use crate::server::message::Message;
use crate::trace::{Note, Trace};
use slotcar::Timestamp;
use std::net::SocketAddr;
use std::task::Waker;

/// Output that a server holds for a subscriber that does not read, in bytes (`pubsub 32mb`).
const SUBSCRIBER_OUTPUT_MAX: usize = 32 * 1024 * 1024;
/// Unix time in milliseconds at which the virtual clock starts: the first of January 2026.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// An action that the test scheduled.
pub(crate) type Change = Box<dyn FnOnce() + Send>;

/// Everything that exists outside the tasks.
pub(crate) struct World {
    /// Future events, and the clock.
    pub(crate) queue: Queue<Event>,
    /// The random generator.
    pub(crate) rng: Rng,
    /// The record of the run.
    pub(crate) trace: Trace,
    /// The record of what servers executed.
    pub(crate) journal: Journal,
    /// The name service.
    pub(crate) names: Names,
    /// Unix time in milliseconds at which the virtual clock starts.
    pub(crate) epoch_ms: u64,
    /// Hosts, wires and connections.
    pub(crate) network: Network,
    /// The servers.
    pub(crate) fleet: Fleet,
    /// Tasks to wake once the lock is free.
    wakers: Vec<Waker>,
    /// Actions of the test that are due, once the lock is free.
    changes: Vec<Change>,
    /// Timers that tasks wait for.
    sleepers: usize,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            queue: Queue::new(),
            rng: Rng::new(seed),
            trace: Trace::default(),
            journal: Journal::default(),
            names: Names::new(),
            epoch_ms: EPOCH_MS,
            network: Network::new(),
            fleet: Fleet::default(),
            wakers: Vec::new(),
            changes: Vec::new(),
            sleepers: 0,
        }
    }

    /// The current virtual time.
    pub(crate) fn now(&self) -> Timestamp {
        self.queue.now()
    }

    /// How many timers tasks wait for.
    pub(crate) fn sleepers(&self) -> usize {
        self.sleepers
    }

    /// The wakers of tasks with something to do since the last call.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// Actions of the test that are due.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The parts that an event handler needs, borrowed separately.
    pub(crate) fn split(&mut self) -> (Env<'_>, &mut Network, &mut Fleet) {
        let env = Env {
            queue: &mut self.queue,
            rng: &mut self.rng,
            trace: &mut self.trace,
            journal: &mut self.journal,
            names: &self.names,
            epoch_ms: self.epoch_ms,
            latency: (self.network.links.latency, self.network.links.jitter),
            wakers: &mut self.wakers,
        };
        (env, &mut self.network, &mut self.fleet)
    }

    /// Handles the next event; false when the queue is empty.
    pub(crate) fn step(&mut self) -> bool {
        let Some(event) = self.queue.pop() else { return false };
        match event {
            Event::Wake(waker) => {
                self.sleepers -= 1;
                self.wakers.push(waker);
            }
            Event::Arrive(conn, way) => self.arrive(conn, way),
            Event::Timer(host, incarnation, timer) => {
                let hung = self.network.host(host).power == Power::Hung;
                let (mut env, _, fleet) = self.split();
                fleet.timer(&mut env, (host, incarnation), timer, hung);
            }
            Event::Message(from, address, message) => self.deliver(from, address, message),
            Event::Delayed(from, to, message) => {
                if self.network.is_up(to) {
                    let (mut env, _, fleet) = self.split();
                    fleet.delayed_message(&mut env, from, to, message);
                }
            }
            Event::Run(change) => self.changes.push(change),
        }
        self.flush();
        true
    }

    /// Registers a task's timer; for one that is registered already it only replaces the waker.
    pub(crate) fn sleep_again(&mut self, key: Option<Key>, until: Timestamp, waker: Waker) -> Key {
        if let Some(key) = key
            && let Some(event) = self.queue.get_mut(key)
        {
            *event = Event::Wake(waker);
            return key;
        }
        self.sleepers += 1;
        self.queue.push(until, Event::Wake(waker))
    }

    /// Removes a task's timer.
    pub(crate) fn cancel_sleep(&mut self, key: Key) {
        if self.queue.cancel(key) {
            self.sleepers -= 1;
        }
    }

    /// Records an action of the test on the world.
    pub(crate) fn note_fault(&mut self, text: impl Into<String>) {
        self.trace.note(self.queue.now(), Note::Fault { text: text.into() });
    }

    /// Adds a host to the network.
    pub(crate) fn add_host(&mut self, name: &str, address: Option<SocketAddr>) -> HostId {
        let id = self.network.add_host(name, address);
        self.trace.name_host(id, name);
        id
    }

    /// A message between servers arrives, unless it is lost on the way.
    fn deliver(&mut self, from: HostId, address: SocketAddr, message: Box<Message>) {
        let Some(to) = self.network.host_at(address) else { return };
        let power = self.network.host(to).power;
        if self.network.links.blocks(from, to) || matches!(power, Power::Down | Power::Off) {
            return;
        }
        let (mut env, _, fleet) = self.split();
        fleet.message(&mut env, from, to, message, power == Power::Hung);
    }

    fn arrive(&mut self, id: ConnId, way: Way) {
        let (mut env, network, _) = self.split();
        if network.arrive(&mut env, id, way) && way == Way::Up {
            self.pump(id);
        }
    }

    /// Passes to the server the input of a connection that its kernel has.
    pub(crate) fn pump(&mut self, id: ConnId) {
        let (mut env, network, fleet) = self.split();
        let Some(conn) = network.conn(id) else { return };
        let server = conn.server;
        if !conn.server_holds {
            // The process that had this connection is gone, and its kernel does not know the
            // connection.
            conn.up.discard_arrived();
            if conn.up.end().is_none() {
                network.server_drop(&mut env, id, End::Reset);
            }
            return;
        }
        if network.host(server).power != Power::Up {
            return;
        }
        let Some(conn) = network.conn(id) else { return };
        if !std::mem::replace(&mut conn.accepted, true) {
            let from = network.client_address(id);
            fleet.accept(&mut env, server, id, from);
        }
        let Some(conn) = network.conn(id) else { return };
        while let Some(bytes) = conn.up.read_piece() {
            env.note(Note::Request { host: server, conn: id, bytes: bytes.clone() });
            fleet.bytes(&mut env, server, id, bytes);
        }
        env.wakers.extend(conn.up.writer.take());
        let doomed = std::mem::take(&mut conn.doomed);
        if conn.up.end().is_some() {
            fleet.closed(&mut env, server, id);
            self.flush();
            let (mut env, network, _) = self.split();
            network.server_drop(&mut env, id, End::Closed);
        } else if doomed {
            self.flush();
            self.reset(id);
        }
    }

    /// Resets a connection; the client learns of it after the network's delay, the server at once.
    pub(crate) fn reset(&mut self, id: ConnId) {
        let (mut env, network, fleet) = self.split();
        let Some(conn) = network.conn(id) else { return };
        let (server, accepted) = (conn.server, conn.accepted && conn.server_holds);
        if accepted && network.host(server).power == Power::Up {
            fleet.closed(&mut env, server, id);
        }
        network.reset(&mut env, id);
    }

    /// Puts the output of servers on the network.
    pub(crate) fn flush(&mut self) {
        while let Some(output) = self.fleet.poll_output() {
            let (mut env, network, _) = self.split();
            match output {
                Output::Bytes { host, conn, bytes } => {
                    env.note(Note::Reply { host, conn, bytes: bytes.clone() });
                    network.server_write(&mut env, conn, bytes);
                    if network.server_backlog(conn) > SUBSCRIBER_OUTPUT_MAX {
                        self.cut_off(host, conn);
                    }
                }
                Output::Close { conn } => network.server_drop(&mut env, conn, End::Closed),
            }
        }
    }

    /// Disconnects a subscriber that does not read for too long, as `client-output-buffer-limit`
    /// demands. Other clients may be slow without a limit.
    fn cut_off(&mut self, host: HostId, conn: ConnId) {
        let server = self.fleet.server_mut(host);
        let session = server.and_then(|s| s.sessions.get(&conn));
        if session.is_some_and(crate::server::session::Session::is_subscriber) {
            self.note_fault(format!("{conn} does not read: its server closes it"));
            self.reset(conn);
        }
    }

    /// Sends again what a partition held back.
    pub(crate) fn retransmit(&mut self) {
        let (mut env, network, _) = self.split();
        network.retransmit(&mut env);
    }

    /// Ends every fault but dead hosts.
    pub(crate) fn heal(&mut self) {
        self.note_fault("all faults end");
        self.network.links.heal();
        self.network.fault_rates = FaultRates::default();
        self.names.heal();
        for conn in self.network.conns_where(|c| c.black_hole) {
            self.reset(conn);
        }
        self.fleet.heal();
        self.retransmit();
    }

    /// Stops, kills, unplugs or resumes a host, with the consequences for its connections.
    pub(crate) fn set_power(&mut self, host: HostId, power: Power) {
        let before = self.network.host(host).power;
        self.network.set_power(host, power);
        let name = self.network.host(host).name.clone();
        self.note_fault(format!("{name} is {power:?}"));
        let conns = self.network.conns_where(|c| c.server == host && c.server_holds);
        match power {
            Power::Down | Power::Off => {
                for id in conns {
                    let (mut env, network, fleet) = self.split();
                    fleet.closed(&mut env, host, id);
                    if power == Power::Off {
                        network.server_vanish(id);
                    } else {
                        network.server_drop(&mut env, id, End::Reset);
                    }
                }
                let (mut env, network, fleet) = self.split();
                // A dead process's kernel ends its connections; a dead machine sends nothing.
                let told = |other: HostId| {
                    power == Power::Down && other != host && !network.links.blocks(host, other)
                };
                fleet.stopped(&mut env, host, told);
                self.flush();
            }
            Power::Up => {
                let (mut env, network, fleet) = self.split();
                if before == Power::Hung {
                    fleet.resumed(&mut env, host);
                } else {
                    fleet.started(&mut env, host);
                }
                network.retransmit(&mut env);
                self.flush();
                for id in conns {
                    self.pump(id);
                }
                self.flush();
            }
            Power::Hung => {}
        }
    }
}
