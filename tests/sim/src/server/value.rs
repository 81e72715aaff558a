//! The values of keys.
//!
//! The collections are plain and ordered: iteration order is part of the trace, and the data sets
//! of a simulation are small. The compact encodings of real servers do not exist here; `OBJECT
//! ENCODING` reports what a real server would have chosen.

use super::data::stream::Stream;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A list.
pub(crate) type List = VecDeque<Bytes>;
/// A hash.
pub(crate) type Hash = BTreeMap<Bytes, Bytes>;
/// A set.
pub(crate) type Set = BTreeSet<Bytes>;

/// The value of a key.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A string.
    Str(Bytes),
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A sorted set.
    Sorted(Sorted),
    /// A stream; never removed for being empty.
    Stream(Box<Stream>),
}

impl Value {
    /// The name of the type, as `TYPE` replies.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::Sorted(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    /// The encoding, as `OBJECT ENCODING` would reply.
    pub(crate) fn encoding(&self) -> &'static str {
        match self {
            Self::Str(text) if parse_int(text).is_some() => "int",
            Self::Str(text) if text.len() <= 44 => "embstr",
            Self::Str(_) => "raw",
            Self::List(list) if list.iter().map(Bytes::len).sum::<usize>() <= 8192 => "listpack",
            Self::List(_) => "quicklist",
            Self::Hash(hash)
                if hash.len() <= 512 && all_short(hash.keys().chain(hash.values())) =>
            {
                "listpack"
            }
            Self::Hash(_) => "hashtable",
            Self::Set(set) if set.len() <= 512 && set.iter().all(|v| parse_int(v).is_some()) => {
                "intset"
            }
            Self::Set(set) if set.len() <= 128 && all_short(set.iter()) => "listpack",
            Self::Set(_) => "hashtable",
            Self::Sorted(sorted) if sorted.len() <= 128 && all_short(sorted.scores.keys()) => {
                "listpack"
            }
            Self::Sorted(_) => "skiplist",
            Self::Stream(_) => "stream",
        }
    }
}

/// Whether values are short enough for a compact encoding.
fn all_short<'a>(mut values: impl Iterator<Item = &'a Bytes>) -> bool {
    values.all(|value| value.len() <= 64)
}

/// A type of value, for access by type.
pub(crate) trait Kind: Default {
    /// The value as this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The value as this type, to change.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// This type as a value.
    fn into_value(self) -> Value;
    /// Whether a key with this value does not exist.
    fn is_gone(&self) -> bool;
}

macro_rules! kind {
    ($type:ty, $variant:ident, $is_gone:expr) => {
        impl Kind for $type {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn into_value(self) -> Value {
                Value::$variant(self.into())
            }
            fn is_gone(&self) -> bool {
                let is_gone: fn(&Self) -> bool = $is_gone;
                is_gone(self)
            }
        }
    };
}

kind!(Bytes, Str, |_| false);
kind!(List, List, VecDeque::is_empty);
kind!(Hash, Hash, BTreeMap::is_empty);
kind!(Set, Set, BTreeSet::is_empty);
kind!(Sorted, Sorted, |s| s.scores.is_empty());
kind!(Stream, Stream, |_| false);

/// A score, ordered as numbers are; never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score(pub(crate) f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.partial_cmp(&other.0).expect("a score is never NaN")
    }
}

/// A sorted set: members by name and by (score, name).
///
/// Invariant: both tables hold the same members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted {
    /// The score of each member.
    pub(crate) scores: BTreeMap<Bytes, Score>,
    /// Members in order.
    pub(crate) order: BTreeSet<(Score, Bytes)>,
}

impl Sorted {
    pub(crate) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).map(|s| s.0)
    }

    /// Sets a score and returns the one before.
    pub(crate) fn insert(&mut self, member: Bytes, score: f64) -> Option<f64> {
        // The compact encoding has integers, and they have no negative zero.
        let score = if score == 0.0 { 0.0 } else { score };
        let old = self.scores.insert(member.clone(), Score(score));
        if let Some(old) = old {
            self.order.remove(&(old, member.clone()));
        }
        self.order.insert((Score(score), member));
        old.map(|s| s.0)
    }

    /// Takes a member out and returns its score.
    pub(crate) fn remove(&mut self, member: &Bytes) -> Option<f64> {
        let score = self.scores.remove(member)?;
        self.order.remove(&(score, member.clone()));
        Some(score.0)
    }

    /// Members with scores, lowest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Bytes, f64)> {
        self.order.iter().map(|(score, member)| (member, score.0))
    }
}

/// A number as `strtoull` reads it, which servers do for cursors and the ids of streams: with space
/// and a sign in front. A number that is an integer in the strict form must not be negative.
pub(crate) fn parse_unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_int(text) {
        return u64::try_from(number).ok();
    }
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    match text.strip_prefix('-') {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => digits.parse().ok().map(u64::wrapping_neg),
        None => text.parse().ok(),
    }
}

/// An integer in the only form that servers accept: no sign but `-`, no zeros in front.
pub(crate) fn parse_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [first, ..] => (b'1'..=b'9').contains(first),
        [] => false,
    };
    if !canonical || digits.len() > 19 {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_strict() {
        let table = [
            ("0", Some(0)),
            ("-12", Some(-12)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("", None),
            ("-", None),
        ];
        for (text, value) in table {
            assert_eq!(parse_int(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn unsigned_integers_are_not() {
        let table = [
            ("0", Some(0)),
            (" 01", Some(1)),
            ("+1", Some(1)),
            ("-0", Some(0)),
            ("-1", None),
            (" -1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+-1", None),
            ("-+1", None),
            ("1 ", None),
        ];
        for (text, value) in table {
            assert_eq!(parse_unsigned(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn a_sorted_set_keeps_both_tables_equal() {
        let mut sorted = Sorted::default();
        assert_eq!(sorted.insert("b".into(), 1.0), None);
        assert_eq!(sorted.insert("a".into(), 1.0), None);
        assert_eq!(sorted.insert("b".into(), 0.5), Some(1.0));
        let order: Vec<_> = sorted.iter().map(|(m, s)| (m.clone(), s)).collect();
        assert_eq!(order, [("b".into(), 0.5), ("a".into(), 1.0)]);
        assert_eq!(sorted.remove(&"b".into()), Some(0.5));
        assert_eq!((sorted.len(), sorted.order.len()), (1, 1));
    }
}
