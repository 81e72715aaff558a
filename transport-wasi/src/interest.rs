//! Waits for one pollable of the host.
//!
//! The reactor of `wstd` asks the host about every registered wait until the wait is dropped, even
//! if its task does not poll any more. A ready pollable that no task polls, such as an idle
//! connection that the server has closed, would turn every later wait of the program into a busy
//! loop. So this type has a waker of its own between the reactor and the task:
//! - when the reactor first finds the pollable ready, the task is woken;
//! - when it does so again and the task has not polled in between, the wait is removed from the
//!   reactor. Nothing is lost: the task was woken, and its next poll asks the host.
//!
//! A wait stays registered from one poll to the next, which saves two calls of the host per round
//! trip; `release` removes it earlier.
//!
//! Invariants: the reactor wakes while it holds its locks, so `wake_by_ref` uses nothing of it but
//! its list of tasks; a wait is dropped before its pollable, and the pollable before its socket or
//! stream (the fields that hold them are in this order), or the host would trap.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use wasip2::io::poll::Pollable;
use wstd::runtime::{AsyncPollable, WaitFor};

/// A pollable of the host, with the task that waits for it.
#[derive(Debug)]
pub(crate) struct Interest {
    /// Shared with the reactor while a wait is registered.
    shared: Arc<Shared>,
    /// The pollable of the host.
    pollable: AsyncPollable,
}

/// What the waker that the reactor calls has access to.
#[derive(Debug, Default)]
struct Shared {
    /// Locked briefly; no waker is called while it is locked.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The wait that is registered with the reactor.
    wait: Option<WaitFor>,
    /// The waker of the task that polled last.
    waker: Option<Waker>,
    /// What the reactor has reported since the last poll.
    reported: Reported,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reported {
    /// Nothing.
    #[default]
    Nothing,
    /// It is ready; the task was woken.
    Ready,
    /// It is ready, again: the wait is being removed from the reactor.
    Leaving,
}

impl Interest {
    /// Takes a pollable; does not call the host yet.
    pub(crate) fn new(pollable: Pollable) -> Self {
        Self { shared: Arc::default(), pollable: AsyncPollable::new(pollable) }
    }

    /// Ready if the pollable is ready, or was when the reactor last reported; otherwise the task is
    /// woken when it is. "Ready" is a hint: the caller may still find nothing, and then polls
    /// again.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if std::mem::take(&mut state.reported) != Reported::Nothing {
            return Poll::Ready(());
        }
        if state.wait.is_none() {
            let mut wait = self.pollable.wait_for();
            let waker = Waker::from(Arc::clone(&self.shared));
            if Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_ready() {
                return Poll::Ready(());
            }
            state.wait = Some(wait);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Removes the wait, if one is registered, until the next `poll`.
    pub(crate) fn release(&self) {
        self.shared.leave();
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.release();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self) {
        // Taken while locked, dropped after: a waker is foreign code.
        let left = std::mem::take(&mut *self.lock());
        drop(left);
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        match state.reported {
            Reported::Nothing => {
                state.reported = Reported::Ready;
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Reported::Ready => {
                state.reported = Reported::Leaving;
                drop(state);
                let shared = Arc::clone(self);
                // Not here: the reactor's locks are held. The task waits for nothing, it ends in
                // its one poll, so it never keeps a program from ending.
                let leave = async move {
                    if shared.lock().reported == Reported::Leaving {
                        shared.leave();
                    }
                };
                wstd::runtime::spawn(leave).detach();
            }
            Reported::Leaving => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wasip2::clocks::monotonic_clock::subscribe_duration;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn after_millis(millis: u64) -> Interest {
        Interest::new(subscribe_duration(millis * 1_000_000))
    }

    async fn pause(millis: u64) {
        let interest = after_millis(millis);
        poll_fn(|cx| interest.poll(cx)).await;
    }

    /// A ready pollable that no task polls must not stay in the reactor.
    #[test]
    fn a_pollable_that_no_task_polls_leaves_the_reactor() {
        wstd::runtime::block_on(async {
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let interest = after_millis(1);
            assert!(interest.poll(&mut Context::from_waker(&waker)).is_pending());
            assert!(interest.shared.lock().wait.is_some());
            pause(30).await;
            assert!(interest.shared.lock().wait.is_none());
            assert_eq!(count.0.load(Ordering::Relaxed), 1);
            assert!(interest.poll(&mut Context::from_waker(&waker)).is_ready());
        });
    }

    /// A look in time, even one that goes on waiting, keeps the wait where it is.
    #[test]
    fn a_wait_stays_from_look_to_look() {
        wstd::runtime::block_on(async {
            let interest = after_millis(1);
            let mut looks = 0;
            poll_fn(|cx| {
                looks += 1;
                assert_eq!(interest.poll(cx).is_ready(), looks == 2);
                assert!(interest.shared.lock().wait.is_some());
                if looks == 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            interest.release();
            assert!(interest.shared.lock().wait.is_none());
        });
    }
}
