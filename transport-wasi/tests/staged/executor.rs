//! Replaces the crate `smol` for the suites, as far as they use it. Everything runs on the stage,
//! in the one thread.

use crate::stage;
use crate::transport::Smol;
use slotcar::{BoxFuture, Transport};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A timer.
pub struct Timer;

impl Timer {
    /// Ends after `duration`.
    pub fn after(duration: Duration) -> BoxFuture<'static, ()> {
        let transport = Smol::new();
        transport.sleep_until(transport.now().after(duration))
    }
}

/// Runs blocking code. There is no other thread, so only background work runs meanwhile.
pub async fn unblock<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Starts a task. Dropping the result does not end it, unlike `smol`'s.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    let shared = Arc::<Mutex<(Option<T>, Option<Waker>)>>::default();
    let its = Arc::clone(&shared);
    stage::begin(async move {
        let output = future.await;
        let mut shared = its.lock().unwrap_or_else(PoisonError::into_inner);
        shared.0 = Some(output);
        let waker = shared.1.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    Task(shared)
}

/// A task; its output when awaited.
pub struct Task<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.0.take() {
            Some(output) => Poll::Ready(output),
            None => {
                shared.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

pub mod future {
    //! Small futures.

    pub use futures::future::join as zip;
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    /// The output of the first that is ready.
    pub async fn or<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> T {
        let (mut first, mut second) = (pin!(first), pin!(second));
        poll_fn(|cx| match first.as_mut().poll(cx) {
            Poll::Pending => second.as_mut().poll(cx),
            ready => ready,
        })
        .await
    }

    /// Polls once; nothing if it is pending.
    pub async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Yields once.
    pub async fn yield_now() {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
