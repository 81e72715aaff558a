//! Which shard owns each slot, and which nodes a shard has.
//!
//! A standalone server and a sentinel's service are maps with one shard that owns all slots; so there is one router and one way to run a
//! command for every deployment. The data path reads a map that never changes; a change makes a new one.
//!
//! Invariants: every owner is the index of a shard of this map or `UNCOVERED`; a map of one full shard answers without a table.

use super::slot::{SLOT_COUNT, Slot};

/// The owner of a slot that no shard has.
const UNCOVERED: u16 = u16::MAX;

/// A primary and its replicas, as indexes into the list of nodes that the map was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The node that takes writes.
    pub(crate) primary: usize,
    /// The nodes that copy it.
    pub(crate) replicas: Vec<usize>,
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct SlotMap {
    /// The shards, in no order that matters.
    shards: Vec<Shard>,
    /// The index of each slot's shard; empty when the only shard owns all slots.
    owners: Vec<u16>,
}

impl SlotMap {
    /// The map of a deployment without slots: one shard for every key.
    pub(crate) fn single(shard: Shard) -> Self {
        Self { shards: vec![shard], owners: Vec::new() }
    }

    /// The shard that owns a key's slot; `None` when nobody does. The key's slot is computed only when it matters.
    pub(crate) fn shard_of(&self, key: &[u8]) -> Option<&Shard> {
        if self.owners.is_empty() { self.shards.first() } else { self.shard_at(Slot::of(key)) }
    }

    /// The shard that owns `slot`.
    pub(crate) fn shard_at(&self, slot: Slot) -> Option<&Shard> {
        debug_assert!(self.owners.is_empty() || self.owners.len() == usize::from(SLOT_COUNT));
        match self.owners.get(usize::from(slot.number())) {
            None => self.shards.first(),
            Some(&UNCOVERED) => None,
            Some(&owner) => self.shards.get(usize::from(owner)),
        }
    }

    /// All shards.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_owns_every_slot() {
        let shard = Shard { primary: 0, replicas: vec![1] };
        let map = SlotMap::single(shard.clone());
        assert_eq!(map.shard_of(b"any"), Some(&shard));
        assert_eq!(map.shard_at(Slot::new(16383).unwrap()), Some(&shard));
        assert_eq!(map.shards().len(), 1);
    }
}
