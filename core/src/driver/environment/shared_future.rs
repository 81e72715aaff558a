//! One future that several tasks wait for: each of them may drive it, and each gets its output.
//!
//! `futures::future::Shared` calls the wakers of its tasks under its lock. Here such a waker may be
//! that of a link's stream, which wakes the task that drives the link; that may be this very
//! future, and its lock would be taken twice by one thread.
//!
//! Invariants: no waker is called and no future is polled, or dropped, under a lock. A waker is
//! called once for each time that its task has polled. A task that is woken and then dropped hands
//! the call on, so no call is lost. The future is dropped when it has ended, or with its last
//! handle.

use crate::bounds::BoxFuture;
use crate::connection::wakers::{Wakers, wake_all, wake_one};
use crate::lock::{Mutex, lock};
use slab::Slab;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// See the head of this file. A clone waits for the same future. Polled again after it has ended,
/// it returns the output again.
pub(crate) struct SharedFuture<T> {
    /// What all handles share.
    inner: Arc<Inner<T>>,
    /// The number of this task among those that wait; `None` before the first poll.
    key: Option<usize>,
}

struct Inner<T> {
    /// How far the future is.
    progress: Mutex<Progress<T>>,
    /// The tasks to wake when it can go on, or has ended.
    waiting: Arc<Waiting>,
}

enum Progress<T> {
    /// Nobody polls it now.
    Idle(BoxFuture<'static, T>),
    /// A task polls it, and has taken it out.
    Polled,
    /// It has ended.
    Ended(T),
    /// It has panicked and will never end. A task that polls it panics, too.
    Panicked,
}

/// The tasks that wait. The future is polled with a waker that wakes all of them.
#[derive(Default)]
struct Waiting(Mutex<WakerList>);

#[derive(Default)]
struct WakerList {
    /// A task each; `None` once it was woken, until it polls again.
    tasks: Slab<Option<Waker>>,
    /// How many of them were not woken since they polled.
    registered: usize,
    /// The keys of these tasks, and of some that have gone: what is done for one task or for those
    /// that are registered does not look at all.
    order: Vec<usize>,
    /// How many tasks were looked at one by one.
    #[cfg(test)]
    visits: usize,
}

/// More keys of tasks that have gone than this, and than there are tasks, are forgotten.
const GONE_MAX: usize = 32;

impl WakerList {
    /// Notes who waits. Returns a waker to drop once the lock is released.
    fn register(&mut self, key: &mut Option<usize>, waker: &Waker) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| self.tasks.insert(None));
        let task = &mut self.tasks[key];
        if task.as_ref().is_some_and(|other| other.will_wake(waker)) {
            return None;
        }
        let replaced = task.replace(waker.clone());
        if replaced.is_none() {
            self.registered += 1;
            self.order.push(key);
            if self.order.len() > 2 * self.tasks.len() + GONE_MAX {
                self.forget_gone();
            }
        }
        replaced
    }

    fn forget_gone(&mut self) {
        self.visit(self.order.len());
        let Self { tasks, order, .. } = self;
        order.sort_unstable();
        order.dedup();
        order.retain(|key| tasks.get(*key).is_some_and(Option::is_some));
    }

    /// Takes the waker of the task that registered last.
    fn take_one(&mut self) -> Option<Waker> {
        while let Some(key) = self.order.pop() {
            self.visit(1);
            if let Some(waker) = self.tasks.get_mut(key).and_then(Option::take) {
                self.registered -= 1;
                return Some(waker);
            }
        }
        None
    }

    /// Counts tasks that are looked at. Tests bound how many are.
    #[inline]
    fn visit(&mut self, count: usize) {
        #[cfg(test)]
        {
            self.visits += count;
        }
        let _ = count;
    }

    /// Removes a task. Returns a waker to drop, and one to wake, once the lock is released.
    fn remove(&mut self, key: usize) -> (Option<Waker>, Option<Waker>) {
        let own = self.tasks.remove(key);
        self.registered -= usize::from(own.is_some());
        if own.is_some() || self.registered == 0 {
            return (own, None);
        }
        // It was woken and may not have polled since: another one has to.
        (None, self.take_one())
    }

    fn take_all(&mut self) -> Wakers {
        if mem::take(&mut self.registered) == 0 {
            return Wakers::new();
        }
        self.visit(self.order.len());
        let Self { tasks, order, .. } = self;
        order.drain(..).filter_map(|key| tasks.get_mut(key)?.take()).collect()
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut wakers = lock(&self.0).take_all();
        wake_all(&mut wakers);
    }
}

impl<T: Clone> SharedFuture<T> {
    pub(crate) fn new(future: BoxFuture<'static, T>) -> Self {
        let progress = Mutex::new(Progress::Idle(future));
        Self { inner: Arc::new(Inner { progress, waiting: Arc::default() }), key: None }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(*lock(&self.inner.progress), Progress::Ended(_))
    }

    /// Ends it with this output, unless it has ended: the future is dropped, at once or, if a task
    /// polls it at this moment, when that task has. Every task that waits is woken.
    pub(crate) fn end(&self, output: T) {
        let before = {
            let mut progress = lock(&self.inner.progress);
            if let Progress::Ended(_) | Progress::Panicked = *progress {
                return;
            }
            mem::replace(&mut *progress, Progress::Ended(output))
        };
        drop(before);
        self.inner.waiting.wake_by_ref();
    }

    /// Whether no other handle is there: no task waits for it.
    pub(crate) fn is_sole_handle(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    /// Takes the future out; `Err` with what to return where it cannot be polled now.
    fn take(&self) -> Result<BoxFuture<'static, T>, Poll<T>> {
        let mut progress = lock(&self.inner.progress);
        match mem::replace(&mut *progress, Progress::Polled) {
            Progress::Idle(future) => Ok(future),
            Progress::Polled => Err(Poll::Pending),
            Progress::Ended(output) => {
                *progress = Progress::Ended(output.clone());
                Err(Poll::Ready(output))
            }
            Progress::Panicked => {
                *progress = Progress::Panicked;
                drop(progress);
                panic!("a future that several tasks wait for has panicked in one of them");
            }
        }
    }
}

/// Notes a panic of the future that was taken out.
struct PanicGuard<'a, T>(&'a Inner<T>);

impl<T> Drop for PanicGuard<'_, T> {
    fn drop(&mut self) {
        *lock(&self.0.progress) = Progress::Panicked;
        self.0.waiting.wake_by_ref();
    }
}

impl<T: Clone> Future for SharedFuture<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { inner, key } = &mut *self;
        let replaced = lock(&inner.waiting.0).register(key, cx.waker());
        drop(replaced);
        let mut future = match self.take() {
            Ok(future) => future,
            Err(result) => return result,
        };
        let guard = PanicGuard(&self.inner);
        let waker = Waker::from(Arc::clone(&self.inner.waiting));
        let result = future.as_mut().poll(&mut Context::from_waker(&waker));
        mem::forget(guard);
        match result {
            Poll::Pending => {
                let mut progress = lock(&self.inner.progress);
                if let Progress::Ended(output) = &*progress {
                    let output = output.clone();
                    drop(progress);
                    drop(future);
                    return Poll::Ready(output);
                }
                *progress = Progress::Idle(future);
            }
            Poll::Ready(ref output) => {
                *lock(&self.inner.progress) = Progress::Ended(output.clone());
                drop(future);
                waker.wake();
            }
        }
        result
    }
}

impl<T> Clone for SharedFuture<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), key: None }
    }
}

impl<T> Drop for SharedFuture<T> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let (own, next) = lock(&self.inner.waiting.0).remove(key);
        drop(own);
        if let Some(waker) = next {
            wake_one(waker);
        }
    }
}

impl<T> fmt::Debug for SharedFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
