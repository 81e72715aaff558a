//! Splits a command with keys in several slots into one part for each slot, and joins the replies
//! of the parts in the order of the arguments.
//!
//! A cluster refuses a command with keys in two slots, even if one node owns both. Commands with
//! the request policy `multi_shard` can be split: MGET, MSET, DEL, EXISTS, TOUCH, UNLINK. The parts
//! run independently: an MSET that was split is no longer atomic.
//!
//! **Invariants**: every key is in exactly one part; within a part, keys keep their order, so that
//! of a key given twice the last value stays; the joined reply is what one server would have
//! answered (a property in the tests). A part copies its bytes from the command: nothing is encoded
//! twice.
//! Spec: cluster-spec, "Implemented subset"; command tips, "request_policy".

use super::fold::{Fold, fold};
use crate::command::{Command, RequestPolicy, ResponsePolicy};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Elements, bulk_bytes, put_array_head};
use crate::topology::slot::Slot;
use bytes::Bytes;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// In how many slots a command's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySlots {
    /// In one slot, or there is no key.
    One,
    /// In several.
    Several {
        /// The slot of the first key.
        first: Slot,
        /// The first slot that differs from it.
        second: Slot,
    },
}

/// Looks at every key. If there is only one, its slot is not computed.
pub(crate) fn key_slots<'a>(mut keys: impl Iterator<Item = &'a [u8]>) -> KeySlots {
    let (Some(first), Some(second)) = (keys.next(), keys.next()) else { return KeySlots::One };
    let first = Slot::of(first);
    let mut others = std::iter::once(second).chain(keys).map(Slot::of);
    match others.find(|slot| *slot != first) {
        Some(second) => KeySlots::Several { first, second },
        None => KeySlots::One,
    }
}

/// All keys of a command of a module that tells servers of the first one only. A server checks the
/// slot of that one, and answers null for the others where they are not its own.
// spec: <https://redis.io/commands/json.mget/>, and its entry in COMMAND INFO
pub(crate) fn untold_keys(command: &Command) -> impl Iterator<Item = &[u8]> {
    let name = command.args_iter().next().filter(|_| command.is_unknown());
    let is_untold = name.is_some_and(|name| name.eq_ignore_ascii_case(b"JSON.MGET"));
    // The path stands behind the keys.
    let keys = if is_untold { command.count().saturating_sub(2) } else { 0 };
    command.args_iter().skip(1).take(keys)
}

/// The slot whose number is an argument; `None` for a command without one, and for what is none.
pub(crate) fn slot_argument(command: &Command) -> Option<Slot> {
    let RequestPolicy::Slot(position) = command.spec().request() else { return None };
    let number = command.args_iter().nth(usize::from(position))?;
    let number = number.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    Slot::new(number?)
}

/// The error of a command with keys in these two slots that needs them in one.
pub(crate) fn cross_slot(first: Slot, second: Slot) -> Error {
    let (first, second) = (first.number(), second.number());
    let message = format!("keys in two slots, {first} and {second}");
    Error::new(ErrorKind::Config, Delivery::NotSent, message)
        .with_detail(ErrorDetail::CrossSlot { first, second })
}

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitBy {
    /// The keys of one slot. The replies are joined into one.
    Slot,
    /// One key. The parts are in the order of the keys, and each has its own reply.
    Key,
}

/// How a command is split. It holds no bytes: each method takes the command that it was made of.
#[derive(Debug)]
pub(crate) struct Split {
    /// The bytes before the first key.
    head: Range<usize>,
    /// The bytes after the last key.
    tail: Range<usize>,
    /// The number of arguments in `head` and `tail`.
    fixed: usize,
    /// The number of arguments of each key, the key included.
    step: usize,
    /// The keys, ordered by part.
    keys: Vec<SplitKey>,
    /// The parts, ordered by slot or by key.
    parts: Vec<Part>,
    /// How the replies are joined.
    response: ResponsePolicy,
}

/// A key and its further arguments.
#[derive(Clone, Copy, Debug)]
struct SplitKey {
    /// The key's slot.
    slot: Slot,
    /// The number of keys before it in the command.
    order: u32,
    /// Where its bytes begin in the command's arguments.
    start: usize,
    /// Where the bytes of its last argument end.
    end: usize,
}

/// What is sent on its own.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The slot that it is for.
    pub(crate) slot: Slot,
    /// The indexes of its keys in `Split::keys`.
    keys: Range<usize>,
    /// The number of bytes that `write_part` appends.
    len: usize,
}

impl Split {
    /// Splits a command; `None` if it cannot be split.
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

    /// Appends a part, encoded for the server.
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

    /// Joins the replies of the parts, which are in the order of the parts.
    ///
    /// # Errors
    /// `Protocol` for replies that do not fit the parts.
    pub(crate) fn merge(&self, replies: &[Bytes]) -> Result<Bytes, Error> {
        debug_assert_eq!(replies.len(), self.parts.len(), "every part has a reply");
        match self.response {
            ResponsePolicy::Default => self.in_order(replies),
            other => fold(Fold::By(other), replies),
        }
    }

    /// One list with one element for each key, in the order of the arguments.
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

    /// The value of a single key, from the reply of its part.
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
    /// Its length in bytes on the wire.
    pub(crate) fn encoded_len(&self) -> usize {
        self.len
    }
}

/// The elements of a list that must have `count` of them.
fn elements(reply: &[u8], count: usize) -> Result<Elements<'_>, Error> {
    let elements = Elements::of(reply).filter(|elements| elements.len() == count);
    elements.ok_or_else(|| {
        let message = format!("the reply to {count} keys is not a list of {count} values");
        Error::new(ErrorKind::Protocol, Delivery::Answered, message)
    })
}
