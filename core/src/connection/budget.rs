//! The bytes that may be in flight to one node, over all its lanes, and who waits for them.
//!
//! Every entry is charged from the moment it is queued until its last reply, also when its caller
//! has gone. Who finds no room takes a place in a row; room that is given back goes to those whose
//! turn it is, so that a crowd is not woken for every reply, and who comes later does not overtake
//! who waits. When nothing is charged any more all are woken: none of them depends on another one
//! that was woken and never polled again. For the same reason the backgrounds of all lanes are
//! called when somebody begins to wait: a lane may have called its only caller so far, who need not
//! come.
//!
//! Invariants: `used` is the cost of all entries that are owed a reply, on all lanes; `count` is
//! the number of `row`'s places; no waker is called here. Limits: `max` bytes; a single entry may
//! exceed it when it is alone. Called by `connection/queue.rs`, which charges, and by those who
//! wait.

use super::entry::{Admission, Wakers};
use crate::lock::lock;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The limit, in bytes.
    max: usize,
    /// What is charged.
    used: AtomicUsize,
    /// How many wait: where nobody does, the row is not looked at.
    count: AtomicUsize,
    /// Who waits.
    row: Mutex<Row>,
    /// The lanes' backgrounds, each with the number that it drew.
    drivers: Mutex<Vec<(u64, Waker)>>,
}

/// Those who wait, in the order in which they came.
#[derive(Debug, Default)]
struct Row {
    /// By the number that each drew, ascending. Not a tree: they leave at the front.
    places: VecDeque<(u64, Waiter)>,
    /// The next number.
    next: u64,
}

impl Row {
    /// Where a number stands, or would stand.
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.places.binary_search_by_key(&number, |(number, _)| *number)
    }

    /// Puts somebody where the number belongs; returns who stood there before.
    fn put(&mut self, number: u64, waiter: Waiter) -> Option<Waiter> {
        match self.find(number) {
            Ok(at) => self.places.get_mut(at).map(|place| std::mem::replace(&mut place.1, waiter)),
            Err(at) => {
                self.places.insert(at, (number, waiter));
                None
            }
        }
    }
}

/// Somebody who waits.
#[derive(Debug)]
struct Waiter {
    /// Woken when there may be room, or at the deadline.
    waker: Waker,
    /// When it gives up.
    deadline: Timestamp,
    /// What it wants.
    cost: usize,
}

/// A lane's background, called as long as this lives.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Where it is called from.
    budget: Arc<Budget>,
    /// Its number.
    number: u64,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut drivers = lock(&self.budget.drivers);
        let at = drivers.iter().position(|(number, _)| *number == self.number);
        let left = at.map(|at| drivers.swap_remove(at));
        drop(drivers);
        drop(left);
    }
}

/// A place in the row, given up when dropped. It is kept by who was woken, until it has its room.
#[derive(Debug)]
pub(crate) struct BudgetWait {
    /// Whose row it is.
    budget: Arc<Budget>,
    /// Its number.
    number: u64,
}

impl Drop for BudgetWait {
    fn drop(&mut self) {
        let mut row = lock(&self.budget.row);
        let left = row.find(self.number).ok().and_then(|at| row.places.remove(at));
        self.budget.count.store(row.places.len(), Ordering::SeqCst);
        drop(row);
        // A waker is foreign code, also when it is dropped.
        drop(left);
    }
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let (used, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { max, used, count, row: Mutex::default(), drivers: Mutex::default() })
    }

    /// Calls a lane's background, too, whenever somebody begins to wait.
    pub(crate) fn join(self: &Arc<Self>, waker: Waker) -> Driver {
        let mut drivers = lock(&self.drivers);
        let number = drivers.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        drivers.push((number, waker));
        Driver { budget: Arc::clone(self), number }
    }

    /// Charges an entry if there is room for it. One that is new lets those pass who wait.
    #[inline]
    pub(crate) fn take(&self, cost: usize, admission: Admission) -> bool {
        match admission {
            Admission::New if self.is_awaited() => return false,
            Admission::New | Admission::Waited => {}
            Admission::Must => {
                self.charge(cost);
                return true;
            }
        }
        let fits = |used| {
            let after: usize = used + cost;
            (after <= self.max || used == 0).then_some(after)
        };
        self.used.fetch_update(Ordering::SeqCst, Ordering::Relaxed, fits).is_ok()
    }

    /// Charges what must go, whether there is room or not.
    pub(crate) fn charge(&self, cost: usize) {
        self.used.fetch_add(cost, Ordering::SeqCst);
    }

    /// Gives back what an entry was charged.
    #[inline]
    pub(crate) fn give(&self, cost: usize, wake: &mut Wakers) {
        self.used.fetch_sub(cost, Ordering::SeqCst);
        if self.is_awaited() {
            self.call(wake);
        }
    }

    /// Whether an entry that has not waited would be turned away.
    #[inline]
    pub(crate) fn is_full(&self, cost: usize) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        self.is_awaited() || (used > 0 && used + cost > self.max)
    }

    /// Whether anybody waits.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Waits for `cost` bytes, in the `place` that the caller has, or at the end of the row. Who
    /// can be served at once is woken.
    pub(crate) fn wait(
        self: &Arc<Self>,
        place: Option<BudgetWait>,
        (waker, deadline, cost): (&Waker, Timestamp, usize),
        wake: &mut Wakers,
    ) -> BudgetWait {
        let waiter = Waiter { waker: waker.clone(), deadline, cost };
        let (place, before, begins) = {
            let mut row = lock(&self.row);
            let begins = row.places.is_empty();
            let place = place.unwrap_or_else(|| {
                row.next += 1;
                BudgetWait { budget: Arc::clone(self), number: row.next }
            });
            let before = row.put(place.number, waiter);
            self.count.store(row.places.len(), Ordering::SeqCst);
            (place, before, begins)
        };
        drop(before);
        if begins {
            wake.extend(lock(&self.drivers).iter().map(|(_, driver)| driver.clone()));
        }
        // Room that was given back meanwhile was offered to nobody.
        self.call(wake);
        place
    }

    /// Fails nobody, but wakes who is past its deadline; returns the next deadline.
    pub(crate) fn handle_timeout(&self, now: Timestamp, wake: &mut Wakers) -> Timestamp {
        if !self.is_awaited() {
            return Timestamp::FAR_FUTURE;
        }
        let mut row = lock(&self.row);
        for _ in 0..row.places.len() {
            match row.places.pop_front() {
                Some((_, waiter)) if waiter.deadline <= now => wake.push(waiter.waker),
                stays => row.places.extend(stays),
            }
        }
        self.count.store(row.places.len(), Ordering::SeqCst);
        let next = row.places.iter().map(|(_, waiter)| waiter.deadline).min();
        next.unwrap_or(Timestamp::FAR_FUTURE)
    }

    /// Wakes everybody: to look at the stream, or because the connection is gone.
    pub(crate) fn call_all(&self, wake: &mut Wakers) {
        if self.is_awaited() {
            let mut row = lock(&self.row);
            wake.extend(row.places.drain(..).map(|(_, waiter)| waiter.waker));
            self.count.store(0, Ordering::SeqCst);
        }
    }

    /// Wakes those at the front for whom there is room.
    #[cold]
    fn call(&self, wake: &mut Wakers) {
        let mut row = lock(&self.row);
        let mut used = self.used.load(Ordering::SeqCst);
        let all = used == 0;
        while let Some((number, first)) = row.places.pop_front() {
            used = used.saturating_add(first.cost);
            if used > self.max && !all {
                row.places.push_front((number, first));
                break;
            }
            wake.push(first.waker);
        }
        self.count.store(row.places.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::task::Wake;

    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A row of a thousand, served by replies that make room for one each: every one of them wakes
    /// one, in turn, and who comes later does not overtake.
    #[test]
    fn waking_at_the_budget_is_linear_and_in_turn() {
        let budget = Budget::new(10);
        assert!((0..10).all(|_| budget.take(1, Admission::New)));
        let count = Arc::new(Count(AtomicU64::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let far = Timestamp::FAR_FUTURE;
        let mut wake = Wakers::new();
        let places: Vec<_> =
            (0..1000).map(|_| budget.wait(None, (&waker, far, 1), &mut wake)).collect();
        assert!(wake.is_empty());
        for (served, place) in places.into_iter().enumerate() {
            budget.give(1, &mut wake);
            wake.drain(..).for_each(Waker::wake);
            assert_eq!(count.0.load(Ordering::Relaxed), served as u64 + 1);
            assert!(served == 999 || !budget.take(1, Admission::New), "others wait");
            assert!(budget.take(1, Admission::Waited));
            drop(place);
        }
        assert!(!budget.is_awaited());
        assert!(!budget.take(1, Admission::New));
    }

    /// The last entry's reply wakes all: none depends on another that was woken and never came.
    #[test]
    fn nothing_in_flight_leaves_nobody_asleep() {
        let budget = Budget::new(10);
        assert!(budget.take(10, Admission::New));
        let mut wake = Wakers::new();
        let wait =
            |wake: &mut Wakers| budget.wait(None, (Waker::noop(), Timestamp::FAR_FUTURE, 8), wake);
        let places = [wait(&mut wake), wait(&mut wake), wait(&mut wake)];
        assert_eq!(wake.len(), 0);
        budget.give(10, &mut wake);
        assert_eq!(wake.len(), 3);
        drop(places);
        assert!(budget.take(100, Admission::New), "more than the budget goes alone");
        assert!(budget.is_full(1));
    }

    /// A lane called its only caller, who was about to look at the stream, when somebody began to
    /// wait at another lane: from then on no single caller is relied on, so the drivers are called.
    #[test]
    fn who_begins_to_wait_calls_the_drivers_of_all_lanes() {
        let budget = Budget::new(10);
        assert!(budget.take(10, Admission::New));
        let count = Arc::new(Count(AtomicU64::new(0)));
        let lanes = [0, 1].map(|_| budget.join(Waker::from(Arc::clone(&count))));
        let far = Timestamp::FAR_FUTURE;
        let mut wake = Wakers::new();
        let called = |wake: &mut Wakers| {
            wake.drain(..).for_each(Waker::wake);
            count.0.swap(0, Ordering::Relaxed)
        };
        let first = budget.wait(None, (Waker::noop(), far, 1), &mut wake);
        assert_eq!(called(&mut wake), 2);
        let second = budget.wait(None, (Waker::noop(), far, 1), &mut wake);
        assert_eq!(called(&mut wake), 0, "they know");
        drop((first, second));
        let [one, other] = lanes;
        drop(one);
        let third = budget.wait(None, (Waker::noop(), far, 1), &mut wake);
        assert_eq!(called(&mut wake), 1, "the other lane has ended");
        drop((third, other));
        assert!(lock(&budget.drivers).is_empty());
    }

    /// A place that is dropped holds nobody up; a deadline wakes its own.
    #[test]
    fn places_end_with_their_callers_and_deadlines() {
        let budget = Budget::new(10);
        assert!(budget.take(10, Admission::New));
        let mut wake = Wakers::new();
        let at = |nanos| Timestamp::from_duration(std::time::Duration::from_nanos(nanos));
        let first = budget.wait(None, (Waker::noop(), at(9), 10), &mut wake);
        let second = budget.wait(None, (Waker::noop(), at(5), 1), &mut wake);
        assert_eq!(budget.handle_timeout(at(5), &mut wake), at(9));
        assert_eq!(wake.len(), 1);
        let second = budget.wait(Some(second), (Waker::noop(), at(7), 1), &mut wake);
        budget.give(1, &mut wake);
        assert_eq!(wake.len(), 1, "the first in the row wants more");
        drop(first);
        budget.give(1, &mut wake);
        assert_eq!(wake.len(), 2);
        drop(second);
        assert!(budget.take(1, Admission::New));
    }
}
