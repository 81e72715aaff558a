//! Ranges of slots: how servers tell which shard owns what, and how a topology is stored.
//!
//! Invariant: a range is never empty, `start <= end` (its constructor checks; so does serde).
//! Spec: CLUSTER SLOTS and CLUSTER SHARDS, "slot ranges": both ends belong to the range.

use super::slot::{SLOT_COUNT, Slot};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The slots from `start` to `end`, both included. Written as `[start, end]` by serde.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Slot, Slot)", into = "(Slot, Slot)")]
pub struct SlotRange {
    /// The first slot.
    start: Slot,
    /// The last slot. Invariant: not below `start`.
    end: Slot,
}

impl SlotRange {
    /// Every slot there is.
    pub const ALL: Self = Self { start: Slot::FIRST, end: Slot::LAST };

    /// The slots from `start` to `end`, both included; `None` if `end` is below `start`.
    #[must_use]
    pub const fn new(start: Slot, end: Slot) -> Option<Self> {
        if start.number() <= end.number() { Some(Self { start, end }) } else { None }
    }

    /// One slot alone.
    #[must_use]
    pub const fn one(slot: Slot) -> Self {
        Self { start: slot, end: slot }
    }

    /// The first slot.
    #[must_use]
    pub const fn start(self) -> Slot {
        self.start
    }

    /// The last slot.
    #[must_use]
    pub const fn end(self) -> Slot {
        self.end
    }

    /// How many slots: 1 to 16384.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.end.number() - self.start.number() + 1
    }

    /// Whether the slot is one of them.
    #[must_use]
    pub fn contains(self, slot: Slot) -> bool {
        (self.start..=self.end).contains(&slot)
    }

    /// The slots, ascending.
    pub fn slots(self) -> impl Iterator<Item = Slot> {
        (self.start.number()..=self.end.number()).filter_map(Slot::new)
    }

    /// The numbers of the slots, as a range into a table of all slots.
    pub(crate) fn as_indexes(self) -> std::ops::RangeInclusive<usize> {
        usize::from(self.start.number())..=usize::from(self.end.number())
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            self.start.fmt(f)
        } else {
            write!(f, "{}-{}", self.start, self.end)
        }
    }
}

impl From<SlotRange> for (Slot, Slot) {
    fn from(range: SlotRange) -> Self {
        (range.start, range.end)
    }
}

impl TryFrom<(Slot, Slot)> for SlotRange {
    type Error = String;

    fn try_from((start, end): (Slot, Slot)) -> Result<Self, String> {
        Self::new(start, end)
            .ok_or_else(|| format!("slot range {start}-{end} ends before it starts"))
    }
}

/// All slots, ascending.
pub(crate) fn every_slot() -> impl Iterator<Item = Slot> {
    (0..SLOT_COUNT).filter_map(Slot::new)
}

/// The longest runs of neighbours that carry the same label, ascending; slots without a label are
/// left out. `slots` ascend.
pub(crate) fn runs<L: PartialEq>(
    slots: impl IntoIterator<Item = (Slot, Option<L>)>,
) -> Vec<(SlotRange, L)> {
    let mut runs: Vec<(SlotRange, L)> = Vec::new();
    for (slot, label) in slots {
        let Some(label) = label else { continue };
        match runs.last_mut() {
            Some((range, last)) if *last == label && range.end.number() + 1 == slot.number() => {
                range.end = slot;
            }
            _ => runs.push((SlotRange::one(slot), label)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u16, end: u16) -> SlotRange {
        SlotRange::new(Slot::new(start).unwrap(), Slot::new(end).unwrap()).unwrap()
    }

    #[test]
    fn both_ends_belong_to_a_range() {
        let some = range(5, 7);
        assert_eq!((some.count(), some.to_string()), (3, "5-7".to_owned()));
        assert_eq!(some.slots().map(Slot::number).collect::<Vec<_>>(), [5, 6, 7]);
        assert!(some.contains(some.end()) && !some.contains(Slot::new(8).unwrap()));
        assert_eq!(SlotRange::ALL.count(), SLOT_COUNT);
        assert_eq!(range(9, 9).to_string(), "9");
        assert_eq!(SlotRange::new(Slot::LAST, Slot::FIRST), None);
    }

    #[test]
    fn serde_takes_only_what_is_a_range() {
        let json = serde_json::to_string(&range(5, 7)).unwrap();
        assert_eq!(json, "[5,7]");
        assert_eq!(serde_json::from_str::<SlotRange>(&json).unwrap(), range(5, 7));
        for wrong in ["[7,5]", "[0,16384]", "[-1,5]", "[5]"] {
            assert!(serde_json::from_str::<SlotRange>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn runs_join_neighbours_of_one_label() {
        let labels = [Some('a'), Some('a'), None, Some('a'), Some('b')];
        let slots = every_slot().zip(labels);
        assert_eq!(runs(slots), [(range(0, 1), 'a'), (range(3, 3), 'a'), (range(4, 4), 'b')]);
    }
}
