//! A transport for tests: servers are scripts, and the clock moves only when no task can go on.
//!
//! [`Script::run`] polls one future and the background tasks until the future ends. A future that a
//! test has parked is not polled, so that nothing may depend on it.
//! Invariant: one thread, no real time: the same test takes the same course each time.

use crate::config::Config;
use crate::driver::environment::environment::Environment;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::transport::{ByteStream, Transport};
use crate::{BoxFuture, Endpoint};
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::{BTreeMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{fmt, io, mem};

/// What a server does with one command.
pub(crate) enum Reply {
    /// It closes the connection, behind the replies to the commands before.
    Close,
    /// It sends nothing on this connection any more.
    Silence,
    /// It sends RESP text; an empty text is no reply.
    Text(String),
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Replies to one command, given by its arguments.
pub(crate) type Respond = Arc<dyn Fn(&[String]) -> Reply + Send + Sync>;

/// How a server behaves from now on.
#[derive(Clone)]
pub(crate) struct Server {
    /// What the clock shows between a dial's begin and its end.
    pub(crate) dial_time: Duration,
    /// The same for a command and its reply.
    pub(crate) reply_time: Duration,
    /// What it replies; `None` refuses every dial.
    pub(crate) respond: Option<Respond>,
}

impl Server {
    /// Nothing listens: a dial is refused after `dial_time`.
    pub(crate) fn refusing(dial_time: Duration) -> Self {
        Self { dial_time, reply_time: Duration::ZERO, respond: None }
    }

    /// A server that replies at once.
    pub(crate) fn replying<R: Into<Reply>>(
        respond: impl Fn(&[String]) -> R + Send + Sync + 'static,
    ) -> Self {
        let respond: Option<Respond> = Some(Arc::new(move |args| respond(args).into()));
        Self { dial_time: Duration::ZERO, reply_time: Duration::ZERO, respond }
    }
}

/// Everything that the script knows.
#[derive(Default)]
struct World {
    /// The clock.
    now: Timestamp,
    /// What to wake when the clock gets there.
    timers: Vec<(Timestamp, Waker)>,
    /// The servers; others refuse at once.
    servers: BTreeMap<Endpoint, Server>,
    /// Every dial so far, in order.
    dials: Vec<Endpoint>,
    /// Every command so far, in order: the server, and the arguments.
    commands: Vec<(Endpoint, Vec<String>)>,
    /// How often the connections to a server were cut.
    cuts: BTreeMap<Endpoint, u32>,
    /// Bytes that a server sends without being asked, to the connection that reads first.
    pushes: Vec<(Endpoint, Vec<u8>)>,
    /// Readers that a cut, a push or a reply wakes.
    readers: Vec<Waker>,
    /// Background tasks.
    tasks: Vec<BoxFuture<'static, ()>>,
    /// Whether there is a background.
    has_background: bool,
}

/// See the head of this file.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<World>>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

/// A wake-up that is remembered.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Script {
    /// A script with a background.
    pub(crate) fn with_background() -> Self {
        let script = Self::default();
        lock(&script.0).has_background = true;
        script
    }

    pub(crate) fn env(&self, config: Config) -> Arc<Environment> {
        Arc::new(Environment::new(Arc::new(self.clone()), config))
    }

    /// The server at `endpoint` behaves so from now on.
    pub(crate) fn set(&self, endpoint: &Endpoint, server: Server) {
        lock(&self.0).servers.insert(endpoint.clone(), server);
    }

    /// The server at `endpoint` takes this long for each reply from now on.
    pub(crate) fn slow(&self, endpoint: &Endpoint, reply_time: Duration) {
        if let Some(server) = lock(&self.0).servers.get_mut(endpoint) {
            server.reply_time = reply_time;
        }
    }

    /// Closes every connection to `endpoint`.
    pub(crate) fn cut(&self, endpoint: &Endpoint) {
        let readers = {
            let mut world = lock(&self.0);
            *world.cuts.entry(endpoint.clone()).or_default() += 1;
            mem::take(&mut world.readers)
        };
        readers.into_iter().for_each(Waker::wake);
    }

    /// The server at `endpoint` sends these bytes to one of its connections, unasked.
    pub(crate) fn push(&self, endpoint: &Endpoint, bytes: &str) {
        let readers = {
            let mut world = lock(&self.0);
            world.pushes.push((endpoint.clone(), bytes.into()));
            mem::take(&mut world.readers)
        };
        readers.into_iter().for_each(Waker::wake);
    }

    /// How often `endpoint` was dialled.
    pub(crate) fn dials(&self, endpoint: &Endpoint) -> usize {
        lock(&self.0).dials.iter().filter(|dialled| *dialled == endpoint).count()
    }

    /// How many commands any server has received that begin with these arguments.
    pub(crate) fn received(&self, words: &[&str]) -> usize {
        let begins = |args: &[String]| {
            args.len() >= words.len() && args.iter().zip(words).all(|(arg, word)| arg == word)
        };
        lock(&self.0).commands.iter().filter(|(_, args)| begins(args)).count()
    }

    /// The clock jumps, as after a task was not polled for long.
    pub(crate) fn jump(&self, time: Duration) {
        let mut world = lock(&self.0);
        world.now = world.now.after(time);
    }

    pub(crate) fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now().after(time))
    }

    /// Runs a future to its end.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            let mut tasks = mem::take(&mut lock(&self.0).tasks);
            tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
            lock(&self.0).tasks.append(&mut tasks);
            if !woken.0.swap(false, Ordering::AcqRel) {
                self.advance();
            }
        }
    }

    /// Polls a future once, and leaves it.
    pub(crate) fn poll_once<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Moves the clock to the next timer.
    fn advance(&self) {
        let due = {
            let mut world = lock(&self.0);
            let next = world.timers.iter().map(|(at, _)| *at).min();
            world.now = world.now.max(next.expect("nothing would ever wake this future"));
            let now = world.now;
            let (due, later) = mem::take(&mut world.timers).into_iter().partition(|t| t.0 <= now);
            world.timers = later;
            due
        };
        let due: Vec<(Timestamp, Waker)> = due;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn wake_at(&self, at: Timestamp, cx: &Context<'_>) {
        lock(&self.0).timers.push((at, cx.waker().clone()));
    }
}

impl Transport for Script {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        let server = {
            let mut world = lock(&self.0);
            world.dials.push(endpoint.clone());
            world.servers.get(endpoint).cloned()
        };
        Box::pin(async move {
            let server = server.unwrap_or_else(|| Server::refusing(Duration::ZERO));
            self.sleep(server.dial_time).await;
            if server.respond.is_none() {
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "refused"));
            }
            let cuts = lock(&self.0).cuts.get(endpoint).copied().unwrap_or_default();
            let script = self.clone();
            let (endpoint, is_closed, is_silent) = (endpoint.clone(), false, false);
            let (request, replies) = (Vec::new(), VecDeque::new());
            let stream = Stream { script, endpoint, cuts, request, replies, is_closed, is_silent };
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        let mut world = lock(&self.0);
        if world.has_background {
            world.tasks.push(task);
        }
        world.has_background
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let script = self.clone();
        Box::pin(std::future::poll_fn(move |cx| {
            if script.now() >= deadline {
                return Poll::Ready(());
            }
            script.wake_at(deadline, cx);
            Poll::Pending
        }))
    }

    fn now(&self) -> Timestamp {
        lock(&self.0).now
    }

    fn seed(&self) -> u64 {
        7
    }
}

/// The client's end of a connection.
struct Stream {
    /// Where everything is known.
    script: Script,
    /// The server.
    endpoint: Endpoint,
    /// How often the server's connections had been cut when this one was made.
    cuts: u32,
    /// Bytes of a command that is not whole yet.
    request: Vec<u8>,
    /// Replies, and when they arrive.
    replies: VecDeque<(Timestamp, Vec<u8>)>,
    /// Whether the server has closed it, behind these replies.
    is_closed: bool,
    /// Whether the server sends nothing behind these replies.
    is_silent: bool,
}

impl Stream {
    /// Takes the first whole command off the bytes that were received.
    fn next_command(&mut self) -> Option<Vec<String>> {
        let text = String::from_utf8(self.request.clone()).expect("tests send text");
        let mut lines = text.split_inclusive("\r\n");
        let number = |line: &str| line.get(1..)?.trim_end().parse::<usize>().ok();
        let head = lines.next()?;
        let (mut args, mut len) = (Vec::new(), head.len());
        for _ in 0..number(head)? {
            let size = lines.next()?;
            let arg = lines.next()?.strip_suffix("\r\n")?;
            len += size.len() + arg.len() + 2;
            args.push(arg.to_owned());
        }
        self.request.drain(..len);
        Some(args)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let now = self.script.now();
        if self.is_closed && self.replies.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let cuts = lock(&self.script.0).cuts.get(&self.endpoint).copied().unwrap_or_default();
        if cuts != self.cuts {
            return Poll::Ready(Ok(0));
        }
        let pushed = {
            let mut world = lock(&self.script.0);
            let first = world.pushes.iter().position(|(endpoint, _)| *endpoint == self.endpoint);
            first.map(|first| world.pushes.remove(first).1)
        };
        if let Some(bytes) = pushed {
            self.replies.push_back((now, bytes));
        }
        match self.replies.front_mut() {
            Some((at, bytes)) if *at <= now => {
                let count = bytes.len().min(buf.len());
                buf[..count].copy_from_slice(&bytes[..count]);
                bytes.drain(..count);
                if bytes.is_empty() {
                    self.replies.pop_front();
                }
                return Poll::Ready(Ok(count));
            }
            Some((at, _)) => {
                let at = *at;
                self.script.wake_at(at, cx);
            }
            None => {}
        }
        // A cut or the next write makes it readable.
        lock(&self.script.0).readers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.request.extend(buf);
        while !self.is_closed
            && let Some(args) = self.next_command()
        {
            let server = {
                let mut world = lock(&self.script.0);
                world.commands.push((self.endpoint.clone(), args.clone()));
                world.servers.get(&self.endpoint).cloned()
            };
            let Some((server, respond)) = server.and_then(|s| Some((s.clone(), s.respond?))) else {
                continue;
            };
            match respond(&args) {
                _ if self.is_silent => {}
                Reply::Close => self.is_closed = true,
                Reply::Silence => self.is_silent = true,
                Reply::Text(text) if text.is_empty() => {}
                Reply::Text(text) => {
                    let at = self.script.now().after(server.reply_time);
                    self.replies.push_back((at, text.into_bytes()));
                }
            }
        }
        let readers = mem::take(&mut lock(&self.script.0).readers);
        readers.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
