//! What waits in one subscription for its reader: bounded, in order, with exact counts.
//!
//! Messages have ordinals, which count what the subscription received. Whatever else the reader is
//! told stands beside them with the ordinal that it comes before. So a dropped message needs no
//! mark: the reader's next ordinal and that of the next message say how many are missing, and
//! where.
//!
//! Invariants:
//! - what was read plus what was told as `Lagged` plus what waits plus what is dropped and not told
//!   yet is what was received (a property in the tests);
//! - `bytes` is the cost of what waits, and exceeds the limit by no more than one message, or by
//!   one read where the connection is to pause.
//!
//! Memory: a message that comes while more than `SHARED_MAX` wait is copied, so that what waits
//! keeps at most so many chunks of others' bytes alive. Copies of one subscription lie side by
//! side. Limits: `subscription_bytes_max`, `subscription_messages_max`; `CONTROLS_MAX` other
//! updates. Called by `driver/inbox.rs`.

use super::message::Message;
use super::update::Update;
use crate::config::WhenLagging;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use bytes::BytesMut;
use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Messages that may wait as slices of what was read.
const SHARED_MAX: usize = 16;
/// Size of the memory that copies share.
const ARENA: usize = 16 * 1024;
/// Updates other than messages that may wait: more than any subscription has channels.
const CONTROLS_MAX: usize = 1 << 18;

/// How much may wait, and what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BacklogLimits {
    /// Bytes of messages.
    pub(crate) bytes_max: usize,
    /// Messages.
    pub(crate) messages_max: usize,
    /// What to do at either.
    pub(crate) when_lagging: WhenLagging,
}

/// How a subscription stands, at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait.
    pub messages: usize,
    /// Bytes that they count for.
    pub bytes: usize,
    /// Messages received, ever.
    pub received: u64,
    /// Messages that the reader took.
    pub delivered: u64,
    /// Messages dropped because the reader was slow. What was received was delivered, dropped, or
    /// waits.
    pub dropped: u64,
}

/// What to do after a message was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Go on.
    Well,
    /// Read nothing more until there is room.
    Pause,
    /// The subscription has ended.
    Ended,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Queue {
    /// What is allowed.
    limits: BacklogLimits,
    /// Messages with their ordinals, ascending.
    messages: VecDeque<(u64, Message)>,
    /// Other updates, each with the ordinal of the message that it comes before.
    controls: VecDeque<(u64, Update)>,
    /// Cost of the messages.
    bytes: usize,
    /// The next message's ordinal: how many were received.
    received: u64,
    /// The ordinal that the reader is to get next.
    next: u64,
    /// Messages that the reader took.
    delivered: u64,
    /// Messages dropped.
    dropped: u64,
    /// Where copies are made.
    arena: BytesMut,
    /// The read that the last message came with.
    batch: u64,
    /// Whether messages of that read are copied.
    copies: bool,
    /// Nothing more is taken in.
    ended: bool,
}

impl Queue {
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

    /// Takes a message in. `batch` names the read that it came with.
    pub(crate) fn push(&mut self, message: Message, batch: u64) -> Taken {
        if self.ended {
            return Taken::Ended;
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
                    return Taken::Well;
                }
                WhenLagging::Disconnect => {
                    self.dropped += 1;
                    self.end(self.too_slow());
                    return Taken::Ended;
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
        if pauses { Taken::Pause } else { Taken::Well }
    }

    /// Takes another update in, to be read after all messages received so far.
    pub(crate) fn tell(&mut self, update: Update) {
        if self.ended {
            return;
        }
        if self.controls.len() == CONTROLS_MAX {
            self.end(self.too_slow());
        } else {
            self.controls.push_back((self.received, update));
        }
    }

    /// The last that the reader gets is `error`.
    fn end(&mut self, error: Error) {
        if !self.ended {
            self.controls.push_back((self.received, Update::Disconnected(error)));
            self.ended = true;
        }
    }

    /// Nothing follows what waits.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
    }

    /// Whether nothing more is taken in.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// What the reader gets next.
    pub(crate) fn pop(&mut self) -> Option<Update> {
        // Where the next message stands; behind the last one, where all that follow were dropped.
        let message = self.messages.front().map_or(self.received, |(ordinal, _)| *ordinal);
        let control = self.controls.front().map(|(ordinal, _)| *ordinal);
        let upto = control.map_or(message, |control| control.min(message));
        if self.next < upto {
            let lost = upto - self.next;
            self.next = upto;
            return Some(Update::Lagged(lost));
        }
        if control == Some(upto) {
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

    /// How it stands.
    pub(crate) fn stand(&self) -> Backlog {
        Backlog {
            messages: self.messages.len(),
            bytes: self.bytes,
            received: self.received,
            delivered: self.delivered,
            dropped: self.dropped,
        }
    }

    /// Whether `cost` more would be too much. One message is never too much by itself.
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
        let message = "the subscription's reader was too slow";
        Error::new(ErrorKind::Limit, Delivery::Answered, message)
            .with_detail(ErrorDetail::Limit { name, max: max as u64 })
    }
}
