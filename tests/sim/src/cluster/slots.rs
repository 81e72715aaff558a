//! Hash slots: the slot of a key, and the owners of slots in one node's view.
//!
//! A cluster's 16384 slots are held as ranges, because there are few: a map of three shards has
//! three entries, and a copy of it costs nothing. That makes whole-cluster runs cheap.
//!
//! Spec: cluster-spec, "Key distribution model", "Hash tags".

use crate::ids::HostId;

/// How many slots there are.
pub(crate) const SLOTS: u16 = 16384;

/// CRC16/XMODEM of every byte.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The slot of a key or a sharded channel.
pub(crate) fn key_slot(key: &[u8]) -> u16 {
    let crc = tagged(key)
        .iter()
        .fold(0_u16, |crc, byte| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)]);
    crc % SLOTS
}

/// The hashed part of a key: the text between the first `{` and the next `}`, or the whole key if
/// that is empty.
fn tagged(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|b| *b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|b| *b == b'}') {
        Some(close) if close > 0 => &rest[..close],
        _ => key,
    }
}

/// Slots as inclusive ranges, in order and without overlap.
pub(crate) type Ranges = Vec<(u16, u16)>;

/// How many slots the ranges hold.
pub(crate) fn count(ranges: &[(u16, u16)]) -> usize {
    ranges.iter().map(|(start, end)| usize::from(end - start) + 1).sum()
}

/// Whether a slot is in the ranges.
pub(crate) fn contains(ranges: &[(u16, u16)], slot: u16) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= slot);
    after > 0 && ranges[after - 1].1 >= slot
}

/// Slots with their owners, as one node knows them.
///
/// Invariant: ranges are in order, apart from each other, and neighbours that touch have different
/// owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners {
    /// First slot, last slot, owner.
    ranges: Vec<(u16, u16, HostId)>,
}

impl Owners {
    /// The owner of a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<HostId> {
        let after = self.ranges.partition_point(|(start, ..)| *start <= slot);
        let (_, end, owner) = *self.ranges.get(after.checked_sub(1)?)?;
        (end >= slot).then_some(owner)
    }

    /// All ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u16, HostId)> {
        self.ranges.iter().copied()
    }

    /// The slots of one owner.
    pub(crate) fn of(&self, owner: HostId) -> Ranges {
        self.iter().filter(|(.., o)| *o == owner).map(|(start, end, _)| (start, end)).collect()
    }

    /// How many slots one owner has.
    pub(crate) fn count_of(&self, owner: HostId) -> usize {
        self.iter()
            .filter(|(.., o)| *o == owner)
            .map(|(start, end, _)| usize::from(end - start) + 1)
            .sum()
    }

    /// How many slots have an owner.
    pub(crate) fn count(&self) -> usize {
        self.ranges.iter().map(|(start, end, _)| usize::from(end - start) + 1).sum()
    }

    /// The pieces of a range, each with one owner or none.
    pub(crate) fn within(&self, start: u16, end: u16) -> Vec<(u16, u16, Option<HostId>)> {
        let mut pieces = Vec::new();
        let mut at = start;
        let first = self.ranges.partition_point(|(_, range_end, _)| *range_end < start);
        for (range_start, range_end, owner) in self.ranges[first..].iter().copied() {
            if range_start > end {
                break;
            }
            if range_start > at {
                pieces.push((at, range_start - 1, None));
            }
            let (from, to) = (range_start.max(at), range_end.min(end));
            pieces.push((from, to, Some(owner)));
            if to == end {
                return pieces;
            }
            at = to + 1;
        }
        pieces.push((at, end, None));
        pieces
    }

    /// Sets or removes the owner of a range.
    pub(crate) fn assign(&mut self, start: u16, end: u16, owner: Option<HostId>) {
        let mut ranges: Vec<(u16, u16, HostId)> = Vec::with_capacity(self.ranges.len() + 2);
        for (range_start, range_end, range_owner) in self.ranges.drain(..) {
            if range_start < start {
                ranges.push((range_start, range_end.min(start - 1), range_owner));
            }
            if range_end > end {
                ranges.push((range_start.max(end + 1), range_end, range_owner));
            }
        }
        if let Some(owner) = owner {
            ranges.push((start, end, owner));
        }
        ranges.sort_unstable();
        for (start, end, owner) in ranges {
            match self.ranges.last_mut() {
                Some(last) if last.2 == owner && last.1 + 1 == start => last.1 = end,
                _ => self.ranges.push((start, end, owner)),
            }
        }
    }
}

/// The slots of each of `shards` shards, as even as they can be.
pub(crate) fn even_split(shards: usize) -> Vec<(u16, u16)> {
    let shards = shards.max(1);
    let edge = |shard: usize| (shard * usize::from(SLOTS) / shards) as u16;
    (0..shards).map(|shard| (edge(shard), edge(shard + 1) - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: cluster-spec, "Hash tags"
    #[test]
    fn slots_of_keys() {
        let table = [
            ("123456789", 12739),
            ("foo", 12182),
            ("{user1000}.following", key_slot(b"user1000")),
            ("foo{}{bar}", key_slot(b"foo{}{bar}")),
            ("foo{{bar}}zap", key_slot(b"{bar")),
            ("foo{bar}{zap}", key_slot(b"bar")),
            ("", 0),
        ];
        for (key, slot) in table {
            assert_eq!(key_slot(key.as_bytes()), slot, "{key}");
        }
    }

    /// Ranges against a plain table of slots, under random assignments.
    #[test]
    fn ranges_behave_like_a_table() {
        let mut rng = crate::rng::Rng::new(1);
        let mut owners = Owners::default();
        let mut table = vec![None; usize::from(SLOTS)];
        for _ in 0..300 {
            let (a, b) = (rng.below(16384) as u16, rng.below(16384) as u16);
            let (start, end) = (a.min(b), a.max(b));
            let owner = (rng.below(4) > 0).then(|| HostId(rng.below(5) as u16));
            owners.assign(start, end, owner);
            table[usize::from(start)..=usize::from(end)].fill(owner);
            let seen: Vec<_> = (0..SLOTS).map(|slot| owners.owner(slot)).collect();
            assert_eq!(seen, table);
            for pair in owners.ranges.windows(2) {
                assert!(pair[0].1 < pair[1].0);
                assert!(pair[0].1 + 1 < pair[1].0 || pair[0].2 != pair[1].2);
            }
            let (a, b) = (rng.below(16384) as u16, rng.below(16384) as u16);
            let pieces = owners.within(a.min(b), a.max(b));
            assert_eq!((pieces[0].0, pieces[pieces.len() - 1].1), (a.min(b), a.max(b)));
            for (start, end, owner) in pieces {
                assert!((start..=end).all(|slot| table[usize::from(slot)] == owner));
            }
        }
        assert_eq!(owners.count(), table.iter().filter(|o| o.is_some()).count());
        let three = owners.of(HostId(3));
        assert_eq!(count(&three), owners.count_of(HostId(3)));
        assert!((0..SLOTS).all(|s| contains(&three, s) == (owners.owner(s) == Some(HostId(3)))));
    }

    #[test]
    fn shards_share_all_slots() {
        assert_eq!(even_split(3), [(0, 5460), (5461, 10921), (10922, 16383)]);
        assert_eq!(even_split(1), [(0, 16383)]);
    }
}
