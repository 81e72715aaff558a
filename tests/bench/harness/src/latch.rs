//! Waits for a number of spawned tasks, without a runtime, and collects what they measured.
//!
//! One future waits, and each task reports once. Results come in the order of the reports.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Gathers a `T` from each of the tasks that share it.
#[derive(Debug)]
pub(crate) struct Latch<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    /// Tasks that have not come yet.
    missing: usize,
    /// The results so far.
    gathered: Vec<T>,
    /// Wakes the task that waits for the last result.
    waiter: Option<Waker>,
}

impl<T> Clone for Latch<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Latch<T> {
    /// For so many tasks.
    pub(crate) fn new(tasks: usize) -> Self {
        let gathered = Vec::with_capacity(tasks);
        Self(Arc::new(Mutex::new(State { missing: tasks, gathered, waiter: None })))
    }

    /// One task is done. It leaves `result`.
    pub(crate) fn arrive(&self, result: T) {
        let mut state = self.lock();
        state.gathered.push(result);
        state.missing -= 1;
        if state.missing == 0
            && let Some(waiter) = state.waiter.take()
        {
            waiter.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().expect("no task panics while it holds the lock")
    }
}

impl<T> Future for Latch<T> {
    type Output = Vec<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<T>> {
        let mut state = self.lock();
        if state.missing == 0 {
            return Poll::Ready(std::mem::take(&mut state.gathered));
        }
        state.waiter = Some(context.waker().clone());
        Poll::Pending
    }
}
