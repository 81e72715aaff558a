//! The commands of one connection: encoded and waiting to be written, written and waiting for their
//! replies.
//!
//! A command is encoded straight into `out`, takes a place in a slab, and its place's number goes
//! into `in_flight`, in the order of the bytes. Replies come in that same order. The async driver
//! (`driver/io.rs`) holds a `Queue` behind a mutex, takes `out` in one piece, hands frames in,
//! and wakes the wakers that come out after it has let go of the lock.
//!
//! Invariants:
//! - `in_flight` names each entry that is owed a reply once, oldest first (asserted in `deliver`);
//! - an entry's place is reused only when it is owed nothing and its caller has its outcome or has
//!   gone (`settle`);
//! - an entry gets no reply before its first byte was written;
//! - the node's budget is charged for all entries that are owed a reply, so it bounds memory from
//!   enqueue to reply;
//! - after `lose`, nothing is owed and nothing can be enqueued.
//!
//! Limits: those of the budget (`connection/budget.rs`); entries: 2^32.

pub(crate) use super::entry::{Entry, Flush, Rejected, Ticket, Wakers};

use super::budget::{Budget, Place};
use super::listeners::Listeners;
use super::outcome::{Failure, Lost, Outcome, Reply};
use super::slot::{NONE, Slot, State};
use crate::time::Timestamp;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

mod pushes;
#[cfg(test)]
mod tests;

/// What every entry costs besides its bytes: its place, its number, its share of the buffers.
const ENTRY_OVERHEAD: usize = 128;

/// What the budget is charged for an entry of so many bytes.
pub(crate) fn cost_of(len: usize) -> usize {
    len.saturating_add(ENTRY_OVERHEAD)
}

/// The queue; see the head of this file.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Whether it takes entries.
    phase: Phase,
    /// Encoded and not yet taken by the driver.
    out: Vec<u8>,
    /// Bytes ever encoded on this connection: the offset where the next entry starts.
    encoded: u64,
    /// Entries that are owed a reply, oldest first.
    in_flight: VecDeque<u32>,
    /// The slab of entries.
    slots: Vec<Slot>,
    /// First free place, or `NONE`.
    free: u32,
    /// Entries whose caller waits for an outcome.
    waiting: usize,
    /// Entries that have an outcome which their caller has not taken yet.
    ready: usize,
    /// The node's, charged for all entries that are owed a reply.
    budget: Arc<Budget>,
    /// No deadline of any entry, or of a caller that waits for the budget here, is earlier.
    earliest: Timestamp,
    /// Whether a background task looks after this connection.
    background: bool,
    /// The background task's waker; absent while that task is awake.
    background_waker: Option<Waker>,
    /// Something happened while the background task was awake: it looks again before it sleeps.
    background_again: bool,
    /// Who listens for pushes.
    listeners: Listeners,
}

/// ```text
/// Fresh ──first entry──► Open ──► Retired ──► Lost
///   └───────────────────────────────┴──────────┘
/// ```
#[derive(Debug)]
enum Phase {
    /// A greeting waits for the first entry, to go out in one piece with it.
    Fresh {
        /// What is said first.
        greeting: Vec<u8>,
        /// How many answers to it will come; nobody waits for them.
        replies: u32,
    },
    /// Entries are taken.
    Open,
    /// No more entries are taken; what is owed may still come.
    Retired(Arc<Lost>),
    /// The connection is gone.
    Lost(Arc<Lost>),
}

impl Queue {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            phase: Phase::Open,
            out: Vec::new(),
            encoded: 0,
            in_flight: VecDeque::new(),
            slots: Vec::new(),
            free: NONE,
            waiting: 0,
            ready: 0,
            budget,
            earliest: Timestamp::FAR_FUTURE,
            background: false,
            background_waker: None,
            background_again: false,
            listeners: Listeners::default(),
        }
    }

    /// Takes a command in: `write` appends exactly `entry.len` bytes. `waited`: its caller had a
    /// place in the budget's row. Returns the ticket, who flushes, and whom to wake.
    pub(crate) fn enqueue(
        &mut self,
        entry: Entry,
        waited: bool,
        write: impl FnOnce(&mut Vec<u8>),
        waker: &Waker,
    ) -> Result<(Ticket, Flush, Option<Waker>), Rejected> {
        if let Phase::Retired(lost) | Phase::Lost(lost) = &self.phase {
            return Err(Rejected::Closed(Arc::clone(lost)));
        }
        if !self.budget.take(cost_of(entry.len), waited) {
            return Err(Rejected::Full);
        }
        self.say_greeting();
        let alone = self.waiting + self.ready == 0;
        // The background is called by the first of those that it will write, and by one for whom
        // the timer would come too late.
        let calls = self.out.is_empty() || entry.deadline < self.earliest;
        let index = self.append(entry, write);
        let slot = &mut self.slots[index as usize];
        slot.state = State::Waiting(Some(waker.clone()));
        let ticket = Ticket { index, generation: slot.generation };
        self.waiting += 1;
        Ok(if alone {
            (ticket, Flush::Now, None)
        } else if self.background {
            let wake = if calls { self.call_background() } else { None };
            (ticket, Flush::Covered, wake)
        } else {
            (ticket, Flush::Later, None)
        })
    }

    /// Writes an entry that is charged already, and gives it a place in the order of replies.
    fn append(&mut self, entry: Entry, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let before = self.out.len();
        write(&mut self.out);
        debug_assert_eq!(self.out.len() - before, entry.len, "an entry writes what it announced");
        let start = self.encoded;
        self.encoded += entry.len as u64;
        self.earliest = self.earliest.min(entry.deadline);
        let index = self.place();
        let slot = &mut self.slots[index as usize];
        slot.owed = entry.replies;
        slot.cost = cost_of(entry.len);
        slot.deadline = entry.deadline;
        slot.start = start;
        slot.end = self.encoded;
        if entry.replies > 1 {
            slot.got.reserve_exact(entry.replies as usize);
        }
        self.in_flight.push_back(index);
        index
    }

    /// Keeps a greeting until the first entry comes: `replies` answers to it will come that nobody
    /// waits for.
    pub(crate) fn greet(&mut self, greeting: Vec<u8>, replies: u32) {
        if let Phase::Open = self.phase {
            self.phase = Phase::Fresh { greeting, replies };
        }
    }

    #[inline]
    fn say_greeting(&mut self) {
        if let Phase::Fresh { .. } = self.phase {
            self.say_greeting_now();
        }
    }

    #[cold]
    fn say_greeting_now(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Open);
        let Phase::Fresh { greeting, replies } = phase else { return };
        let entry = Entry { len: greeting.len(), replies, deadline: Timestamp::FAR_FUTURE };
        self.budget.charge(cost_of(entry.len));
        let index = self.append(entry, |out| out.extend_from_slice(&greeting));
        self.slots[index as usize].state = State::Abandoned;
    }

    /// The entry's outcome, if it is here; else the waker is kept for when it is.
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Option<Outcome> {
        let slot = self.slot(ticket);
        match &mut slot.state {
            State::Done(_) => Some(self.take(ticket)),
            State::Waiting(kept) => {
                match kept {
                    Some(kept) => kept.clone_from(waker),
                    None => *kept = Some(waker.clone()),
                }
                None
            }
            State::Free(_) | State::Abandoned => {
                unreachable!("a ticket is used until its outcome is taken, and not after")
            }
        }
    }

    /// The caller has gone. Its command is written all the same and its replies are dropped when
    /// they come.
    ///
    /// Returns the background task's waker when nobody else watches the stream now.
    #[must_use = "a waker that is dropped is a task that never wakes"]
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> Option<Waker> {
        let slot = self.slot(ticket);
        match slot.state {
            State::Done(_) => drop(self.take(ticket)),
            State::Waiting(_) => {
                slot.state = State::Abandoned;
                slot.got = Vec::new();
                self.waiting -= 1;
                self.settle(ticket.index);
                if self.waiting <= 1 {
                    return self.call_background();
                }
            }
            State::Free(_) | State::Abandoned => {
                unreachable!("a ticket is abandoned once, and not after its outcome was taken")
            }
        }
        None
    }

    /// Waits for the budget: `waker` is woken when there may be room, or at the deadline.
    pub(crate) fn block(
        &mut self,
        place: Option<Place>,
        waker: &Waker,
        entry: Entry,
        wake: &mut Wakers,
    ) -> Place {
        self.earliest = self.earliest.min(entry.deadline);
        self.budget.wait(place, (waker, entry.deadline, cost_of(entry.len)), wake)
    }

    /// Hands a frame that is no push to the entry that is owed it. Gives it back when none is, also
    /// when the oldest was not written: the stream has accepted `written` bytes, ever. The caller
    /// of `mine`, who is looking on, is not woken.
    pub(crate) fn deliver(
        &mut self,
        frame: Bytes,
        written: u64,
        mine: Option<Ticket>,
        wake: &mut Wakers,
    ) -> Result<(), Bytes> {
        let Some(&index) = self.in_flight.front() else { return Err(frame) };
        let slot = &mut self.slots[index as usize];
        if slot.start >= written {
            return Err(frame);
        }
        assert!(slot.owed > 0, "an entry in flight is owed a reply");
        slot.owed -= 1;
        let last = slot.owed == 0;
        if let State::Waiting(waker) = &mut slot.state {
            let reply = if slot.got.capacity() == 0 {
                Reply::One(frame)
            } else {
                slot.got.push(frame);
                Reply::Many(if last { std::mem::take(&mut slot.got) } else { Vec::new() })
            };
            if last {
                let waker = waker.take();
                if mine.is_none_or(|mine| mine.index != index) {
                    wake.extend(waker);
                }
                slot.state = State::Done(Ok(reply));
                self.waiting -= 1;
                self.ready += 1;
            }
        }
        if last {
            self.budget.give(slot.cost, wake);
            self.in_flight.pop_front();
            self.settle(index);
        }
        Ok(())
    }

    /// Fails what is past its deadline. `written`: bytes that the stream has accepted.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp, written: u64, wake: &mut Wakers) {
        if now < self.earliest {
            return;
        }
        let mut earliest = Timestamp::FAR_FUTURE;
        for &index in &self.in_flight {
            let slot = &mut self.slots[index as usize];
            let State::Waiting(waker) = &mut slot.state else { continue };
            if slot.deadline > now {
                earliest = earliest.min(slot.deadline);
                continue;
            }
            wake.extend(waker.take());
            slot.fail(Failure::TimedOut, written);
            self.waiting -= 1;
            self.ready += 1;
        }
        self.earliest = earliest.min(self.budget.handle_timeout(now, wake));
    }

    /// The connection is gone: what is owed fails with `cause`. Only the first call counts.
    pub(crate) fn lose(&mut self, cause: Lost, written: u64, wake: &mut Wakers) {
        if self.lost().is_some() {
            return;
        }
        let cause = Arc::new(cause);
        self.phase = Phase::Lost(Arc::clone(&cause));
        // What the driver has not even taken was surely not written.
        let written = written.min(self.encoded - self.out.len() as u64);
        self.out = Vec::new();
        while let Some(index) = self.in_flight.pop_front() {
            let slot = &mut self.slots[index as usize];
            self.budget.give(slot.cost, wake);
            slot.owed = 0;
            if let State::Waiting(waker) = &mut slot.state {
                wake.extend(waker.take());
                slot.fail(Failure::Lost(Arc::clone(&cause)), written);
                self.waiting -= 1;
                self.ready += 1;
            }
            self.settle(index);
        }
        self.budget.call_all(wake);
        self.listeners.call_all(wake);
        wake.extend(self.call_background());
    }

    /// Takes no more entries. The connection is to be lost once `is_spent`.
    pub(crate) fn retire(&mut self) {
        if !self.is_closed() {
            self.phase = Phase::Retired(Arc::new(Lost::Retired));
        }
    }

    /// Swaps what is to be written into `out`, which must be empty.
    pub(crate) fn take_output(&mut self, out: &mut Vec<u8>) {
        debug_assert!(out.is_empty(), "what was taken before has been written");
        std::mem::swap(&mut self.out, out);
    }

    /// Wakes whoever is to look at the stream: the only caller that waits, else the background
    /// task, else everybody.
    ///
    /// One caller alone drives its own I/O with no hand-over. As soon as there are more, no single
    /// one may be relied on, for it may never be polled again: the background task is, and where
    /// there is none, all of them are woken. Pushes are for more than the one caller, too.
    pub(crate) fn wake_driver(&mut self, wake: &mut Wakers) {
        let alone = self.waiting == 1 && !self.budget.is_awaited();
        if alone || !self.background {
            self.wake_waiting(wake);
        }
        if alone && !self.listeners.listen {
            return;
        }
        if self.background {
            wake.extend(self.call_background());
        } else {
            self.budget.call_all(wake);
            self.listeners.call_all(wake);
        }
    }

    /// The wakers of all callers that wait, oldest first.
    fn wake_waiting(&mut self, wake: &mut Wakers) {
        let mut left = self.waiting;
        for &index in &self.in_flight {
            if left == 0 {
                break;
            }
            if let State::Waiting(waker) = &mut self.slots[index as usize].state {
                wake.extend(waker.take());
                left -= 1;
            }
        }
    }

    /// A background task looks after this connection from now on.
    pub(crate) fn set_background(&mut self) {
        self.background = true;
        self.background_again = true;
    }

    /// Whether a background task looks after this connection.
    pub(crate) fn has_background(&self) -> bool {
        self.background
    }

    /// The background task wants to sleep. False when it has to look again first.
    pub(crate) fn rest_background(&mut self, waker: &Waker) -> bool {
        if std::mem::take(&mut self.background_again) {
            return false;
        }
        self.background_waker = Some(waker.clone());
        true
    }

    /// The background task's waker, or a note for it when it is awake.
    #[must_use = "a waker that is dropped is a task that never wakes"]
    fn call_background(&mut self) -> Option<Waker> {
        let waker = self.background_waker.take();
        self.background_again |= waker.is_none();
        waker
    }

    /// Whether a caller that is polled should look at the stream itself.
    pub(crate) fn drives_itself(&self) -> bool {
        !self.background || (self.waiting <= 1 && !self.budget.is_awaited())
    }

    /// Whether the server owes something, or is owed something.
    pub(crate) fn owes(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether a flush now would part commands that others are about to add to.
    pub(crate) fn may_gather(&self) -> bool {
        !self.out.is_empty() && self.in_flight.len() > 1
    }

    /// How many entries are owed a reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// No deadline is earlier than this.
    pub(crate) fn earliest(&self) -> Timestamp {
        self.earliest
    }

    /// Whether an entry would be turned away whatever its size.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Retired(_) | Phase::Lost(_))
    }

    /// Why the connection is gone, once it is.
    pub(crate) fn lost(&self) -> Option<&Arc<Lost>> {
        if let Phase::Lost(cause) = &self.phase { Some(cause) } else { None }
    }

    fn slot(&mut self, ticket: Ticket) -> &mut Slot {
        let slot = &mut self.slots[ticket.index as usize];
        assert_eq!(slot.generation, ticket.generation, "a ticket belongs to its entry alone");
        slot
    }

    fn take(&mut self, ticket: Ticket) -> Outcome {
        let slot = self.slot(ticket);
        let State::Done(outcome) = std::mem::replace(&mut slot.state, State::Abandoned) else {
            unreachable!("only called for an entry that is done")
        };
        self.ready -= 1;
        self.settle(ticket.index);
        outcome
    }

    /// Frees the place if its caller has gone and nothing is owed.
    fn settle(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if slot.owed == 0 && matches!(slot.state, State::Abandoned) {
            slot.state = State::Free(self.free);
            slot.posted = false;
            slot.got = Vec::new();
            slot.generation = slot.generation.wrapping_add(1);
            self.free = index;
        }
    }

    fn place(&mut self) -> u32 {
        if self.free == NONE {
            self.slots.push(Slot::free());
            return u32::try_from(self.slots.len() - 1).expect("the byte budget ends far earlier");
        }
        let index = self.free;
        let State::Free(next) = self.slots[index as usize].state else {
            unreachable!("the free list holds free places only")
        };
        self.free = next;
        index
    }
}
