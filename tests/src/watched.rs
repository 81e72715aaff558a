//! A transport around a transport: counts what the client opens, writes and leaves behind, and
//! breaks streams where a test says so.
//!
//! Faults of the network are `real::proxy`'s business; here is what only the client's own side can
//! show: how many writes it made, whether a stream, task or timer outlived it, and what it does on
//! a host without a background or with a stream that takes one byte at a time.
//! **Invariant**: bytes are never changed, only counted, cut and held back. Used by the suites
//! about one server.

use futures::io::{AsyncRead, AsyncWrite};
use slotcar::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// See the head of this file. Clones share their counts and their faults.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What does the work.
    inner: Arc<dyn Transport>,
    /// What was seen.
    seen: Arc<Seen>,
    /// Tasks are taken.
    background: bool,
}

/// What was seen, and what shall break.
#[derive(Debug, Default)]
struct Seen {
    /// Every endpoint dialled, in order.
    dialled: Mutex<Vec<Endpoint>>,
    /// For each stream in the order of dialling, what each write took.
    writes: Mutex<Vec<Vec<Vec<u8>>>>,
    /// Streams that exist.
    streams: Arc<AtomicUsize>,
    /// Tasks that exist.
    tasks: Arc<AtomicUsize>,
    /// Timers that exist.
    timers: Arc<AtomicUsize>,
    /// Where the next cut falls, as a state of `next`; 0: bytes pass as they come.
    shred: AtomicU64,
    /// Bytes that a stream takes before it fails; 0: it never does.
    break_after: AtomicU64,
}

impl Watched {
    /// Watches `inner`.
    pub fn new(inner: impl Transport) -> Watched {
        Watched { inner: Arc::new(inner), seen: Arc::default(), background: true }
    }

    /// The same on a host that takes no tasks.
    pub fn without_background(mut self) -> Watched {
        self.background = false;
        self
    }

    /// Reads and writes move a random few bytes at a time, and pause in between.
    pub fn shredding(self, seed: u64) -> Watched {
        self.seen.shred.store(seed.max(1), Ordering::SeqCst);
        self
    }

    /// Each stream made from now on fails once it has taken this many bytes; 0 ends that.
    pub fn break_after(&self, bytes: u64) {
        self.seen.break_after.store(bytes, Ordering::SeqCst);
    }

    /// Every endpoint dialled, in order.
    pub fn dialled(&self) -> Vec<Endpoint> {
        lock(&self.seen.dialled).clone()
    }

    /// For each stream in the order of dialling, what each write took.
    pub fn writes(&self) -> Vec<Vec<Vec<u8>>> {
        lock(&self.seen.writes).clone()
    }

    /// How many writes there were, over all streams.
    pub fn write_count(&self) -> usize {
        lock(&self.seen.writes).iter().map(Vec::len).sum()
    }

    /// How many bytes were written, over all streams.
    pub fn written(&self) -> usize {
        lock(&self.seen.writes).iter().flatten().map(Vec::len).sum()
    }

    /// Streams that exist.
    pub fn streams(&self) -> usize {
        self.seen.streams.load(Ordering::SeqCst)
    }

    /// Streams, tasks and timers that exist.
    pub fn left(&self) -> (usize, usize, usize) {
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (count(&self.seen.streams), count(&self.seen.tasks), count(&self.seen.timers))
    }
}

impl Transport for Watched {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            lock(&self.seen.dialled).push(endpoint.clone());
            let inner = self.inner.connect(endpoint).await?;
            let number = {
                let mut writes = lock(&self.seen.writes);
                writes.push(Vec::new());
                writes.len() - 1
            };
            let break_after = self.seen.break_after.load(Ordering::SeqCst);
            let stream: Box<dyn ByteStream> = Box::new(Stream {
                inner,
                seen: Arc::clone(&self.seen),
                number,
                left: (break_after > 0).then_some(break_after),
                _alive: Alive::count(&self.seen.streams),
            });
            Ok(stream)
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        if !self.background {
            return false;
        }
        let alive = Alive::count(&self.seen.tasks);
        self.inner.spawn(Box::pin(async move {
            let _alive = alive;
            task.await;
        }))
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let sleep = self.inner.sleep_until(deadline);
        let alive = Alive::count(&self.seen.timers);
        Box::pin(async move {
            let _alive = alive;
            sleep.await;
        })
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn seed(&self) -> u64 {
        self.inner.seed()
    }
}

/// Counts as long as it lives.
#[derive(Debug)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn count(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A watched stream.
struct Stream {
    /// What carries the bytes.
    inner: Box<dyn ByteStream>,
    /// Where they are noted.
    seen: Arc<Seen>,
    /// Its place in the order of dialling.
    number: usize,
    /// Bytes that it takes before it fails.
    left: Option<u64>,
    /// Counts it.
    _alive: Alive,
}

impl Stream {
    /// How many of `wanted` bytes move this time; 0 for a pause.
    fn portion(&self, wanted: usize) -> usize {
        let state = self.seen.shred.load(Ordering::SeqCst);
        if state == 0 || wanted == 0 {
            return wanted;
        }
        let next = next(state);
        self.seen.shred.store(next, Ordering::SeqCst);
        // Mostly tiny, so that no boundary is missed; sometimes whole, so that work gets done.
        match next >> 60 {
            0 => 0,
            1..=9 => wanted.min(1 + ((next >> 32) % 7) as usize),
            _ => wanted,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let portion = self.portion(buf.len());
        if portion == 0 && !buf.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut *self.inner).poll_read(cx, &mut buf[..portion])
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut portion = self.portion(buf.len());
        if portion == 0 && !buf.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(left) = self.left {
            portion = portion.min(usize::try_from(left).unwrap_or(usize::MAX));
            if portion == 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let taken = ready!(Pin::new(&mut *self.inner).poll_write(cx, &buf[..portion]))?;
        if let Some(left) = &mut self.left {
            *left -= taken as u64;
        }
        lock(&self.seen.writes)[self.number].push(buf[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_close(cx)
    }
}

/// A pseudo-random sequence of all numbers but 0 (xorshift64).
pub fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
