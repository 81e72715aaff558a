//! One pollable of the host, and the task that waits for it.
//!
//! The reactor asks the host about every wait that is registered with it, whether or not anybody
//! still cares, and goes on asking until the wait is dropped. A ready pollable that nobody looks
//! after, such as an idle connection that the server closed, would thus turn each later wait of the
//! program into a busy loop. So a waker of our own stands between the reactor and the task that
//! polls:
//! - the first time that the reactor finds the pollable ready, the waiter is woken;
//! - the second time without a look in between, the waiter has other things to do, and the wait is
//!   taken out of the reactor. Nothing is lost: it was woken, and its next look asks the host.
//!
//! A wait stays registered from one look to the next, which saves two calls of the host per round
//! trip; `release` ends it early.
//!
//! Invariants: the reactor wakes under its own locks, so `wake_by_ref` touches nothing of it but
//! its list of tasks; a wait is dropped before its pollable, and that before what it is about (the
//! fields of the users are in this order), or the host would trap.
//!
//! Used by `stream`, `dial`, `resolve` and the timers of `wasi`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use wasip2::io::poll::Pollable;
use wstd::runtime::{AsyncPollable, WaitFor};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Interest {
    /// Shared with the reactor while a wait is registered.
    shared: Arc<Shared>,
    /// What is waited for.
    pollable: AsyncPollable,
}

/// What the waker of the reactor reaches.
#[derive(Debug, Default)]
struct Shared {
    /// Locked for moments only; no waker is called under it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Registered with the reactor while it is here.
    wait: Option<WaitFor>,
    /// The latest waiter.
    waker: Option<Waker>,
    /// What the reactor said since the last look.
    told: Told,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// It is ready; the waiter was woken.
    Ready,
    /// It is ready, again: the wait is on its way out of the reactor.
    Leaving,
}

impl Interest {
    /// Takes over a pollable. Asks the host nothing yet.
    pub(crate) fn new(pollable: Pollable) -> Self {
        Self { shared: Arc::default(), pollable: AsyncPollable::new(pollable) }
    }

    /// Whether the pollable is ready, or was when the reactor last told; else `cx` is woken when it
    /// is. "Ready" is a hint: what follows may still find nothing and polls again.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if std::mem::take(&mut state.told) != Told::Nothing {
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

    /// Ends the wait, if one is registered: the reactor asks no more until the next `poll`.
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
        // Taken under the lock, dropped after it: a waker is foreign code.
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
        match state.told {
            Told::Nothing => {
                state.told = Told::Ready;
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Told::Ready => {
                state.told = Told::Leaving;
                drop(state);
                let shared = Arc::clone(self);
                // Not here: the reactor's locks are held. The task waits for nothing, it ends in
                // its one poll, so it never keeps a program from ending.
                let leave = async move {
                    if shared.lock().told == Told::Leaving {
                        shared.leave();
                    }
                };
                wstd::runtime::spawn(leave).detach();
            }
            Told::Leaving => {}
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

    /// Ready, and nobody looks: the reactor must not ask about it again and again.
    #[test]
    fn what_nobody_looks_after_leaves_the_reactor() {
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
