//! The commands of one connection: encoded and waiting to be written, written and waiting for their
//! replies.
//!
//! A command is encoded straight into `out` and takes a place in a slab; each place names the next
//! one, from `first` to `last`, in the order of the bytes. Replies come in that same order. The
//! async driver (`driver/io.rs`) holds a `Queue` behind a mutex, takes `out` in one piece, hands
//! frames in, and wakes the wakers that come out after it has let go of the lock.
//!
//! Invariants:
//! - the row from `first` to `last` has each entry that is owed a reply once, oldest first
//!   (asserted in `deliver`), and `in_flight` of them;
//! - an entry's place is reused only when it is owed nothing and its caller has its outcome or has
//!   gone (`free`);
//! - an entry gets no reply before its first byte was written;
//! - the node's budget is charged for all entries that are owed a reply, so it bounds memory from
//!   enqueue to reply;
//! - after `lose`, nothing is owed and nothing can be enqueued.
//!
//! Limits: those of the budget (`connection/budget.rs`); entries: 2^32.

pub(crate) use super::entry::{
    Admission, Deadline, Entry, Flush, NewEntry, Rejected, Ticket, Wakers,
};

use super::budget::{Budget, BudgetWait, Driver};
use super::listeners::Listeners;
use super::outcome::{Failure, Lost, Outcome, Reply};
use crate::connection::place::{NONE, Slot, State};
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;
use std::task::Waker;

mod deadlines;
mod pushes;
#[cfg(test)]
mod tests;
mod wake;

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
    /// How many entries are owed a reply.
    in_flight: usize,
    /// The oldest of them, if there is one.
    first: u32,
    /// The youngest of them, if there is one.
    last: u32,
    /// The oldest that the driver has not seen, or `NONE`.
    unseen: u32,
    /// The driver cannot take `out`: the stream is full.
    stalled: bool,
    /// The slab of entries.
    slots: Vec<Slot>,
    /// First free place, or `NONE`.
    vacant: u32,
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
    /// Calls that task when somebody begins to wait for the budget, at whatever lane.
    driver: Option<Driver>,
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
            in_flight: 0,
            first: NONE,
            last: NONE,
            unseen: NONE,
            stalled: false,
            slots: Vec::new(),
            vacant: NONE,
            waiting: 0,
            ready: 0,
            budget,
            earliest: Timestamp::FAR_FUTURE,
            background: false,
            driver: None,
            background_waker: None,
            background_again: false,
            listeners: Listeners::default(),
        }
    }

    /// Takes a command in: `write` appends exactly `entry.len` bytes. Returns the ticket, who
    /// flushes, and whom to wake.
    #[inline]
    pub(crate) fn enqueue(
        &mut self,
        entry: NewEntry,
        write: impl FnOnce(&mut Vec<u8>),
        waker: &Waker,
    ) -> Result<(Ticket, Flush, Option<Waker>), Rejected> {
        if let Phase::Retired(lost) | Phase::Lost(lost) = &self.phase {
            return Err(Rejected::Closed(Arc::clone(lost)));
        }
        if !self.budget.take(cost_of(entry.len), entry.admission) {
            return Err(Rejected::Full);
        }
        self.say_greeting();
        let alone = self.waiting + self.ready == 0;
        // The background is called by the first of those that it will write, and by one for whom
        // the timer would come too late.
        let calls = self.out.is_empty()
            || self.stalled
            || matches!(entry.due, Deadline::At(deadline) if deadline < self.earliest);
        let ticket = self.append(entry, State::Waiting(Some(waker.clone())), write);
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
    #[inline]
    fn append(
        &mut self,
        entry: NewEntry,
        state: State,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Ticket {
        let before = self.out.len();
        write(&mut self.out);
        debug_assert_eq!(self.out.len() - before, entry.len, "an entry writes what it announced");
        let start = self.encoded;
        self.encoded += entry.len as u64;
        if self.vacant == NONE {
            self.add_place();
        }
        let index = self.vacant;
        let slot = &mut self.slots[index as usize];
        self.vacant = match std::mem::replace(&mut slot.state, state) {
            free @ State::Free(next) => {
                // It has nothing to drop, which the compiler does not see.
                std::mem::forget(free);
                next
            }
            _ => unreachable!("the list of free places holds nothing else"),
        };
        slot.owed = entry.replies;
        slot.posted = false;
        slot.cost = cost_of(entry.len);
        slot.due = entry.due;
        slot.start = start;
        slot.end = self.encoded;
        slot.next = NONE;
        if entry.replies > 1 {
            slot.got.reserve_exact(entry.replies as usize);
        }
        let ticket = Ticket { index, generation: slot.generation };
        let before = std::mem::replace(&mut self.last, index);
        if self.in_flight == 0 {
            self.first = index;
        } else {
            self.slots[before as usize].next = index;
        }
        self.in_flight += 1;
        if self.unseen == NONE {
            self.unseen = index;
        }
        ticket
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
        let (len, due) = (greeting.len(), Deadline::At(Timestamp::FAR_FUTURE));
        self.budget.charge(cost_of(len));
        let entry = NewEntry { len, replies, due, admission: Admission::Must };
        self.append(entry, State::Abandoned, |out| out.extend_from_slice(&greeting));
    }

    /// The entry's outcome, if it is here, and when it was due; else the waker is kept for when it
    /// is.
    #[inline]
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Option<(Outcome, Deadline)> {
        match &mut self.slot(ticket).state {
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
        place: Option<BudgetWait>,
        waker: &Waker,
        entry: Entry,
        wake: &mut Wakers,
    ) -> BudgetWait {
        self.earliest = self.earliest.min(entry.deadline);
        self.budget.wait(place, (waker, entry.deadline, cost_of(entry.len)), wake)
    }

    /// Hands a frame that is no push to the entry that is owed it. Gives it back when none is, also
    /// when the oldest was not written: the stream has accepted `written` bytes, ever. The caller
    /// of `mine`, who is looking on, is not woken.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        frame: Bytes,
        written: u64,
        mine: Option<Ticket>,
        wake: &mut Wakers,
    ) -> Result<(), Bytes> {
        if self.in_flight == 0 {
            return Err(frame);
        }
        let index = self.first;
        let slot = &mut self.slots[index as usize];
        if slot.start >= written {
            return Err(frame);
        }
        assert!(slot.owed > 0, "an entry in flight is owed a reply");
        slot.owed -= 1;
        if slot.owed > 0 {
            if slot.got.capacity() > 0 {
                slot.got.push(frame);
            }
            return Ok(());
        }
        let reply = if slot.got.capacity() == 0 {
            Reply::One(frame)
        } else {
            slot.got.push(frame);
            Reply::Many(std::mem::take(&mut slot.got))
        };
        self.first = slot.next;
        self.in_flight -= 1;
        let cost = slot.cost;
        match std::mem::replace(&mut slot.state, State::Done(Ok(reply))) {
            State::Waiting(waker) => {
                self.waiting -= 1;
                self.ready += 1;
                if let Some(waker) = waker
                    && mine.is_none_or(|mine| mine.index != index)
                {
                    wake.push(waker);
                }
            }
            // What it came to before: its caller has not come for it yet.
            State::Done(failed) => slot.state = State::Done(failed),
            State::Abandoned => self.free(index),
            State::Free(_) => unreachable!("an entry in flight has its place"),
        }
        self.budget.give(cost, wake);
        Ok(())
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
        self.unseen = NONE;
        while self.in_flight > 0 {
            let index = self.first;
            let slot = &mut self.slots[index as usize];
            self.first = slot.next;
            self.in_flight -= 1;
            self.budget.give(slot.cost, wake);
            slot.owed = 0;
            if let State::Waiting(waker) = &mut slot.state {
                wake.extend(waker.take());
                slot.fail(Failure::Lost(Arc::clone(&cause)), written);
                self.waiting -= 1;
                self.ready += 1;
            } else if let State::Abandoned = slot.state {
                self.free(index);
            }
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

    /// The driver has no use for more output yet: the stream is full. Who comes calls it all the
    /// same, to be seen.
    pub(crate) fn stall(&mut self) {
        self.stalled = true;
    }

    /// Swaps what is to be written into `out`, which must be empty.
    pub(crate) fn take_output(&mut self, out: &mut Vec<u8>) {
        debug_assert!(out.is_empty(), "what was taken before has been written");
        self.stalled = false;
        std::mem::swap(&mut self.out, out);
    }

    /// Whether the server owes something, or is owed something.
    pub(crate) fn owes(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether a flush now would part commands that others are about to add to.
    pub(crate) fn should_wait_for_more(&self) -> bool {
        !self.out.is_empty() && self.in_flight > 1
    }

    /// How many entries are owed a reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether an entry would be turned away whatever its size.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Retired(_) | Phase::Lost(_))
    }

    /// Why the connection is gone, once it is.
    pub(crate) fn lost(&self) -> Option<&Arc<Lost>> {
        if let Phase::Lost(cause) = &self.phase { Some(cause) } else { None }
    }

    #[inline]
    fn slot(&mut self, ticket: Ticket) -> &mut Slot {
        let slot = &mut self.slots[ticket.index as usize];
        assert_eq!(slot.generation, ticket.generation, "a ticket belongs to its entry alone");
        slot
    }

    /// The outcome of an entry that has one; its place is free if nothing is owed any more.
    #[inline]
    fn take(&mut self, ticket: Ticket) -> (Outcome, Deadline) {
        let slot = &mut self.slots[ticket.index as usize];
        let due = slot.due;
        let next = if slot.owed == 0 {
            slot.generation = slot.generation.wrapping_add(1);
            State::Free(std::mem::replace(&mut self.vacant, ticket.index))
        } else {
            State::Abandoned
        };
        let State::Done(outcome) = std::mem::replace(&mut slot.state, next) else {
            unreachable!("only called for an entry that is done")
        };
        self.ready -= 1;
        (outcome, due)
    }

    /// Frees the place of an entry whose caller has gone and that nothing is owed.
    fn free(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.state = State::Free(std::mem::replace(&mut self.vacant, index));
        slot.generation = slot.generation.wrapping_add(1);
    }

    #[cold]
    fn add_place(&mut self) {
        let index = u32::try_from(self.slots.len()).expect("the byte budget ends far earlier");
        self.slots.push(Slot::free());
        self.vacant = index;
    }
}
