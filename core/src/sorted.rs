//! A sorted map and a sorted set whose code is small.
//!
//! The topology needs a dozen maps of different types, each with few entries. The B-tree of the
//! standard library, and the sort that fills it from an iterator, are compiled again for each type:
//! in a component that reads one key this was a sixth of all code. Here all types share the search
//! and the order, which is a list of indexes; only the comparison is compiled for each type.
//!
//! Limits: an insertion or a removal moves the indexes of all greater keys, 4 bytes each. So 16384
//! keys in the worst order take some 50 ms, and 1000 keys a fifth of a millisecond; keys that are
//! inserted in ascending order, or removed in descending order, move nothing. At most 2^32 entries.
//! Invariant: `order` contains the index of each entry once, by ascending key.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// A map in the order of its keys.
pub(crate) struct SortedMap<K, V> {
    /// The indexes of `entries` by ascending key.
    order: Vec<u32>,
    /// In no order.
    entries: Vec<(K, V)>,
}

/// The position of a key in `order`, or the one where it would be inserted. Not generic: all types
/// share one copy.
fn search(order: &[u32], compare: &dyn Fn(u32) -> Ordering) -> Result<usize, usize> {
    match order.last() {
        Some(last) if compare(*last) == Ordering::Less => Err(order.len()),
        _ => order.binary_search_by(|index| compare(*index)),
    }
}

/// Takes the number at `place` out and gives its number to the last entry, which will fill its
/// place. `of_last`: the position of the last entry's number.
fn unlink(order: &mut Vec<u32>, place: usize, of_last: usize) -> u32 {
    let index = order[place];
    order[of_last] = index;
    order.remove(place);
    index
}

/// Puts a list in order by a key, for lists that are short or seldom sorted: a heap, whose steps
/// all types share. It does not keep the order of equals.
pub(crate) fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    struct ByKey<'a, T, F>(&'a mut [T], F);

    impl<T, K: Ord, F: Fn(&T) -> K> Sortable for ByKey<'_, T, F> {
        fn less(&self, left: usize, right: usize) -> bool {
            (self.1)(&self.0[left]) < (self.1)(&self.0[right])
        }

        fn swap(&mut self, left: usize, right: usize) {
            self.0.swap(left, right);
        }
    }

    let len = list.len();
    heap_sort(len, &mut ByKey(list, key));
}

/// What `heap_sort` needs of a list.
trait Sortable {
    /// Whether one entry comes before another.
    fn less(&self, left: usize, right: usize) -> bool;

    /// Lets two entries change places.
    fn swap(&mut self, left: usize, right: usize);
}

/// Not generic: one copy serves all types.
fn heap_sort(len: usize, list: &mut dyn Sortable) {
    for round in (0..len + len / 2).rev() {
        // First the heap is made, then its greatest entry goes behind it, again and again.
        let mut at = round.saturating_sub(len);
        if round < len {
            list.swap(0, round);
        }
        let end = round.min(len);
        while let Some(mut child) = Some(2 * at + 1).filter(|child| *child < end) {
            if child + 1 < end && list.less(child, child + 1) {
                child += 1;
            }
            if !list.less(at, child) {
                break;
            }
            list.swap(at, child);
            at = child;
        }
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self { order: Vec::new(), entries: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        search(&self.order, &|index| self.entries[index as usize].0.borrow().cmp(key))
    }

    fn index<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| self.order[place] as usize)
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.index(key).map(|index| &self.entries[index].1)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.index(key).map(|index| &mut self.entries[index].1)
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Adds the entry, or gives its key another value and returns the one that it had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut value = Some(value);
        let held = self.get_or_insert_with(key, || value.take().expect("called once"));
        value.map(|value| std::mem::replace(held, value))
    }

    /// The value of `key`, made if there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let index = match self.place::<K>(&key) {
            Ok(place) => self.order[place] as usize,
            Err(place) => {
                let index = self.entries.len();
                self.order.insert(place, u32::try_from(index).expect("memory ends before"));
                self.entries.push((key, make()));
                index
            }
        };
        &mut self.entries[index].1
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        let of_last = self.place::<K>(&self.entries.last()?.0).ok()?;
        let index = unlink(&mut self.order, place, of_last);
        Some(self.entries.swap_remove(index as usize).1)
    }

    /// Keeps the entries for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        for (key, value) in std::mem::take(self).into_entries() {
            if keep(&key, &value) {
                self.insert(key, value);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.iter().map(|index| {
            let (key, value) = &self.entries[*index as usize];
            (key, value)
        })
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries, by ascending key.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let mut entries: Vec<Option<(K, V)>> = self.entries.into_iter().map(Some).collect();
        self.order.into_iter().filter_map(move |index| entries[index as usize].take())
    }

    /// The values, by ascending key.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.into_entries().map(|(_, value)| value)
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { order: Vec::new(), entries: Vec::new() }
    }
}

impl<K: Clone, V: Clone> Clone for SortedMap<K, V> {
    fn clone(&self) -> Self {
        Self { order: self.order.clone(), entries: self.entries.clone() }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq> Eq for SortedMap<K, V> {}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As a map's: of two entries with one key, the later one stays.
impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

/// A set in order.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SortedSet<T: Ord>(SortedMap<T, ()>);

impl<T: Ord> Default for SortedSet<T> {
    fn default() -> Self {
        Self(SortedMap::new())
    }
}

impl<T: Ord> SortedSet<T> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(value)
    }

    /// Whether it is new.
    pub(crate) fn insert(&mut self, value: T) -> bool {
        self.0.insert(value, ()).is_none()
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, value: &T) -> bool {
        self.0.remove(value).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.keys()
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// What is in both.
    pub(crate) fn shared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> {
        self.iter().filter(|value| other.contains::<T>(value))
    }

    /// The values, ascending.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_entries().map(|(value, ())| value)
    }
}

impl<T: Ord + fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: Ord> PartialOrd for SortedSet<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for SortedSet<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        for value in values {
            self.insert(value);
        }
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut set = Self::default();
        set.extend(values);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        /// Whatever is done to it, it is what the standard library's map would be.
        #[test]
        fn a_map_is_a_tree_in_other_clothes(
            steps in prop::collection::vec((0..40_u8, any::<u16>(), 0..4_u8), 0..200),
        ) {
            let (mut ours, mut theirs) = (SortedMap::new(), BTreeMap::new());
            for (key, value, step) in steps {
                match step {
                    0 => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    1 => {
                        *ours.get_or_insert_with(key, || 0) ^= value;
                        *theirs.entry(key).or_insert(0) ^= value;
                    }
                    _ => prop_assert_eq!(ours.insert(key, value), theirs.insert(key, value)),
                }
                prop_assert_eq!(ours.get(&key), theirs.get(&key));
                prop_assert_eq!(ours.len(), theirs.len());
                prop_assert!(ours.iter().eq(theirs.iter()));
            }
            let again: SortedMap<u8, u16> = theirs.iter().map(|(k, v)| (*k, *v)).collect();
            prop_assert_eq!(&again, &ours);
            prop_assert!(ours.into_entries().eq(theirs));
        }

        #[test]
        fn a_list_is_sorted(list in prop::collection::vec(any::<u8>(), 0..60)) {
            let (mut ours, mut theirs) = (list.clone(), list);
            sort_by_key(&mut ours, |value| *value);
            theirs.sort_unstable();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn a_set_is_a_tree_in_other_clothes(
            left in prop::collection::vec(0..30_u8, 0..30),
            right in prop::collection::vec(0..30_u8, 0..30),
        ) {
            let ours = [&left, &right].map(|list| list.iter().collect::<SortedSet<_>>());
            let theirs = [&left, &right].map(|list| list.iter().collect::<BTreeSet<_>>());
            prop_assert!(ours[0].shared(&ours[1]).eq(theirs[0].intersection(&theirs[1])));
            prop_assert_eq!(ours[0].cmp(&ours[1]), theirs[0].cmp(&theirs[1]));
            prop_assert_eq!(ours[0].first(), theirs[0].first());
            let [ours, _] = ours;
            let [theirs, _] = theirs;
            prop_assert!(ours.into_values().eq(theirs));
        }
    }
}
