//! Which shard owns each slot, and which nodes a shard has.
//!
//! A standalone server and a sentinel's service are maps with one shard that owns all slots; so one
//! router and one way to run a command serve every deployment. The data path reads a map that never
//! changes; a change makes a new map, which shares with the old one what stayed the same.
//!
//! Invariants: every owner is the index of a shard of this map or `UNCOVERED` (asserted where a
//! table is taken); a map of one full shard answers without a table, and without hashing a key.
//! Limits: at most 65535 shards; a table takes 32 KiB.

use super::slot::{SLOT_COUNT, Slot};
use super::slot_range::{every_slot, runs};
use std::fmt;
use std::sync::Arc;

/// How many slots are compared at once.
const PIECE: usize = 256;

/// The owner of a slot that no shard owns.
pub(crate) const UNCOVERED: u16 = u16::MAX;

/// A primary and its replicas, as indexes into the list of nodes that the map was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The node that takes writes.
    pub(crate) primary: usize,
    /// The nodes that replicate it.
    pub(crate) replicas: Vec<usize>,
}

/// See the head of this file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// The shards, in no order that matters.
    shards: Arc<[Shard]>,
    /// The index of each slot's shard; empty when the only shard owns all slots.
    owners: Arc<[u16]>,
    /// How many slots have an owner.
    owned: u16,
}

impl SlotMap {
    /// The map of these shards; `owners` has an index, or [`UNCOVERED`], for each slot.
    pub(crate) fn new(shards: Vec<Shard>, owners: Vec<u16>) -> Self {
        assert_eq!(owners.len(), usize::from(SLOT_COUNT), "a table has an entry for each slot");
        // Written so that the compiler can check many entries at once.
        let beyond = |owner: &u16| if *owner == UNCOVERED { 0 } else { *owner + 1 };
        let beyond = owners.iter().map(beyond).fold(0, u16::max);
        assert!(usize::from(beyond) <= shards.len(), "every owner is a shard of this map");
        assert!(shards.len() <= usize::from(UNCOVERED), "an index fits into the table");
        let uncovered: u16 = owners.iter().map(|owner| u16::from(*owner == UNCOVERED)).sum();
        let owned = SLOT_COUNT - uncovered;
        let full = shards.len() == 1 && uncovered == 0;
        let owners = if full { Vec::new() } else { owners };
        Self { shards: shards.into(), owners: owners.into(), owned }
    }

    /// The shard that owns a key's slot; `None` when none does. Computes the slot only if there are
    /// several shards.
    pub(crate) fn shard_of(&self, key: &[u8]) -> Option<&Shard> {
        if self.owners.is_empty() { self.shards.first() } else { self.shard_at(Slot::of(key)) }
    }

    /// The shard that owns all slots, if one does, so that no key has to be hashed.
    #[inline]
    pub(crate) fn only(&self) -> Option<&Shard> {
        if self.owners.is_empty() { self.shards.first() } else { None }
    }

    /// The shard that owns `slot`.
    pub(crate) fn shard_at(&self, slot: Slot) -> Option<&Shard> {
        // `UNCOVERED` is beyond the last shard: the bounds check finds it.
        self.shards.get(usize::from(self.owner_at(slot)))
    }

    /// The index of the shard that owns `slot`, or [`UNCOVERED`].
    pub(crate) fn owner_at(&self, slot: Slot) -> u16 {
        debug_assert!(self.owners.is_empty() || self.owners.len() == usize::from(SLOT_COUNT));
        self.owners.get(usize::from(slot.number())).copied().unwrap_or(0)
    }

    /// The first slot, and every slot whose owner is not that of the slot before, ascending.
    pub(crate) fn edges(&self) -> impl Iterator<Item = Slot> {
        let pairs = self.owners.iter().zip(self.owners.iter().skip(1));
        let changes = (1..).zip(pairs).filter(|(_, (before, owner))| before != owner);
        [Slot::FIRST].into_iter().chain(changes.filter_map(|(number, _)| Slot::new(number)))
    }

    /// The slots that have another owner than in `old`, which has the same shards.
    pub(crate) fn changed_since(&self, old: &Self) -> Vec<Slot> {
        if self.owners.len() != old.owners.len() {
            let differs = |slot: &Slot| self.owner_at(*slot) != old.owner_at(*slot);
            return every_slot().filter(differs).collect();
        }
        // Whole pieces are compared at once.
        let pieces = self.owners.chunks(PIECE).zip(old.owners.chunks(PIECE)).zip(0..);
        let changed = pieces.filter(|((new, old), _)| new != old);
        let slots = changed.flat_map(|((new, old), piece)| {
            let differ = new.iter().zip(old).zip(0..).filter(|((new, old), _)| new != old);
            differ.filter_map(move |(_, at)| Slot::new(piece * PIECE as u16 + at))
        });
        slots.collect()
    }

    /// All shards.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Whether the shard at `owner` owns any slot.
    pub(crate) fn owns_any(&self, owner: u16) -> bool {
        if self.owners.is_empty() { owner == 0 } else { self.owners.contains(&owner) }
    }

    /// The same map with other shards, of which the old ones' indexes still hold.
    pub(crate) fn with_shards(&self, shards: Vec<Shard>) -> Self {
        assert!(shards.len() >= self.shards.len(), "indexes of the table stay valid");
        assert!(shards.len() <= usize::from(UNCOVERED), "an index fits into the table");
        let table =
            Self { shards: shards.into(), owners: Arc::clone(&self.owners), owned: self.owned };
        if self.owners.is_empty() { table.with_table() } else { table }
    }

    /// The same map in which the shard at `owner` owns `slot`.
    pub(crate) fn with_owner(&self, slot: Slot, owner: u16) -> Self {
        assert!(usize::from(owner) < self.shards.len(), "the owner is a shard of this map");
        let mut map = if self.owners.is_empty() { self.clone().with_table() } else { self.clone() };
        if let Some(entry) = Arc::make_mut(&mut map.owners).get_mut(usize::from(slot.number())) {
            map.owned += u16::from(*entry == UNCOVERED);
            *entry = owner;
        }
        map
    }

    /// The same map with its table written out.
    fn with_table(self) -> Self {
        let owners = vec![0; usize::from(SLOT_COUNT)].into();
        Self { owners, ..self }
    }

    /// How many slots have an owner.
    pub(crate) const fn owned(&self) -> u16 {
        self.owned
    }
}

impl fmt::Debug for SlotMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owners = runs(every_slot().map(|slot| (slot, Some(self.owner_at(slot)))));
        let owners = owners.iter().map(|(range, owner)| format!("{range}:{owner}"));
        f.debug_struct("SlotMap")
            .field("shards", &self.shards)
            .field("owners", &owners.collect::<Vec<_>>().join(" "))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(shard: Shard) -> SlotMap {
        SlotMap::new(vec![shard], vec![0; usize::from(SLOT_COUNT)])
    }

    fn shard(primary: usize) -> Shard {
        Shard { primary, replicas: vec![primary + 1] }
    }

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    #[test]
    fn one_shard_owns_every_slot() {
        let map = single(shard(0));
        assert_eq!(map.shard_of(b"any"), Some(&shard(0)));
        assert_eq!(map.shard_at(slot(16383)), Some(&shard(0)));
        assert_eq!((map.shards().len(), map.owned()), (1, SLOT_COUNT));
        assert_eq!(map.edges().collect::<Vec<_>>(), [slot(0)]);
        assert!(map.only().is_some(), "a full shard needs no table");
    }

    #[test]
    fn a_slot_without_an_owner_has_no_shard() {
        let mut table = vec![UNCOVERED; usize::from(SLOT_COUNT)];
        assert_eq!(SlotMap::new(Vec::new(), table.clone()).shard_of(b"any"), None);
        table[12182] = 1;
        let map = SlotMap::new(vec![shard(0), shard(2)], table);
        assert_eq!(map.shard_of(b"foo"), Some(&shard(2)));
        assert_eq!(map.shard_at(slot(0)), None);
        assert_eq!(map.edges().map(Slot::number).collect::<Vec<_>>(), [0, 12182, 12183]);
        assert_eq!(map.owned(), 1);
    }

    #[test]
    fn one_slot_changes_hands_and_the_old_map_stays() {
        let old = single(shard(0));
        let new = old.with_shards(vec![shard(0), shard(2)]).with_owner(slot(7), 1);
        assert_eq!(new.shard_at(slot(7)), Some(&shard(2)));
        assert_eq!(new.shard_at(slot(8)), Some(&shard(0)));
        assert_eq!(old.shard_at(slot(7)), Some(&shard(0)));
        assert_eq!(new.owned(), SLOT_COUNT);
    }

    #[test]
    #[should_panic(expected = "every owner is a shard of this map")]
    fn a_table_that_names_a_missing_shard_is_refused() {
        SlotMap::new(vec![shard(0)], vec![1; usize::from(SLOT_COUNT)]);
    }
}
