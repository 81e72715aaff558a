//! What an event handler of the simulated world may use: the event queue, the random generator,
//! names and records.
//!
//! **Invariants**: nothing here calls back into a task. Wakers are collected and woken once the
//! world's lock is free.

use crate::ids::{ConnId, HostId};
use crate::journal::Journal;
use crate::network::connection::Way;
use crate::network::names::Names;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::server::Timer;
use crate::server::message::Message;
use crate::trace::{Note, Trace};
use bytes::Bytes;
use slotcar::Timestamp;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::task::Waker;
use std::time::Duration;

/// A future event.
pub(crate) enum Event {
    /// A task's timer ends.
    Wake(Waker),
    /// A piece of traffic reaches the other side of a connection.
    Arrive(ConnId, Way),
    /// A timer of a server process ends; the number is the incarnation of the process, in case it
    /// was restarted.
    Timer(HostId, u64, Timer),
    /// A message from one server reaches the address that it was sent to.
    Message(HostId, SocketAddr, Box<Message>),
    /// A message that was delayed on purpose is handled now.
    Delayed(HostId, HostId, Box<Message>),
    /// The test, or the fault plan, changes the world once the world's lock is free.
    Run(Box<dyn FnOnce() + Send>),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Arrive(..) => "Arrive",
            Self::Timer(..) => "Timer",
            Self::Message(..) => "Message",
            Self::Delayed(..) => "Delayed",
            Self::Run(_) => "Run",
        })
    }
}

/// The means that all parts of the world share.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    /// Future events, and the clock.
    pub(crate) queue: &'a mut Queue<Event>,
    /// The random generator.
    pub(crate) rng: &'a mut Rng,
    /// The record of what happened.
    pub(crate) trace: &'a mut Trace,
    /// The record of what was executed.
    pub(crate) journal: &'a mut Journal,
    /// The name service.
    pub(crate) names: &'a Names,
    /// Tasks to wake after this event.
    pub(crate) wakers: &'a mut Vec<Waker>,
    /// Unix time in milliseconds at which the virtual clock starts.
    pub(crate) epoch_ms: u64,
    /// Time that messages between servers take: the minimum, and the bound of a random addition.
    pub(crate) latency: (Duration, Duration),
}

impl Env<'_> {
    /// The current virtual time.
    pub(crate) fn now(&self) -> Timestamp {
        self.queue.now()
    }

    /// Unix time in milliseconds.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.epoch_ms + self.now().since_epoch().as_millis() as u64
    }

    /// The virtual time of that Unix millisecond; now when it has passed.
    pub(crate) fn at_unix_ms(&self, ms: u64) -> Timestamp {
        let at = Duration::from_millis(ms.saturating_sub(self.epoch_ms));
        Timestamp::from_duration(at).max(self.now())
    }

    /// Records an event of the run.
    pub(crate) fn note(&mut self, note: Note) {
        self.trace.note(self.queue.now(), note);
    }

    /// Records what a server decided.
    pub(crate) fn decide(&mut self, host: HostId, text: impl Into<String>) {
        self.note(Note::Decision { host, text: text.into() });
    }

    /// Records that a server ran a write for a client.
    pub(crate) fn executed(&mut self, host: HostId, arguments: &[Bytes]) {
        self.journal.note(host, self.queue.now(), arguments);
    }

    /// Sends a message to the host that has the address on arrival.
    pub(crate) fn send(&mut self, from: HostId, to: SocketAddr, message: Message) {
        let (latency, jitter) = self.latency;
        let extra = if jitter.is_zero() { jitter } else { self.rng.duration(jitter) };
        let at = self.now().after(latency).after(extra);
        self.queue.push(at, Event::Message(from, to, Box::new(message)));
    }

    /// The first address of a name, as a server resolves it.
    pub(crate) fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.names.resolve(name)?.first().copied()
    }
}
