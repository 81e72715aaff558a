//! Background tasks that outlive their runtime: what it drops, or does not run, smol runs.
//!
//! A runtime drops its tasks when it ends, and a current-thread runtime runs none outside of its
//! `block_on`. The core counts on its tasks: callers that wait for one of them would wait forever.
//!
//! Invariants: a task is run in one place at a time; one that has panicked is not run again.
//! Limit: a task that was woken and is not run within `STANDSTILL` moves to smol's global executor,
//! and stays there.

use super::home::Home;
use futures_timer::Delay;
use slotcar_core::BoxFuture;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A current-thread runtime that leaves a task alone for so long is taken for standing still. Its
/// own callers would suffer from such a pause as well.
const STANDSTILL: Duration = Duration::from_millis(100);

/// Runs a task in the runtime for as long as that runs, and on smol's global executor otherwise.
pub(super) fn spawn(home: &Arc<Home>, task: BoxFuture<'static, ()>) {
    if !home.is_usable() {
        smol::spawn(task).detach();
    } else if home.runs_by_itself() {
        drop(home.handle().spawn(Outliving { home: Arc::clone(home), task: Some(task) }));
    } else {
        let task = Arc::new(Watched {
            task: Mutex::new(Some(task)),
            runner: Mutex::new(Waker::noop().clone()),
            polls: AtomicU64::new(0),
            woken: AtomicBool::new(true),
            guarded: AtomicBool::new(false),
        });
        task.guard();
        drop(home.handle().spawn(Resident { home: Arc::clone(home), task }));
    }
}

/// A task of a runtime that runs by itself: it moves when the runtime drops it.
struct Outliving {
    /// The runtime.
    home: Arc<Home>,
    /// `None` while it is polled, and after its end.
    task: Option<BoxFuture<'static, ()>>,
}

impl Future for Outliving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A task that panics is not put back.
        let Some(mut task) = self.task.take() else { return Poll::Ready(()) };
        let polled = task.as_mut().poll(cx);
        if polled.is_pending() {
            self.task = Some(task);
        }
        polled
    }
}

impl Drop for Outliving {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.home.leave();
            smol::spawn(task).detach();
        }
    }
}

/// The place in a current-thread runtime of a task that may have moved.
struct Resident {
    /// The runtime.
    home: Arc<Home>,
    /// The task.
    task: Arc<Watched>,
}

/// A task of a current-thread runtime. It is its own waker, to see that it is woken and not run.
struct Watched {
    /// `None` while it is polled, and after it has ended or moved.
    task: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Wakes its place in the runtime.
    runner: Mutex<Waker>,
    /// How often it was polled there.
    polls: AtomicU64,
    /// It was woken, and not polled since.
    woken: AtomicBool,
    /// A guard looks whether it is polled.
    guarded: AtomicBool,
}

impl Future for Resident {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &self.task;
        lock(&this.runner).clone_from(cx.waker());
        this.polls.fetch_add(1, Ordering::Relaxed);
        this.woken.store(false, Ordering::SeqCst);
        let Some(mut task) = this.take() else { return Poll::Ready(()) };
        let waker = Waker::from(Arc::clone(this));
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            *lock(&this.task) = Some(task);
        }
        polled
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.home.leave();
            smol::spawn(task).detach();
        }
    }
}

impl Watched {
    fn take(&self) -> Option<BoxFuture<'static, ()>> {
        lock(&self.task).take()
    }

    /// Moves the task to smol if the runtime does not run it soon. The guard ends when the task
    /// sleeps, so a client that does nothing has none.
    fn guard(self: &Arc<Self>) {
        if self.guarded.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = Arc::clone(self);
        let guard = async move {
            loop {
                let polls = this.polls.load(Ordering::Relaxed);
                Delay::new(STANDSTILL).await;
                if this.woken.load(Ordering::SeqCst) {
                    // While it is polled there is nothing to take, and the runtime runs.
                    if this.polls.load(Ordering::Relaxed) == polls
                        && let Some(task) = this.take()
                    {
                        return task.await;
                    }
                    continue;
                }
                this.guarded.store(false, Ordering::SeqCst);
                // Woken in between, by somebody who saw the guard.
                if !this.woken.load(Ordering::SeqCst) || this.guarded.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        };
        smol::spawn(guard).detach();
    }
}

impl Wake for Watched {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let runner = lock(&self.runner).clone();
        runner.wake();
        self.guard();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
