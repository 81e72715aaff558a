//! The bytes that may be in flight to one node, over all its connections, and the callers that wait
//! for room.
//!
//! An entry is charged from enqueue to its last reply, also if its caller does not wait for it any
//! more. A caller that finds no room waits in a list. Room that is given back goes to the first
//! callers in the list, so one reply does not wake all of them, and a caller that comes later does
//! not overtake one that waits. When nothing is charged any more, all are woken: then none of them
//! depends on another one that was woken and is never polled again. For the same reason the
//! background tasks of all the node's connections are woken when a caller is the first to wait: a
//! connection may have woken its only caller, which need not be polled again.
//!
//! **Invariants**: `used` is the cost of all entries that are owed a reply, on all connections;
//! `count` is the number of callers in the list; no waker is woken here.
//!
//! Limit: `max` bytes; a single entry may exceed it when nothing else is charged.
//! Tested by `tests/models`, too, which compiles this file against `loom`.

use super::entry::{Admission, Wakers};
use crate::lock::{AtomicUsize, Mutex, Ordering, lock};
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

/// A node's byte budget; see the head of this file.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The limit, in bytes.
    max: usize,
    /// Bytes that are charged.
    used: AtomicUsize,
    /// How many callers wait. While it is 0, the list is not locked.
    count: AtomicUsize,
    /// The callers that wait for room.
    waiting: Mutex<WaitList>,
    /// Wakers of the background tasks of the node's connections, each with its number.
    backgrounds: Mutex<Vec<(u64, Waker)>>,
}

/// Callers that have gone stay in a list until they are more than those that wait, and this many.
const GONE_MAX: usize = 32;

/// The callers that wait, in the order in which they came.
///
/// Whatever one of them does costs a search for its number: one that leaves from the middle leaves
/// a gap, and gaps are closed when they are the greater part.
#[derive(Debug, Default)]
struct WaitList {
    /// In ascending order of the callers' numbers; `None` where one has gone. Not a tree: nearly
    /// all leave at the front.
    callers: VecDeque<(u64, Option<Waiter>)>,
    /// How many of them wait.
    waiting: usize,
    /// When each gives up, with its number, the earliest first; also of some that wait no more.
    deadlines: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// The number that was given out last.
    last_number: u64,
    /// How many callers were looked at one by one.
    #[cfg(test)]
    visits: usize,
}

impl WaitList {
    /// The index of a number, or where it would be inserted.
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.callers.binary_search_by_key(&number, |(number, _)| *number)
    }

    /// Puts a caller where its number belongs. Returns what was there before.
    fn put(&mut self, number: u64, waiter: Waiter) -> Option<Waiter> {
        let deadline = waiter.deadline;
        let at = self.find(number).unwrap_or_else(|at| {
            self.callers.insert(at, (number, None));
            at
        });
        let old = self.callers.get_mut(at).and_then(|(_, place)| place.replace(waiter));
        self.waiting += usize::from(old.is_none());
        if old.as_ref().is_none_or(|old| old.deadline != deadline) {
            self.deadlines.push(Reverse((deadline, number)));
        }
        old
    }

    /// Takes a caller out, if it waits.
    fn remove(&mut self, number: u64) -> Option<Waiter> {
        let at = self.find(number).ok()?;
        let removed = self.callers.get_mut(at)?.1.take();
        self.waiting -= usize::from(removed.is_some());
        self.close_gaps();
        removed
    }

    /// Takes the first caller out that waits.
    fn pop(&mut self) -> Option<(u64, Waiter)> {
        loop {
            self.visit(1);
            if let (number, Some(waiter)) = self.callers.pop_front()? {
                self.waiting -= 1;
                return Some((number, waiter));
            }
        }
    }

    /// Puts back what `pop` has just taken.
    fn push_front(&mut self, (number, waiter): (u64, Waiter)) {
        self.waiting += 1;
        self.callers.push_front((number, Some(waiter)));
    }

    /// Takes a caller out whose deadline is past; else `Err` with the next deadline.
    fn pop_expired(&mut self, now: Timestamp) -> Result<Waiter, Timestamp> {
        while let Some(Reverse((deadline, number))) = self.deadlines.peek().copied() {
            self.visit(1);
            let place = self.find(number).ok().and_then(|at| self.callers.get(at));
            let waiter = place.and_then(|(_, waiter)| waiter.as_ref());
            let waits = waiter.is_some_and(|waiter| waiter.deadline == deadline);
            if waits && deadline > now {
                return Err(deadline);
            }
            self.deadlines.pop();
            if let Some(waiter) = waits.then(|| self.remove(number)).flatten() {
                return Ok(waiter);
            }
        }
        Err(Timestamp::FAR_FUTURE)
    }

    /// Forgets callers that have gone, if they are the greater part.
    fn close_gaps(&mut self) {
        let kept = 2 * self.waiting + GONE_MAX;
        if self.callers.len() > kept {
            self.visit(self.callers.len());
            self.callers.retain(|(_, waiter)| waiter.is_some());
        }
        if self.deadlines.len() > kept {
            self.visit(self.callers.len());
            let own = |(number, waiter): &(u64, Option<Waiter>)| {
                Some(Reverse((waiter.as_ref()?.deadline, *number)))
            };
            self.deadlines = self.callers.iter().filter_map(own).collect();
        }
    }

    /// Counts callers that are looked at. Tests bound how many are.
    #[inline]
    fn visit(&mut self, count: usize) {
        #[cfg(test)]
        {
            self.visits += count;
        }
        let _ = count;
    }
}

/// A caller that waits.
#[derive(Debug)]
struct Waiter {
    /// Woken when there may be room, or at the deadline.
    waker: Waker,
    /// When the caller gives up.
    deadline: Timestamp,
    /// Bytes that it needs.
    cost: usize,
}

/// Has a connection's background task woken when a caller begins to wait, until it is dropped.
#[derive(Debug)]
pub(crate) struct BackgroundRegistration {
    /// The budget that wakes it.
    budget: Arc<Budget>,
    /// Its number there.
    number: u64,
}

impl Drop for BackgroundRegistration {
    fn drop(&mut self) {
        let mut backgrounds = lock(&self.budget.backgrounds);
        let at = backgrounds.iter().position(|(number, _)| *number == self.number);
        let removed = at.map(|at| backgrounds.swap_remove(at));
        drop(backgrounds);
        drop(removed);
    }
}

/// A caller's position in the list. The caller keeps it when it is woken, until its entry is taken.
/// Dropping it gives the position up.
#[derive(Debug)]
pub(crate) struct BudgetWait {
    /// The budget that the caller waits for.
    budget: Arc<Budget>,
    /// The caller's number.
    number: u64,
}

impl Drop for BudgetWait {
    fn drop(&mut self) {
        let mut list = lock(&self.budget.waiting);
        let removed = list.remove(self.number);
        self.budget.count.store(list.waiting, Ordering::Release);
        drop(list);
        // A waker is foreign code, also when it is dropped.
        drop(removed);
    }
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let (used, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            max,
            used,
            count,
            waiting: Mutex::default(),
            backgrounds: Mutex::default(),
        })
    }

    /// Wakes a connection's background task, too, whenever a caller begins to wait.
    pub(crate) fn register_background(self: &Arc<Self>, waker: Waker) -> BackgroundRegistration {
        let mut backgrounds = lock(&self.backgrounds);
        let number = backgrounds.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        backgrounds.push((number, waker));
        BackgroundRegistration { budget: Arc::clone(self), number }
    }

    /// Charges an entry, if it is admitted. A new one is not while other callers wait.
    #[inline]
    pub(crate) fn take(&self, cost: usize, admission: Admission) -> bool {
        match admission {
            Admission::New if self.is_awaited() => return false,
            Admission::New | Admission::Waited => {}
            Admission::Forced => {
                self.charge(cost);
                return true;
            }
        }
        let fits = |used| {
            let after: usize = used + cost;
            (after <= self.max || used == 0).then_some(after)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).is_ok()
    }

    /// Charges an entry that is sent whether there is room or not.
    pub(crate) fn charge(&self, cost: usize) {
        self.used.fetch_add(cost, Ordering::AcqRel);
    }

    /// Gives back what an entry was charged.
    #[inline]
    pub(crate) fn give(&self, cost: usize, wake: &mut Wakers) {
        self.used.fetch_sub(cost, Ordering::AcqRel);
        if self.is_awaited() {
            self.offer_room(wake);
        }
    }

    /// Whether an entry that has not waited would not be admitted.
    #[inline]
    pub(crate) fn is_full(&self, cost: usize) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        self.is_awaited() || (used > 0 && used + cost > self.max)
    }

    /// Whether any caller waits.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Waits for `cost` bytes, at the position that the caller has or at the end of the list. Wakes
    /// the callers for which there is room.
    pub(crate) fn wait(
        self: &Arc<Self>,
        wait: Option<BudgetWait>,
        (waker, deadline, cost): (&Waker, Timestamp, usize),
        wake: &mut Wakers,
    ) -> BudgetWait {
        let waiter = Waiter { waker: waker.clone(), deadline, cost };
        let (wait, before, is_first) = {
            let mut list = lock(&self.waiting);
            let is_first = list.waiting == 0;
            let wait = wait.unwrap_or_else(|| {
                list.last_number += 1;
                BudgetWait { budget: Arc::clone(self), number: list.last_number }
            });
            let before = list.put(wait.number, waiter);
            self.count.store(list.waiting, Ordering::Release);
            (wait, before, is_first)
        };
        drop(before);
        if is_first {
            wake.extend(lock(&self.backgrounds).iter().map(|(_, background)| background.clone()));
        }
        // Room that was given back before the caller was in the list was not offered to it.
        self.offer_room(wake);
        wait
    }

    /// Wakes the callers past their deadlines. Returns the next deadline.
    pub(crate) fn handle_timeout(&self, now: Timestamp, wake: &mut Wakers) -> Timestamp {
        if !self.is_awaited() {
            return Timestamp::FAR_FUTURE;
        }
        let mut list = lock(&self.waiting);
        let next = loop {
            match list.pop_expired(now) {
                Ok(waiter) => wake.push(waiter.waker),
                Err(next) => break next,
            }
        };
        self.count.store(list.waiting, Ordering::Release);
        next
    }

    /// Wakes all callers: to drive, or because the connection is lost.
    pub(crate) fn wake_all(&self, wake: &mut Wakers) {
        if self.is_awaited() {
            let mut list = lock(&self.waiting);
            wake.extend(list.callers.drain(..).filter_map(|(_, waiter)| Some(waiter?.waker)));
            list.deadlines.clear();
            list.waiting = 0;
            self.count.store(0, Ordering::Release);
        }
    }

    /// Wakes the first callers in the list, as far as there is room for them.
    #[cold]
    fn offer_room(&self, wake: &mut Wakers) {
        let mut list = lock(&self.waiting);
        // A read-modify-write: either this sees room that another task gives back, or that task
        // sees that a caller waits.
        let mut used = self.used.fetch_add(0, Ordering::AcqRel);
        let all = used == 0;
        while let Some((number, first)) = list.pop() {
            used = used.saturating_add(first.cost);
            if used > self.max && !all {
                list.push_front((number, first));
                break;
            }
            wake.push(first.waker);
        }
        list.close_gaps();
        self.count.store(list.waiting, Ordering::Release);
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

    /// A thousand callers wait, and each reply makes room for one: each reply wakes one caller, in
    /// order, and a new caller does not overtake them.
    #[test]
    fn waking_at_the_budget_is_linear_and_in_turn() {
        let budget = Budget::new(10);
        assert!((0..10).all(|_| budget.take(1, Admission::New)));
        let count = Arc::new(Count(AtomicU64::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let far = Timestamp::FAR_FUTURE;
        let mut wake = Wakers::new();
        let waits: Vec<_> =
            (0..1000).map(|_| budget.wait(None, (&waker, far, 1), &mut wake)).collect();
        assert!(wake.is_empty());
        for (served, wait) in waits.into_iter().enumerate() {
            budget.give(1, &mut wake);
            wake.drain(..).for_each(Waker::wake);
            assert_eq!(count.0.load(Ordering::Relaxed), served as u64 + 1);
            assert!(served == 999 || !budget.take(1, Admission::New), "others wait");
            assert!(budget.take(1, Admission::Waited));
            drop(wait);
        }
        assert!(!budget.is_awaited());
        assert!(!budget.take(1, Admission::New));
    }

    /// The last entry's reply wakes all callers: none depends on another that is never polled
    /// again.
    #[test]
    fn when_nothing_is_in_flight_no_caller_sleeps() {
        let budget = Budget::new(10);
        assert!(budget.take(10, Admission::New));
        let mut wake = Wakers::new();
        let wait =
            |wake: &mut Wakers| budget.wait(None, (Waker::noop(), Timestamp::FAR_FUTURE, 8), wake);
        let waits = [wait(&mut wake), wait(&mut wake), wait(&mut wake)];
        assert_eq!(wake.len(), 0);
        budget.give(10, &mut wake);
        assert_eq!(wake.len(), 3);
        drop(waits);
        assert!(budget.take(100, Admission::New), "more than the budget goes alone");
        assert!(budget.is_full(1));
    }

    /// A connection has woken its only caller to drive when a caller begins to wait at another
    /// connection: from then on no single caller is relied on, so the background tasks are woken.
    #[test]
    fn a_caller_that_begins_to_wait_wakes_all_background_tasks() {
        let budget = Budget::new(10);
        assert!(budget.take(10, Admission::New));
        let count = Arc::new(Count(AtomicU64::new(0)));
        let registrations =
            [0, 1].map(|_| budget.register_background(Waker::from(Arc::clone(&count))));
        let far = Timestamp::FAR_FUTURE;
        let mut wake = Wakers::new();
        let called = |wake: &mut Wakers| {
            wake.drain(..).for_each(Waker::wake);
            count.0.swap(0, Ordering::Relaxed)
        };
        let first = budget.wait(None, (Waker::noop(), far, 1), &mut wake);
        assert_eq!(called(&mut wake), 2);
        let second = budget.wait(None, (Waker::noop(), far, 1), &mut wake);
        assert_eq!(called(&mut wake), 0, "they were woken for the first");
        drop((first, second));
        let [one, other] = registrations;
        drop(one);
        let third = budget.wait(None, (Waker::noop(), far, 1), &mut wake);
        assert_eq!(called(&mut wake), 1, "the other connection is lost");
        drop((third, other));
        assert!(lock(&budget.backgrounds).is_empty());
    }

    /// Thousands wait. One that leaves, one that comes back, one past its deadline and a reply look
    /// at their own callers, wherever in the list these are.
    #[test]
    fn one_of_many_costs_what_it_holds() {
        const MANY: u64 = 4000;
        let at = |nanos| Timestamp::from_duration(std::time::Duration::from_nanos(nanos));
        let scattered = |n: u64| n * 7 % MANY;
        for leaves in [true, false] {
            let budget = Budget::new(10);
            assert!(budget.take(10, Admission::New));
            let mut wake = Wakers::new();
            let wait = |n: u64| (Waker::noop(), at(scattered(n) + 1), 1);
            let mut waits: Vec<_> =
                (0..MANY).map(|n| Some(budget.wait(None, wait(n), &mut wake))).collect();
            for n in 0..MANY {
                if leaves {
                    waits[scattered(n) as usize] = None;
                } else {
                    let next = budget.handle_timeout(at(n + 1), &mut wake);
                    assert_eq!(wake.drain(..).len(), 1, "each at its own time");
                    assert!(n + 1 == MANY || next == at(n + 2));
                }
            }
            assert!(!budget.is_awaited() && wake.is_empty());
            let visits = lock(&budget.waiting).visits;
            assert!(visits <= 12 * MANY as usize, "leaves: {leaves}, {visits}");
            let late = budget.wait(None, (Waker::noop(), at(9), 1), &mut wake);
            assert!(lock(&budget.waiting).callers.len() <= 2 + GONE_MAX, "gaps are closed");
            drop(late);
        }
    }

    /// A caller that leaves holds no other up; a deadline wakes its own caller.
    #[test]
    fn waits_end_with_their_callers_and_deadlines() {
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
        assert_eq!(wake.len(), 1, "the first in the list needs more");
        drop(first);
        budget.give(1, &mut wake);
        assert_eq!(wake.len(), 2);
        drop(second);
        assert!(budget.take(1, Admission::New));
    }
}
