//! One live connection: a [`Queue`], a stream, and the rule of who moves bytes between them.
//!
//! Whoever waits drives. A caller that is alone writes and reads on its own: no hand-over, no
//! second task. As soon as several wait, no single one may be relied on (it may never be polled
//! again), so the background task drives where the host has one, and everybody is woken where it
//! has none. In both cases what many callers enqueue goes out in one write.
//!
//! The stream and the timer are always polled with the link's own waker (`Signal`), which decides
//! at wake time whom to wake (`Queue::wake_driver`). So it never matters who polled last.
//!
//! Invariants:
//! - one driver at a time: `io` is only ever try-locked, and `kicked` makes whoever holds it look
//!   again (`drive`);
//! - `queue` is locked for moments only: no stream, timer or foreign waker is called under it;
//! - one write per flush, one timer per connection, whatever the number of callers.
//!
//! Called by `driver/lane.rs`, which makes links and replaces lost ones, and by the futures that
//! wait on one.

use super::alarm::Alarm;
use super::signal::Signal;
use crate::connection::outcome::{Lost, Outcome};
use crate::connection::queue::{Entry, Flush, Queue, Rejected, Ticket, Wakers};
use crate::connection::reader::Reader;
use crate::resp::{FrameKind, ScanLimits, ServerError, frame_kind};
use crate::sync::lock;
use crate::time::Timestamp;
use crate::transport::{ByteStream, Transport};
use crate::{BoxFuture, Endpoint};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use std::fmt;
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

/// What a link needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkSettings {
    /// Budget from enqueue to reply.
    pub(crate) bytes_max: usize,
    /// Limits of a reply.
    pub(crate) scan: ScanLimits,
    /// A server that owes bytes and sends none for this long is dead; `None` while it may rightly
    /// be silent.
    pub(crate) progress_timeout: Option<Duration>,
}

/// See the head of this file.
pub(crate) struct Link {
    /// Where it leads.
    endpoint: Endpoint,
    /// What callers wait on; shared with the signal, which must be `Send` also where the transport
    /// is not.
    queue: Arc<Mutex<Queue>>,
    /// What a driver needs; held by one at a time.
    io: Mutex<Io>,
    /// Somebody wanted to drive while another did.
    kicked: AtomicBool,
    /// Entries in flight, as of the last drive: to choose among lanes.
    load: AtomicUsize,
    /// A frame has come.
    answered: AtomicBool,
    /// What is listened for on this link, once it is.
    news: OnceLock<Arc<str>>,
    /// Told when this link is lost or its server silent.
    alarm: Arc<Alarm>,
    /// Clock and timers.
    transport: Arc<dyn Transport>,
    /// Given to the stream and the timer.
    signal: Waker,
}

/// What only the driver touches.
struct Io {
    /// Gone once the link is lost.
    stream: Option<Box<dyn ByteStream>>,
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
    /// The alarm was raised since the last progress.
    silent: bool,
    /// See `LinkSettings`.
    progress_timeout: Option<Duration>,
    /// The timer, armed for no later than the earliest deadline; may be armed for an earlier moment
    /// that no longer matters.
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
    /// Reused between deliveries.
    wakers: Wakers,
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
        alarm: Arc<Alarm>,
        settings: LinkSettings,
    ) -> Arc<Self> {
        let queue = Arc::new(Mutex::new(Queue::new(settings.bytes_max)));
        let signal = Waker::from(Arc::new(Signal(Arc::downgrade(&queue))));
        Arc::new(Self {
            endpoint,
            queue,
            io: Mutex::new(Io {
                stream: Some(stream),
                out: Vec::new(),
                sent: 0,
                written: 0,
                write_blocked: false,
                flush_due: false,
                reader: Reader::new(settings.scan),
                owing: false,
                progress: Timestamp::ZERO,
                silent: false,
                progress_timeout: settings.progress_timeout,
                sleep: None,
                wakers: Wakers::new(),
            }),
            kicked: AtomicBool::new(false),
            load: AtomicUsize::new(0),
            answered: AtomicBool::new(false),
            news: OnceLock::new(),
            alarm,
            transport,
            signal,
        })
    }

    /// A background task looks after this link from now on.
    pub(super) fn set_background(&self) {
        lock(&self.queue).set_background();
    }

    /// Whether a flush now would part commands that others are about to add to.
    pub(super) fn may_gather(&self) -> bool {
        lock(&self.queue).may_gather()
    }

    /// The background task wants to sleep. False when it has to look again first; `None` when the
    /// link is lost.
    pub(super) fn rest_background(&self, waker: &Waker) -> Option<bool> {
        let mut queue = lock(&self.queue);
        if queue.lost().is_some() { None } else { Some(queue.rest_background(waker)) }
    }

    /// Where this link leads.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Entries in flight, as of the last time that bytes moved.
    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Whether the link takes no more entries.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.queue).is_closed()
    }

    /// Whether the server ever answered on it.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Queues a greeting: `replies` answers will come that nobody waits for. It is written with the
    /// first entry, in one piece.
    pub(crate) fn greet(&self, len: usize, replies: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let entry = Entry { len, replies, deadline: Timestamp::FAR_FUTURE };
        lock(&self.queue).greet(entry, write);
    }

    /// Whether pushes that name something raise the alarm.
    pub(crate) fn is_listening(&self) -> bool {
        self.news.get().is_some()
    }

    /// Writes a command that is answered by pushes alone, and raises the alarm whenever a push
    /// names `what`.
    pub(crate) fn start_listening(&self, what: Arc<str>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.news.set(what).is_ok() {
            lock(&self.queue).post(write);
            self.drive();
        }
    }

    fn hear(&self, push: &Bytes) {
        let Some(what) = self.news.get() else { return };
        if push.windows(what.len().max(1)).any(|part| part == what.as_bytes()) {
            self.alarm.raise_news();
        }
    }

    /// Takes no more entries, and closes when all that are in flight have ended.
    pub(crate) fn retire(&self) {
        lock(&self.queue).retire();
        self.drive();
    }

    /// Takes a command in and, if nobody else will, writes it at once. `write` appends exactly
    /// `entry.len` bytes.
    pub(crate) fn enqueue(
        &self,
        entry: Entry,
        write: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<Ticket, Rejected> {
        let (ticket, flush, wake) = lock(&self.queue).enqueue(entry, write, cx.waker())?;
        match flush {
            Flush::Now => self.drive(),
            Flush::Later => cx.waker().wake_by_ref(),
            Flush::Covered => {}
        }
        if let Some(waker) = wake {
            waker.wake();
        }
        Ok(ticket)
    }

    /// Waits for room in the budget, for a caller whose entry was rejected as one too many.
    pub(crate) fn block(&self, deadline: Timestamp, cx: &Context<'_>) {
        let drives = {
            let mut queue = lock(&self.queue);
            queue.block(cx.waker(), deadline);
            queue.drives_itself()
        };
        if drives {
            self.drive();
        } else {
            self.signal.wake_by_ref();
        }
    }

    /// The outcome of an entry, once it has one.
    pub(crate) fn poll(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<Outcome> {
        {
            let mut queue = lock(&self.queue);
            if let Some(outcome) = queue.poll(ticket, cx.waker()) {
                return Poll::Ready(outcome);
            }
            if !queue.drives_itself() {
                return Poll::Pending;
            }
        }
        self.drive();
        match lock(&self.queue).poll(ticket, cx.waker()) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// The caller of an entry has gone.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        let wake = lock(&self.queue).abandon(ticket);
        if let Some(waker) = wake {
            waker.wake();
        }
    }

    /// Ends the link: what is owed fails, the stream is dropped.
    pub(crate) fn close(&self) {
        let mut wakers = Wakers::new();
        lock(&self.queue).lose(Lost::ByUs, u64::MAX, &mut wakers);
        wakers.drain(..).for_each(Waker::wake);
        self.drive();
    }

    /// Moves all bytes that can be moved. Returns when the stream has registered the link's waker,
    /// or when another driver is at it, who then looks again.
    pub(super) fn drive(&self) {
        self.kicked.store(true, Ordering::SeqCst);
        while self.kicked.load(Ordering::SeqCst) {
            let Ok(mut io) = self.io.try_lock() else { return };
            self.kicked.store(false, Ordering::SeqCst);
            self.turn(&mut io);
        }
    }

    fn turn(&self, io: &mut Io) {
        for _ in 0..READS_PER_TURN {
            if lock(&self.queue).is_spent() {
                return self.lose(io, Lost::Retired);
            }
            // An idle server's goodbye is found before the write: what waits was never sent.
            let moved = match io.owing {
                true => self.write(io).and_then(|()| self.read(io)),
                false => self.read(io).and_then(|read| self.write(io).map(|()| read)),
            };
            match moved.and_then(|read| if read { Ok(true) } else { self.check_time(io) }) {
                Ok(true) => {}
                Ok(false) => return self.release_if_lost(io),
                Err(lost) => return self.lose(io, lost),
            }
        }
        self.release_if_lost(io);
        self.signal.wake_by_ref();
    }

    /// Writes what is queued until there is nothing left or the stream is full.
    fn write(&self, io: &mut Io) -> Result<(), Lost> {
        let mut cx = Context::from_waker(&self.signal);
        let Some(stream) = &mut io.stream else { return Ok(()) };
        loop {
            if io.sent == io.out.len() {
                io.out.clear();
                io.sent = 0;
                lock(&self.queue).take_output(&mut io.out);
                if io.out.is_empty() {
                    break;
                }
                if !io.owing {
                    io.owing = true;
                    io.progress = self.transport.now();
                }
            }
            match Pin::new(&mut *stream).poll_write(&mut cx, &io.out[io.sent..]) {
                Poll::Ready(Ok(0)) => return Err(Lost::Io(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    io.sent += count;
                    io.written += count as u64;
                    io.flush_due = true;
                    // Room after none means that the other side takes what it is sent.
                    if std::mem::take(&mut io.write_blocked) {
                        io.progress = self.transport.now();
                    }
                }
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
                Poll::Pending => {
                    io.write_blocked = true;
                    break;
                }
            }
        }
        if io.flush_due {
            match Pin::new(stream).poll_flush(&mut cx) {
                Poll::Ready(Ok(())) => io.flush_due = false,
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    /// Reads once and delivers. False when there was nothing to read.
    fn read(&self, io: &mut Io) -> Result<bool, Lost> {
        let mut cx = Context::from_waker(&self.signal);
        let Some(stream) = &mut io.stream else { return Ok(false) };
        let count = match Pin::new(stream).poll_read(&mut cx, io.reader.space()) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(Lost::ByPeer),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
        };
        let scanned = io.reader.scan(count);
        io.progress = self.transport.now();
        io.silent = false;
        let delivered = self.deliver(io);
        scanned.map_err(|error| Lost::Protocol(error.to_string()))?;
        delivered?;
        Ok(true)
    }

    fn deliver(&self, io: &mut Io) -> Result<(), Lost> {
        let mut unasked = None;
        {
            let mut queue = lock(&self.queue);
            for frame in io.reader.frames() {
                match frame_kind(&frame) {
                    FrameKind::Push => {
                        self.hear(&frame);
                        continue;
                    }
                    FrameKind::Error if !self.answered.load(Ordering::Relaxed) => {
                        if let Some(text) = turned_away(&frame) {
                            io.written = 0;
                            return Err(Lost::TurnedAway(text));
                        }
                    }
                    FrameKind::Error | FrameKind::Reply => {}
                }
                self.answered.store(true, Ordering::Relaxed);
                if queue.lost().is_some() {
                    break;
                }
                if let Err(frame) = queue.deliver(frame, &mut io.wakers) {
                    unasked = Some(frame);
                    break;
                }
            }
            io.owing = queue.owes();
            self.load.store(queue.in_flight(), Ordering::Relaxed);
        }
        io.wakers.drain(..).for_each(Waker::wake);
        match unasked {
            None => Ok(()),
            Some(frame) => Err(Lost::Protocol(format!(
                "a reply that nobody asked for: {:?}",
                String::from_utf8_lossy(&frame[..frame.len().min(60)])
            ))),
        }
    }

    /// Fails what is too late, and arms the timer. True when the timer fired.
    fn check_time(&self, io: &mut Io) -> Result<bool, Lost> {
        let earliest = lock(&self.queue).earliest();
        let (suspect, stalled) = match io.progress_timeout {
            Some(timeout) if io.owing => {
                (io.progress.after(timeout / SILENT_PART), io.progress.after(timeout))
            }
            _ => (Timestamp::FAR_FUTURE, Timestamp::FAR_FUTURE),
        };
        let next = earliest.min(if io.silent { stalled } else { suspect });
        if next == Timestamp::FAR_FUTURE || io.stream.is_none() {
            return Ok(false);
        }
        // Time passes without a look at the clock as long as the timer that is armed comes first:
        // it will tell.
        let armed = match &mut io.sleep {
            Some((at, sleep)) if *at <= next => (*at, sleep),
            sleep => {
                let (at, sleep) = sleep.insert((next, self.transport.sleep_until(next)));
                (*at, sleep)
            }
        };
        let mut cx = Context::from_waker(&self.signal);
        if armed.1.as_mut().poll(&mut cx).is_pending() {
            return Ok(false);
        }
        io.sleep = None;
        let now = self.transport.now();
        if now >= stalled {
            return Err(Lost::NoProgress(io.progress_timeout.unwrap_or_default()));
        }
        if now >= suspect && !io.silent {
            io.silent = true;
            self.alarm.raise_silent();
        }
        lock(&self.queue).handle_timeout(now, io.written, &mut io.wakers);
        io.wakers.drain(..).for_each(Waker::wake);
        Ok(true)
    }

    fn lose(&self, io: &mut Io, cause: Lost) {
        if !matches!(cause, Lost::Retired) {
            self.alarm.raise_lost();
        }
        lock(&self.queue).lose(cause, io.written, &mut io.wakers);
        self.release_if_lost(io);
        io.wakers.drain(..).for_each(Waker::wake);
    }

    /// Lets go of the stream and the timer once the link is lost.
    fn release_if_lost(&self, io: &mut Io) {
        if lock(&self.queue).lost().is_some() {
            io.stream = None;
            io.sleep = None;
            io.out = Vec::new();
            io.sent = 0;
        }
    }
}

/// What a server says that takes no more connections: it has run nothing, and closes.
// spec: redis.io/docs, "Redis client handling, Maximum concurrent connected clients"
fn turned_away(frame: &Bytes) -> Option<String> {
    let error = ServerError::from_frame(frame)?;
    error.message().contains("max number of clients").then(|| error.to_string())
}
