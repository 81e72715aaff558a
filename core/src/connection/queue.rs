//! The commands of one connection: those that wait to be written and those that wait for their
//! replies.
//!
//! A command is encoded straight into `out` and gets a place in `places`. Each place names the next
//! one, from `first` to `last`, in the order of the bytes, which is also the order of the replies.
//! The driver (`driver/link/io.rs`) keeps the queue behind a mutex. It takes `out` in one piece,
//! delivers frames, and wakes the wakers that it gets back after it has released the mutex.
//!
//! **Invariants**:
//! - the list from `first` to `last` has each entry that is owed a reply exactly once, oldest first
//!   (asserted in `deliver`); it has `in_flight` entries;
//! - a place is used again only when its entry is owed no reply, and its caller has taken the
//!   outcome or does not wait any more (`free`);
//! - an entry gets no reply before its first byte was written, and none that it cannot have
//!   (`reply_shape.rs`);
//! - the node's budget is charged for every entry that is owed a reply, so it bounds the memory
//!   from enqueue to reply;
//! - after `lose`, no reply is owed and nothing can be enqueued.
//!
//! Limits: those of the budget (`budget.rs`); 2^32 entries.

pub(crate) use super::entry::{
    Admission, Deadline, Entry, Flush, NewEntry, Rejected, Ticket, Unfit, Wakers,
};
pub(crate) use deadlines::Taken;
pub(crate) use room::Occupancy;

use super::budget::{BackgroundRegistration, Budget, BudgetWait};
use super::due::Due;
use super::outcome::{Failure, Lost, Outcome, Replies};
use super::push_readers::PushReaders;
use super::reply_shape::{ReplyShape, is_queued};
use crate::connection::place::{EntryState, Judged, NONE, Place};
use crate::time::Timestamp;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

mod deadlines;
mod handshake;
mod judge;
mod pushes;
mod room;
mod silence;
#[cfg(test)]
mod tests;
mod wake;

/// Bytes that the budget is charged for an entry in addition to its own: its place and its share of
/// the buffers.
const ENTRY_OVERHEAD: usize = 128;

/// Bytes that the budget is charged for an entry of this length.
pub(crate) fn cost_of(len: usize) -> usize {
    len.saturating_add(ENTRY_OVERHEAD)
}

/// The commands of one connection; see the head of this file.
#[derive(Debug)]
pub(crate) struct CommandQueue {
    /// Whether it takes entries.
    phase: Phase,
    /// Encoded and not yet taken by the driver.
    out: Vec<u8>,
    /// Bytes encoded on this connection so far: the offset of the next entry.
    encoded: u64,
    /// Number of entries that are owed a reply.
    in_flight: usize,
    /// The oldest of them, if there is one.
    first: u32,
    /// The youngest of them, if there is one.
    last: u32,
    /// The oldest entry that no turn has seen yet, or `NONE`: its deadline is not registered.
    unseen: u32,
    /// The driver does not take `out`, because the stream is full.
    output_blocked: bool,
    /// Entries, and free places for more.
    places: Vec<Place>,
    /// First free place, or `NONE`.
    vacant: u32,
    /// Entries whose caller waits for an outcome.
    waiting: usize,
    /// Entries with an outcome that their caller has not taken yet.
    ready: usize,
    /// This client has ended the connection while replies were owed on it.
    given_up: bool,
    /// One caller has it to itself, so that it is not closed to make room for another one.
    held: bool,
    /// A handshake was written with the first entry and is not answered in full. It is the oldest
    /// of the entries that nobody waits for.
    owes_handshake: bool,
    /// The node's budget, charged for all entries that are owed a reply.
    budget: Arc<Budget>,
    /// Not later than the earliest deadline of the entries and of the callers that wait for the
    /// budget here.
    earliest: Timestamp,
    /// The entries by their deadlines, as far as a timer has fired.
    due: Due,
    /// No caller waits for an entry before this one, as far as is known.
    oldest_waiting: Option<Ticket>,
    /// Whether a background task drives this connection.
    background: bool,
    /// Has that task woken when a caller begins to wait for the budget on any of the node's
    /// connections.
    background_registration: Option<BackgroundRegistration>,
    /// The background task's waker; absent while that task is awake.
    background_waker: Option<Waker>,
    /// The background task was woken while it was awake: it drives again before it sleeps.
    background_again: bool,
    /// Whether pushes are expected, and which readers wait.
    push_readers: PushReaders,
    /// What is to be known of the replies of each entry that is `Judged::ByShape`, oldest first.
    shapes: VecDeque<ReplyShape>,
}

/// ```text
///                                    ┌────────────► Silent
///                                    │ ◄──a byte──── │
/// HandshakeDeferred ──first entry──► Open ──► Retired ──► Lost
///         └────────────────────────────┴─────────┴──────────┘
/// ```
#[derive(Debug)]
enum Phase {
    /// The handshake waits for the first entry, to be written in one piece with it.
    HandshakeDeferred {
        /// The handshake's commands.
        commands: Vec<u8>,
        /// Number of replies to them, which are dropped.
        replies: u32,
    },
    /// Entries are taken.
    Open,
    /// No entries are taken until the server sends something.
    Silent(Arc<Lost>),
    /// No more entries are taken; replies that are owed may still come.
    Retired(Arc<Lost>),
    /// The connection is lost.
    Lost(Arc<Lost>),
}

impl CommandQueue {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            phase: Phase::Open,
            out: Vec::new(),
            encoded: 0,
            in_flight: 0,
            first: NONE,
            last: NONE,
            unseen: NONE,
            output_blocked: false,
            places: Vec::new(),
            vacant: NONE,
            waiting: 0,
            ready: 0,
            given_up: false,
            held: false,
            owes_handshake: false,
            budget,
            earliest: Timestamp::FAR_FUTURE,
            due: Due::default(),
            oldest_waiting: None,
            background: false,
            background_registration: None,
            background_waker: None,
            background_again: false,
            push_readers: PushReaders::default(),
            shapes: VecDeque::new(),
        }
    }

    /// Enqueues an entry: `write` appends exactly `entry.len` bytes. Returns its ticket, which task
    /// writes it, and a waker to wake.
    #[inline]
    pub(crate) fn enqueue(
        &mut self,
        entry: NewEntry<'_>,
        write: impl FnOnce(&mut Vec<u8>),
        waker: &Waker,
    ) -> Result<(Ticket, Flush, Option<Waker>), Rejected> {
        if let Phase::Silent(lost) | Phase::Retired(lost) | Phase::Lost(lost) = &self.phase {
            return Err(Rejected::Closed(Arc::clone(lost)));
        }
        if !self.budget.take(cost_of(entry.len), entry.admission) {
            return Err(Rejected::Full);
        }
        self.write_handshake();
        let alone = self.waiting + self.ready == 0;
        // The first entry of a write wakes the background task. So does one that has a deadline
        // before the timer's, and each one while the stream is full, to register its deadline.
        let wakes = self.out.is_empty()
            || self.output_blocked
            || matches!(entry.deadline, Deadline::At(deadline) if deadline < self.earliest);
        let ticket = self.append(entry, EntryState::Waiting(Some(waker.clone())), write);
        self.waiting += 1;
        Ok(if alone {
            (ticket, Flush::Now, None)
        } else if self.background {
            let wake = if wakes { self.wake_background() } else { None };
            (ticket, Flush::ByOther, wake)
        } else {
            (ticket, Flush::Later, None)
        })
    }

    /// Encodes an entry that is charged already, and puts it at the end of the list.
    #[inline]
    fn append(
        &mut self,
        entry: NewEntry<'_>,
        state: EntryState,
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
        let place = &mut self.places[index as usize];
        self.vacant = match std::mem::replace(&mut place.state, state) {
            free @ EntryState::Free(next) => {
                // A free place has nothing to drop, which the compiler does not see.
                std::mem::forget(free);
                next
            }
            _ => unreachable!("the list of free places holds nothing else"),
        };
        place.owed = entry.replies;
        place.replies_are = Judged::from(entry.expected);
        place.can_move = entry.can_move;
        place.cost = cost_of(entry.len);
        place.deadline = entry.deadline;
        place.start = start;
        place.end = self.encoded;
        place.next = NONE;
        if entry.replies > 1 {
            place.replies.reserve_exact(entry.replies as usize);
        }
        if place.replies_are == Judged::ByShape {
            self.shapes.extend(ReplyShape::of(entry.expected));
        }
        let ticket = Ticket { index, generation: place.generation };
        let before = std::mem::replace(&mut self.last, index);
        if self.in_flight == 0 {
            self.first = index;
        } else {
            self.places[before as usize].next = index;
        }
        self.in_flight += 1;
        if self.unseen == NONE {
            self.unseen = index;
        }
        ticket
    }

    /// The entry's outcome and its deadline, if it has ended; else the waker is kept until it has.
    #[inline]
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Option<(Outcome, Deadline)> {
        match &mut self.place_of(ticket).state {
            EntryState::Done(_) => Some(self.take(ticket)),
            EntryState::Waiting(kept) => {
                match kept {
                    Some(kept) => kept.clone_from(waker),
                    None => *kept = Some(waker.clone()),
                }
                None
            }
            EntryState::Free(_) | EntryState::Abandoned => {
                unreachable!("a ticket is used until its outcome is taken, and not after")
            }
        }
    }

    /// The caller does not wait any more. Its command is written all the same, unless its deadline
    /// comes first, and its replies are dropped.
    ///
    /// Returns the background task's waker if no caller can be relied on to drive now.
    #[must_use = "a waker that is dropped is a task that never wakes"]
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> Option<Waker> {
        let place = self.place_of(ticket);
        match place.state {
            EntryState::Done(_) => drop(self.take(ticket)),
            EntryState::Waiting(_) => {
                place.state = EntryState::Abandoned;
                place.replies = Vec::new();
                self.waiting -= 1;
                if self.waiting <= 1 {
                    return self.wake_background();
                }
            }
            EntryState::Free(_) | EntryState::Abandoned => {
                unreachable!("a ticket is abandoned once, and not after its outcome was taken")
            }
        }
        None
    }

    /// Waits for the budget: `waker` is woken when there may be room, or at the deadline.
    pub(crate) fn wait_for_budget(
        &mut self,
        wait: Option<BudgetWait>,
        waker: &Waker,
        entry: Entry,
        wake: &mut Wakers,
    ) -> BudgetWait {
        self.earliest = self.earliest.min(entry.deadline);
        self.budget.wait(wait, (waker, entry.deadline, cost_of(entry.len)), wake)
    }

    /// Gives a frame that is not a push to the oldest entry. The stream has accepted `written`
    /// bytes in total. The caller of `own` drives and polls afterwards, so it is not woken.
    ///
    /// # Errors
    /// When it is not a reply to that entry: then the state of the connection is unknown.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        frame: Bytes,
        written: u64,
        own: Option<Ticket>,
        wake: &mut Wakers,
    ) -> Result<(), Unfit> {
        if self.in_flight == 0 {
            return Err(Unfit::Unasked(frame));
        }
        let index = self.first;
        let mut place = &mut self.places[index as usize];
        if place.start >= written {
            return Err(Unfit::Unasked(frame));
        }
        if place.replies_are != Judged::Values || is_queued(&frame) {
            self.judge(&frame).map_err(Unfit::Wrong)?;
            place = &mut self.places[index as usize];
        }
        assert!(place.owed > 0, "an entry in flight is owed a reply");
        place.owed -= 1;
        if place.owed > 0 {
            if place.replies.capacity() > 0 {
                place.replies.push(frame);
            }
            return Ok(());
        }
        let reply = if place.replies.capacity() == 0 {
            Replies::One(frame)
        } else {
            place.replies.push(frame);
            Replies::Many(std::mem::take(&mut place.replies))
        };
        self.first = place.next;
        self.in_flight -= 1;
        let cost = place.cost;
        match std::mem::replace(&mut place.state, EntryState::Done(Ok(reply))) {
            EntryState::Waiting(waker) => {
                self.waiting -= 1;
                self.ready += 1;
                if let Some(waker) = waker
                    && own.is_none_or(|own| own.index != index)
                {
                    wake.push(waker);
                }
            }
            // It failed before, and its caller has not taken that outcome yet.
            EntryState::Done(failed) => place.state = EntryState::Done(failed),
            EntryState::Abandoned => {
                self.owes_handshake = false;
                self.free(index);
            }
            EntryState::Free(_) => unreachable!("an entry in flight has its place"),
        }
        self.budget.give(cost, wake);
        Ok(())
    }

    /// The connection is lost: the entries that are owed a reply fail with `cause`. Later calls do
    /// nothing.
    pub(crate) fn lose(&mut self, cause: Lost, written: u64, wake: &mut Wakers) {
        if self.lost().is_some() {
            return;
        }
        self.given_up = self.in_flight > 0 && !matches!(cause, Lost::ByPeer);
        let cause = Arc::new(cause);
        self.phase = Phase::Lost(Arc::clone(&cause));
        // What the driver has not taken was surely not written.
        let written = written.min(self.encoded - self.out.len() as u64);
        self.out = Vec::new();
        self.shapes = VecDeque::new();
        self.unseen = NONE;
        while self.in_flight > 0 {
            let index = self.first;
            let place = &mut self.places[index as usize];
            self.first = place.next;
            self.in_flight -= 1;
            self.budget.give(place.cost, wake);
            place.owed = 0;
            if let EntryState::Waiting(waker) = &mut place.state {
                wake.extend(waker.take());
                place.fail(Failure::Lost(Arc::clone(&cause)), written);
                self.waiting -= 1;
                self.ready += 1;
            } else if let EntryState::Abandoned = place.state {
                self.free(index);
            }
        }
        self.budget.wake_all(wake);
        self.push_readers.wake_all(wake);
        wake.extend(self.wake_background());
    }

    /// Takes no more entries. The driver closes the connection once it `is_spent`.
    pub(crate) fn retire(&mut self) {
        if !matches!(self.phase, Phase::Retired(_) | Phase::Lost(_)) {
            self.phase = Phase::Retired(Arc::new(Lost::Retired));
        }
    }

    /// The driver takes no output, because the stream is full. New entries still wake it, so that
    /// their deadlines are registered.
    pub(crate) fn block_output(&mut self) {
        self.output_blocked = true;
    }

    /// Swaps what is to be written into `out`, which must be empty.
    pub(crate) fn take_output(&mut self, out: &mut Vec<u8>) {
        debug_assert!(out.is_empty(), "what was taken before has been written");
        self.output_blocked = false;
        std::mem::swap(&mut self.out, out);
    }

    /// Whether any entry is owed a reply, written or not.
    pub(crate) fn is_reply_owed(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether several commands wait to be written, so that a write should wait for those that
    /// other tasks are about to add.
    pub(crate) fn should_wait_for_more(&self) -> bool {
        !self.out.is_empty() && self.in_flight > 1
    }

    /// Number of entries that are owed a reply.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Why the connection is lost, once it is.
    pub(crate) fn lost(&self) -> Option<&Arc<Lost>> {
        if let Phase::Lost(cause) = &self.phase { Some(cause) } else { None }
    }

    /// Whether this client has ended the connection while replies were owed on it: what was written
    /// is not to arrive any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up
    }

    #[inline]
    fn place_of(&mut self, ticket: Ticket) -> &mut Place {
        let place = &mut self.places[ticket.index as usize];
        assert_eq!(place.generation, ticket.generation, "a ticket names its own entry");
        place
    }

    /// The outcome of an entry that has one. Its place becomes free if no reply is owed any more.
    #[inline]
    fn take(&mut self, ticket: Ticket) -> (Outcome, Deadline) {
        let place = &mut self.places[ticket.index as usize];
        let deadline = place.deadline;
        let next = if place.owed == 0 {
            place.generation = place.generation.wrapping_add(1);
            EntryState::Free(std::mem::replace(&mut self.vacant, ticket.index))
        } else {
            EntryState::Abandoned
        };
        let EntryState::Done(outcome) = std::mem::replace(&mut place.state, next) else {
            unreachable!("only called for an entry that is done")
        };
        self.ready -= 1;
        (outcome, deadline)
    }

    /// Frees the place of an entry that no caller waits for and that is owed no reply.
    fn free(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        place.state = EntryState::Free(std::mem::replace(&mut self.vacant, index));
        place.generation = place.generation.wrapping_add(1);
    }

    #[cold]
    fn add_place(&mut self) {
        let index =
            u32::try_from(self.places.len()).expect("the byte budget is used up long before");
        self.places.push(Place::free());
        self.vacant = index;
    }
}
