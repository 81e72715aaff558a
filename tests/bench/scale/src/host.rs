//! A host on one thread: an executor that polls what was woken, a clock that moves only when it is
//! told to, and connections whose other ends are scripts (`server.rs`).
//!
//! Invariants: whatever it does for one task, timer or connection looks at no other one, so that
//! what grows with their number is the client's; the client's work, and nothing else, runs inside
//! of `counted_work`. The same calls take the same course each time.

use crate::section::counted_work;
use crate::server::Servers;
use futures_util::io::{AsyncRead, AsyncWrite};
use slotcar_core::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{fmt, io, mem};

/// One connection.
#[derive(Default)]
pub(crate) struct Connection {
    /// The server.
    pub(crate) endpoint: String,
    /// What the client has sent and the server has not read.
    pub(crate) input: Vec<u8>,
    /// What the server has sent and the client has not read.
    output: VecDeque<u8>,
    /// Wakes the client when there is something to read.
    reader: Option<Waker>,
}

/// What the lock of a host protects.
struct World {
    now: Timestamp,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    last_timer: u64,
    connections: Vec<Connection>,
    /// Connections whose input the server has not looked at.
    unread: VecDeque<usize>,
    tasks: Vec<Option<Arc<Task>>>,
    servers: Servers,
}

/// A task in the background.
struct Task {
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    woken: AtomicBool,
    ready: Arc<Mutex<VecDeque<Arc<Task>>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            lock(&self.ready).push_back(Arc::clone(&self));
        }
    }
}

/// See the head of this file.
#[derive(Clone)]
pub(crate) struct Host {
    world: Arc<Mutex<World>>,
    ready: Arc<Mutex<VecDeque<Arc<Task>>>>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    pub(crate) fn new(servers: Servers) -> Self {
        let world = World {
            now: Timestamp::from_duration(Duration::from_secs(1)),
            timers: BTreeMap::new(),
            last_timer: 0,
            connections: Vec::new(),
            unread: VecDeque::new(),
            tasks: Vec::new(),
            servers,
        };
        Self { world: Arc::new(Mutex::new(world)), ready: Arc::default() }
    }

    /// Changes what the servers do.
    pub(crate) fn servers<T>(&self, change: impl FnOnce(&mut Servers) -> T) -> T {
        change(&mut lock(&self.world).servers)
    }

    /// Polls what was woken and lets the servers answer, until nothing happens any more. The clock
    /// stands still.
    pub(crate) fn run(&self) {
        loop {
            let task = lock(&self.ready).pop_front();
            if let Some(task) = task {
                task.woken.store(false, Ordering::Release);
                let mut future = lock(&task.future);
                let waker = Waker::from(Arc::clone(&task));
                let mut ended = false;
                if let Some(future) = &mut *future {
                    let cx = &mut Context::from_waker(&waker);
                    counted_work(&mut || ended = future.as_mut().poll(cx).is_ready());
                }
                if ended {
                    counted_work(&mut || *future = None);
                }
            } else if !self.serve() {
                return;
            }
        }
    }

    /// Lets a server answer what one connection has sent. False if there is nothing.
    fn serve(&self) -> bool {
        let waker = {
            let mut world = lock(&self.world);
            let World { connections, unread, servers, .. } = &mut *world;
            let Some(number) = unread.pop_front() else { return false };
            let connection = &mut connections[number];
            let mut answer = Vec::new();
            servers.answer(number, &connection.endpoint, &mut connection.input, &mut answer);
            connection.output.extend(answer);
            if connection.output.is_empty() { None } else { connection.reader.take() }
        };
        wake(waker);
        true
    }

    /// A server sends this to a connection, unasked or late.
    pub(crate) fn send(&self, number: usize, bytes: &[u8]) {
        let waker = {
            let connection = &mut lock(&self.world).connections[number];
            connection.output.extend(bytes);
            connection.reader.take()
        };
        wake(waker);
    }

    /// Moves the clock, timer by timer, and runs what they wake.
    pub(crate) fn advance(&self, time: Duration) {
        let until = lock(&self.world).now.after(time);
        loop {
            let due = {
                let mut world = lock(&self.world);
                let next = world.timers.first_key_value().map(|(key, _)| *key);
                match next.filter(|(at, _)| *at <= until) {
                    Some(key) => {
                        world.now = world.now.max(key.0);
                        world.timers.remove(&key)
                    }
                    None => {
                        world.now = until;
                        return;
                    }
                }
            };
            wake(due);
            self.run();
        }
    }

    /// Runs a future of the client to its end; moves the clock where nothing else goes on.
    pub(crate) fn finish<F: Future>(&self, future: F) -> F::Output {
        let mut future = Box::pin(future);
        let mut result = None;
        loop {
            let cx = &mut Context::from_waker(Waker::noop());
            counted_work(&mut || {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    result = Some(output);
                }
            });
            if let Some(result) = result {
                counted_work(&mut || ());
                return result;
            }
            if lock(&self.ready).is_empty() && lock(&self.world).unread.is_empty() {
                self.advance(Duration::from_millis(1));
            }
            self.run();
        }
    }
}

fn wake(waker: Option<Waker>) {
    let mut waker = waker;
    counted_work(&mut || waker.take().into_iter().for_each(Waker::wake));
}

impl Transport for Host {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        let mut world = lock(&self.world);
        let number = world.connections.len();
        let endpoint = endpoint.to_string();
        world.connections.push(Connection { endpoint, ..Connection::default() });
        let stream: Box<dyn ByteStream> = Box::new(Stream { host: self.clone(), number });
        Box::pin(std::future::ready(Ok(stream)))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> bool {
        let future = Mutex::new(Some(future));
        let ready = Arc::clone(&self.ready);
        let task = Arc::new(Task { future, woken: AtomicBool::new(false), ready });
        lock(&self.world).tasks.push(Some(Arc::clone(&task)));
        task.wake();
        true
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { host: self.clone(), deadline, key: None })
    }

    fn now(&self) -> Timestamp {
        lock(&self.world).now
    }

    fn seed(&self) -> u64 {
        7
    }
}

/// A timer.
struct Sleep {
    host: Host,
    deadline: Timestamp,
    key: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { host, deadline, key } = &mut *self;
        let mut world = lock(&host.world);
        if world.now >= *deadline {
            return Poll::Ready(());
        }
        world.last_timer += 1;
        let number = world.last_timer;
        let key = *key.get_or_insert((*deadline, number));
        world.timers.insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let removed = lock(&self.host.world).timers.remove(&key);
            drop(removed);
        }
    }
}

/// The client's end of a connection.
struct Stream {
    host: Host,
    number: usize,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let connection = &mut lock(&self.host.world).connections[self.number];
        if connection.output.is_empty() {
            connection.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = io::Read::read(&mut connection.output, buffer)?;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut world = lock(&self.host.world);
        let connection = &mut world.connections[self.number];
        let was_read = connection.input.is_empty();
        connection.input.extend_from_slice(buffer);
        if was_read {
            world.unread.push_back(self.number);
        }
        Poll::Ready(Ok(buffer.len()))
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
        let world = &mut *lock(&self.host.world);
        world.connections[self.number] = Connection::default();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        mem::take(&mut self.tasks).into_iter().flatten().for_each(|task| {
            *lock(&task.future) = None;
        });
    }
}
