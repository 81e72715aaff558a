//! The part of the queue that asks whether a frame can be the reply that is due.
//!
//! `reply_shape.rs` decides. Only frames that say QUEUED, and those of entries with rules of their
//! own, come here: any other reply is right.

use super::{CommandQueue, Judged, Phase};
use crate::connection::reply_shape::{Verdict, is_queued, queued_outside};

impl CommandQueue {
    /// Whether it takes no more entries, though replies that are owed may still come.
    pub(crate) fn is_retired(&self) -> bool {
        matches!(self.phase, Phase::Retired(_))
    }

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

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::connection::reply_shape::Expected;
    use std::time::Duration;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(millis))
    }

    fn reply(queue: &mut CommandQueue, text: &'static str) -> Result<(), Unfit> {
        queue.deliver(Bytes::from_static(text.as_bytes()), u64::MAX, None, &mut Wakers::new())
    }

    /// A transaction that is withdrawn takes what is known of its replies with it; the others keep
    /// theirs.
    #[test]
    fn what_is_withdrawn_leaves_the_shapes_of_the_others() {
        let mut queue = CommandQueue::new(Budget::new(1 << 20));
        let mut add = |commands: u32, deadline: u64| {
            let entry = Entry { len: 1, replies: commands + 2, deadline: at(deadline) };
            let expected = Expected::Transaction { commands, asking: false };
            let entry = NewEntry { expected, ..entry.into() };
            let enqueued = queue.enqueue(entry, |out| out.push(b'x'), Waker::noop());
            queue.see(at(0));
            enqueued.unwrap().0
        };
        let tickets = [add(1, 100), add(2, 10), add(3, 100), add(4, 10), add(1, 100)];
        let mut out = Vec::new();
        queue.take_output(&mut out);
        let taken = Taken { bytes: &mut out, sent: 0, written: 0 };
        queue.handle_timeout(at(50), taken, &mut Wakers::new());
        assert_eq!((out.len(), queue.in_flight()), (3, 3));
        for (number, commands) in [(0, 1), (2, 3), (4, 1)] {
            reply(&mut queue, "+OK\r\n").unwrap();
            (0..commands).for_each(|_| reply(&mut queue, "+QUEUED\r\n").unwrap());
            let results = ["", "*1\r\n:1\r\n", "", "*3\r\n:1\r\n:2\r\n:3\r\n"];
            reply(&mut queue, results[commands]).unwrap();
            assert!(queue.poll(tickets[number], Waker::noop()).unwrap().0.is_ok());
        }
        assert!(queue.shapes.is_empty());
    }
}
