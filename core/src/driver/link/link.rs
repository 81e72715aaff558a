//! One live connection: a [`Queue`], a stream, and the rule of who moves bytes between them.
//!
//! Whoever waits drives. A caller that is alone writes and reads on its own: no hand-over, no
//! second task. As soon as several wait, no single one may be relied on (it may never be polled
//! again), so the background task drives where the host has one, and everybody is woken where it
//! has none. In both cases what many callers enqueue goes out in one write.
//!
//! The stream and the timer are always polled with the link's own waker (`IoWaker`), which decides
//! at wake time whom to wake (`Queue::wake_driver`). So it never matters who polled last.
//!
//! Invariants:
//! - one driver at a time, which `turns` chooses: nobody ever waits for `io`;
//! - a caller drives for others for a bounded number of turns (`TURNS_MAX`), then another task that
//!   waits is woken to go on;
//! - a panic in a turn loses the link: all that is in flight fails with `Lost::Panicked`;
//! - `queue` is locked for moments only, and no foreign waker is called under it.
//!
//! What a driver does is in `driver/io.rs`. Called by `driver/lane.rs`, which makes links and
//! replaces lost ones, and by the futures that wait on one.

use crate::Endpoint;
use crate::connection::budget::{Budget, BudgetWait};
use crate::connection::outcome::{Lost, Outcome};
use crate::connection::queue::{
    Deadline, Entry, Flush, NewEntry, Queue, Rejected, Ticket, Wakers, cost_of,
};
use crate::connection::wakers::{wake_all, wake_one, without_panic};
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::link::io::{Io, Notes};
use crate::driver::link::push_sink::PushSink;
use crate::driver::link::turns::Turns;
use crate::lock::lock;
use crate::transport::{ByteStream, Transport};
use std::fmt;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// So many bytes of a large reply that are still to come count as one entry in flight.
const BYTES_PER_LOAD: usize = 16 * 1024;
/// Turns that one poll runs while other tasks keep adding work. More would let one caller pay for
/// all others; fewer would wake tasks more often than the work needs.
const TURNS_MAX: u32 = 8;

/// See the head of this file.
pub(crate) struct Link {
    /// Where it leads.
    endpoint: Endpoint,
    /// What callers wait on; shared with the signal, which must be `Send` also where the transport
    /// is not.
    queue: Arc<Mutex<Queue>>,
    /// What a driver needs; held by one at a time.
    io: Mutex<Io>,
    /// Which task moves the bytes, and whether it has to look again.
    turns: Turns,
    /// What drivers and others tell each other.
    notes: Arc<Notes>,
    /// The node's.
    budget: Arc<Budget>,
    /// What the stream and the timer are polled with.
    signal: Waker,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Link {
    /// Makes a link of a connected stream.
    pub(crate) fn start(
        endpoint: Endpoint,
        stream: Box<dyn ByteStream>,
        transport: Arc<dyn Transport>,
        triggers: Arc<RefreshTriggers>,
        settings: LinkSettings,
    ) -> Arc<Self> {
        let budget = Arc::clone(&settings.budget);
        let queue = Arc::new(Mutex::new(Queue::new(Arc::clone(&budget))));
        let notes = Arc::new(Notes::default());
        let io = Io::new(stream, &queue, &notes, transport, triggers, settings);
        let signal = io.waker().clone();
        let (io, turns) = (Mutex::new(io), Turns::default());
        Arc::new(Self { endpoint, queue, io, turns, notes, budget, signal })
    }

    /// A background task looks after this link from now on.
    pub(in crate::driver) fn attach_background(&self) {
        lock(&self.queue).attach_background(&self.signal);
    }

    /// Whether a flush now would part commands that others are about to add to.
    pub(in crate::driver) fn should_wait_for_more(&self) -> bool {
        lock(&self.queue).should_wait_for_more()
    }

    /// The background task wants to sleep. False when it has to look again first; `None` when the
    /// link is lost.
    pub(in crate::driver) fn may_background_sleep(&self, waker: &Waker) -> Option<bool> {
        let mut queue = lock(&self.queue);
        if queue.lost().is_some() { None } else { Some(queue.may_background_sleep(waker)) }
    }

    /// Where this link leads.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How long a command may have to wait here, to choose among lanes: entries in flight, and
    /// what is still to come of a large reply.
    pub(crate) fn load(&self) -> usize {
        let coming = self.notes.coming.load(Ordering::Relaxed);
        self.notes.load.load(Ordering::Relaxed) + coming / BYTES_PER_LOAD
    }

    /// Whether the link takes no more entries.
    pub(crate) fn is_closed(&self) -> bool {
        self.notes.closed.load(Ordering::Acquire)
    }

    /// Whether the server ever answered on it.
    pub(crate) fn has_answered(&self) -> bool {
        self.notes.answered.load(Ordering::Relaxed)
    }

    /// Whether it was lost because the server owed replies and said nothing.
    pub(crate) fn was_unresponsive(&self) -> bool {
        lock(&self.queue).lost().is_some_and(|lost| matches!(**lost, Lost::NoProgress(_)))
    }

    /// Keeps a greeting: `replies` answers to it will come that nobody waits for. It is written
    /// with the first entry, in one piece.
    pub(crate) fn defer_handshake(&self, greeting: Vec<u8>, replies: u32) {
        lock(&self.queue).greet(greeting, replies);
    }

    /// Whether somebody gets its pushes.
    pub(crate) fn has_push_sink(&self) -> bool {
        self.notes.sink.get().is_some()
    }

    /// Whether the server speaks RESP3, of a link on which it has answered.
    pub(crate) fn is_resp3(&self) -> bool {
        self.notes.resp3.load(Ordering::Relaxed)
    }

    /// Whether the connection is gone, not only retired.
    pub(crate) fn is_lost(&self) -> bool {
        lock(&self.queue).lost().is_some()
    }

    /// Gives all pushes to `sink` from now on. False if another has them already.
    pub(crate) fn set_push_sink(&self, sink: Arc<dyn PushSink>) -> bool {
        // Before the queue knows: whatever is told to be posted has somebody to go to.
        let first = self.notes.sink.set(sink).is_ok();
        lock(&self.queue).listen();
        first
    }

    /// The same where the server speaks RESP2: the connection carries nothing else any more.
    pub(crate) fn treat_lists_as_pushes(&self) {
        self.notes.lists_are_pushes.store(true, Ordering::Relaxed);
    }

    /// Takes in commands that are answered by pushes or errors, and one whose reply ends them.
    /// They are written by the next `move_bytes`, so that it can be called under a lock.
    pub(crate) fn enqueue_push_commands(&self, commands: &[u8]) {
        lock(&self.queue).post(commands);
    }

    /// Writes what was posted, or looks at the stream for whoever watches.
    pub(crate) fn move_bytes(&self) {
        self.drive(None);
    }

    /// Whether something is subscribed to on it: a retired link stays until nothing is.
    pub(crate) fn set_subscribed(&self, subscribed: bool) {
        lock(&self.queue).keep(subscribed);
    }

    /// Reads nothing, or goes on.
    pub(crate) fn pause_reading(&self, paused: bool) {
        self.notes.paused.store(paused, Ordering::Release);
    }

    /// `waker` is woken whenever the stream is to be looked at; for hosts without a background.
    pub(crate) fn register_reader(&self, reader: u64, waker: &Waker) {
        lock(&self.queue).watch(reader, waker);
    }

    /// Ends a `watch`.
    pub(crate) fn unregister_reader(&self, reader: u64) {
        lock(&self.queue).unwatch(reader);
    }

    /// Takes no more entries, and closes when all that are in flight have ended.
    pub(crate) fn retire(&self) {
        lock(&self.queue).retire();
        self.notes.closed.store(true, Ordering::Release);
        self.drive(None);
    }

    /// Takes a command in and, if nobody else will, writes it at once. `write` appends exactly
    /// `entry.len` bytes.
    #[inline]
    pub(crate) fn enqueue(
        &self,
        entry: NewEntry,
        write: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<Ticket, Rejected> {
        let (ticket, flush, wake) = {
            let mut queue = lock(&self.queue);
            let enqueued = queue.enqueue(entry, write, cx.waker())?;
            self.notes.load.store(queue.in_flight(), Ordering::Relaxed);
            enqueued
        };
        match flush {
            Flush::Now => self.drive(None),
            // A panic of the caller's own waker must not lose its ticket.
            Flush::Later => without_panic(|| cx.waker().wake_by_ref()),
            Flush::Covered => {}
        }
        if let Some(waker) = wake {
            wake_one(waker);
        }
        Ok(ticket)
    }

    /// Waits for room in the budget, for a caller whose entry was rejected as one too many. The
    /// place is the caller's until its entry is taken.
    pub(crate) fn wait_for_budget(
        &self,
        place: Option<BudgetWait>,
        entry: Entry,
        cx: &Context<'_>,
    ) -> BudgetWait {
        let mut wakers = Wakers::new();
        let (place, drives) = {
            let mut queue = lock(&self.queue);
            let place = queue.block(place, cx.waker(), entry, &mut wakers);
            (place, queue.drives_itself())
        };
        wake_all(&mut wakers);
        if drives {
            self.drive(None);
        } else {
            self.signal.wake_by_ref();
        }
        place
    }

    /// Takes what has come, if there is no room for an entry of so many bytes and nobody else looks
    /// at the stream: callers that have gone may be charged for replies that are there.
    #[inline]
    pub(crate) fn reclaim_budget(&self, len: usize) {
        if self.budget.is_full(cost_of(len)) {
            self.take_what_has_come();
        }
    }

    #[cold]
    fn take_what_has_come(&self) {
        if lock(&self.queue).drives_itself() {
            self.drive(None);
        }
    }

    /// The outcome of an entry, once it has one, and when it was due.
    #[inline]
    pub(crate) fn poll(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<(Outcome, Deadline)> {
        let drives = {
            let mut queue = lock(&self.queue);
            if let Some(outcome) = queue.poll(ticket, cx.waker()) {
                return Poll::Ready(outcome);
            }
            queue.drives_itself()
        };
        if drives { self.drive_for(ticket, cx) } else { Poll::Pending }
    }

    fn drive_for(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<(Outcome, Deadline)> {
        self.drive(Some(ticket));
        match lock(&self.queue).poll(ticket, cx.waker()) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// The caller of an entry has gone.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        let wake = lock(&self.queue).abandon(ticket);
        if let Some(waker) = wake {
            wake_one(waker);
        }
    }

    /// Ends the link: what is owed fails, the stream is dropped.
    pub(crate) fn close(&self) {
        let mut wakers = Wakers::new();
        self.notes.closed.store(true, Ordering::Release);
        lock(&self.queue).lose(Lost::ByUs, u64::MAX, &mut wakers);
        wake_all(&mut wakers);
        self.drive(None);
    }

    /// Moves all bytes that can be moved. Returns when the stream and the timer have registered the
    /// link's waker, or when another task is at it, which then runs another turn. `own` is the
    /// caller's entry, if it polls that entry afterwards: it needs no waking.
    pub(in crate::driver) fn drive(&self, own: Option<Ticket>) {
        if self.turns.begin() {
            self.turn(own);
            if self.turns.end() {
                self.drive_on(own);
            }
        }
    }

    /// Other tasks wanted to drive during the turn, so there is more to do.
    #[cold]
    fn drive_on(&self, own: Option<Ticket>) {
        loop {
            for _ in 1..TURNS_MAX {
                self.turn(own);
                if !self.turns.end() {
                    return;
                }
            }
            if lock(&self.queue).has_driver() {
                self.turns.give_up();
                self.signal.wake_by_ref();
                return;
            }
        }
    }

    fn turn(&self, own: Option<Ticket>) {
        let mut io = lock(&self.io);
        let turn = LostByPanic(&mut io);
        turn.0.turn(own);
        mem::forget(turn);
    }
}

/// Dropped only when a turn unwinds: the link is lost then, and every caller learns it. The panic
/// itself goes on to the task that drives.
struct LostByPanic<'a>(&'a mut Io);

impl Drop for LostByPanic<'_> {
    fn drop(&mut self) {
        self.0.lose_by_panic();
    }
}
