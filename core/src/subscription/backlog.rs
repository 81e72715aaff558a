//! The updates that wait in one subscription for its reader: bounded, in order, with exact counts.
//!
//! Messages have ordinals, which count what the subscription received. Every other update stands
//! beside them with the ordinal of the message that it comes before. So a dropped message needs no
//! mark: the difference between the ordinal that the reader expects and that of the next message
//! says how many are missing, and where.
//!
//! Invariants:
//! - messages read, plus those told as `Lagged`, plus those waiting, plus those dropped and not
//!   told yet, are the messages received (a property in the tests);
//! - `bytes` is the cost of the waiting messages. It exceeds the limit by one message at most, or
//!   by one read where the connection is to pause.
//!
//! Memory: a message that comes while more than `SHARED_MAX` wait is copied, so that waiting
//! messages keep at most so many chunks of other replies alive. Copies of one subscription lie side
//! by side. Limits: `subscription_bytes_max`, `subscription_messages_max`; `CONTROLS_MAX` other
//! updates.

use super::message::Message;
use super::update::Update;
use crate::config::WhenLagging;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use bytes::BytesMut;
use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Messages that may wait as slices of the memory that they were read into.
const SHARED_MAX: usize = 16;
/// Bytes of one piece of memory that copies share.
const ARENA: usize = 16 * 1024;
/// Updates other than messages that may wait: more than any subscription has channels.
const CONTROLS_MAX: usize = 1 << 18;

/// How much may wait, and what happens when more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BacklogLimits {
    /// Bytes of waiting messages.
    pub(crate) bytes_max: usize,
    /// Waiting messages.
    pub(crate) messages_max: usize,
    /// What to do when either limit is reached.
    pub(crate) when_lagging: WhenLagging,
}

/// How much waits in a subscription, and what became of the messages so far.
///
/// `received` is always the sum of `delivered`, `dropped` and `messages`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait for the reader now.
    pub messages: usize,
    /// Bytes that they count for: those of each message, and 96 more.
    pub bytes: usize,
    /// Messages received since the subscription began.
    pub received: u64,
    /// Messages that the reader took.
    pub delivered: u64,
    /// Messages dropped because the reader was too slow.
    pub dropped: u64,
}

/// What the caller does after it pushed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    /// Go on reading.
    Continue,
    /// Read nothing more from the connection until there is room.
    Pause,
    /// Remove the reader: its subscription has ended.
    Ended,
}

/// The waiting updates of one subscription; see the head of this file.
#[derive(Debug)]
pub(crate) struct UpdateQueue {
    /// How much may wait.
    limits: BacklogLimits,
    /// Messages with their ordinals, ascending.
    messages: VecDeque<(u64, Message)>,
    /// Other updates, each with the ordinal of the message that it comes before.
    controls: VecDeque<(u64, Update)>,
    /// Cost of the messages.
    bytes: usize,
    /// The ordinal of the next message to come: how many were received.
    received: u64,
    /// The ordinal that the reader expects next.
    next: u64,
    /// Messages that the reader took.
    delivered: u64,
    /// Messages dropped.
    dropped: u64,
    /// Memory for copies.
    arena: BytesMut,
    /// The number of the read that brought the last message.
    batch: u64,
    /// Whether messages of that read are copied.
    copies: bool,
    /// Nothing is added any more.
    ended: bool,
}

impl UpdateQueue {
    pub(crate) fn new(limits: BacklogLimits) -> Self {
        Self {
            limits,
            messages: VecDeque::new(),
            controls: VecDeque::new(),
            bytes: 0,
            received: 0,
            next: 0,
            delivered: 0,
            dropped: 0,
            arena: BytesMut::new(),
            batch: 0,
            copies: false,
            ended: false,
        }
    }

    /// Adds a message. `batch` is the number of the read that brought it.
    pub(crate) fn push_message(&mut self, message: Message, batch: u64) -> PushOutcome {
        if self.ended {
            return PushOutcome::Ended;
        }
        let ordinal = self.received;
        self.received += 1;
        let cost = message.cost();
        if self.is_over(cost) {
            match self.limits.when_lagging {
                WhenLagging::DropOldest => {
                    while self.is_over(cost) {
                        self.drop_oldest();
                    }
                }
                WhenLagging::DropNewest => {
                    self.dropped += 1;
                    return PushOutcome::Continue;
                }
                WhenLagging::Disconnect => {
                    self.dropped += 1;
                    self.end(self.too_slow());
                    return PushOutcome::Ended;
                }
                WhenLagging::PauseReading => {}
            }
        }
        if batch != self.batch {
            self.batch = batch;
            self.copies = self.messages.len() > SHARED_MAX;
        }
        let message = if self.copies { message.copied(&mut self.arena, ARENA) } else { message };
        self.bytes += cost;
        self.messages.push_back((ordinal, message));
        let pauses = self.limits.when_lagging == WhenLagging::PauseReading && self.is_over(0);
        if pauses { PushOutcome::Pause } else { PushOutcome::Continue }
    }

    /// Adds another update, to be read after all messages received so far.
    pub(crate) fn push_update(&mut self, update: Update) {
        if self.ended {
            return;
        }
        if self.controls.len() == CONTROLS_MAX {
            self.end(self.too_slow());
        } else {
            self.controls.push_back((self.received, update));
        }
    }

    /// Ends the queue with `error` as the last update.
    fn end(&mut self, error: Error) {
        if !self.ended {
            self.controls.push_back((self.received, Update::Disconnected(error)));
            self.ended = true;
        }
    }

    /// Ends the queue: nothing follows what waits.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
    }

    /// Whether nothing is added any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes the next update.
    pub(crate) fn pop(&mut self) -> Option<Update> {
        // The ordinal of the next waiting message; behind the last one if none waits.
        let message = self.messages.front().map_or(self.received, |(ordinal, _)| *ordinal);
        let control = self.controls.front().map(|(ordinal, _)| *ordinal);
        let until = control.map_or(message, |control| control.min(message));
        if self.next < until {
            let lost = until - self.next;
            self.next = until;
            return Some(Update::Lagged(lost));
        }
        if control == Some(until) {
            return self.controls.pop_front().map(|(_, update)| update);
        }
        let (ordinal, message) = self.messages.pop_front()?;
        self.bytes -= message.cost();
        self.next = ordinal + 1;
        self.delivered += 1;
        Some(Update::Message(message))
    }

    /// Whether a connection that was paused may go on: half of the room is free.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes <= self.limits.bytes_max / 2
            && self.messages.len() <= self.limits.messages_max / 2
    }

    /// The counts of this moment.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog {
            messages: self.messages.len(),
            bytes: self.bytes,
            received: self.received,
            delivered: self.delivered,
            dropped: self.dropped,
        }
    }

    /// Whether `cost` more would exceed a limit. A single message never does.
    fn is_over(&self, cost: usize) -> bool {
        let more = usize::from(cost > 0);
        !self.messages.is_empty()
            && (self.bytes + cost > self.limits.bytes_max
                || self.messages.len() + more > self.limits.messages_max)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, message)) = self.messages.pop_front() {
            self.bytes -= message.cost();
            self.dropped += 1;
        }
    }

    fn too_slow(&self) -> Error {
        let (bytes, messages) = (self.limits.bytes_max, self.limits.messages_max);
        let (name, max) = if self.messages.len() >= messages {
            ("subscription_messages_max", messages)
        } else {
            ("subscription_bytes_max", bytes)
        };
        let message = "the reader of the subscription was too slow: raise the limit or change \
                       `when_lagging`";
        Error::new(ErrorKind::Limit, Delivery::Answered, message)
            .with_detail(ErrorDetail::Limit { name, max: max as u64 })
    }
}
