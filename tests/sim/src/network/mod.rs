//! The simulated network: hosts with addresses, names, wires, and connections between clients and
//! servers.
//!
//! It behaves as TCP does where a client sees a difference: bytes arrive in order, with flow
//! control; a partition delays what is sent and reports nothing; a dead process answers with a
//! reset, a dead machine not at all; a stopped process still accepts connections. It does not read
//! the bytes. The world passes what arrives to the servers.
//!
//! **Invariants**: a connection is in the table from the first connection attempt until both sides
//! have released it, so a leak can be counted.

pub(crate) mod connection;
pub(crate) mod fault_rates;
pub(crate) mod link;
pub(crate) mod names;
pub(crate) mod pipe;
#[cfg(test)]
mod tests;

use crate::env::{Env, Event};
use crate::ids::{ConnId, HostId};
use crate::trace::Note;
use connection::{Connection, Way};
use fault_rates::FaultRates;
use link::Links;
use pipe::End;
use slotcar::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The state of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// It runs.
    Up,
    /// Its process is stopped: the kernel accepts and buffers, but there are no replies.
    Hung,
    /// Its process is dead: connections are reset, connection attempts refused.
    Down,
    /// The machine is gone: there is no answer at all.
    Off,
}

/// A host on the network.
#[derive(Debug)]
pub(crate) struct Host {
    /// Its name in tests and traces.
    pub(crate) name: String,
    /// Where it listens; `None` for a client.
    pub(crate) address: Option<SocketAddr>,
    /// Its state.
    pub(crate) power: Power,
}

/// The result of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dial {
    /// The connection is open.
    Connected(ConnId),
    /// No server listens there.
    Refused,
    /// No answer came.
    Ignored,
}

/// All hosts, wires, names and connections.
#[derive(Debug)]
pub(crate) struct Network {
    /// By id.
    hosts: Vec<Host>,
    /// The host that has an address now.
    listeners: BTreeMap<SocketAddr, HostId>,
    /// Latency and partitions.
    pub(crate) links: Links,
    /// Faults by chance.
    pub(crate) fault_rates: FaultRates,
    /// Every connection that one side still holds.
    conns: BTreeMap<ConnId, Connection>,
    /// The id of the next connection.
    next_conn: u64,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Vec::new(),
            listeners: BTreeMap::new(),
            links: Links::new(),
            fault_rates: FaultRates::default(),
            conns: BTreeMap::new(),
            next_conn: 1,
        }
    }

    /// Adds a host; one that listens has an address.
    pub(crate) fn add_host(&mut self, name: &str, address: Option<SocketAddr>) -> HostId {
        let id = HostId(u16::try_from(self.hosts.len()).expect("a simulation has few hosts"));
        self.hosts.push(Host { name: name.to_owned(), address, power: Power::Up });
        if let Some(address) = address {
            self.listeners.insert(address, id);
        }
        id
    }

    pub(crate) fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.index()]
    }

    /// All hosts.
    pub(crate) fn host_ids(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.hosts.len() as u16).map(HostId)
    }

    /// The host that tests call `name`.
    pub(crate) fn find_host(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|h| h.name == name).map(|i| HostId(i as u16))
    }

    /// The host that listens at `address` now, dead or alive.
    pub(crate) fn host_at(&self, address: SocketAddr) -> Option<HostId> {
        self.listeners.get(&address).copied()
    }

    /// Moves a host to another address; the old address is free for others.
    pub(crate) fn move_host(&mut self, id: HostId, address: SocketAddr) {
        if let Some(old) = self.hosts[id.index()].address.replace(address)
            && self.listeners.get(&old) == Some(&id)
        {
            self.listeners.remove(&old);
        }
        self.listeners.insert(address, id);
    }

    /// Changes the state of a host. The caller applies the consequences for its connections.
    pub(crate) fn set_power(&mut self, id: HostId, power: Power) {
        self.hosts[id.index()].power = power;
    }

    pub(crate) fn is_up(&self, id: HostId) -> bool {
        self.hosts[id.index()].power == Power::Up
    }

    /// A connection attempt has just arrived at `address`.
    pub(crate) fn dial(&mut self, env: &mut Env<'_>, from: HostId, address: SocketAddr) -> Dial {
        let Some(to) = self.host_at(address) else { return Dial::Refused };
        let outcome = self.dial_outcome(env, from, to);
        let (what, conn) = match outcome {
            Dial::Connected(conn) => ("connected", Some(conn)),
            Dial::Refused => ("refused", None),
            Dial::Ignored => ("ignored", None),
        };
        env.note(Note::Network { what, from, to, conn });
        outcome
    }

    fn dial_outcome(&mut self, env: &mut Env<'_>, from: HostId, to: HostId) -> Dial {
        if self.links.blocks(from, to) || self.links.blocks(to, from) {
            return Dial::Ignored;
        }
        match self.host(to).power {
            Power::Off => return Dial::Ignored,
            Power::Down => return Dial::Refused,
            Power::Up | Power::Hung => {}
        }
        if env.rng.chance(self.fault_rates.refuse) {
            return Dial::Refused;
        }
        if env.rng.chance(self.fault_rates.ignore_dial) {
            return Dial::Ignored;
        }
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(id, Connection::new(from, to));
        Dial::Connected(id)
    }

    pub(crate) fn conn(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.conns.get_mut(&id)
    }

    /// The client's address as its server sees it.
    pub(crate) fn client_address(&self, id: ConnId) -> String {
        let client = self.conns.get(&id).map_or(0, |c| c.client.0);
        format!("10.200.{}.{}:{}", client / 250, client % 250 + 1, 30_000 + id.0 % 30_000)
    }

    /// The ids of connections that satisfy `wanted`, oldest first.
    pub(crate) fn conns_where(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<ConnId> {
        self.conns.iter().filter(|(_, c)| wanted(c)).map(|(id, _)| *id).collect()
    }

    /// The streams that clients hold, and the servers that they are connected to.
    pub(crate) fn open_streams(&self) -> Vec<String> {
        let held = self.conns.iter().filter(|(_, c)| c.client_holds);
        held.map(|(id, c)| format!("{id} to {}", self.host(c.server).name)).collect()
    }

    /// The client hands over bytes. Returns how many were taken, or `None` when it has to wait for
    /// the window.
    ///
    /// After a reset that the client has not received yet, bytes are taken and lost, as in TCP.
    pub(crate) fn client_write(
        &mut self,
        env: &mut Env<'_>,
        id: ConnId,
        bytes: &[u8],
    ) -> Option<Result<usize, End>> {
        let short = env.rng.chance(self.fault_rates.short);
        let conn = self.conns.get_mut(&id)?;
        if conn.down.end() == Some(End::Reset) || conn.client_finished {
            return Some(Err(End::Reset));
        }
        let mut count = bytes.len().min(conn.up.room());
        if count == 0 {
            return None;
        }
        if short {
            count = 1 + env.rng.index(count);
        }
        conn.up.hold(bytes::Bytes::copy_from_slice(&bytes[..count]));
        self.draw_fault_rates(env, id);
        self.transmit(env, id, Way::Up);
        Some(Ok(count))
    }

    /// A server writes; what exceeds the window stays in its output buffer.
    pub(crate) fn server_write(&mut self, env: &mut Env<'_>, id: ConnId, bytes: bytes::Bytes) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.down.hold(bytes);
            self.transmit(env, id, Way::Down);
        }
    }

    /// Bytes that a server's output buffer holds for a client that does not read.
    pub(crate) fn server_backlog(&self, id: ConnId) -> usize {
        self.conns.get(&id).map_or(0, |c| c.down.backlog_bytes())
    }

    /// The client reads. Returns nothing when it has to wait.
    pub(crate) fn client_read(
        &mut self,
        env: &mut Env<'_>,
        id: ConnId,
        to: &mut [u8],
    ) -> Option<Result<usize, End>> {
        let short = env.rng.chance(self.fault_rates.short);
        let conn = self.conns.get_mut(&id)?;
        let wanted = if short { 1 + env.rng.index(to.len()) } else { to.len() };
        let wanted = wanted.min(to.len());
        let count = conn.down.read_into(&mut to[..wanted]);
        if count > 0 {
            self.transmit(env, id, Way::Down);
            return Some(Ok(count));
        }
        match conn.down.ended()? {
            End::Closed => Some(Ok(0)),
            End::Reset => Some(Err(End::Reset)),
        }
    }

    /// Puts on the wire what the window allows, and schedules its arrival in the queue.
    pub(crate) fn transmit(&mut self, env: &mut Env<'_>, id: ConnId, way: Way) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let slowness = if way == Way::Down {
            self.links.slowness(conn.server)
        } else {
            std::time::Duration::ZERO
        };
        let pipe = conn.pipe(way);
        while pipe.is_sendable() {
            let mut limit = usize::MAX;
            let mut delay = self.links.delay(env.rng).saturating_add(slowness);
            if env.rng.chance(self.fault_rates.split) {
                limit = 1 + env.rng.index(48);
            }
            if env.rng.chance(self.fault_rates.stall) {
                delay = delay.saturating_add(env.rng.duration(self.fault_rates.stall_max));
            }
            let due = env.now().after(delay);
            if let Some(piece) = pipe.next_to_send(limit) {
                let due = due.after(self.links.transfer(piece.len()));
                pipe.put_on_wire(due, piece);
            }
        }
        pipe.put_end_on_wire(env.now());
        schedule(env, pipe, id, way);
    }

    /// The piece that was due arrives, unless a fault stops it. Returns whether the receiver has
    /// new input.
    pub(crate) fn arrive(&mut self, env: &mut Env<'_>, id: ConnId, way: Way) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        let (from, to) = conn.ends(way);
        let to_off = self.hosts[to.index()].power == Power::Off;
        let blocked = conn.black_hole || to_off || self.links.blocks(from, to);
        let pipe = conn.pipe(way);
        pipe.scheduled = false;
        if blocked {
            return false;
        }
        pipe.arrive(env.now());
        env.wakers.extend(pipe.reader.take());
        schedule(env, pipe, id, way);
        if way == Way::Down && conn.down.end().is_some() {
            env.wakers.extend(conn.up.writer.take());
        }
        true
    }

    /// Nothing passes any more on the connections that are open to a server.
    pub(crate) fn silence(&mut self, server: HostId) {
        let open = self.conns.values_mut().filter(|conn| conn.server == server);
        open.for_each(|conn| conn.black_hole = true);
    }

    /// What a partition held back arrives soon, as with TCP's retransmissions.
    pub(crate) fn retransmit(&mut self, env: &mut Env<'_>) {
        for (id, conn) in &mut self.conns {
            for way in [Way::Up, Way::Down] {
                let (from, to) = conn.ends(way);
                let pipe = conn.pipe(way);
                if pipe.scheduled || pipe.next_due().is_none() || self.links.blocks(from, to) {
                    continue;
                }
                let wait = std::time::Duration::from_millis(1 + env.rng.below(200));
                pipe.postpone(env.now().after(wait));
                schedule(env, pipe, *id, way);
            }
        }
    }

    /// The client drops its stream. `aborts`: what has not arrived never does.
    pub(crate) fn client_drop(&mut self, env: &mut Env<'_>, id: ConnId, aborts: bool) {
        let due = env.now().after(self.links.delay(env.rng));
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.client_holds = false;
        conn.down.discard_arrived();
        conn.down.reader = None;
        conn.up.writer = None;
        if aborts {
            reset_pipe(env, &mut conn.up, id, Way::Up, due);
        } else {
            conn.up.finish(due);
            schedule(env, &mut conn.up, id, Way::Up);
        }
        self.forget_if_done(id);
    }

    /// The client shuts down its writing side.
    pub(crate) fn client_finish(&mut self, env: &mut Env<'_>, id: ConnId) {
        let due = env.now().after(self.links.delay(env.rng));
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.client_finished = true;
            conn.up.finish(due);
            schedule(env, &mut conn.up, id, Way::Up);
        }
    }

    /// The server releases the connection: in order, or with a reset as when its process died.
    pub(crate) fn server_drop(&mut self, env: &mut Env<'_>, id: ConnId, how: End) {
        let due = env.now().after(self.links.delay(env.rng));
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.server_holds = false;
        match how {
            End::Closed => conn.down.finish(due),
            End::Reset => reset_pipe(env, &mut conn.down, id, Way::Down, due),
        }
        schedule(env, &mut conn.down, id, Way::Down);
        self.forget_if_done(id);
    }

    /// The server's machine vanished: its side is gone, and the client gets no error.
    pub(crate) fn server_vanish(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.server_holds = false;
        }
        self.forget_if_done(id);
    }

    /// The network breaks the connection: both sides get a reset.
    pub(crate) fn reset(&mut self, env: &mut Env<'_>, id: ConnId) {
        let due = env.now().after(self.links.delay(env.rng));
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (from, to) = (conn.client, conn.server);
        conn.black_hole = false;
        for way in [Way::Up, Way::Down] {
            let pipe = conn.pipe(way);
            reset_pipe(env, pipe, id, way, due);
        }
        env.note(Note::Network { what: "reset", from, to, conn: Some(id) });
    }

    /// Removes a connection from the table once no side holds it.
    pub(crate) fn forget_if_done(&mut self, id: ConnId) {
        if self.conns.get(&id).is_some_and(|c| !c.client_holds && !c.server_holds) {
            self.conns.remove(&id);
        }
    }

    /// Draws the faults of a connection that has just been written to.
    fn draw_fault_rates(&mut self, env: &mut Env<'_>, id: ConnId) {
        let chances = &self.fault_rates;
        let total =
            chances.reset_before + chances.reset_after + chances.half_close + chances.black_hole;
        if total == 0 || !env.rng.chance(total) {
            return;
        }
        let draw = env.rng.below(u64::from(total)) as u32;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (from, to) = (conn.client, conn.server);
        if draw < chances.reset_before {
            self.reset(env, id);
        } else if draw < chances.reset_before + chances.reset_after {
            conn.doomed = true;
        } else if draw < total - chances.black_hole {
            let due = env.now().after(self.links.delay(env.rng));
            conn.down.finish(due);
            schedule(env, &mut conn.down, id, Way::Down);
            env.note(Note::Network { what: "half-closed", from, to, conn: Some(id) });
        } else {
            conn.black_hole = true;
            env.note(Note::Network { what: "black hole", from, to, conn: Some(id) });
        }
    }
}

/// Schedules the arrival of the front of `pipe`, unless it is in the queue already.
fn schedule(env: &mut Env<'_>, pipe: &mut pipe::Pipe, id: ConnId, way: Way) {
    if !pipe.scheduled
        && let Some(due) = pipe.next_due()
    {
        pipe.scheduled = true;
        env.queue.push(due, Event::Arrive(id, way));
    }
}

/// Ends one direction with a reset. Its event may be due later than the reset, so a further one is
/// added.
fn reset_pipe(env: &mut Env<'_>, pipe: &mut pipe::Pipe, id: ConnId, way: Way, due: Timestamp) {
    pipe.reset(due);
    pipe.scheduled = false;
    schedule(env, pipe, id, way);
}
