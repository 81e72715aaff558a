//! Pushes inside of other frames: how the scanner lifts them out.
//!
//! A push that begins inside of a frame is scanned as a frame of its own; what surrounds it waits
//! meanwhile, and goes on as if the push had not been there. Attributes in front of a push stay
//! where they are, since they may belong to the element behind it. Where no frame may ever follow,
//! at the top level, only the last attributes stay: those before them surely belonged to pushes.
//! Invariant: the offsets of the scanner are those of the buffer, from which lifted bytes are
//! removed only by `forget`.
//! Limits: a push inside of a frame has the limits of a frame, whatever surrounds it; pushes inside
//! of each other share its bytes, and nest at most `reply_depth_max` times.
//! Spec: RESP3, "Push data", which forbids servers what Redis up to 7.0 does.

use super::{Found, Lift, ScanError, Scanner};
use std::ops::Range;

impl Scanner {
    /// The element at `pos` is a push: it is scanned as a frame of its own.
    #[cold]
    pub(super) fn begin_lift(&mut self) -> Result<(), ScanError> {
        // What surrounds the push is incomplete, so it is too long already. It is said here, since
        // a read that ended in front of the push would have said so.
        if self.pos >= self.end_max {
            return Err(self.too_large());
        }
        if self.lifts.len() >= self.limits.reply_depth_max {
            return Err(ScanError::Deep { depth_max: self.limits.reply_depth_max });
        }
        let own = self.pos.saturating_add(self.limits.reply_bytes_max);
        let end_max = if self.lifts.is_empty() { own } else { self.end_max };
        self.lifts.push(Lift {
            start: std::mem::replace(&mut self.start, self.pos),
            open: std::mem::replace(&mut self.open, 1),
            outer: std::mem::take(&mut self.outer),
            end_max: std::mem::replace(&mut self.end_max, end_max),
        });
        self.is_rare = true;
        Ok(())
    }

    /// The push is complete: what surrounds it goes on behind it.
    #[cold]
    pub(super) fn end_lift(&mut self) -> Found {
        let lifted = self.start..self.pos;
        if let Some(Lift { start, open, outer, end_max }) = self.lifts.pop() {
            (self.start, self.open, self.outer) = (start, open, outer);
            self.end_max = end_max.saturating_add(lifted.len());
            self.lifted_from_top |= start == 0 && self.outer.is_empty();
            self.is_rare = start > 0 || self.streamed;
        }
        Found::Lifted(lifted)
    }

    /// More attributes follow the ones in front of a push at the top level: those were the push's.
    #[cold]
    pub(super) fn lift_stale_attributes(&mut self) -> Found {
        self.lifted_from_top = false;
        self.end_max = self.pos.saturating_add(self.limits.reply_bytes_max);
        Found::Lifted(0..self.pos)
    }

    /// These bytes of the frame, all of which were lifted out, were removed from the buffer. They
    /// are in order, and none is inside of another.
    #[cold]
    pub(crate) fn forget(&mut self, removed: &[Range<usize>]) {
        let before = |at: usize| -> usize {
            removed.iter().take_while(|range| range.start < at).map(Range::len).sum()
        };
        let all = before(usize::MAX);
        self.pos -= all;
        self.line_searched = self.line_searched.saturating_sub(all);
        self.end_max = self.end_max.saturating_sub(all);
        // What surrounds a push counts the bytes of the push only once it ends: so far, only what
        // stood in front of it has moved the end.
        let mut push = self.start;
        for lift in self.lifts.iter_mut().rev() {
            lift.end_max = lift.end_max.saturating_sub(before(push));
            push = lift.start;
            lift.start -= before(lift.start);
        }
        self.start -= before(self.start);
    }
}
