//! What every part of the simulated world may touch while it handles an event: the future, chance, the trace.
//!
//! Nothing here calls back into a task: wakers are collected and woken once the world's lock is free again.

use crate::ids::{ConnId, HostId};
use crate::network::connection::Way;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::trace::{Note, Trace};
use crate::world::World;
use slotcar::Timestamp;
use std::fmt;
use std::task::Waker;

/// Something that is going to happen.
pub(crate) enum Event {
    /// A task's timer ends.
    Wake(Waker),
    /// A piece of traffic reaches the other side of a connection.
    Arrive(ConnId, Way),
    /// The test, or the fault plan, changes the world.
    Run(Box<dyn FnOnce(&mut World) + Send>),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Arrive(..) => "Arrive",
            Self::Run(_) => "Run",
        })
    }
}

/// The shared means of the world's parts.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    /// The future and the clock.
    pub(crate) queue: &'a mut Queue<Event>,
    /// Chance.
    pub(crate) rng: &'a mut Rng,
    /// The record.
    pub(crate) trace: &'a mut Trace,
    /// Who is to be woken after this event.
    pub(crate) wakers: &'a mut Vec<Waker>,
}

impl Env<'_> {
    /// The current virtual time.
    pub(crate) fn now(&self) -> Timestamp {
        self.queue.now()
    }

    /// Records what happened.
    pub(crate) fn note(&mut self, note: Note) {
        self.trace.note(self.queue.now(), note);
    }

    /// Records what a server decided.
    pub(crate) fn decide(&mut self, host: HostId, text: impl Into<String>) {
        self.note(Note::Decision { host, text: text.into() });
    }
}
