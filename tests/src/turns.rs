//! Futures polled by hand: once and never again, a few times and then dropped, or to the end under
//! a bound.
//!
//! **Invariant**: nothing here waits for ever; a future that does not end in time is a failure that
//! says so, not a hang. Used by the suites about one server.

use crate::real::wait;
use futures::future::{Either, select};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// No test's future takes longer, unless it hangs: a call within it may have all of
/// [`wait::BOUND`].
const BOUND: Duration = wait::BOUND.saturating_mul(2);

/// Runs a future to its end, on smol.
#[track_caller]
pub fn run<F: Future>(future: F) -> F::Output {
    smol::block_on(bounded(future))
}

/// The future's output, or a panic if it does not end.
pub async fn bounded<F: Future>(future: F) -> F::Output {
    match select(pin!(future), smol::Timer::after(BOUND)).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("no end after {BOUND:?}"),
    }
}

/// Polls once with a waker that nobody hears; `None` if it is pending.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Lets everything else that is ready go first, `times` times.
pub async fn step_back(times: usize) {
    for _ in 0..times {
        smol::future::yield_now().await;
    }
}

/// A future that is dropped right after it was polled so often in vain.
#[derive(Debug)]
pub struct DroppedAfter<F> {
    /// Gone once it ended or was dropped.
    inner: Option<F>,
    /// Polls that it still gets.
    polls: usize,
}

impl<F> DroppedAfter<F> {
    /// `polls` of 0 drops it unpolled.
    pub fn new(inner: F, polls: usize) -> DroppedAfter<F> {
        DroppedAfter { inner: Some(inner), polls }
    }
}

impl<F: Future + Unpin> Future for DroppedAfter<F> {
    /// `None` when it was dropped.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.polls > 0 {
            let inner = this.inner.as_mut().expect("it is not polled again after its end");
            if let Poll::Ready(output) = Pin::new(inner).poll(cx) {
                this.inner = None;
                return Poll::Ready(Some(output));
            }
            this.polls -= 1;
        }
        if this.polls == 0 {
            this.inner = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}
