//! Runs tasks on one thread, in an order drawn from the seed, on a clock that jumps.
//!
//! The next task is chosen at random among those that are ready. When none is ready, the world
//! takes its next event and the clock jumps to it. Nothing else moves time: a run of an hour with
//! little to do takes milliseconds.
//!
//! **Invariants**:
//! - equal seeds and equal tasks give equal runs, because nothing here reads a real clock, a thread
//!   id or a memory address;
//! - no lock is held while a task is polled or woken;
//! - a run that can never end ends with a typed [`Failure`]; the test never hangs.

use crate::failure::Failure;
use crate::rng::Rng;
use crate::world::World;
use slotcar::{BoxFuture, Timestamp};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The id of the future that `block_on` was given; spawned tasks count up from here.
const ROOT: u64 = 0;

/// Bounds of a run; beyond them it ends with a [`Failure`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunLimits {
    /// Virtual time without any task that runs or waits for a timer.
    pub(crate) idle: Duration,
    /// Virtual time of the whole run.
    pub(crate) total: Duration,
    /// Polls without the clock moving, for a task that wakes itself in a loop.
    pub(crate) polls_at_once: u64,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(120),
            total: Duration::from_secs(24 * 3600),
            polls_at_once: 2_000_000,
        }
    }
}

/// What the executor, transports, streams and timers of one simulation share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Everything outside the tasks.
    world: Mutex<World>,
    /// The world's clock in nanoseconds, readable without the lock.
    now: AtomicU64,
    /// Tasks that are ready.
    ready: Arc<ReadyList>,
    /// Tasks, and the generator that orders them.
    tasks: Mutex<Tasks>,
}

/// Tasks that were spawned.
struct Tasks {
    /// By id; a task that is being polled is out of the table meanwhile.
    table: BTreeMap<u64, (BoxFuture<'static, ()>, Arc<TaskWaker>)>,
    /// The id of the next task.
    next: u64,
    /// How many there are, including one that is being polled.
    count: usize,
    /// Chooses among tasks that are ready.
    rng: Rng,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Ids of tasks that were woken, in the order of waking.
#[derive(Debug, Default)]
struct ReadyList(Mutex<Vec<u64>>, Condvar);

/// Wakes one task.
#[derive(Debug)]
struct TaskWaker {
    /// The task.
    id: u64,
    /// It is in the list already.
    queued: AtomicBool,
    /// The list.
    ready: Arc<ReadyList>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready.0).push(self.id);
            self.ready.1.notify_one();
        }
    }
}

/// Locks the state even if a test panicked: the run is over then, and only its trace is still read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let mut world = World::new(seed);
        let rng = world.rng.fork(1);
        let tasks = Tasks { table: BTreeMap::new(), next: ROOT + 1, count: 0, rng };
        Arc::new(Self {
            world: Mutex::new(world),
            now: AtomicU64::new(0),
            ready: Arc::default(),
            tasks: Mutex::new(tasks),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_duration(Duration::from_nanos(self.now.load(Ordering::Relaxed)))
    }

    /// Runs `change` on the world, then wakes the tasks concerned.
    pub(crate) fn with_world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = lock(&self.world);
        let result = change(&mut world);
        world.flush();
        self.release(world);
        result
    }

    /// Adds a task, ready to be polled.
    pub(crate) fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut tasks = lock(&self.tasks);
        let id = tasks.next;
        tasks.next += 1;
        tasks.count += 1;
        let waker = self.task_waker(id);
        tasks.table.insert(id, (task, Arc::clone(&waker)));
        drop(tasks);
        waker.wake_by_ref();
    }

    /// How many spawned tasks have not ended.
    pub(crate) fn tasks(&self) -> usize {
        lock(&self.tasks).count
    }

    /// Runs everything until `root` is done.
    pub(crate) fn block_on<F: Future>(
        &self,
        root: F,
        limits: &RunLimits,
    ) -> Result<F::Output, Failure> {
        let mut root = pin!(root);
        let root_waker = self.task_waker(ROOT);
        root_waker.wake_by_ref();
        let waker = Waker::from(Arc::clone(&root_waker));
        let mut watch = Watch::new(self.now());
        loop {
            while let Some(id) = self.next_ready() {
                watch.polled(self.now(), limits)?;
                if id == ROOT {
                    root_waker.queued.store(false, Ordering::Relaxed);
                    if let Poll::Ready(output) =
                        root.as_mut().poll(&mut Context::from_waker(&waker))
                    {
                        return Ok(output);
                    }
                } else {
                    self.poll_task(id);
                }
            }
            self.step_world(&watch, limits)?;
        }
    }

    /// Takes one event, or returns why waiting for one would never end.
    fn step_world(&self, watch: &Watch, limits: &RunLimits) -> Result<(), Failure> {
        let mut world = lock(&self.world);
        let idle = world.now().since(watch.last_poll);
        if world.sleepers() == 0 && idle > limits.idle {
            return Err(Failure::Idle { idle });
        }
        if !world.step() {
            return Err(Failure::Deadlock);
        }
        let now = world.now();
        if now.since(watch.start) > limits.total {
            return Err(Failure::TimeLimit { limit: limits.total });
        }
        self.release(world);
        Ok(())
    }

    /// Publishes the time and wakes the tasks of the last event, with the lock free again.
    fn release(&self, mut world: MutexGuard<'_, World>) {
        let nanos = world.now().since_epoch().as_nanos() as u64;
        let (wakers, changes) = (world.take_wakers(), world.take_changes());
        drop(world);
        self.now.store(nanos, Ordering::Relaxed);
        for change in changes {
            change();
        }
        for waker in wakers {
            waker.wake();
        }
    }

    /// Handles every event that is due by `now`, a real time since the start. Then waits for the
    /// next event or for a task to be woken, at most `nap`.
    pub(crate) fn catch_up(&self, now: Duration, nap: Duration) {
        let now = Timestamp::from_duration(now);
        loop {
            while let Some(id) = self.next_ready() {
                self.poll_task(id);
            }
            let mut world = lock(&self.world);
            if world.queue.next_at().is_some_and(|at| at <= now) {
                world.step();
                self.release(world);
                continue;
            }
            world.queue.advance_to(now);
            let next = world.queue.next_at().map_or(nap, |at| at.since(now));
            self.release(world);
            let ready = lock(&self.ready.0);
            if ready.is_empty() {
                // Woken or not: the caller checks again.
                drop(self.ready.1.wait_timeout(ready, next.min(nap)));
            }
            return;
        }
    }

    fn next_ready(&self) -> Option<u64> {
        let mut ready = lock(&self.ready.0);
        match ready.len() {
            0 => None,
            1 => ready.pop(),
            count => {
                let index = lock(&self.tasks).rng.index(count);
                Some(ready.swap_remove(index))
            }
        }
    }

    fn poll_task(&self, id: u64) {
        let Some((mut task, task_waker)) = lock(&self.tasks).table.remove(&id) else { return };
        task_waker.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task_waker));
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if done {
            // What the task holds may itself spawn or sleep when it is dropped, so no lock is held
            // here either.
            drop(task);
            lock(&self.tasks).count -= 1;
        } else {
            lock(&self.tasks).table.insert(id, (task, task_waker));
        }
    }

    fn task_waker(&self, id: u64) -> Arc<TaskWaker> {
        Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) })
    }
}

/// Notices runs without progress.
struct Watch {
    /// When the run began.
    start: Timestamp,
    /// When a task was polled last.
    last_poll: Timestamp,
    /// Polls since the clock moved last.
    polls: u64,
}

impl Watch {
    fn new(now: Timestamp) -> Self {
        Self { start: now, last_poll: now, polls: 0 }
    }

    fn polled(&mut self, now: Timestamp, limits: &RunLimits) -> Result<(), Failure> {
        self.polls = if now == self.last_poll { self.polls + 1 } else { 0 };
        self.last_poll = now;
        if self.polls > limits.polls_at_once {
            return Err(Failure::Livelock { polls: self.polls });
        }
        Ok(())
    }
}
