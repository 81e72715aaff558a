//! One command whose keys live in several slots: cut into a part for each slot, and the parts'
//! replies put together again, in the order of the arguments.
//!
//! A cluster takes no command with keys in two slots, not even where one node owns both. Those
//! whose request policy is `multi_shard` can be cut: MGET, MSET, DEL, EXISTS, TOUCH, UNLINK. The
//! parts run by themselves: an MSET that was cut is no longer atomic.
//!
//! Invariants: every key stands in one part; within a part, keys keep their order, so that of a key
//! given twice the last value stays; merge ∘ split is what one server would have answered (a
//! property in the tests). A part copies its bytes out of the command, nothing is encoded twice.
//! Spec: cluster-spec, "Implemented subset"; command tips, "request_policy".
//! Called by `routing/plan.rs`, `driver/work.rs` and `driver/batch.rs`.

use super::fold::{Fold, fold};
use crate::command::{Command, ResponsePolicy};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Elements, bulk_bytes, put_array_head};
use crate::topology::slot::Slot;
use bytes::Bytes;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// Where a command's keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySlots {
    /// In one slot, or it has no key.
    One,
    /// In several.
    Several {
        /// The slot of the first key.
        first: Slot,
        /// The first slot that differs from it.
        second: Slot,
    },
}

/// Looks at every key. Of a single one, no slot is computed.
pub(crate) fn key_slots<'a>(mut keys: impl Iterator<Item = &'a [u8]>) -> KeySlots {
    let (Some(first), Some(second)) = (keys.next(), keys.next()) else { return KeySlots::One };
    let first = Slot::of(first);
    let mut others = std::iter::once(second).chain(keys).map(Slot::of);
    match others.find(|slot| *slot != first) {
        Some(second) => KeySlots::Several { first, second },
        None => KeySlots::One,
    }
}

/// What keys in these two slots fail with, where one slot is wanted.
pub(crate) fn cross_slot(first: Slot, second: Slot) -> Error {
    let (first, second) = (first.number(), second.number());
    let message = format!("keys in two slots, {first} and {second}");
    Error::new(ErrorKind::Config, Delivery::NotSent, message)
        .with_detail(ErrorDetail::CrossSlot { first, second })
}

/// What a part of a command is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitBy {
    /// A part for each slot, for one reply in the end.
    Slot,
    /// A part for each key, in the order of the keys, for a reply to each.
    Key,
}

/// A command that was cut. It holds no bytes of its own: every use is given the same command.
#[derive(Debug)]
pub(crate) struct Split {
    /// The bytes before the first key.
    head: Range<usize>,
    /// The bytes after the last key.
    tail: Range<usize>,
    /// How many arguments `head` and `tail` are.
    fixed: usize,
    /// How many arguments belong to each key, itself included.
    step: usize,
    /// The keys, those of a part together.
    keys: Vec<SplitKey>,
    /// The parts, by slot or by key.
    parts: Vec<Part>,
    /// How the replies are put together.
    response: ResponsePolicy,
}

/// A key with what belongs to it.
#[derive(Clone, Copy, Debug)]
struct SplitKey {
    /// Where the key belongs.
    slot: Slot,
    /// How many keys stand before it in the command.
    order: u32,
    /// Where its bytes begin in the command.
    start: usize,
    /// Where what belongs to it ends.
    end: usize,
}

/// What is sent by itself.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Where it goes.
    pub(crate) slot: Slot,
    /// Its keys, in `Split::keys`.
    keys: Range<usize>,
    /// How many bytes `write_part` appends.
    len: usize,
}

impl Split {
    /// Cuts a command; `None` if it is none of those that can be cut.
    pub(crate) fn of(command: &Command, split_by: SplitBy) -> Option<Self> {
        let run = command.spec().splittable()?;
        let last = command.count().checked_sub(run.after)?;
        let keys_count = last.checked_sub(run.first)? / run.step;
        if keys_count == 0 || run.first + keys_count * run.step != last {
            return None;
        }
        let all = command.encoded_args().len();
        let mut args = command.args_iter();
        args.nth(run.first.checked_sub(1)?)?;
        let head = 0..all - args.bytes_left();
        let mut keys = Vec::with_capacity(keys_count);
        for order in 0..u32::try_from(keys_count).ok()? {
            let start = all - args.bytes_left();
            let slot = Slot::of(args.next()?);
            for _ in 1..run.step {
                args.next()?;
            }
            keys.push(SplitKey { slot, order, start, end: all - args.bytes_left() });
        }
        if split_by == SplitBy::Slot {
            keys.sort_unstable_by_key(|key| (key.slot, key.order));
        }
        let mut split = Self {
            head,
            tail: all - args.bytes_left()..all,
            fixed: run.first + run.after,
            step: run.step,
            keys,
            parts: Vec::new(),
            response: command.spec().response(),
        };
        split.cut(split_by);
        Some(split)
    }

    fn cut(&mut self, split_by: SplitBy) {
        self.parts.reserve(self.keys.len());
        let fixed_len = self.head.len() + self.tail.len();
        let together = |a: &SplitKey, b: &SplitKey| split_by == SplitBy::Slot && a.slot == b.slot;
        let mut from = 0;
        for keys in self.keys.chunk_by(together) {
            let range = from..from + keys.len();
            from = range.end;
            let slot = keys.first().expect("a chunk has an element").slot;
            let count = self.fixed + keys.len() * self.step;
            let len = keys.iter().map(|key| key.end - key.start).sum::<usize>();
            // An array's head is as long as that of a bulk.
            let len = bulk_bytes(count) - count - 2 + fixed_len + len;
            self.parts.push(Part { slot, keys: range, len });
        }
    }

    /// The parts.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Appends a part as the server wants it.
    pub(crate) fn write_part(&self, command: &Command, part: &Part, out: &mut Vec<u8>) {
        let bytes = command.encoded_args();
        let keys = &self.keys[part.keys.clone()];
        out.reserve(part.len);
        put_array_head(out, self.fixed + keys.len() * self.step);
        out.extend_from_slice(&bytes[self.head.clone()]);
        for key in keys {
            out.extend_from_slice(&bytes[key.start..key.end]);
        }
        out.extend_from_slice(&bytes[self.tail.clone()]);
    }

    /// The reply to the whole command, from those to its parts, in their order.
    ///
    /// # Errors
    /// `Protocol` for replies that make no whole.
    pub(crate) fn merge(&self, replies: &[Bytes]) -> Result<Bytes, Error> {
        debug_assert_eq!(replies.len(), self.parts.len(), "every part has a reply");
        match self.response {
            ResponsePolicy::Default => self.in_order(replies),
            other => fold(Fold::By(other), replies),
        }
    }

    /// One list with an element for each key, in the order of the arguments.
    fn in_order(&self, replies: &[Bytes]) -> Result<Bytes, Error> {
        let mut values: Vec<&[u8]> = vec![&[]; self.keys.len()];
        for (part, reply) in self.parts.iter().zip(replies) {
            let keys = &self.keys[part.keys.clone()];
            let elements = elements(reply, keys.len())?;
            for (key, element) in keys.iter().zip(elements) {
                values[key.order as usize] = element.map_err(Error::undecodable)?;
            }
        }
        let len: usize = values.iter().map(|value| value.len()).sum();
        let mut out = Vec::with_capacity(len + 16);
        put_array_head(&mut out, values.len());
        values.iter().for_each(|value| out.extend_from_slice(value));
        Ok(out.into())
    }

    /// What one key's part says of that key.
    ///
    /// # Errors
    /// As `merge`.
    pub(crate) fn single(&self, reply: &Bytes) -> Result<Bytes, Error> {
        if self.response != ResponsePolicy::Default {
            return Ok(reply.clone());
        }
        let element = elements(reply, 1)?.next().expect("there is one, as was just asked");
        Ok(reply.slice_ref(element.map_err(Error::undecodable)?))
    }
}

impl Part {
    /// How many bytes it has on the wire.
    pub(crate) fn encoded_len(&self) -> usize {
        self.len
    }
}

/// The elements of a list that must have so many.
fn elements(reply: &[u8], count: usize) -> Result<Elements<'_>, Error> {
    let elements = Elements::of(reply).filter(|elements| elements.len() == count);
    elements.ok_or_else(|| {
        let message = format!("a reply to {count} keys that is no list of as many values");
        Error::new(ErrorKind::Protocol, Delivery::Answered, message)
    })
}
