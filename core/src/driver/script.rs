//! A scripted cluster in memory, for tests of the driver: nodes that answer as a test says, over
//! streams without latency, in virtual time.
//!
//! A node answers handshakes, CLUSTER and INFO by itself, and any other command with its own name as
//! a bulk string, so that a reply shows which node sent it. A test says what else happens, in
//! [`Script::on`]: one answer, for the next command of that text at that node.
//!
//! Invariants: no thread and no real clock; the clock jumps to the next timer only when nothing else
//! can go on; a future that can never go on is a panic that shows what was sent. There are no
//! background tasks. Compiled for tests only.

use crate::bounds::BoxFuture;
use crate::config::{Config, Deployment};
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::environment::Environment;
use crate::endpoint::Endpoint;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::transport::{ByteStream, Transport};
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What a node does with one command.
pub(in crate::driver) enum Answer {
    /// Closes the connection instead of a reply.
    Cut,
    /// Changes the cluster, then goes on with the other answer.
    Do(Box<dyn FnOnce(&mut Cluster) + Send>, Box<Answer>),
    /// Sends this frame; the CRLF at its end is added.
    Reply(String),
    /// Sends nothing on this connection any more.
    Silence,
}

impl Answer {
    pub(in crate::driver) fn reply(frame: &str) -> Self {
        Self::Reply(frame.to_owned())
    }

    /// MOVED to a node.
    pub(in crate::driver) fn moved(slot: u16, to: &str) -> Self {
        Self::Reply(format!("-MOVED {slot} {to}:7000"))
    }

    /// ASK at a node.
    pub(in crate::driver) fn ask(slot: u16, to: &str) -> Self {
        Self::Reply(format!("-ASK {slot} {to}:7000"))
    }

    /// This answer, after a change of the cluster.
    pub(in crate::driver) fn after(
        self,
        change: impl FnOnce(&mut Cluster) + Send + 'static,
    ) -> Self {
        Self::Do(Box::new(change), Box::new(self))
    }
}

/// One server. It listens at `name:7000`.
struct Server {
    /// Its name.
    name: &'static str,
    /// The slots that it owns, as ranges with both ends.
    slots: Vec<(u16, u16)>,
    /// The name of its primary, if it is a replica.
    primary: Option<&'static str>,
    /// Its config epoch; the highest of all when it gets slots.
    epoch: u64,
    /// The others do not know it (any more).
    has_left: bool,
    /// Connections are refused.
    is_down: bool,
    /// Dials are never answered.
    is_hung: bool,
    /// What it does with commands of this text.
    answers: Vec<(String, VecDeque<Answer>)>,
}

/// The servers, the clock, and what was sent.
#[derive(Default)]
pub(in crate::driver) struct Cluster {
    /// All of them.
    servers: Vec<Server>,
    /// Their streams.
    streams: Vec<(&'static str, Arc<Mutex<Wire>>)>,
    /// The present time.
    now: Timestamp,
    /// Tasks to wake, and when.
    timers: Vec<(Timestamp, Waker)>,
    /// Commands by node, but for those that nodes answer by themselves: `a: GET k`.
    sent: Vec<String>,
}

impl Cluster {
    fn server(&mut self, name: &str) -> &mut Server {
        self.servers.iter_mut().find(|server| server.name == name).expect("a server of the script")
    }

    /// Gives a range of slots to a node.
    pub(in crate::driver) fn move_slots(&mut self, first: u16, last: u16, to: &str) {
        let epoch = self.servers.iter().map(|server| server.epoch).max().unwrap_or_default() + 1;
        for server in &mut self.servers {
            let mut kept = Vec::new();
            for (from, until) in std::mem::take(&mut server.slots) {
                if from < first {
                    kept.push((from, until.min(first - 1)));
                }
                if until > last {
                    kept.push((from.max(last + 1), until));
                }
            }
            server.slots = kept;
        }
        let server = self.server(to);
        server.slots.push((first, last));
        server.epoch = epoch;
    }

    /// Closes a node's connections and refuses new ones.
    pub(in crate::driver) fn stop(&mut self, name: &str) {
        self.server(name).is_down = true;
        let own = self.streams.iter().filter(|(of, _)| *of == name);
        own.for_each(|(_, wire)| lock(wire).close());
    }

    /// Leaves dials of a node without an answer.
    pub(in crate::driver) fn hang(&mut self, name: &str) {
        self.server(name).is_hung = true;
    }

    /// Lets the other nodes forget a node; its slots go to another.
    pub(in crate::driver) fn forget(&mut self, name: &str, heir: &str) {
        let slots = std::mem::take(&mut self.server(name).slots);
        self.server(name).has_left = true;
        slots.into_iter().for_each(|(first, last)| self.move_slots(first, last, heir));
    }

    fn answer(&mut self, name: &'static str, command: &str) -> Answer {
        let server = self.server(name);
        let scripted = server.answers.iter_mut().find(|(text, _)| text == command);
        let mut answer = scripted.and_then(|(_, answers)| answers.pop_front());
        let own = self.own_answer(name, command);
        if own.is_none() || answer.is_some() {
            self.sent.push(format!("{name}: {command}"));
        }
        loop {
            match answer {
                Some(Answer::Do(change, then)) => {
                    change(self);
                    answer = Some(*then);
                }
                Some(answer) => return answer,
                None => return Answer::Reply(own.unwrap_or_else(|| bulk(name))),
            }
        }
    }

    /// What a node answers without being told to.
    fn own_answer(&self, name: &str, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split(' ').collect();
        Some(match words.as_slice() {
            ["HELLO", ..] => "%1\r\n+proto\r\n:3".to_owned(),
            ["CLIENT" | "READONLY" | "SELECT", ..] => "+OK".to_owned(),
            ["PING"] => "+PONG".to_owned(),
            ["CLUSTER", "SHARDS"] => "-ERR unknown subcommand 'SHARDS'".to_owned(),
            ["CLUSTER", "SLOTS"] => self.slots(),
            ["CLUSTER", "NODES"] => bulk(&self.nodes(name)),
            ["INFO", "server"] => bulk(&format!("run_id:{name}\r\n")),
            ["INFO", "replication"] => {
                let server = self.servers.iter().find(|server| server.name == name)?;
                let role = if server.primary.is_some() { "slave" } else { "master" };
                bulk(&format!("role:{role}\r\nmaster_link_status:up\r\nmaster_replid:x\r\n"))
            }
            _ => return None,
        })
    }

    fn members(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| !server.has_left)
    }

    fn slots(&self) -> String {
        let mut shards = Vec::new();
        for server in self.members().filter(|server| server.primary.is_none()) {
            let replicas = self.members().filter(|other| other.primary == Some(server.name));
            let nodes: Vec<String> = std::iter::once(server)
                .chain(replicas)
                .map(|node| {
                    format!("*3\r\n{}\r\n:7000\r\n{}", bulk(node.name), bulk(&id(node.name)))
                })
                .collect();
            for (first, last) in &server.slots {
                let count = nodes.len() + 2;
                shards.push(format!("*{count}\r\n:{first}\r\n:{last}\r\n{}", nodes.join("\r\n")));
            }
        }
        format!("*{}\r\n{}", shards.len(), shards.join("\r\n"))
    }

    fn nodes(&self, asked: &str) -> String {
        let mut text = String::new();
        for server in self.members() {
            let (own, epoch) = (id(server.name), server.epoch);
            let role = if server.primary.is_some() { "slave" } else { "master" };
            let primary = server.primary.map_or_else(|| "-".to_owned(), id);
            let flags =
                if server.name == asked { format!("myself,{role}") } else { role.to_owned() };
            let at = format!("{}:7000@17000", server.name);
            let _ = write!(text, "{own} {at} {flags} {primary} 0 0 {epoch} connected");
            for (first, last) in &server.slots {
                let _ = write!(text, " {first}-{last}");
            }
            text.push('\n');
        }
        text
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}", text.len())
}

/// The id of the node of this name.
pub(in crate::driver) fn id(name: &str) -> String {
    name.repeat(40 / name.len())
}

/// A scripted cluster, as the test and the client's transport hold it.
#[derive(Clone, Default)]
pub(in crate::driver) struct Script {
    /// The cluster.
    cluster: Arc<Mutex<Cluster>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// Primaries a, b, ... that share the slots evenly: with two, b owns 8192 and more.
    pub(in crate::driver) fn of_primaries(count: u16) -> Self {
        let script = Self::default();
        let names = ["a", "b", "c", "d"];
        let share = 16384 / count;
        for (number, name) in (0..count).zip(names) {
            let last = if number + 1 == count { 16383 } else { (number + 1) * share - 1 };
            script.add(name, vec![(number * share, last)], None);
        }
        script
    }

    /// Adds a replica of a primary.
    pub(in crate::driver) fn with_replica(self, name: &'static str, of: &'static str) -> Self {
        self.add(name, Vec::new(), Some(of));
        self
    }

    fn add(&self, name: &'static str, slots: Vec<(u16, u16)>, primary: Option<&'static str>) {
        let (has_left, is_down, is_hung, answers) = (false, false, false, Vec::new());
        let mut cluster = lock(&self.cluster);
        // A replica shows the epoch of its primary.
        let epoch = primary.map_or(cluster.servers.len() as u64 + 1, |of| cluster.server(of).epoch);
        let server = Server { name, slots, primary, epoch, has_left, is_down, is_hung, answers };
        cluster.servers.push(server);
    }

    /// Says what a node does with the next command of this text, and then with the one after it.
    pub(in crate::driver) fn on(&self, name: &str, command: &str, answer: Answer) -> &Self {
        let mut cluster = lock(&self.cluster);
        let answers = &mut cluster.server(name).answers;
        match answers.iter_mut().find(|(text, _)| text == command) {
            Some((_, queue)) => queue.push_back(answer),
            None => answers.push((command.to_owned(), VecDeque::from([answer]))),
        }
        self
    }

    /// Says what a node answers to the next thousand commands of this text.
    pub(in crate::driver) fn always(&self, name: &str, command: &str, frame: &str) {
        (0..1000).for_each(|_| _ = self.on(name, command, Answer::reply(frame)));
    }

    /// Changes the cluster now.
    pub(in crate::driver) fn change(&self, change: impl FnOnce(&mut Cluster)) {
        change(&mut lock(&self.cluster));
    }

    /// What was sent since the last call: `a: GET k`.
    pub(in crate::driver) fn sent(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.cluster).sent)
    }

    /// The present time.
    pub(in crate::driver) fn elapsed(&self) -> Duration {
        lock(&self.cluster).now.since_epoch()
    }

    /// A client's topology that has discovered the cluster, with a second for each command.
    pub(in crate::driver) fn topology(&self, config: Config) -> Arc<LiveTopology> {
        let seeds = [Endpoint::tcp("a", 7000)];
        let config = config.endpoints(seeds).deployment(Deployment::Cluster);
        let env = Arc::new(Environment::new(Arc::new(self.clone()), config));
        let topology = LiveTopology::start(env, None);
        self.run(topology.wait_for_refresh(Timestamp::from_duration(Duration::from_secs(1))));
        self.sent();
        topology
    }

    /// The options of a call that begins now and has this long.
    pub(in crate::driver) fn options(&self, timeout: Duration) -> CallOptions {
        let deadline = lock(&self.cluster).now.after(timeout);
        CallOptions { deadline, timeout, retry_unknown: false }
    }

    /// Runs a future to its end.
    pub(in crate::driver) fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            if woken.0.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return output;
                }
                continue;
            }
            self.jump();
        }
    }

    /// Sets the clock to the next timer.
    fn jump(&self) {
        let due = {
            let mut cluster = lock(&self.cluster);
            let next = cluster.timers.iter().map(|(at, _)| *at).min();
            let Some(next) = next.filter(|at| *at < Timestamp::FAR_FUTURE) else {
                panic!("nothing can go on; sent: {:#?}", cluster.sent)
            };
            cluster.now = cluster.now.max(next);
            let now = cluster.now;
            cluster.timers.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>()
        };
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Whether the future that runs is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Transport for Script {
    fn connect<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        let mut cluster = lock(&self.cluster);
        let Endpoint::Tcp { host, .. } = at else { unreachable!("nodes listen at TCP ports") };
        let server = cluster.servers.iter().find(|server| server.name == &**host);
        match server {
            Some(server) if server.is_hung => Box::pin(std::future::pending()),
            Some(server) if !server.is_down => {
                let name = server.name;
                let wire = Arc::new(Mutex::new(Wire::default()));
                cluster.streams.push((name, Arc::clone(&wire)));
                let stream = Stream { name, wire, cluster: Arc::clone(&self.cluster) };
                Box::pin(std::future::ready(Ok(Box::new(stream) as Box<dyn ByteStream>)))
            }
            _ => Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into()))),
        }
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(poll_fn(move |cx| {
            let mut cluster = lock(&cluster);
            if cluster.now >= deadline {
                return Poll::Ready(());
            }
            cluster.timers.push((deadline, cx.waker().clone()));
            Poll::Pending
        }))
    }

    fn now(&self) -> Timestamp {
        lock(&self.cluster).now
    }

    fn seed(&self) -> u64 {
        7
    }
}

/// Both ends of a stream.
#[derive(Default)]
struct Wire {
    /// On the way to the client.
    inbound: VecDeque<u8>,
    /// What the node received and has not handled.
    received: Vec<u8>,
    /// The node has closed its end.
    is_closed: bool,
    /// The node sends nothing any more.
    is_silent: bool,
    /// Wakes the task that reads.
    reader: Option<Waker>,
}

impl Wire {
    fn close(&mut self) {
        self.is_closed = true;
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Takes one whole command out of what was received, as words.
    fn take_command(&mut self) -> Option<String> {
        let text = std::str::from_utf8(&self.received).expect("tests send text");
        let mut lines = text.split_inclusive("\r\n").filter(|line| line.ends_with("\r\n"));
        let head = lines.next()?;
        let count: usize = head.trim_end().strip_prefix('*').expect("an array").parse().unwrap();
        let args: Vec<&str> = lines.take(2 * count).collect();
        if args.len() < 2 * count {
            return None;
        }
        let len = head.len() + args.iter().map(|line| line.len()).sum::<usize>();
        let words: Vec<&str> = args.iter().skip(1).step_by(2).map(|line| line.trim_end()).collect();
        let command = words.join(" ");
        self.received.drain(..len);
        Some(command)
    }
}

/// The client's end of a stream.
struct Stream {
    /// The node at the other end.
    name: &'static str,
    /// The stream.
    wire: Arc<Mutex<Wire>>,
    /// Answers commands.
    cluster: Arc<Mutex<Cluster>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.wire);
        if wire.inbound.is_empty() && !wire.is_closed {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = wire.inbound.len().min(buf.len());
        wire.inbound.drain(..count).zip(buf).for_each(|(byte, place)| *place = byte);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.wire).received.extend(buf);
        loop {
            let command = {
                let mut wire = lock(&self.wire);
                if wire.is_closed || wire.is_silent {
                    break;
                }
                wire.take_command()
            };
            let Some(command) = command else { break };
            // Not under the wire's lock: the answer may close this very stream.
            let answer = lock(&self.cluster).answer(self.name, &command);
            let mut wire = lock(&self.wire);
            match answer {
                Answer::Reply(frame) => wire.inbound.extend(format!("{frame}\r\n").as_bytes()),
                Answer::Silence => wire.is_silent = true,
                Answer::Cut => wire.close(),
                Answer::Do(..) => unreachable!("changes were made"),
            }
        }
        lock(&self.wire).reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
