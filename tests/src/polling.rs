//! Polls futures by hand: once, a few times before a drop, or to the end within a bound.
//!
//! **Invariant**: no test hangs here. A future that does not end in time fails the test.
//! **Limit**: a future may take twice `wait::BOUND`.

use crate::real::wait;
use futures::future::{Either, select};
use slotcar::Error;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long a future may take: longer than a call in it, which may take all of [`wait::BOUND`].
const BOUND: Duration = wait::BOUND.saturating_mul(2);

/// Runs a future to its end on smol; panics if it does not end in time.
#[track_caller]
pub fn run<F: Future>(future: F) -> F::Output {
    smol::block_on(bounded(future))
}

/// The output of the future; panics if it does not end in time.
pub async fn bounded<F: Future>(future: F) -> F::Output {
    match select(pin!(future), smol::Timer::after(BOUND)).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("the future did not end within {BOUND:?}"),
    }
}

/// The error of a call that was tried so many times within its timeout, and that timeout. It is
/// `first` or, on a busy machine, where the first attempt alone may take that long, a longer one.
pub async fn until_tried<F: Future<Output = Error>>(
    attempts: u32,
    first: Duration,
    mut call: impl FnMut(Duration) -> F,
) -> (Duration, Error) {
    let mut timeout = first;
    loop {
        let error = call(timeout).await;
        if error.attempts() >= attempts || timeout > wait::BOUND {
            return (timeout, error);
        }
        timeout *= 4;
    }
}

/// Polls once, with a waker that does nothing; `None` if the future is pending.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Yields to the other tasks `times` times.
pub async fn yield_times(times: usize) {
    for _ in 0..times {
        smol::future::yield_now().await;
    }
}

/// A future that is dropped when it is still pending after a number of polls.
#[derive(Debug)]
pub struct DroppedAfter<F> {
    /// `None` after it ended or was dropped.
    inner: Option<F>,
    /// How many polls are left.
    polls: usize,
}

impl<F> DroppedAfter<F> {
    /// With 0 `polls` the future is dropped before its first poll.
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
            let inner =
                this.inner.as_mut().expect("a future must not be polled again after its end");
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
