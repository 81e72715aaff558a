//! Commands over a link whose stream, clock and executor are scripted: any order of polls, pieces
//! of bytes, full streams, callers that leave and callers that are never polled again.
//!
//! A task is polled only when its waker was called, so a wake-up that is lost is a caller that
//! never ends, and the test says so.

mod aborts;
mod hand_over;
mod panics;
mod wire;

use super::*;
use crate::Endpoint;
use crate::connection::budget::Budget;
use crate::connection::queue::Entry;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::link::background_task::spawn_driver;
use crate::lock::lock;
use crate::resp::ScanLimits;
use crate::time::Timestamp;
use crate::transport::{AbortFlag, ByteStream, Transport};
use crate::{BoxFuture, connection::outcome::Failure};
use std::future::poll_fn;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;
use wire::{Stream, Wire, make_room, serve};

/// Bytes that a command has here; the server answers them as they are.
const COMMAND_BYTES: usize = 8;

/// Whether a task is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A task that is polled only when it was woken.
struct Task {
    /// Gone when it ended or was dropped.
    future: Option<BoxFuture<'static, ()>>,
    /// Its waker.
    woken: Arc<Woken>,
    /// Never polled again, whatever happens.
    parked: bool,
}

impl Task {
    fn new(future: BoxFuture<'static, ()>) -> Self {
        Self { future: Some(future), woken: Arc::new(Woken(AtomicBool::new(true))), parked: false }
    }

    /// Polls it if it was woken. True if it was.
    fn run(&mut self) -> bool {
        if self.parked || !self.woken.0.swap(false, Ordering::SeqCst) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Some(future) = &mut self.future
            && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            self.future = None;
        }
        true
    }
}

/// A transport whose time stands still until it is told, with or without a background.
#[derive(Clone)]
struct Scripted {
    /// Nanoseconds since the epoch.
    now: Arc<AtomicU64>,
    /// The timers' wakers, and their times.
    sleepers: Arc<Mutex<Vec<(Timestamp, Waker)>>>,
    /// The next timer that is polled panics.
    timer_panics: Arc<AtomicBool>,
    /// Where spawned tasks go; without it there is no background.
    spawned: Option<Arc<Mutex<Vec<Task>>>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    fn new(background: bool) -> Self {
        let spawned = background.then(Arc::default);
        let timer_panics = Arc::default();
        Self { now: Arc::default(), sleepers: Arc::default(), timer_panics, spawned }
    }

    fn advance(&self, by: Duration) {
        self.now.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        let now = self.now();
        let deadline: Vec<_> = lock(&self.sleepers).extract_if(.., |(at, _)| *at <= now).collect();
        deadline.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Transport for Scripted {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        unreachable!("links are started with a stream here")
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        let Some(spawned) = &self.spawned else { return false };
        lock(spawned).push(Task::new(task));
        true
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let this = self.clone();
        Box::pin(poll_fn(move |cx| {
            assert!(!this.timer_panics.swap(false, Ordering::SeqCst), "a timer panics on purpose");
            if this.now() >= deadline {
                return Poll::Ready(());
            }
            lock(&this.sleepers).push((deadline, cx.waker().clone()));
            Poll::Pending
        }))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_duration(Duration::from_nanos(self.now.load(Ordering::SeqCst)))
    }

    fn seed(&self) -> u64 {
        0
    }
}

/// A link over `wire`.
fn start(transport: &Scripted, wire: &Arc<Mutex<Wire>>) -> Arc<Link> {
    start_with(transport, wire, AbortFlag::default())
}

/// The same; `abort` is the flag that the stream would keep.
fn start_with(transport: &Scripted, wire: &Arc<Mutex<Wire>>, abort: AbortFlag) -> Arc<Link> {
    let settings = LinkSettings {
        tolerates_busy: false,
        is_held: false,
        place: None,
        budget: Budget::new(1 << 20),
        scan: ScanLimits { reply_bytes_max: 1 << 20, reply_depth_max: 8 },
        progress_timeout: Some(Duration::from_secs(1000)),
        abort,
        cached_clock: Arc::default(),
    };
    let stream = Box::new(Stream(Arc::clone(wire)));
    let endpoint = Endpoint::tcp("scripted", 1);
    let shared = Arc::new(transport.clone());
    let link = Link::start(endpoint, stream, shared, Arc::default(), settings);
    spawn_driver(&link, transport);
    link
}

type CallFuture = BoxFuture<'static, Result<(), ()>>;

/// Sends `token` and expects it back. `eager` polls for the outcome in the first poll already.
fn call(link: &Arc<Link>, token: u64, deadline: Timestamp, eager: bool) -> CallFuture {
    let link = Arc::clone(link);
    let text = format!("{token:08}");
    let entry = Entry { len: COMMAND_BYTES, replies: 1, deadline };
    let mut exchange: Option<PendingReply> = None;
    Box::pin(poll_fn(move |cx| {
        if exchange.is_none() {
            let write = |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
            let begun = PendingReply::enqueue(Arc::clone(&link), entry.into(), write, cx);
            exchange = Some(begun.expect("a link with room takes it"));
            if !eager {
                return Poll::Pending;
            }
        }
        exchange.as_mut().expect("just begun").poll(cx).map(|outcome| {
            let expected = format!("+{text}\r\n");
            outcome.map(|reply| assert_eq!(reply.into_last().unwrap(), expected)).map_err(
                |failed| {
                    assert!(matches!(failed.failure, Failure::TimedOut));
                },
            )
        })
    }))
}

/// In any order of events, every caller that is polled when it was woken gets its own reply.
#[test]
fn no_wake_up_is_lost_and_no_reply_misplaced() {
    for seed in 0..400 {
        for background in [false, true] {
            random_run(seed, background, u64::MAX);
        }
    }
}

/// The executor of the background task ends at some point, and drops it: the callers go on alone.
#[test]
fn a_background_task_that_is_dropped_leaves_nobody_waiting() {
    for seed in 0..400 {
        random_run(seed, true, seed % 201);
    }
}

fn random_run(seed: u64, background: bool, ends_at: u64) {
    let wire = Wire::new(seed);
    lock(&wire).hasty = seed.is_multiple_of(2);
    let transport = Scripted::new(background);
    let link = start(&transport, &wire);
    let mut tasks: Vec<Task> = Vec::new();
    for token in 0..200 {
        if token == ends_at {
            drop_spawned(&transport);
        }
        let chance = lock(&wire).below(100);
        match chance {
            0..40 => {
                let eager = chance.is_multiple_of(2);
                let call = call(&link, token, Timestamp::FAR_FUTURE, eager);
                tasks.push(Task::new(Box::pin(async move { call.await.expect("no deadline") })));
            }
            40..60 if !tasks.is_empty() => {
                let index = lock(&wire).below(tasks.len());
                tasks[index].run();
            }
            60..70 => {
                run_spawned(&transport);
            }
            70..85 => {
                let count = 1 + lock(&wire).below(5);
                serve(&wire, count);
            }
            85..90 => {
                let room = lock(&wire).below(40);
                make_room(&wire, room);
            }
            90..94 => make_room(&wire, usize::MAX),
            94..97 if !tasks.is_empty() => {
                let index = lock(&wire).below(tasks.len());
                tasks[index].parked = true;
            }
            97.. if !tasks.is_empty() => {
                let index = lock(&wire).below(tasks.len());
                tasks[index].future = None;
            }
            _ => {}
        }
    }
    if ends_at == 200 {
        drop_spawned(&transport);
    }
    settle(&wire, &transport, &mut tasks);
    let left = tasks.iter().filter(|task| task.future.is_some() && !task.parked).count();
    assert_eq!(left, 0, "callers are left waiting: seed {seed}, background {background}");
}

fn run_spawned(transport: &Scripted) -> bool {
    let Some(spawned) = &transport.spawned else { return false };
    lock(spawned).iter_mut().fold(false, |ran, task| task.run() | ran)
}

fn drop_spawned(transport: &Scripted) {
    let dropped = transport.spawned.as_ref().map(|spawned| std::mem::take(&mut *lock(spawned)));
    drop(dropped);
}

/// Runs until all tasks wait.
fn run_all(transport: &Scripted, tasks: &mut [Task]) {
    for _ in 0..1000 {
        if !tasks.iter_mut().fold(run_spawned(transport), |ran, task| task.run() | ran) {
            return;
        }
    }
    panic!("tasks wake each other without end");
}

/// Everything works from now on: runs until nothing moves.
fn settle(wire: &Arc<Mutex<Wire>>, transport: &Scripted, tasks: &mut [Task]) {
    make_room(wire, usize::MAX);
    for _ in 0..100_000 {
        let owed = lock(wire).received.len() >= COMMAND_BYTES;
        if owed {
            serve(wire, 3);
        }
        let ran = tasks.iter_mut().fold(run_spawned(transport), |ran, task| task.run() | ran);
        if !ran && !owed {
            return;
        }
    }
    panic!("tasks wake each other without end");
}

/// A deadline ends its call although the stream is full and others, with more time, are before it.
#[test]
fn a_deadline_counts_also_behind_a_full_stream() {
    for background in [false, true] {
        let wire = Wire::new(1);
        let transport = Scripted::new(background);
        let link = start(&transport, &wire);
        make_room(&wire, 0);
        let ended: Arc<Mutex<Vec<u64>>> = Arc::default();
        let mut tasks = Vec::new();
        for (token, millis) in [(1, 5000), (2, 5000), (3, 50)] {
            let deadline = transport.now().after(Duration::from_millis(millis));
            let (call, ended) = (call(&link, token, deadline, true), Arc::clone(&ended));
            tasks.push(Task::new(Box::pin(async move {
                assert_eq!(call.await, Err(()));
                lock(&ended).push(token);
            })));
            // Each is enqueued when those before it wait.
            run_all(&transport, &mut tasks);
        }
        transport.advance(Duration::from_millis(50));
        run_all(&transport, &mut tasks);
        assert_eq!(*lock(&ended), [3], "background {background}");
        transport.advance(Duration::from_millis(4950));
        run_all(&transport, &mut tasks);
        assert_eq!(*lock(&ended), [3, 1, 2], "background {background}");
        // Their callers were told that they were not sent.
        make_room(&wire, usize::MAX);
        run_all(&transport, &mut tasks);
        link.move_bytes();
        assert!(lock(&wire).received.is_empty(), "background {background}");
        let call = call(&link, 4, Timestamp::FAR_FUTURE, true);
        let mut tasks =
            vec![Task::new(Box::pin(async move { call.await.expect("it is answered") }))];
        settle(&wire, &transport, &mut tasks);
        assert!(tasks[0].future.is_none(), "background {background}");
    }
}

/// A deadline and the reply to another call at the same moment: both callers end.
#[test]
fn a_reply_does_not_hide_a_deadline() {
    for background in [false, true] {
        let wire = Wire::new(3);
        let transport = Scripted::new(background);
        let link = start(&transport, &wire);
        let deadline = |millis| transport.now().after(Duration::from_millis(millis));
        let (long, short) = (deadline(5000), deadline(50));
        let first = call(&link, 1, long, false);
        let second = call(&link, 2, short, false);
        let mut tasks = vec![
            Task::new(Box::pin(async move { first.await.expect("answered in time") })),
            Task::new(Box::pin(async move { assert_eq!(second.await, Err(())) })),
        ];
        // No answers but those asked for here.
        while lock(&wire).received.len() < 2 * COMMAND_BYTES {
            run_all(&transport, &mut tasks);
        }
        let silent = lock(&wire).received.split_off(COMMAND_BYTES);
        assert_eq!(silent.len(), COMMAND_BYTES);
        transport.advance(Duration::from_millis(50));
        serve(&wire, 1);
        run_all(&transport, &mut tasks);
        assert!(tasks.iter().all(|task| task.future.is_none()), "background {background}");
    }
}

/// A reply in more pieces than a driver reads in one turn is read to its end.
#[test]
fn a_driver_that_ends_its_turn_early_continues() {
    for background in [false, true] {
        let wire = Wire::new(5);
        let transport = Scripted::new(background);
        let link = start(&transport, &wire);
        let far = Timestamp::FAR_FUTURE;
        let entry = Entry { len: 200 * COMMAND_BYTES, replies: 200, deadline: far };
        let mut exchange: Option<PendingReply> = None;
        let mut tasks = [Task::new(Box::pin(poll_fn(move |cx| {
            let exchange = exchange.get_or_insert_with(|| {
                let write = |out: &mut Vec<u8>| out.extend_from_slice(&[b'x'; 200 * COMMAND_BYTES]);
                PendingReply::enqueue(Arc::clone(&link), entry.into(), write, cx)
                    .expect("there is room")
            });
            let replies = |outcome: Outcome| outcome.expect("answered").into_all().len();
            exchange.poll(cx).map(|outcome| assert_eq!(replies(outcome), 200))
        })))];
        run_all(&transport, &mut tasks);
        serve(&wire, 200);
        run_all(&transport, &mut tasks);
        assert!(tasks[0].future.is_none(), "background {background}");
    }
}

/// That an idle server has closed the connection is seen before a command is written, also without
/// a background task: the command was surely not sent.
#[test]
fn nothing_is_written_to_a_connection_that_the_server_closed() {
    for background in [false, true] {
        let wire = Wire::new(7);
        let transport = Scripted::new(background);
        let link = start(&transport, &wire);
        let warm = call(&link, 1, Timestamp::FAR_FUTURE, false);
        let mut tasks = [Task::new(Box::pin(async move { warm.await.expect("answered") }))];
        run_all(&transport, &mut tasks);
        serve(&wire, 1);
        run_all(&transport, &mut tasks);
        let waker = {
            let mut wire = lock(&wire);
            wire.closed = true;
            wire.wakers[0].take()
        };
        waker.into_iter().for_each(Waker::wake);
        run_all(&transport, &mut tasks);
        let cx = Context::from_waker(Waker::noop());
        let entry = Entry { len: 1, replies: 1, deadline: Timestamp::FAR_FUTURE };
        match PendingReply::enqueue(link, entry.into(), |out| out.push(b'x'), &cx) {
            Err(rejected) => assert!(background && matches!(rejected, Rejected::Closed(_))),
            Ok(mut exchange) => {
                let Poll::Ready(Err(failed)) = exchange.poll(&cx) else { panic!("not lost") };
                assert!(failed.never_sent());
            }
        }
        assert_eq!(lock(&wire).received, b"");
    }
}

/// A caller that waits alone costs one write and, once its reply has come, one read: a stream that
/// has registered the waker is not polled again before it calls.
#[test]
fn a_stream_that_has_registered_is_not_polled() {
    let wire = Wire::new(0);
    let transport = Scripted::new(true);
    let link = start(&transport, &wire);
    run_spawned(&transport);
    for token in 0..50 {
        let call = call(&link, token, Timestamp::FAR_FUTURE, false);
        let mut task = Task::new(Box::pin(async move { call.await.expect("no deadline") }));
        while task.run() {}
        lock(&wire).polls = [0; 2];
        for _ in 0..3 {
            task.woken.0.store(true, Ordering::SeqCst);
            task.run();
        }
        assert_eq!(lock(&wire).polls, [0; 2], "polled although it has not called");
        serve(&wire, 1);
        while task.run() {}
        assert!(task.future.is_none());
    }
}
