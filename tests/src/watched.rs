//! A transport around a transport: it records what the client opens and writes, and breaks streams.
//!
//! It shows what only the client's side can show: the number of writes, and streams, tasks and
//! timers that outlive the client. It also plays a host that runs no background tasks, and streams
//! that take a few bytes at a time. Faults of the network are made by `real::proxy`.
//! **Invariant**: bytes are counted, cut and delayed, never changed.

use futures::io::{AsyncRead, AsyncWrite};
use slotcar::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// A watched transport. Clones share their counts and their faults.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The transport that connects.
    inner: Arc<dyn Transport>,
    /// What was recorded, and which faults are set.
    seen: Arc<Seen>,
    /// Whether background tasks are accepted.
    background: bool,
}

/// What was recorded, and which faults are set.
#[derive(Debug, Default)]
struct Seen {
    /// Every endpoint that was dialled, in order.
    dialled: Mutex<Vec<Endpoint>>,
    /// For each stream in the order of dialling, the bytes of each write.
    writes: Mutex<Vec<Vec<Vec<u8>>>>,
    /// Streams that exist.
    streams: Arc<AtomicUsize>,
    /// Sockets that are open or being opened.
    sockets: Arc<AtomicUsize>,
    /// The most of them at any time.
    sockets_max: AtomicUsize,
    /// Tasks that exist.
    tasks: Arc<AtomicUsize>,
    /// Timers that exist.
    timers: Arc<AtomicUsize>,
    /// State of [`next`], which says how many bytes pass; 0: no limit.
    shred: AtomicU64,
    /// Bytes that a stream takes before it fails; 0: it never fails.
    break_after: AtomicU64,
}

impl Watched {
    /// Watches `inner`.
    pub fn new(inner: impl Transport) -> Watched {
        Watched { inner: Arc::new(inner), seen: Arc::default(), background: true }
    }

    /// The host accepts no background tasks.
    pub fn without_background(mut self) -> Watched {
        self.background = false;
        self
    }

    /// Reads and writes move a few bytes at a time, at random, with pauses between them.
    pub fn shredding(self, seed: u64) -> Watched {
        self.seen.shred.store(seed.max(1), Ordering::SeqCst);
        self
    }

    /// Each stream opened from now on fails after it took this many bytes; 0: it does not fail.
    pub fn break_after(&self, bytes: u64) {
        self.seen.break_after.store(bytes, Ordering::SeqCst);
    }

    /// Every endpoint that was dialled, in order.
    pub fn dialled(&self) -> Vec<Endpoint> {
        lock(&self.seen.dialled).clone()
    }

    /// For each stream in the order of dialling, the bytes of each write.
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

    /// The most sockets that were open or being opened at any time.
    pub fn sockets_max(&self) -> usize {
        self.seen.sockets_max.load(Ordering::SeqCst)
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
            let socket = Alive::count(&self.seen.sockets);
            let sockets = self.seen.sockets.load(Ordering::SeqCst);
            self.seen.sockets_max.fetch_max(sockets, Ordering::SeqCst);
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
                _alive: (Alive::count(&self.seen.streams), socket),
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

    crate::forward_transport!(inner: now, seed);
}

/// Is counted while it exists.
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
    /// The stream of the transport.
    inner: Box<dyn ByteStream>,
    /// Where writes are recorded.
    seen: Arc<Seen>,
    /// Which stream it is, in the order of dialling.
    number: usize,
    /// Bytes that it still takes before it fails; `None`: it does not fail.
    left: Option<u64>,
    /// Counts the stream while it exists.
    _alive: (Alive, Alive),
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
        // Mostly tiny, so that every boundary is hit; sometimes all of it, so that work proceeds.
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
