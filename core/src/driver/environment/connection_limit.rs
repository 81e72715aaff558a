//! The limit of connections for the whole client (`Config::connections_max`): how many places there
//! are, and who waits for one.
//!
//! A dial takes a place before it opens a socket, and the place goes back when the stream is
//! dropped. Who finds none waits in a queue. A place that becomes free is given to the first in the
//! queue, so none that came later can take it. How connections are closed to make room is in
//! `place_wait.rs`.
//!
//! Invariants: at most `max` places are taken or given; a place that is given to one who has gone
//! is given on; no waker is called under the lock.

use crate::Endpoint;
use crate::bounds::{MaybeSend, MaybeSync};
use crate::driver::environment::weak_list::WeakList;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    /// How many places there are.
    max: u32,
    /// Everything that changes.
    state: Mutex<State>,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct State {
    /// Places that are taken or given.
    taken: u32,
    /// The number of the first in the queue. Those before were given a place, or have gone.
    first: u64,
    /// The wakers of those who wait; `None` for those who have gone.
    queue: VecDeque<Option<Waker>>,
    /// How many of them have not gone.
    waiting: usize,
    /// What may have begun a dial and left it.
    dials: WeakList<dyn EndsAbandonedDial>,
}

/// What begins dials for callers who may all go before a dial has ended.
pub(crate) trait EndsAbandonedDial: MaybeSend + MaybeSync {
    /// Drops the dial that is under way if no caller waits for it.
    fn end_abandoned_dial(&self);
}

/// The right to have one socket. Dropped, it goes to the next who waits.
#[derive(Debug)]
pub(crate) struct Place(Arc<ConnectionLimit>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A number in the queue for a place.
#[derive(Debug)]
pub(super) struct QueueNumber {
    /// The queue.
    limit: Arc<ConnectionLimit>,
    /// The number; `None` once the place was taken.
    number: Option<u64>,
    /// It was told that it is the first.
    is_first: bool,
}

/// What one who waits is told.
#[derive(Debug)]
pub(super) enum Told {
    /// It has a place.
    Place(Place),
    /// It is the first in the queue now, and makes room.
    First,
}

impl ConnectionLimit {
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::default() })
    }

    /// How many connections there may be.
    pub(super) fn max(&self) -> u32 {
        self.max
    }

    /// How many wait for a place.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).waiting
    }

    /// A place, or a number in the queue.
    pub(super) fn enter(self: &Arc<Self>, waker: &Waker) -> Result<Place, QueueNumber> {
        let mut state = lock(&self.state);
        if state.waiting == 0 && state.taken < self.max {
            state.taken += 1;
            return Ok(Place(Arc::clone(self)));
        }
        let number = state.first + state.queue.len() as u64;
        state.queue.push_back(Some(waker.clone()));
        state.waiting += 1;
        Err(QueueNumber { limit: Arc::clone(self), number: Some(number), is_first: false })
    }

    /// A place is free: the first in the queue gets it.
    fn give_back(&self) {
        let wake = {
            let mut state = lock(&self.state);
            state.skip_gone();
            let next = state.queue.pop_front().flatten();
            if next.is_some() {
                state.first += 1;
                state.waiting -= 1;
                state.skip_gone();
                // The next one is the first now, and looks for room.
                [next, state.queue.front().cloned().flatten()]
            } else {
                state.taken -= 1;
                [None, None]
            }
        };
        wake.into_iter().flatten().for_each(Waker::wake);
    }

    /// What may leave dials behind is asked about them when there is no room.
    pub(crate) fn watch_dials_of(&self, dials: Weak<dyn EndsAbandonedDial>) {
        lock(&self.state).dials.push(dials);
    }

    /// Ends the dials that no caller waits for.
    pub(super) fn end_abandoned_dials(&self) {
        let dials = lock(&self.state).dials.all();
        dials.iter().for_each(|dial| dial.end_abandoned_dial());
    }
}

impl State {
    fn skip_gone(&mut self) {
        while let Some(None) = self.queue.front() {
            self.queue.pop_front();
            self.first += 1;
        }
    }
}

impl QueueNumber {
    /// A place, or that it is the first now; each is told once.
    pub(super) fn poll(&mut self, waker: &Waker) -> Poll<Told> {
        let mut state = lock(&self.limit.state);
        let Some(number) = self.number else { return Poll::Pending };
        if number < state.first {
            self.number = None;
            return Poll::Ready(Told::Place(Place(Arc::clone(&self.limit))));
        }
        let index = (number - state.first) as usize;
        let before = state.queue.get_mut(index).and_then(|slot| slot.replace(waker.clone()));
        let is_first = index == 0;
        drop(state);
        drop(before);
        if is_first && !self.is_first {
            self.is_first = true;
            return Poll::Ready(Told::First);
        }
        Poll::Pending
    }
}

impl Drop for QueueNumber {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = lock(&self.limit.state);
        if number < state.first {
            drop(state);
            return self.limit.give_back();
        }
        let index = (number - state.first) as usize;
        let own = state.queue.get_mut(index).and_then(Option::take);
        state.waiting -= 1;
        state.skip_gone();
        let next = if index == 0 { state.queue.front().cloned().flatten() } else { None };
        drop(state);
        drop(own);
        if let Some(next) = next {
            next.wake();
        }
    }
}

/// Whether a dial waits for a place, for the error of a caller whose deadline passes meanwhile.
#[derive(Debug, Default)]
pub(crate) struct DialWait {
    /// The limit, while a dial waits for a place or was given up while it did; else 0.
    max: AtomicU32,
}

impl DialWait {
    pub(super) fn begin(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.max.store(0, Ordering::Relaxed);
    }

    /// Whether a dial waits for a place.
    pub(crate) fn is_waiting(&self) -> bool {
        self.max.load(Ordering::Relaxed) > 0
    }

    /// What a caller fails with whose deadline passes while its dial waits; `None` if none does.
    pub(crate) fn error(&self, endpoint: &Endpoint) -> Option<Error> {
        let max = u64::from(self.max.load(Ordering::Relaxed));
        let message = format!(
            "no room for a connection in time: connections_max allows {max}, and blocking \
             commands, transactions, subscriptions or silent servers hold them; raise it, or hold \
             fewer at once"
        );
        let error = || Error::new(ErrorKind::Timeout, Delivery::NotSent, message);
        let limit = ErrorDetail::Limit { name: "connections_max", max };
        (max > 0).then(|| error().with_endpoint(endpoint).with_detail(limit))
    }
}

/// Whether a call failed because there was no room for a connection.
pub(crate) fn lacked_room(error: &Error) -> bool {
    matches!(error.details(), Some(ErrorDetail::Limit { name: "connections_max", .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Debug, Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(limit: &Arc<ConnectionLimit>) -> Result<Place, QueueNumber> {
        limit.enter(Waker::noop())
    }

    fn place(number: &mut QueueNumber) -> Option<Place> {
        match number.poll(Waker::noop()) {
            Poll::Ready(Told::Place(place)) => Some(place),
            Poll::Ready(Told::First) => place(number),
            Poll::Pending => None,
        }
    }

    #[test]
    fn places_are_given_in_order_and_none_that_comes_later_is_served_first() {
        let limit = ConnectionLimit::new(2);
        let first = enter(&limit).expect("there is room");
        let second = enter(&limit).expect("there is room");
        let mut third = enter(&limit).expect_err("there is no room");
        let mut fourth = enter(&limit).expect_err("there is no room");
        assert!(place(&mut third).is_none());
        drop(first);
        assert_eq!(limit.waiting(), 1);
        let mut fifth = enter(&limit).expect_err("others wait");
        assert!(place(&mut fourth).is_none() && place(&mut fifth).is_none());
        let third = place(&mut third).expect("it is the first");
        drop(second);
        assert!(place(&mut fifth).is_none());
        let fourth = place(&mut fourth).expect("it is the first");
        drop((third, fourth));
        let _fifth = place(&mut fifth).expect("it is the last");
        let _sixth = enter(&limit).expect("one place is free");
        assert!(enter(&limit).is_err());
    }

    #[test]
    fn one_who_goes_leaves_the_place_to_the_next() {
        for given_before in [false, true] {
            let limit = ConnectionLimit::new(1);
            let held = enter(&limit).expect("there is room");
            let gone = enter(&limit).expect_err("there is no room");
            let woken = Arc::new(Count::default());
            let Err(mut next) = limit.enter(&Waker::from(Arc::clone(&woken))) else {
                panic!("there is no room")
            };
            if given_before {
                drop(held);
                drop(gone);
            } else {
                drop(gone);
                drop(held);
            }
            assert!(woken.0.load(Ordering::Relaxed) > 0, "{given_before}");
            drop(place(&mut next).expect("it is its turn"));
            assert_eq!((limit.waiting(), lock(&limit.state).taken), (0, 0), "{given_before}");
        }
    }

    #[test]
    fn who_becomes_the_first_is_told_once() {
        let limit = ConnectionLimit::new(1);
        let held = enter(&limit).expect("there is room");
        let mut first = enter(&limit).expect_err("there is no room");
        let mut second = enter(&limit).expect_err("there is no room");
        assert!(matches!(first.poll(Waker::noop()), Poll::Ready(Told::First)));
        assert!(first.poll(Waker::noop()).is_pending() && second.poll(Waker::noop()).is_pending());
        drop(first);
        assert!(matches!(second.poll(Waker::noop()), Poll::Ready(Told::First)));
        assert!(second.poll(Waker::noop()).is_pending());
        drop(held);
        assert!(place(&mut second).is_some());
    }
}
