//! A link's stream and timer, and what moves between them and the queue: the part that one driver
//! at a time holds.
//!
//! A turn looks at the queue, writes, reads and checks the time, until nothing moves. Whatever said
//! "pending" has the link's signal and will call it; until then it is not asked again (`armed`), so
//! that a caller who only adds a command pays for a write and nothing else.
//!
//! Invariants:
//! - `queue` is locked for moments only: no stream, timer or foreign waker is called under it;
//! - every byte taken from the queue is written in its order, in one write if the stream takes it;
//! - one timer, armed for no later than the earliest deadline.
//!
//! Limit: `READS_PER_TURN`. Called by `driver/link.rs`, which decides who drives.

use crate::BoxFuture;
use crate::connection::outcome::Lost;
use crate::connection::queue::{Queue, Ticket, Wakers};
use crate::connection::reader::Reader;
use crate::connection::wakers::{wake_all, without_panic};
use crate::driver::environment::cached_clock::CachedClock;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::link::io_waker::IoWaker;
use crate::driver::link::push_sink::PushSink;
use crate::lock::lock;
use crate::resp::{ErrorClass, FrameKind, ServerError, frame_kind};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::subscription::push::is_pong;
use crate::time::Timestamp;
use crate::transport::{ByteStream, Transport};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A server is reported as silent after this part of the progress time-out: early enough to ask
/// others while there is hope.
const SILENT_PART: u32 = 4;
/// Reads in a row before others get a turn.
const READS_PER_TURN: usize = 32;

/// What drivers and those who do not drive tell each other.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Entries in flight: to choose among lanes.
    pub(crate) load: AtomicUsize,
    /// Bytes that the frame which is being read still lacks, at least.
    pub(crate) coming: AtomicUsize,
    /// The link takes no more entries.
    pub(crate) closed: AtomicBool,
    /// A frame has come.
    pub(crate) answered: AtomicBool,
    /// The server speaks RESP3: known with the first frame.
    pub(crate) resp3: AtomicBool,
    /// Who gets pushes; nobody until it is set.
    pub(crate) sink: OnceLock<Arc<dyn PushSink>>,
    /// The connection is subscribed in RESP2, where pushes look like lists.
    pub(crate) lists_are_pushes: AtomicBool,
    /// Nothing is read until the reader of a subscription has caught up.
    pub(crate) paused: AtomicBool,
}

/// See the head of this file.
pub(crate) struct Io {
    /// What callers wait on.
    queue: Arc<Mutex<Queue>>,
    /// Says whether the stream or the timer has called.
    signal: Arc<IoWaker>,
    /// The same as a waker: what they are polled with.
    waker: Waker,
    /// Clock and timers.
    transport: Arc<dyn Transport>,
    /// Told when the link is lost or its server silent.
    triggers: Arc<RefreshTriggers>,
    /// See `Notes`.
    notes: Arc<Notes>,
    /// Gone once the link is lost.
    stream: Option<Box<dyn ByteStream>>,
    /// What said "pending" and has not called since.
    armed: Armed,
    /// Taken from the queue, being written.
    out: Vec<u8>,
    /// How much of `out` is written.
    sent: usize,
    /// Bytes that the stream accepted, ever.
    written: u64,
    /// The last write found the stream full.
    write_blocked: bool,
    /// Written bytes may still sit in a layer of the stream.
    flush_due: bool,
    /// Cuts what is read into frames.
    reader: Reader,
    /// The server owes a reply.
    owing: bool,
    /// When it began to, or last sent something.
    progress: Timestamp,
    /// What the clock said in this turn, if it was asked.
    clock: Option<Timestamp>,
    /// The alarm was raised since the last progress.
    silent: bool,
    /// See `LinkSettings`.
    progress_timeout: Option<Duration>,
    /// See `LinkSettings`.
    cached_clock: Arc<CachedClock>,
    /// The timer; may be set to an earlier moment that no longer matters.
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
    /// Reused between deliveries.
    wakers: Wakers,
    /// Frames for the sink; reused between deliveries.
    pushes: Vec<Bytes>,
}

/// Polled with the signal and pending since: asking again before it calls would be in vain.
#[derive(Default)]
struct Armed {
    /// The stream's reading half.
    read: bool,
    /// Its writing half: it is full.
    write: bool,
    /// The timer.
    timer: bool,
}

impl Io {
    pub(crate) fn new(
        stream: Box<dyn ByteStream>,
        queue: &Arc<Mutex<Queue>>,
        notes: &Arc<Notes>,
        transport: Arc<dyn Transport>,
        triggers: Arc<RefreshTriggers>,
        settings: LinkSettings,
    ) -> Self {
        let signal = Arc::new(IoWaker::new(queue));
        Self {
            queue: Arc::clone(queue),
            waker: Waker::from(Arc::clone(&signal)),
            signal,
            transport,
            triggers,
            notes: Arc::clone(notes),
            stream: Some(stream),
            armed: Armed::default(),
            out: Vec::new(),
            sent: 0,
            written: 0,
            write_blocked: false,
            flush_due: false,
            reader: Reader::new(settings.scan),
            owing: false,
            progress: Timestamp::ZERO,
            clock: None,
            silent: false,
            progress_timeout: settings.progress_timeout,
            cached_clock: settings.cached_clock,
            sleep: None,
            wakers: Wakers::new(),
            pushes: Vec::new(),
        }
    }

    /// What the stream and the timer are polled with.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Moves all bytes that can be moved. `mine` is the entry of the caller that drives: it will
    /// look for its outcome afterwards, and needs no waking.
    pub(crate) fn turn(&mut self, mine: Option<Ticket>) {
        if self.signal.take() {
            self.armed = Armed::default();
        }
        self.clock = None;
        self.cached_clock.clear();
        for _ in 0..READS_PER_TURN {
            match self.step(mine) {
                Ok(true) => {}
                Ok(false) => return,
                Err(lost) => return self.lose(lost),
            }
        }
        self.waker.wake_by_ref();
    }

    /// Looks at the queue, writes and reads once. True when there may be more to do at once.
    fn step(&mut self, mine: Option<Ticket>) -> Result<bool, Lost> {
        let Some(earliest) = self.look()? else { return Ok(false) };
        // An idle server's goodbye is found before the write: what waits was never sent.
        let read = if self.owing {
            self.write()?;
            self.read(mine)?
        } else {
            let read = self.read(mine)?;
            self.write()?;
            read
        };
        if read { Ok(true) } else { self.check_time(earliest) }
    }

    /// Takes what is to be written. Returns the earliest deadline, or `None` once the link is lost.
    fn look(&mut self) -> Result<Option<Timestamp>, Lost> {
        let mut queue = lock(&self.queue);
        if queue.lost().is_some() {
            drop(queue);
            self.release();
            return Ok(None);
        }
        if queue.is_spent() {
            return Err(Lost::Retired);
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            queue.take_output(&mut self.out);
        } else {
            queue.stall();
        }
        // Where nobody looks after an idle stream, its call may have been heard by nobody.
        self.armed.read &= self.owing || queue.has_background();
        if queue.has_unseen() {
            // A clock is foreign code; those who come while it is read have as much time.
            drop(queue);
            let now = self.now();
            queue = lock(&self.queue);
            queue.see(now);
        }
        Ok(Some(queue.earliest()))
    }

    /// The time of this turn: the clock is read once.
    fn now(&mut self) -> Timestamp {
        *self.clock.get_or_insert_with(|| self.transport.now())
    }

    /// Writes what was taken until there is nothing left or the stream is full.
    #[inline]
    fn write(&mut self) -> Result<(), Lost> {
        let has_output = self.sent < self.out.len() || self.flush_due;
        if has_output && !self.armed.write { self.write_on() } else { Ok(()) }
    }

    fn write_on(&mut self) -> Result<(), Lost> {
        if !self.owing && self.sent < self.out.len() {
            self.owing = true;
            self.progress = self.now();
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut cx = Context::from_waker(&self.waker);
        while self.sent < self.out.len() {
            match Pin::new(&mut *stream).poll_write(&mut cx, &self.out[self.sent..]) {
                Poll::Ready(Ok(0)) => return Err(Lost::Io(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    self.written += count as u64;
                    self.flush_due = true;
                    // Room after none means that the other side takes what it is sent.
                    if std::mem::take(&mut self.write_blocked) {
                        self.progress = *self.clock.get_or_insert_with(|| self.transport.now());
                    }
                }
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
                Poll::Pending => {
                    self.armed.write = true;
                    self.write_blocked = true;
                    break;
                }
            }
        }
        if self.flush_due {
            match Pin::new(stream).poll_flush(&mut cx) {
                Poll::Ready(Ok(())) => self.flush_due = false,
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
                Poll::Pending => self.armed.write = true,
            }
        }
        Ok(())
    }

    /// Reads once and delivers. False when there was nothing to read.
    fn read(&mut self, mine: Option<Ticket>) -> Result<bool, Lost> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        if self.armed.read || self.notes.paused.load(Ordering::Acquire) {
            return Ok(false);
        }
        let mut cx = Context::from_waker(&self.waker);
        let count = match Pin::new(stream).poll_read(&mut cx, self.reader.space()) {
            Poll::Pending => {
                self.armed.read = true;
                return Ok(false);
            }
            Poll::Ready(Ok(0)) => return Err(Lost::ByPeer),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => {
                let lost = Lost::Io(error);
                if lost.never_accepted() {
                    self.written = 0;
                }
                return Err(lost);
            }
        };
        let scanned = self.reader.scan(count);
        self.notes.coming.store(self.reader.missing(), Ordering::Relaxed);
        self.silent = false;
        let delivered = self.deliver(mine);
        // Where nothing is owed any more, nobody asks when something last came.
        if self.owing {
            self.progress = self.now();
        }
        scanned.map_err(|error| Lost::Protocol(error.to_string()))?;
        delivered?;
        Ok(true)
    }

    fn deliver(&mut self, mine: Option<Ticket>) -> Result<(), Lost> {
        let mut unasked = None;
        let listened = self.notes.sink.get().is_some();
        let lists = listened && self.notes.lists_are_pushes.load(Ordering::Relaxed);
        {
            let mut queue = lock(&self.queue);
            if queue.lost().is_some() {
                return Ok(());
            }
            let mut answered = self.notes.answered.load(Ordering::Relaxed);
            for frame in self.reader.frames() {
                let posted = listened && queue.is_posted();
                match frame_kind(&frame) {
                    FrameKind::Push => {
                        if listened {
                            self.pushes.push(frame);
                        }
                        continue;
                    }
                    FrameKind::Reply if lists && frame.starts_with(b"*") && !is_pong(&frame) => {
                        self.pushes.push(frame);
                        continue;
                    }
                    FrameKind::Error if posted || lists => {
                        if let Some(text) = unready(&frame) {
                            return Err(Lost::TurnedAway(text));
                        }
                        self.pushes.push(frame);
                        continue;
                    }
                    FrameKind::Error if !answered => {
                        if let Some(text) = turned_away(&frame) {
                            self.written = 0;
                            return Err(Lost::TurnedAway(text));
                        }
                    }
                    FrameKind::Error | FrameKind::Reply => {}
                }
                if !answered {
                    answered = true;
                    self.notes.resp3.store(frame.starts_with(b"%"), Ordering::Relaxed);
                    self.notes.answered.store(true, Ordering::Relaxed);
                }
                if posted {
                    self.pushes.push(frame.clone());
                }
                if let Err(frame) = queue.deliver(frame, self.written, mine, &mut self.wakers) {
                    unasked = Some(frame);
                    break;
                }
            }
            self.owing = queue.owes();
            self.notes.load.store(queue.in_flight(), Ordering::Relaxed);
        }
        wake_all(&mut self.wakers);
        if !self.pushes.is_empty()
            && let Some(sink) = self.notes.sink.get()
        {
            let now = *self.clock.get_or_insert_with(|| self.transport.now());
            sink.handle(&mut self.pushes, now);
            self.pushes.clear();
        }
        match unasked {
            None => Ok(()),
            Some(frame) => Err(Lost::Protocol(format!(
                "a reply that nobody asked for: {:?}",
                String::from_utf8_lossy(&frame[..frame.len().min(60)])
            ))),
        }
    }

    /// Fails what is too late, and arms the timer. True when the timer fired.
    fn check_time(&mut self, earliest: Timestamp) -> Result<bool, Lost> {
        let (suspect, stalled) = match self.progress_timeout {
            Some(timeout) if self.owing && !self.notes.paused.load(Ordering::Relaxed) => {
                (self.progress.after(timeout / SILENT_PART), self.progress.after(timeout))
            }
            _ => (Timestamp::FAR_FUTURE, Timestamp::FAR_FUTURE),
        };
        let next = earliest.min(if self.silent { stalled } else { suspect });
        if next == Timestamp::FAR_FUTURE {
            return Ok(false);
        }
        // Before its time the timer cannot have called, whoever did.
        if !self.armed.timer
            && let Some(at) = self.sleep.as_ref().map(|(at, _)| *at)
        {
            self.armed.timer = self.now() < at;
        }
        // Time passes without a look at the clock as long as the timer that is armed comes first:
        // it will tell.
        let sleep = match &mut self.sleep {
            Some((at, _)) if *at <= next && self.armed.timer => return Ok(false),
            Some((at, sleep)) if *at <= next => sleep,
            sleep => &mut sleep.insert((next, self.transport.sleep_until(next))).1,
        };
        if sleep.as_mut().poll(&mut Context::from_waker(&self.waker)).is_pending() {
            self.armed.timer = true;
            return Ok(false);
        }
        self.sleep = None;
        self.armed.timer = false;
        let now = self.transport.now();
        self.clock = Some(now);
        if now >= stalled {
            return Err(Lost::NoProgress(self.progress_timeout.unwrap_or_default()));
        }
        if now >= suspect && !self.silent {
            self.silent = true;
            self.triggers.report_server_silent();
        }
        lock(&self.queue).handle_timeout(now, self.written, &mut self.wakers);
        wake_all(&mut self.wakers);
        Ok(true)
    }

    fn lose(&mut self, cause: Lost) {
        if !matches!(cause, Lost::Retired) {
            self.triggers.report_connection_lost();
        }
        self.notes.closed.store(true, Ordering::Release);
        lock(&self.queue).lose(cause, self.written, &mut self.wakers);
        self.release();
        wake_all(&mut self.wakers);
    }

    /// A turn panics. What is in flight fails first, for the rest is foreign code, which may panic
    /// again. How much of what was taken from the queue the stream has accepted is not known.
    pub(crate) fn lose_by_panic(&mut self) {
        self.notes.closed.store(true, Ordering::Release);
        lock(&self.queue).lose(Lost::Panicked, u64::MAX, &mut self.wakers);
        wake_all(&mut self.wakers);
        without_panic(|| self.triggers.report_connection_lost());
        without_panic(|| self.release());
    }

    /// Lets go of the stream and the timer: the link is lost.
    fn release(&mut self) {
        let lost = lock(&self.queue).lost().cloned();
        if self.stream.take().is_some()
            && let (Some(sink), Some(cause)) = (self.notes.sink.get(), lost)
        {
            sink.handle_lost(&cause);
        }
        self.sleep = None;
        self.out = Vec::new();
        self.sent = 0;
    }
}

/// What a server says that takes no command at all for now. To commands that were posted nobody
/// knows which of them it answers, so the connection cannot go on.
fn unready(frame: &Bytes) -> Option<String> {
    let error = ServerError::from_frame(frame)?;
    let policy = reply_policy(&error, ErrorOrigin::Server);
    policy.node.refuses_everything().then(|| error.to_string())
}

/// What a server says that takes no more connections: it has run nothing, and closes.
// spec: redis.io/docs, "Redis client handling, Maximum concurrent connected clients"
fn turned_away(frame: &Bytes) -> Option<String> {
    let error = ServerError::from_frame(frame)?;
    (error.class() == ErrorClass::TooManyClients).then(|| error.to_string())
}
