//! The stream as a value: entries by id, and consumer groups with their delivered and pending
//! entries.
//!
//! **Invariants**:
//! - `last_id` is at least the id of every entry there ever was;
//! - every pending entry belongs to a consumer of its group.

use crate::server::arguments::is;
use crate::server::command::{Stop, fail};
use crate::server::value::parse_unsigned;
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// The id of an entry: milliseconds and a sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) u64, pub(crate) u64);

impl Id {
    pub(crate) const MIN: Self = Self(0, 0);
    pub(crate) const MAX: Self = Self(u64::MAX, u64::MAX);

    /// The id right after this one; `None` after the last.
    pub(crate) fn next(self) -> Option<Self> {
        match self.1.checked_add(1) {
            Some(sequence) => Some(Self(self.0, sequence)),
            None => self.0.checked_add(1).map(|ms| Self(ms, 0)),
        }
    }

    /// The id right before this one; `None` before the first.
    pub(crate) fn previous(self) -> Option<Self> {
        match self.1.checked_sub(1) {
            Some(sequence) => Some(Self(self.0, sequence)),
            None => self.0.checked_sub(1).map(|ms| Self(ms, u64::MAX)),
        }
    }

    /// Reads `ms` or `ms-seq`; where the sequence is missing it is `sequence`.
    pub(crate) fn parse(text: &[u8], sequence: u64) -> Result<Self, Stop> {
        let parsed = std::str::from_utf8(text).ok().and_then(|text| match text.split_once('-') {
            Some((ms, seq)) => {
                Some(Self(parse_unsigned(ms.as_bytes())?, parse_unsigned(seq.as_bytes())?))
            }
            None => Some(Self(parse_unsigned(text.as_bytes())?, sequence)),
        });
        parsed.ok_or(INVALID_ID)
    }

    /// The same, or `-` and `+` for the first and the last id.
    pub(crate) fn parse_loosely(text: &[u8], sequence: u64) -> Result<Self, Stop> {
        match text {
            [b'-'] => Ok(Self::MIN),
            [b'+'] => Ok(Self::MAX),
            _ => Self::parse(text, sequence),
        }
    }

    pub(crate) fn bytes(self) -> Bytes {
        Bytes::from(self.to_string())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

pub(crate) const INVALID_ID: Stop =
    fail("ERR Invalid stream ID specified as stream command argument");

/// The sides of a range of ids: `-`, `+`, an id, or `(` and an id that is left out.
pub(crate) fn range_bounds(start: &[u8], end: &[u8]) -> Result<(Id, Id), Stop> {
    Ok((range_bound(start, true)?, range_bound(end, false)?))
}

/// One side of a range of ids.
pub(crate) fn range_bound(text: &[u8], is_start: bool) -> Result<Id, Stop> {
    let missing = if is_start { 0 } else { u64::MAX };
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let id = Id::parse(rest, missing)?;
            let (inside, text) = if is_start {
                (id.next(), "ERR invalid start ID for the interval")
            } else {
                (id.previous(), "ERR invalid end ID for the interval")
            };
            inside.ok_or(fail(text))
        }
        _ => Id::parse_loosely(text, missing),
    }
}

/// A stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    /// Fields and values, one after the other, by id.
    pub(crate) entries: BTreeMap<Id, Vec<Bytes>>,
    /// The greatest id there ever was.
    pub(crate) last_id: Id,
    /// The greatest id that was deleted.
    pub(crate) max_deleted: Id,
    /// How many entries there ever were.
    pub(crate) added: u64,
    /// Consumer groups by name.
    pub(crate) groups: BTreeMap<Bytes, Group>,
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// The greatest id that was delivered.
    pub(crate) last_delivered: Id,
    /// How many entries were read, if that is known.
    pub(crate) entries_read: Option<u64>,
    /// Delivered and not acknowledged.
    pub(crate) pending: BTreeMap<Id, Pending>,
    /// Consumers by name.
    pub(crate) consumers: BTreeMap<Bytes, Consumer>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// The consumer.
    pub(crate) consumer: Bytes,
    /// The last delivery, in Unix milliseconds.
    pub(crate) delivered_at: u64,
    /// How often it was delivered.
    pub(crate) deliveries: u64,
}

/// A consumer of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    /// The time of its last command, in Unix milliseconds.
    pub(crate) seen_at: u64,
    /// The time when it last got an entry, in Unix milliseconds.
    pub(crate) active_at: Option<u64>,
}

/// Entries per node of a real stream: trimming with `~` works in whole nodes.
pub(crate) const NODE_ENTRIES: usize = 100;

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trim {
    /// To this number of entries.
    MaxLen(usize),
    /// To ids from this one on.
    MinId(Id),
}

impl Stream {
    /// Trims the front and returns how many entries were removed. With `nodes`, which is what `~`
    /// asks for, whole nodes are removed, and at most that many entries.
    pub(crate) fn trim(&mut self, trim: Trim, nodes: Option<usize>) -> usize {
        let mut doomed = match trim {
            Trim::MaxLen(len) => self.entries.len().saturating_sub(len),
            Trim::MinId(id) => self.entries.range(..id).count(),
        };
        if let Some(limit) = nodes {
            let most = doomed.min(limit);
            doomed = 0;
            loop {
                let node = NODE_ENTRIES.min(self.entries.len() - doomed);
                if node == 0 || doomed + node > most {
                    break;
                }
                doomed += node;
            }
        }
        for _ in 0..doomed {
            self.entries.pop_first();
        }
        doomed
    }

    /// Refuses an id that no stream can have.
    pub(crate) fn check_new_id(text: &[u8]) -> Result<(), Stop> {
        if Id::parse(text, 0) == Ok(Id::MIN) {
            return Err(fail("ERR The ID specified in XADD must be greater than 0-0"));
        }
        Ok(())
    }

    /// The id for XADD's argument, given the time.
    pub(crate) fn new_id(&self, text: &[u8], now_ms: u64) -> Result<Id, Stop> {
        if self.last_id == Id::MAX {
            return Err(EXHAUSTED);
        }
        let id = if text == b"*" {
            if now_ms > self.last_id.0 {
                Id(now_ms, 0)
            } else {
                self.last_id.next().ok_or(EXHAUSTED)?
            }
        } else if let Some(ms) = text.strip_suffix(b"-*") {
            let Id(ms, _) = Id::parse(ms, 0)?;
            if ms == self.last_id.0 {
                Id(ms, self.last_id.1.checked_add(1).ok_or(TOO_SMALL)?)
            } else {
                Id(ms, 0)
            }
        } else {
            Id::parse(text, 0)?
        };
        if id <= self.last_id {
            return Err(TOO_SMALL);
        }
        Ok(id)
    }

    /// What the counters of groups depend on.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            len: self.entries.len() as u64,
            first_id: self.entries.keys().next().copied().unwrap_or(Id::MIN),
            last_id: self.last_id,
            max_deleted: self.max_deleted,
            added: self.added,
        }
    }

    /// The id that a reader gives: `$` is the last.
    pub(crate) fn reader_id(&self, text: &[u8]) -> Result<Id, Stop> {
        if is(text, "$") { Ok(self.last_id) } else { Id::parse(text, 0) }
    }
}

/// What the counters of groups depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    /// The number of entries.
    len: u64,
    /// The id of the first entry, 0-0 without one.
    pub(crate) first_id: Id,
    /// As in [`Stream`].
    last_id: Id,
    /// As in [`Stream`].
    max_deleted: Id,
    /// As in [`Stream`].
    added: u64,
}

impl Counters {
    /// The number of entries that there were up to `id`, if nothing hides it.
    fn up_to(self, id: Id) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.added);
        }
        if id != Id::MIN && id < self.max_deleted {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.added);
        }
        let hidden = self.max_deleted != Id::MIN && self.max_deleted >= self.first_id;
        let before = self.added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            _ if hidden => None,
            Ordering::Less => Some(before),
            Ordering::Equal => Some(before.wrapping_add(1)),
            Ordering::Greater => None,
        }
    }

    /// Whether an entry was deleted at `start` or after it.
    fn has_gap_after(self, start: Id) -> bool {
        self.len > 0 && self.max_deleted != Id::MIN && start <= self.max_deleted
    }

    /// How many entries a group has not read, if that is known.
    pub(crate) fn lag(self, group: &Group) -> Option<u64> {
        if self.added == 0 || self.len == 0 {
            return Some(0);
        }
        if group.last_delivered < self.first_id && self.max_deleted < self.first_id {
            return Some(self.len);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_gap_after(group.last_delivered) => Some(read),
            _ => self.up_to(group.last_delivered),
        };
        read.map(|read| self.added.wrapping_sub(read))
    }
}

const TOO_SMALL: Stop =
    fail("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const EXHAUSTED: Stop =
    fail("ERR The stream has exhausted the last possible ID, unable to add more items");

impl Group {
    /// An entry is delivered that no consumer had yet.
    pub(crate) fn advance(&mut self, id: Id, stream: Counters) {
        self.entries_read = match self.entries_read {
            Some(count) if !stream.has_gap_after(self.last_delivered) => {
                Some(count.wrapping_add(1))
            }
            _ => stream.up_to(id),
        };
        self.last_delivered = id;
    }

    /// The consumer of that name, created if it does not exist.
    pub(crate) fn consumer(&mut self, name: &Bytes, now_ms: u64) -> &mut Consumer {
        let consumer = self
            .consumers
            .entry(name.clone())
            .or_insert_with(|| Consumer { seen_at: now_ms, active_at: None });
        consumer.seen_at = now_ms;
        consumer
    }

    /// How many entries a consumer has not acknowledged.
    pub(crate) fn pending_of(&self, consumer: &Bytes) -> usize {
        self.pending.values().filter(|p| p.consumer == *consumer).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_ordered_and_made() {
        assert_eq!(Id::parse(b"5-3", 0), Ok(Id(5, 3)));
        assert_eq!(Id::parse(b"5", 7), Ok(Id(5, 7)));
        assert_eq!(Id::parse(b"5-", 0), Err(INVALID_ID));
        assert_eq!(Id::parse(b"+5", 0), Ok(Id(5, 0)));
        assert_eq!(Id::parse(b" 05-01", 0), Ok(Id(5, 1)));
        assert_eq!(Id::parse(b"-5", 0), Err(INVALID_ID));
        assert_eq!(Id(1, u64::MAX).next(), Some(Id(2, 0)));
        assert_eq!(Id(2, 0).previous(), Some(Id(1, u64::MAX)));
        assert_eq!(Id::MAX.next(), None);
        let stream = Stream { last_id: Id(5, 3), ..Stream::default() };
        assert_eq!(stream.new_id(b"*", 9), Ok(Id(9, 0)));
        assert_eq!(stream.new_id(b"*", 5), Ok(Id(5, 4)));
        assert_eq!(stream.new_id(b"5-*", 0), Ok(Id(5, 4)));
        assert_eq!(stream.new_id(b"5-3", 0), Err(TOO_SMALL));
    }
}
