//! What a connection is used for, to the limit of connections, which closes some to make room for
//! others.
//!
//! **Invariant**: a connection that is held is never closed for another one.

use super::{CommandQueue, Phase};

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupancy {
    /// By nobody.
    Idle,
    /// Commands are in flight, and later ones can go over another connection.
    Busy,
    /// By one caller or by subscriptions, or its server is silent.
    Held,
    /// It takes no more commands, and ends when those in flight are answered.
    Leaving,
    /// It has no socket any more.
    Ended,
}

impl CommandQueue {
    /// One caller has the connection to itself, or gives it back. False if it takes no commands.
    pub(crate) fn set_held(&mut self, held: bool) -> bool {
        self.held = held;
        matches!(self.phase, Phase::Open | Phase::HandshakeDeferred { .. })
    }

    /// What the connection is used for.
    pub(crate) fn occupancy(&self) -> Occupancy {
        match self.phase {
            Phase::Lost(_) => Occupancy::Leaving,
            _ if self.held || self.push_readers.subscribed => Occupancy::Held,
            Phase::Retired(_) => Occupancy::Leaving,
            Phase::Silent(_) => Occupancy::Held,
            _ if self.in_flight > 0 => Occupancy::Busy,
            _ => Occupancy::Idle,
        }
    }

    /// Takes no more entries, unless it is held. False if it is.
    pub(crate) fn leave(&mut self) -> bool {
        let leaves = matches!(self.occupancy(), Occupancy::Idle | Occupancy::Busy);
        if leaves {
            self.retire();
        }
        leaves
    }
}
