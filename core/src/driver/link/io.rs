//! A link's stream and timer, and the bytes that move between them and the queue: the part of a
//! link that one driver at a time holds.
//!
//! A turn takes output from the queue, writes, reads and checks the time, until nothing moves. What
//! returned `Pending` has registered the link's waker and is not polled again until it was woken
//! (`registered`). So a caller that only adds a command pays for one write and nothing else.
//!
//! **Invariants**:
//! - no stream, timer or foreign waker is called while `queue` is locked;
//! - the bytes taken from the queue are written in order, in one write if the stream accepts that;
//! - there is one timer, set to no later than the earliest deadline.
//!
//! Limit: `READS_PER_TURN` reads in one turn. `link.rs` decides which task drives.

use crate::BoxFuture;
use crate::connection::outcome::Lost;
use crate::connection::queue::{CommandQueue, Ticket, Unfit, Wakers};
use crate::connection::reader::Reader;
use crate::connection::wakers::wake_all;
use crate::driver::environment::cached_clock::CachedClock;
use crate::driver::environment::connection_limit::Place;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::link::io_waker::IoWaker;
use crate::driver::link::objections::{refuses_all_commands, refuses_connection, unexpected_reply};
use crate::driver::link::push_sink::PushSink;
use crate::driver::link::silence_watch::{Silence, SilenceWatch};
use crate::lock::lock;
use crate::resp::{FrameKind, frame_kind};
use crate::subscription::channel_table::UnknownState;
use crate::subscription::push::{is_pong, refuses_ping};
use crate::time::Timestamp;
use crate::transport::{AbortFlag, ByteStream, Transport};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod ending;
mod timing;

/// The most reads in one turn; then other tasks of the thread get their turn.
const READS_PER_TURN: usize = 32;

/// The state of a link that callers read without a lock.
#[derive(Debug, Default)]
pub(crate) struct LinkStatus {
    /// Entries in flight, for choosing the least loaded of a node's connections.
    pub(crate) in_flight: AtomicUsize,
    /// The least number of bytes that the frame being read still lacks.
    pub(crate) bytes_missing: AtomicUsize,
    /// The link takes no more entries.
    pub(crate) closed: AtomicBool,
    /// The server has sent a frame.
    pub(crate) answered: AtomicBool,
    /// The stream ended in the middle of a frame.
    pub(crate) cut_inside: AtomicBool,
    /// The server speaks RESP3; known from its first frame.
    pub(crate) resp3: AtomicBool,
    /// Receives the pushes. They are dropped until it is set.
    pub(crate) push_sink: OnceLock<Arc<dyn PushSink>>,
    /// The connection is subscribed in RESP2, where pushes are lists.
    pub(crate) lists_are_pushes: AtomicBool,
    /// Nothing is read until a subscription's reader has caught up.
    pub(crate) reading_paused: AtomicBool,
    /// Looks after the link while its server is silent. Without it, a silent link is lost.
    pub(crate) silence_watch: OnceLock<Arc<dyn SilenceWatch>>,
    /// What was found out about a silent link: one of [`finding`].
    pub(crate) finding: AtomicU8,
    /// By what the server knows this connection, from the reply to HELLO; 0 if it did not say.
    pub(crate) client_id: AtomicU64,
}

/// What was found out about a link whose server is silent.
pub(crate) mod finding {
    /// Nothing yet.
    pub(crate) const NONE: u8 = 0;
    /// The server is busy with a command of this link, or with one that holds it up.
    pub(crate) const BUSY: u8 = 1;
    /// The server answers over another link, and has nothing to do for this one: this one is dead.
    pub(crate) const DEAD: u8 = 2;
}

/// A link's stream and timer; see the head of this file.
pub(crate) struct Io {
    /// The entries that callers wait for.
    queue: Arc<Mutex<CommandQueue>>,
    /// Tells whether the stream or the timer has called its waker.
    io_waker: Arc<IoWaker>,
    /// The same as a `Waker`: the stream and the timer are polled with it.
    waker: Waker,
    /// Clock and timers.
    transport: Arc<dyn Transport>,
    /// Set when the link is lost or its server silent.
    triggers: Arc<RefreshTriggers>,
    /// Shared with the link.
    status: Arc<LinkStatus>,
    /// `None` once the link is lost.
    stream: Option<Box<dyn ByteStream>>,
    /// What returned `Pending` and was not woken since.
    registered: Registered,
    /// Taken from the queue, being written.
    out: Vec<u8>,
    /// How many bytes of `out` the stream has accepted.
    sent: usize,
    /// Bytes that the stream has accepted since it was opened.
    written: u64,
    /// The last write found the stream full.
    write_blocked: bool,
    /// A layer of the stream may still hold written bytes back.
    flush_due: bool,
    /// Cuts what is read into frames.
    reader: Reader,
    /// The server owes a reply.
    reply_owed: bool,
    /// When the server began to owe a reply, or last sent or accepted bytes.
    last_progress: Timestamp,
    /// The time in this turn, once the clock was read.
    turn_time: Option<Timestamp>,
    /// The server was reported as silent since the last progress.
    silence_reported: bool,
    /// The server was silent for the progress timeout, and callers still wait.
    silence: Option<Silence>,
    /// See `LinkSettings`.
    progress_timeout: Option<Duration>,
    /// See `LinkSettings`.
    abort: AbortFlag,
    /// See `LinkSettings`.
    cached_clock: Arc<CachedClock>,
    /// The timer. It may be set earlier than needed.
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
    /// Collected under the queue's lock; empty between uses.
    wakers: Wakers,
    /// Frames for the push sink; empty between uses.
    pushes: Vec<Bytes>,
    /// The place of the stream, if there are places; dropped after it.
    place: Option<Arc<Place>>,
}

/// What returned `Pending` since the last wake: it is not polled until it was woken.
#[derive(Default)]
struct Registered {
    /// Reading from the stream.
    read: bool,
    /// Writing to the stream, which is full.
    write: bool,
    /// The timer.
    timer: bool,
    /// The watch of a silent link.
    watch: bool,
}

impl Io {
    pub(crate) fn new(
        stream: Box<dyn ByteStream>,
        queue: &Arc<Mutex<CommandQueue>>,
        status: &Arc<LinkStatus>,
        transport: Arc<dyn Transport>,
        triggers: Arc<RefreshTriggers>,
        settings: LinkSettings,
    ) -> Self {
        let io_waker = Arc::new(IoWaker::new(queue));
        Self {
            queue: Arc::clone(queue),
            waker: Waker::from(Arc::clone(&io_waker)),
            io_waker,
            transport,
            triggers,
            status: Arc::clone(status),
            stream: Some(stream),
            registered: Registered::default(),
            out: Vec::new(),
            sent: 0,
            written: 0,
            write_blocked: false,
            flush_due: false,
            reader: Reader::new(settings.scan),
            reply_owed: false,
            last_progress: Timestamp::ZERO,
            place: settings.place,
            turn_time: None,
            silence_reported: false,
            silence: None,
            progress_timeout: settings.progress_timeout,
            abort: settings.abort,
            cached_clock: settings.cached_clock,
            sleep: None,
            wakers: Wakers::new(),
            pushes: Vec::new(),
        }
    }

    /// The waker that the stream and the timer are polled with.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// When the server began to owe the last reply, or sent something while it owed more.
    pub(super) fn last_progress(&self) -> Timestamp {
        self.last_progress
    }

    /// Moves all bytes that can be moved. `own` is the entry of the caller that drives, if there is
    /// one: that caller polls it afterwards and needs no waking.
    pub(crate) fn turn(&mut self, own: Option<Ticket>) {
        if self.io_waker.take_fired() {
            self.registered = Registered::default();
        }
        self.turn_time = None;
        self.cached_clock.clear();
        for _ in 0..READS_PER_TURN {
            match self.step(own) {
                Ok(true) => {}
                Ok(false) => return,
                Err(lost) => return self.lose(lost),
            }
        }
        self.waker.wake_by_ref();
    }

    /// Takes output, writes, reads once and checks the time. True if there may be more to do now.
    fn step(&mut self, own: Option<Ticket>) -> Result<bool, Lost> {
        let Some(earliest) = self.take_output()? else { return Ok(false) };
        // On an idle connection, reading comes first: if the server has closed it, the commands
        // that wait were surely never sent.
        let read = if self.reply_owed {
            self.write()?;
            self.read(own)?
        } else {
            let read = self.read(own)?;
            self.write()?;
            read
        };
        if read { Ok(true) } else { self.check_time(earliest) }
    }

    /// Takes what is to be written. Returns the earliest deadline, or `None` once the link is lost.
    fn take_output(&mut self) -> Result<Option<Timestamp>, Lost> {
        let mut queue = lock(&self.queue);
        if queue.lost().is_some() {
            drop(queue);
            self.release();
            return Ok(None);
        }
        if queue.is_spent() {
            return Err(Lost::Retired);
        }
        if self.silence.is_some() && !queue.is_silent() {
            return Err(self.no_progress());
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            queue.take_output(&mut self.out);
        } else {
            queue.block_output();
        }
        // Without a background task, no task may have been there when an idle stream called.
        self.registered.read &= self.reply_owed || queue.has_background();
        if queue.has_unseen() {
            // The clock is foreign code, so it is read without the lock. Entries that are added
            // meanwhile get the same time.
            drop(queue);
            let now = self.now();
            queue = lock(&self.queue);
            queue.see(now);
        }
        Ok(Some(queue.earliest()))
    }

    /// The time of this turn. The clock is read once.
    fn now(&mut self) -> Timestamp {
        *self.turn_time.get_or_insert_with(|| self.transport.now())
    }

    /// Writes what was taken, until all is written or the stream is full.
    #[inline]
    fn write(&mut self) -> Result<(), Lost> {
        let has_output = self.sent < self.out.len() || self.flush_due;
        if has_output && !self.registered.write { self.write_on() } else { Ok(()) }
    }

    // It is the rare part: `write` alone fits into its callers.
    #[inline(never)]
    fn write_on(&mut self) -> Result<(), Lost> {
        if !self.reply_owed && self.sent < self.out.len() {
            self.reply_owed = true;
            self.last_progress = self.now();
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
                    // A full stream that has room again shows that the server reads.
                    if std::mem::take(&mut self.write_blocked) {
                        self.last_progress =
                            *self.turn_time.get_or_insert_with(|| self.transport.now());
                    }
                }
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
                Poll::Pending => {
                    self.registered.write = true;
                    self.write_blocked = true;
                    break;
                }
            }
        }
        if self.flush_due {
            match Pin::new(stream).poll_flush(&mut cx) {
                Poll::Ready(Ok(())) => self.flush_due = false,
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
                Poll::Pending => self.registered.write = true,
            }
        }
        Ok(())
    }

    /// Reads once and delivers the frames. False if there was nothing to read.
    fn read(&mut self, own: Option<Ticket>) -> Result<bool, Lost> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        if self.registered.read || self.status.reading_paused.load(Ordering::Acquire) {
            return Ok(false);
        }
        let mut cx = Context::from_waker(&self.waker);
        let count = match Pin::new(stream).poll_read(&mut cx, self.reader.space()) {
            Poll::Pending => {
                self.registered.read = true;
                return Ok(false);
            }
            Poll::Ready(Ok(0)) => {
                self.status.cut_inside.store(self.reader.holds_part(), Ordering::Relaxed);
                return Err(Lost::ByPeer);
            }
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => {
                self.status.cut_inside.store(self.reader.holds_part(), Ordering::Relaxed);
                let lost = Lost::Io(error);
                if lost.never_accepted() {
                    self.written = 0;
                }
                return Err(lost);
            }
        };
        let scanned = self.reader.scan(count);
        self.status.bytes_missing.store(self.reader.missing(), Ordering::Relaxed);
        if self.silence_reported {
            self.end_silence();
        }
        let delivered = self.deliver(own);
        // The time of the last progress is used only while a reply is owed.
        if self.reply_owed {
            self.last_progress = self.now();
        }
        scanned.map_err(|error| Lost::Protocol(error.to_string()))?;
        delivered?;
        Ok(true)
    }

    /// Gives the frames that were read to their entries, and pushes to the sink.
    fn deliver(&mut self, own: Option<Ticket>) -> Result<(), Lost> {
        let mut unfit = None;
        let has_sink = self.status.push_sink.get().is_some();
        let lists = has_sink && self.status.lists_are_pushes.load(Ordering::Relaxed);
        {
            let mut queue = lock(&self.queue);
            if queue.lost().is_some() {
                return Ok(());
            }
            let mut answered = self.status.answered.load(Ordering::Relaxed);
            for frame in self.reader.frames() {
                let answers_push_command = has_sink && queue.awaits_pushes();
                match frame_kind(&frame) {
                    FrameKind::Push => {
                        if has_sink {
                            self.pushes.push(frame);
                        }
                        continue;
                    }
                    FrameKind::Reply if lists && frame.starts_with(b"*") && !is_pong(&frame) => {
                        self.pushes.push(frame);
                        continue;
                    }
                    FrameKind::Error
                        if (answers_push_command || lists) && !refuses_ping(&frame) =>
                    {
                        if let Some(text) = refuses_all_commands(&frame) {
                            return Err(Lost::TurnedAway(text));
                        }
                        self.pushes.push(frame);
                        continue;
                    }
                    FrameKind::Error if !answered => {
                        if let Some(text) = refuses_connection(&frame) {
                            self.written = 0;
                            return Err(Lost::TurnedAway(text));
                        }
                    }
                    FrameKind::Error | FrameKind::Reply => {}
                }
                if !answered {
                    answered = true;
                    self.status.resp3.store(frame.starts_with(b"%"), Ordering::Relaxed);
                    self.status.client_id.store(client_id_in(&frame), Ordering::Relaxed);
                    self.status.answered.store(true, Ordering::Relaxed);
                }
                if answers_push_command {
                    self.pushes.push(frame.clone());
                }
                if let Err(wrong) = queue.deliver(frame, self.written, own, &mut self.wakers) {
                    unfit = Some(wrong);
                    break;
                }
            }
            self.reply_owed = queue.is_reply_owed();
            self.status.in_flight.store(queue.in_flight(), Ordering::Relaxed);
            if queue.is_retired() {
                self.status.closed.store(true, Ordering::Release);
            }
        }
        wake_all(&mut self.wakers);
        self.hand_pushes_on()?;
        match unfit {
            None => Ok(()),
            Some(Unfit::Unasked(frame)) => Err(unexpected_reply(&frame)),
            Some(Unfit::Wrong(what)) => Err(Lost::Protocol(what)),
        }
    }

    /// Gives the frames that were set aside to the push sink.
    fn hand_pushes_on(&mut self) -> Result<(), Lost> {
        let mut known = Ok(());
        if !self.pushes.is_empty()
            && let Some(sink) = self.status.push_sink.get()
        {
            let now = *self.turn_time.get_or_insert_with(|| self.transport.now());
            known = sink.handle(&mut self.pushes, now);
            self.pushes.clear();
        }
        known.map_err(|UnknownState(what)| Lost::Protocol(what.to_owned()))
    }
}

/// The id of this connection in a reply to HELLO; 0 if it is not there.
// spec: redis.io/commands/hello, "Reply"
fn client_id_in(frame: &[u8]) -> u64 {
    const FIELD: &[u8] = b"$2\r\nid\r\n:";
    let at = frame.windows(FIELD.len()).position(|window| window == FIELD);
    let digits = at.and_then(|at| frame[at + FIELD.len()..].split(|byte| *byte == b'\r').next());
    let id = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    id.unwrap_or_default()
}
