//! Hash slots: to which of the 16384 a key belongs.
//!
//! Spec: cluster-spec, "Key distribution model" and "Hash tags". The checksum is CRC16/XMODEM, from
//! the crate `crc16`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many slots a cluster has.
pub const SLOT_COUNT: u16 = 16384;

/// A hash slot, 0 to 16383.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

impl Slot {
    /// Slot 0.
    pub(crate) const FIRST: Self = Self(0);
    /// Slot 16383.
    pub(crate) const LAST: Self = Self(SLOT_COUNT - 1);

    /// The slot with this number; `None` from 16384 on.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOT_COUNT { Some(Self(number)) } else { None }
    }

    /// The slot that `key` belongs to: of its hash tag, where it has one.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(crc16::State::<crc16::XMODEM>::calculate(hash_tag(key)) % SLOT_COUNT)
    }

    /// The slot's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl TryFrom<u16> for Slot {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("slot {number} is not below {SLOT_COUNT}"))
    }
}

/// The part of a key that is hashed: between the first `{` and the next `}`, if there is something
/// between them.
// spec: cluster-spec, "Hash tags"
fn hash_tag(key: &[u8]) -> &[u8] {
    if !has_brace(key) {
        return key;
    }
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        Some(close) if close > 0 => &rest[..close],
        _ => key,
    }
}

/// Whether there is a `{`, eight bytes at a time: most keys have none.
fn has_brace(key: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let (words, rest) = key.as_chunks::<8>();
    // A byte of `other` is 0 where the key has a brace. One less, the lowest such byte has its
    // highest bit set although it had not before; without one, no byte has.
    let in_word = |word: &[u8; 8]| {
        let other = u64::from_ne_bytes(*word) ^ (ONES * u64::from(b'{'));
        other.wrapping_sub(ONES) & !other & HIGHS != 0
    };
    words.iter().any(in_word) || rest.contains(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: cluster-spec, "Hash tags": each of its examples; the numbers are those of CLUSTER
    // KEYSLOT.
    #[test]
    fn keys_and_hash_tags_give_the_servers_slots() {
        let table: &[(&[u8], u16)] = &[
            (b"", 0),
            (b"123456789", 12739),
            (b"foo", 12182),
            (b"{user1000}.following", 3443),
            (b"{user1000}.followers", 3443),
            (b"foo{}{bar}", 8363),
            (b"foo{{bar}}zap", 4015),
            (b"foo{bar}{zap}", 5061),
            (b"{unclosed", 470),
        ];
        for (key, slot) in table {
            assert_eq!(Slot::of(key).number(), *slot, "{:?}", String::from_utf8_lossy(key));
        }
        assert_eq!(Slot::of(b"foo{bar}{zap}"), Slot::of(b"bar"));
        assert_eq!(Slot::of(b"foo{{bar}}zap"), Slot::of(b"{bar"));
    }

    /// Wherever the brace stands, whatever surrounds it.
    #[test]
    fn braces_are_found_at_every_place() {
        for len in 0..40 {
            for filler in [0, b'a', b'z', b'|', b'}', 0x7a, 0x7c, 0x80, 0xfb, 0xff] {
                let mut key = vec![filler; len];
                assert!(!has_brace(&key), "{len} of {filler}");
                for at in 0..len {
                    key[at] = b'{';
                    assert!(has_brace(&key), "{len} of {filler} at {at}");
                    key[at] = filler;
                }
            }
        }
    }

    #[test]
    fn only_real_slots_can_be_made() {
        assert_eq!(Slot::new(16383).map(Slot::number), Some(16383));
        assert_eq!(Slot::new(16384), None);
        assert!(serde_json::from_str::<Slot>("16384").is_err());
        assert_eq!(serde_json::from_str::<Slot>("7").unwrap(), Slot(7));
    }
}
