//! A server in memory and a transport to it: the test moves the bytes, in pieces of any size, and
//! one seed decides the order of all events.
//!
//! The server replies to `ECHO token` with the token, to `BLPOP list 0` with a list of the list's
//! name twice, and to everything else with OK.
//! **Invariants**: it replies on each connection in order, and sends nothing else unless the test
//! says so; the clock stands still until the test moves it. The fuzz target `connection` includes
//! this file.

use futures::io::{AsyncRead, AsyncWrite};
use slotcar::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A task that is polled only when its waker was called.
pub(crate) struct Task {
    /// `None` after it ended or was dropped.
    pub(crate) future: Option<BoxFuture<'static, ()>>,
    /// Its waker.
    woken: Arc<Woken>,
}

/// Whether a task must be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Task {
    pub(crate) fn new(future: BoxFuture<'static, ()>) -> Task {
        Task { future: Some(future), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Polls the task if it was woken; true if it was.
    pub(crate) fn run(&mut self) -> bool {
        let woken = self.woken.0.swap(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        if woken
            && let Some(future) = &mut self.future
            && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            self.future = None;
        }
        woken
    }
}

/// The transport. Clones share everything.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

/// What the clones share.
struct Inner {
    /// Every connection that was made.
    pipes: Mutex<Vec<Arc<Mutex<Pipe>>>>,
    /// Background tasks; none are accepted on a host without them.
    spawned: Option<Mutex<Vec<Task>>>,
    /// State of the random numbers.
    chance: AtomicU64,
    /// Nanoseconds since the epoch.
    now: AtomicU64,
    /// Timers: when to wake which waker.
    sleepers: Mutex<Vec<(Timestamp, Waker)>>,
}

/// One connection.
#[derive(Default)]
struct Pipe {
    /// On their way to the server.
    requests: Vec<u8>,
    /// On their way to the client.
    replies: VecDeque<u8>,
    /// The client's ends: a reader and a writer that wait.
    wakers: [Option<Waker>; 2],
    /// Bytes that the client may still write.
    room: usize,
    /// The client has dropped it.
    closed: bool,
    /// The server has closed it.
    ended: bool,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    pub(crate) fn new(seed: u64, background: bool) -> Memory {
        let spawned = background.then(Mutex::default);
        let chance = AtomicU64::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1));
        let (pipes, sleepers) = (Mutex::default(), Mutex::default());
        let now = AtomicU64::new(0);
        Memory(Arc::new(Inner { pipes, spawned, chance, now, sleepers }))
    }

    /// Moves the clock; true if it woke a timer.
    pub(crate) fn advance(&self, by: Duration) -> bool {
        self.0.now.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        let now = self.now();
        let due: Vec<_> = lock(&self.0.sleepers).extract_if(.., |(at, _)| *at <= now).collect();
        let woke = !due.is_empty();
        due.into_iter().for_each(|(_, waker)| waker.wake());
        woke
    }

    /// The server sends bytes without a command, on one of the connections.
    pub(crate) fn say(&self, number: usize, bytes: &[u8]) {
        self.with_pipe(number, |pipe| pipe.replies.extend(bytes));
    }

    /// The server closes one of the connections.
    pub(crate) fn hang_up(&self, number: usize) {
        self.with_pipe(number, |pipe| pipe.ended = true);
    }

    fn with_pipe(&self, number: usize, change: impl FnOnce(&mut Pipe)) {
        let pipes = lock(&self.0.pipes).clone();
        let Some(pipe) = pipes.get(number % pipes.len().max(1)) else { return };
        let waker = {
            let mut pipe = lock(pipe);
            change(&mut pipe);
            pipe.wakers[0].take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// How many connections the client holds.
    pub(crate) fn open_connections(&self) -> usize {
        lock(&self.0.pipes).iter().filter(|pipe| !lock(pipe).closed).count()
    }

    /// How many background tasks have not ended.
    pub(crate) fn background_tasks(&self) -> usize {
        self.0.spawned.as_ref().map_or(0, |spawned| lock(spawned).len())
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let mut state = self.0.chance.load(Ordering::SeqCst);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.chance.store(state, Ordering::SeqCst);
        ((state >> 11) % bound.max(1) as u64) as usize
    }

    /// Runs the background tasks that were woken; true if there were any.
    pub(crate) fn run_background(&self) -> bool {
        let Some(spawned) = &self.0.spawned else { return false };
        // A task may spawn another while it runs.
        let mut tasks = std::mem::take(&mut *lock(spawned));
        let ran = tasks.iter_mut().fold(false, |ran, task| task.run() | ran);
        tasks.retain(|task| task.future.is_some());
        lock(spawned).append(&mut tasks);
        ran
    }

    /// Moves bytes on some connections: the client may write a few more, and the server answers
    /// some commands. `all` moves everything. True if something moved.
    pub(crate) fn step(&self, all: bool) -> bool {
        let pipes = lock(&self.0.pipes).clone();
        let mut moved = false;
        for pipe in pipes {
            if !all && self.below(2) == 0 {
                continue;
            }
            let room = if all { 1 << 20 } else { self.below(60) };
            let mut wakers = Vec::new();
            {
                let mut pipe = lock(&pipe);
                moved |= pipe.answer(if all { usize::MAX } else { self.below(4) });
                if pipe.room < room {
                    pipe.room = room;
                    wakers.extend(pipe.wakers[1].take());
                }
                if pipe.ended || !pipe.replies.is_empty() {
                    wakers.extend(pipe.wakers[0].take());
                }
            }
            moved |= !wakers.is_empty();
            wakers.into_iter().for_each(Waker::wake);
        }
        lock(&self.0.pipes).retain(|pipe| !lock(pipe).closed);
        moved
    }
}

impl Pipe {
    /// Answers up to `count` complete commands; true if it answered any.
    fn answer(&mut self, count: usize) -> bool {
        let mut answered = 0;
        while answered < count && !self.ended {
            let Some((command, length)) = parse(&self.requests) else { break };
            self.requests.drain(..length);
            let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
            let reply = match command[0].as_str() {
                "ECHO" => bulk(&command[1]),
                "BLPOP" => format!("*2\r\n{0}{0}", bulk(&command[1])),
                _ => "+OK\r\n".to_owned(),
            };
            self.replies.extend(reply.as_bytes());
            answered += 1;
        }
        answered > 0
    }
}

/// The arguments of the first command in `bytes`, and its length.
fn parse(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let mut at = 0;
    let mut line = || {
        let end = at + bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..end]).expect("tests send text");
        at = end + 2;
        Some((text, at))
    };
    let count = line()?.0[1..].parse::<usize>().expect("a head");
    let mut words = Vec::new();
    let mut end = 0;
    for _ in 0..count {
        line()?;
        let (word, after) = line()?;
        words.push(word.to_owned());
        end = after;
    }
    Some((words, end))
}

impl Transport for Memory {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let mut pauses = self.below(3);
            poll_fn(|cx| {
                if pauses == 0 {
                    return Poll::Ready(());
                }
                pauses -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            let pipe: Arc<Mutex<Pipe>> = Arc::default();
            lock(&self.0.pipes).push(Arc::clone(&pipe));
            let stream: Box<dyn ByteStream> = Box::new(Stream { pipe, memory: self.clone() });
            Ok(stream)
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        let Some(spawned) = &self.0.spawned else { return false };
        lock(spawned).push(Task::new(task));
        true
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let this = self.clone();
        Box::pin(poll_fn(move |cx| {
            if this.now() >= deadline {
                return Poll::Ready(());
            }
            lock(&this.0.sleepers).push((deadline, cx.waker().clone()));
            Poll::Pending
        }))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_duration(Duration::from_nanos(self.0.now.load(Ordering::SeqCst)))
    }

    fn seed(&self) -> u64 {
        7
    }
}

/// The client's end.
struct Stream {
    /// The connection.
    pipe: Arc<Mutex<Pipe>>,
    /// The random numbers.
    memory: Memory,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.pipe);
        if pipe.replies.is_empty() && pipe.ended {
            return Poll::Ready(Ok(0));
        }
        if pipe.replies.is_empty() {
            pipe.wakers[0] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let some = 1 + self.memory.below(pipe.replies.len());
        let count = some.min(buf.len());
        buf.iter_mut().zip(pipe.replies.drain(..count)).for_each(|(to, byte)| *to = byte);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.pipe);
        if pipe.room == 0 {
            pipe.wakers[1] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(pipe.room);
        pipe.room -= count;
        pipe.requests.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.pipe).closed = true;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
