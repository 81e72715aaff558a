//! A list of what others own: who adds to it pays for those that have gone, not for all.
//!
//! Limit: it is at most twice as long as it was when it was last tidied, and `SPARE` more.

use std::fmt;
use std::sync::{Arc, Weak};

/// A list this short is not tidied.
const SPARE: usize = 8;

/// See the head of this file.
pub(crate) struct WeakList<T: ?Sized> {
    /// Some of them have gone.
    list: Vec<Weak<T>>,
    /// Those that have gone are removed when it is longer than this.
    tidy_at: usize,
}

/// Does not ask it of what is listed: a table of a trait's methods would then hold it, and a
/// component all the code for it.
impl<T: ?Sized> fmt::Debug for WeakList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

impl<T: ?Sized> Default for WeakList<T> {
    fn default() -> Self {
        Self { list: Vec::new(), tidy_at: SPARE }
    }
}

impl<T: ?Sized> WeakList<T> {
    pub(crate) fn push(&mut self, one: Weak<T>) {
        if self.list.len() >= self.tidy_at {
            self.tidy();
        }
        self.list.push(one);
    }

    fn tidy(&mut self) {
        self.list.retain(|one| one.strong_count() > 0);
        self.tidy_at = 2 * self.list.len() + SPARE;
    }

    /// Those that have not gone.
    pub(crate) fn all(&mut self) -> Vec<Arc<T>> {
        let all: Vec<Arc<T>> = self.list.iter().filter_map(Weak::upgrade).collect();
        if self.list.len() > 2 * all.len() + SPARE {
            self.tidy();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One comes and goes among many that stay: the list is not gone through each time. When they
    /// have gone, it is short again.
    #[test]
    fn one_of_many_is_added_without_a_look_at_the_others() {
        const MANY: usize = 1000;
        let mut list = WeakList::default();
        let stay: Vec<Arc<usize>> = (0..MANY).map(Arc::new).collect();
        stay.iter().for_each(|one| list.push(Arc::downgrade(one)));
        let mut tidied = 0;
        for n in 0..MANY {
            let (before, passing) = (list.list.len(), Arc::new(n));
            list.push(Arc::downgrade(&passing));
            tidied += usize::from(list.list.len() <= before);
        }
        assert!(tidied <= 2, "{tidied}");
        assert_eq!(list.all().len(), MANY);
        drop(stay);
        assert!(list.all().is_empty());
        assert!(list.list.capacity() == 0 || list.list.is_empty());
    }
}
