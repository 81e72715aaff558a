//! One live connection: a [`CommandQueue`], a stream, and the rule for which task moves bytes
//! between them ("drives").
//!
//! A caller that waits alone drives by itself, without a hand-over or a second task. As soon as
//! several callers wait, none of them may be relied on, because it may never be polled again. Then
//! the link's background task drives; where the host has none, all callers are woken. In both cases
//! what many callers enqueue goes out in one write.
//!
//! The stream and the timer are always polled with the link's own waker (`IoWaker`), which chooses
//! at wake time which task to wake (`CommandQueue::wake_driver`).
//!
//! **Invariants**:
//! - one driver at a time, which `turns` chooses: no task ever waits for the lock of `io`;
//! - no foreign waker is called while `queue` is locked;
//! - a poll drives for other callers for at most `TURNS_MAX` turns, then it wakes another task;
//! - a panic in a turn loses the link: all that is in flight fails with `Lost::Panicked`.
//!
//! What a turn does is in `io.rs`. Tested by `pending_reply/tests.rs` and by `tests/models`.

use crate::Endpoint;
use crate::connection::budget::{Budget, BudgetWait};
use crate::connection::outcome::{Lost, Outcome};
use crate::connection::queue::{
    Admission, CommandQueue, Deadline, Entry, Flush, NewEntry, Rejected, Ticket, Wakers, cost_of,
};
use crate::connection::wakers::{wake_all, wake_one, without_panic};
use crate::driver::environment::connection_limit::Place;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::link::io::{Io, LinkStatus};
use crate::driver::link::push_sink::PushSink;
use crate::driver::link::silence_watch::SilenceWatch;
use crate::driver::link::turns::Turns;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::topology::identity::Identity;
use crate::transport::{ByteStream, Transport};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

mod ending;

/// This many bytes of a large reply that are still to come count as one entry in flight.
const BYTES_PER_LOAD: usize = 16 * 1024;
/// Turns that one poll runs while other tasks keep adding work. More would let one caller pay for
/// all others; fewer would wake tasks more often than the work needs.
const TURNS_MAX: u32 = 8;

/// A live connection; see the head of this file.
pub(crate) struct Link {
    /// The server's address.
    endpoint: Endpoint,
    /// Who the server says it is, once it was asked.
    identity: OnceLock<Identity>,
    /// The entries that callers wait for. Shared with the link's waker, which must be `Send` also
    /// where the transport is not.
    queue: Arc<Mutex<CommandQueue>>,
    /// Stream and timer; only the driver locks it.
    io: Mutex<Io>,
    /// Which task drives, and whether it has to run another turn.
    turns: Turns,
    /// What callers read without a lock.
    status: Arc<LinkStatus>,
    /// The node's byte budget, shared by its connections.
    budget: Arc<Budget>,
    /// The waker that the stream and the timer are polled with.
    io_waker: Waker,
    /// When it was opened.
    opened_at: Timestamp,
    /// The place of its stream, if there are places; gone with the stream.
    place: Weak<Place>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Link {
    /// Makes a link from a connected stream.
    pub(crate) fn start(
        endpoint: Endpoint,
        stream: Box<dyn ByteStream>,
        transport: Arc<dyn Transport>,
        triggers: Arc<RefreshTriggers>,
        settings: LinkSettings,
    ) -> Arc<Self> {
        let budget = Arc::clone(&settings.budget);
        let place = settings.place.as_ref().map(Arc::downgrade).unwrap_or_default();
        let opened_at = transport.now();
        let queue = Arc::new(Mutex::new(CommandQueue::new(Arc::clone(&budget))));
        lock(&queue).set_held(settings.is_held);
        let status = Arc::new(LinkStatus::default());
        let io = Io::new(stream, &queue, &status, transport, triggers, settings);
        let io_waker = io.waker().clone();
        let (io, turns) = (Mutex::new(io), Turns::default());
        let identity = OnceLock::new();
        Arc::new(Self {
            endpoint,
            identity,
            queue,
            io,
            turns,
            status,
            budget,
            io_waker,
            opened_at,
            place,
        })
    }

    /// A background task drives this link from now on.
    pub(in crate::driver) fn attach_background(&self) {
        lock(&self.queue).attach_background(&self.io_waker);
    }

    /// No background task drives this link any more. Those who counted on it drive by themselves.
    pub(in crate::driver) fn detach_background(&self) {
        let mut wakers = Wakers::new();
        // Dropped after the lock is released: they are foreign code.
        let released = {
            let mut queue = lock(&self.queue);
            match queue.lost() {
                Some(_) => None,
                None => Some(queue.detach_background(&mut wakers)),
            }
        };
        wake_all(&mut wakers);
        drop(released);
    }

    /// Whether several commands wait to be written, so that a write should wait for those that
    /// other tasks are about to add.
    pub(in crate::driver) fn should_wait_for_more(&self) -> bool {
        lock(&self.queue).should_wait_for_more()
    }

    /// The background task wants to sleep; `waker` wakes it. False if it has to drive again first;
    /// `None` if the link is lost.
    pub(in crate::driver) fn may_background_sleep(&self, waker: &Waker) -> Option<bool> {
        let mut queue = lock(&self.queue);
        if queue.lost().is_some() { None } else { Some(queue.may_background_sleep(waker)) }
    }

    /// The server's address.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who the server says it is; `None` if it was not asked yet.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// The server says who it is; only the first time counts.
    pub(crate) fn set_identity(&self, identity: Identity) {
        let _ = self.identity.set(identity);
    }

    /// Commands that wait for their replies, as of the last time that bytes moved.
    pub(crate) fn in_flight(&self) -> usize {
        self.status.in_flight.load(Ordering::Relaxed)
    }

    /// The load, for choosing among a node's connections: entries in flight, and what is still to
    /// come of a large reply.
    pub(crate) fn load(&self) -> usize {
        let missing = self.status.bytes_missing.load(Ordering::Relaxed);
        self.status.in_flight.load(Ordering::Relaxed) + missing / BYTES_PER_LOAD
    }

    /// Whether the link takes no more entries.
    pub(crate) fn is_closed(&self) -> bool {
        self.status.closed.load(Ordering::Acquire)
    }

    /// Whether the server has answered on this link.
    pub(crate) fn has_answered(&self) -> bool {
        self.status.answered.load(Ordering::Relaxed)
    }

    /// Whether the server has answered, and all of a handshake that was written together with the
    /// first command.
    pub(crate) fn has_answered_handshake(&self) -> bool {
        self.has_answered() && !lock(&self.queue).owes_handshake()
    }

    /// Whether the stream ended in the middle of a reply: the server was not refusing anything.
    pub(crate) fn was_cut_inside(&self) -> bool {
        self.status.cut_inside.load(Ordering::Relaxed)
    }

    /// Whether the link was lost because the server owed replies and sent nothing, or something
    /// that the protocol forbids.
    pub(crate) fn was_useless(&self) -> bool {
        let is_useless =
            |lost: &Arc<Lost>| matches!(**lost, Lost::NoProgress(_) | Lost::Protocol(_));
        lock(&self.queue).lost().is_some_and(is_useless)
    }

    /// Whether the server owes replies and sends nothing: the link takes no entries until it does,
    /// or is lost.
    pub(crate) fn is_silent(&self) -> bool {
        lock(&self.queue).is_silent()
    }

    /// Has the link looked after while its server is silent. Without a watch, a silent link is
    /// lost.
    pub(crate) fn set_silence_watch(&self, watch: Arc<dyn SilenceWatch>) {
        let _ = self.status.silence_watch.set(watch);
    }

    /// By what the server knows this connection; 0 if it did not say.
    pub(crate) fn client_id(&self) -> u64 {
        self.status.client_id.load(Ordering::Relaxed)
    }

    /// Says what was found out about a silent link, and waits until the link has taken notice.
    /// Ignored if it is not silent any more.
    pub(crate) async fn end_silence(&self, found: u8) {
        self.status.finding.store(found, Ordering::Release);
        self.io_waker.wake_by_ref();
        self.drive(None);
        poll_fn(|cx| {
            if !self.is_silent() {
                return Poll::Ready(());
            }
            // Another task drives, perhaps the one that polls this: it runs another turn.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Keeps the commands of a handshake until the first entry, to write both in one piece. Their
    /// `replies` are dropped.
    pub(crate) fn defer_handshake(&self, commands: Vec<u8>, replies: u32) {
        lock(&self.queue).defer_handshake(commands, replies);
    }

    /// Whether its pushes are received.
    pub(crate) fn has_push_sink(&self) -> bool {
        self.status.push_sink.get().is_some()
    }

    /// Whether the server speaks RESP3. Known once it has answered.
    pub(crate) fn is_resp3(&self) -> bool {
        self.status.resp3.load(Ordering::Relaxed)
    }

    /// Whether the connection is lost, not only retired.
    pub(crate) fn is_lost(&self) -> bool {
        lock(&self.queue).lost().is_some()
    }

    /// Gives all pushes to `sink` from now on. False if another sink was set before.
    pub(crate) fn set_push_sink(&self, sink: Arc<dyn PushSink>) -> bool {
        // Set before the queue knows of it: pushes that the queue announces have a receiver.
        let first = self.status.push_sink.set(sink).is_ok();
        lock(&self.queue).expect_pushes();
        first
    }

    /// Takes lists for pushes from now on, for a subscribed connection in RESP2, which carries
    /// nothing else.
    pub(crate) fn treat_lists_as_pushes(&self) {
        self.status.lists_are_pushes.store(true, Ordering::Relaxed);
    }

    /// Enqueues commands that are answered by pushes or errors, and a last one that has a reply.
    /// Writes nothing, so that it can be called under a lock: call `move_bytes` afterwards.
    pub(crate) fn enqueue_push_commands(&self, commands: &[u8]) {
        lock(&self.queue).enqueue_push_commands(commands);
    }

    /// Writes what is queued and reads what has come.
    pub(crate) fn move_bytes(&self) {
        self.drive(None);
    }

    /// Whether a subscription uses the link: a retired link stays open until none does.
    pub(crate) fn set_subscribed(&self, subscribed: bool) {
        lock(&self.queue).set_subscribed(subscribed);
    }

    /// Stops reading, or goes on.
    pub(crate) fn pause_reading(&self, paused: bool) {
        self.status.reading_paused.store(paused, Ordering::Release);
    }

    /// Wakes `waker` the next time that the stream has something to do. For a subscription's reader
    /// on a host without background tasks.
    pub(crate) fn register_reader(&self, reader: u64, waker: &Waker) {
        lock(&self.queue).register_reader(reader, waker);
    }

    /// Ends a `register_reader`.
    pub(crate) fn unregister_reader(&self, reader: u64) {
        lock(&self.queue).unregister_reader(reader);
    }

    /// One caller has it to itself, or gives it back. False if it takes no commands.
    pub(crate) fn set_held(&self, held: bool) -> bool {
        lock(&self.queue).set_held(held)
    }

    /// Whether it takes no more entries because it was retired: for its node, or for room.
    pub(crate) fn was_retired(&self) -> bool {
        let queue = lock(&self.queue);
        queue.is_retired() || queue.lost().is_some_and(|lost| matches!(**lost, Lost::Retired))
    }

    /// Takes no more entries, and closes the connection when none is in flight.
    pub(crate) fn retire(&self) {
        lock(&self.queue).retire();
        self.status.closed.store(true, Ordering::Release);
        self.drive(None);
    }

    /// Enqueues an entry and, if no other task will write it, writes it at once. `write` appends
    /// exactly `entry.len` bytes.
    #[inline]
    pub(crate) fn enqueue(
        &self,
        entry: NewEntry<'_>,
        write: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<Ticket, Rejected> {
        let (ticket, flush, wake) = {
            let mut queue = lock(&self.queue);
            let enqueued = queue.enqueue(entry, write, cx.waker())?;
            self.status.in_flight.store(queue.in_flight(), Ordering::Relaxed);
            enqueued
        };
        match flush {
            Flush::Now => self.drive(None),
            // A panic of the caller's own waker must not lose its ticket.
            Flush::Later => without_panic(|| cx.waker().wake_by_ref()),
            Flush::ByOther => {}
        }
        if let Some(waker) = wake {
            wake_one(waker);
        }
        Ok(ticket)
    }

    /// Enqueues two entries, the second directly behind the first, and writes them in one piece if
    /// no other task does. For a connection that carries nothing else: the budget's limit does not
    /// count. `write` of an entry appends exactly its `len` bytes.
    pub(crate) fn enqueue_both(
        &self,
        first: NewEntry<'_>,
        write_first: &dyn Fn(&mut Vec<u8>),
        second: NewEntry<'_>,
        write_second: &dyn Fn(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<[Ticket; 2], Rejected> {
        let admission = Admission::Forced;
        let (first, second) = {
            let mut queue = lock(&self.queue);
            let first = queue.enqueue(NewEntry { admission, ..first }, write_first, cx.waker())?;
            let second = queue.enqueue(NewEntry { admission, ..second }, write_second, cx.waker());
            self.status.in_flight.store(queue.in_flight(), Ordering::Relaxed);
            (first, second.expect("a queue that took one entry under a lock takes another"))
        };
        // Driven by this caller in any case: it is the only one on the connection.
        self.drive(None);
        [first.2, second.2].into_iter().flatten().for_each(wake_one);
        Ok([first.0, second.0])
    }

    /// Waits for room in the budget, for a caller whose entry was rejected as `Full`. The caller
    /// holds its `BudgetWait` until its entry is taken.
    pub(crate) fn wait_for_budget(
        &self,
        wait: Option<BudgetWait>,
        entry: Entry,
        cx: &Context<'_>,
    ) -> BudgetWait {
        let mut wakers = Wakers::new();
        let (wait, drives) = {
            let mut queue = lock(&self.queue);
            let wait = queue.wait_for_budget(wait, cx.waker(), entry, &mut wakers);
            (wait, queue.caller_drives())
        };
        wake_all(&mut wakers);
        if drives {
            self.drive(None);
        } else {
            self.io_waker.wake_by_ref();
        }
        wait
    }

    /// Reads what has come, if there is no room for an entry of this many bytes and no other task
    /// drives: entries of callers that have gone are charged until their replies are read.
    #[inline]
    pub(crate) fn reclaim_budget(&self, len: usize) {
        if self.budget.is_full(cost_of(len)) {
            self.read_what_has_come();
        }
    }

    /// Reads what has come, the end of the stream too, if no other task drives.
    #[cold]
    pub(crate) fn read_what_has_come(&self) {
        if lock(&self.queue).caller_drives() {
            self.drive(None);
        }
    }

    /// The outcome of an entry, once it has one, and its deadline.
    #[inline]
    pub(crate) fn poll(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<(Outcome, Deadline)> {
        let drives = {
            let mut queue = lock(&self.queue);
            if let Some(outcome) = queue.poll(ticket, cx.waker()) {
                return Poll::Ready(outcome);
            }
            queue.caller_drives()
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

    /// The caller of an entry does not wait any more.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        let wake = lock(&self.queue).abandon(ticket);
        if let Some(waker) = wake {
            wake_one(waker);
        }
    }

    /// Closes the link: what is in flight fails, the stream is dropped.
    pub(crate) fn close(&self) {
        self.close_for(Lost::ByUs);
    }

    /// The same, with the cause that callers are told.
    pub(crate) fn close_for(&self, cause: Lost) {
        let mut wakers = Wakers::new();
        self.status.closed.store(true, Ordering::Release);
        lock(&self.queue).lose(cause, u64::MAX, &mut wakers);
        wake_all(&mut wakers);
        self.drive(None);
    }

    /// Moves all bytes that can be moved. Returns when the stream and the timer have registered the
    /// link's waker, or when another task is at it, which then runs another turn. `own` is the
    /// caller's entry, if it polls that entry afterwards: it needs no waking.
    pub(in crate::driver) fn drive(&self, own: Option<Ticket>) {
        let turn = || self.turn(own);
        if self.turns.run(TURNS_MAX, turn, || lock(&self.queue).has_driver()) {
            self.io_waker.wake_by_ref();
        }
    }

    #[inline]
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
