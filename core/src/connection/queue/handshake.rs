//! The part of the queue for a handshake that nothing can make fail: it waits for the first entry,
//! and both are written in one piece.

use super::{CommandQueue, EntryState, Phase, cost_of};
use crate::connection::entry::{Admission, Deadline, NewEntry};
use crate::connection::reply_shape::Expected;
use crate::time::Timestamp;

impl CommandQueue {
    /// Keeps the commands of a handshake until the first entry. Their `replies` are dropped.
    pub(crate) fn defer_handshake(&mut self, commands: Vec<u8>, replies: u32) {
        if let Phase::Open = self.phase {
            self.phase = Phase::HandshakeDeferred { commands, replies };
        }
    }

    /// Whether such a handshake was written and not answered in full.
    pub(crate) fn owes_handshake(&self) -> bool {
        self.owes_handshake
    }

    #[inline]
    pub(super) fn write_handshake(&mut self) {
        if let Phase::HandshakeDeferred { .. } = self.phase {
            self.write_handshake_now();
        }
    }

    #[cold]
    fn write_handshake_now(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Open);
        let Phase::HandshakeDeferred { commands, replies } = phase else { return };
        let (len, deadline) = (commands.len(), Deadline::At(Timestamp::FAR_FUTURE));
        self.budget.charge(cost_of(len));
        let (admission, expected) = (Admission::Forced, Expected::Values);
        let entry = NewEntry { len, replies, deadline, admission, can_move: false, expected };
        self.owes_handshake = true;
        self.append(entry, EntryState::Abandoned, |out| out.extend_from_slice(&commands));
    }
}
