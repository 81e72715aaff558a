//! The part of the queue that asks whether a frame can be the reply that is due.
//!
//! `reply_shape.rs` decides. Only frames that say QUEUED, and those of entries with rules of their
//! own, come here: any other reply is right.

use super::{CommandQueue, Judged};
use crate::connection::reply_shape::{Verdict, is_queued, queued_outside};

impl CommandQueue {
    /// Judges the next reply to the oldest entry.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline(never)]
    pub(super) fn judge(&mut self, frame: &[u8]) -> Result<(), String> {
        let place = &self.places[self.first as usize];
        let verdict = match (place.replies_are, self.shapes.front_mut()) {
            (Judged::Anything, _) => Verdict::GoesOn,
            (Judged::Values | Judged::AfterPushes, _) if is_queued(frame) => {
                return Err(queued_outside());
            }
            (Judged::ByShape, Some(shape)) => {
                let verdict = shape.judge(frame)?;
                if place.owed == 1 {
                    self.shapes.pop_front();
                }
                verdict
            }
            (Judged::Values | Judged::AfterPushes | Judged::ByShape, _) => Verdict::GoesOn,
        };
        if verdict == Verdict::TakesNoMore {
            self.retire();
        }
        Ok(())
    }
}
