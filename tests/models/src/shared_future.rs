//! One future that several tasks wait for (`core/src/driver/environment/shared_future.rs`).
//!
//! Changes that make these models fail: a task registers after it has found that another one polls
//! the future; the end wakes nobody; a task that is dropped does not hand its call on.

use crate::driver::environment::shared_future::SharedFuture;
use crate::explore;
use crate::lock::{AtomicBool, Mutex, Ordering, lock};
use loom::future::block_on;
use loom::thread;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What the future waits for.
struct Source {
    /// It has come.
    has_come: AtomicBool,
    /// Who is to be woken then.
    waker: Mutex<Option<Waker>>,
}

impl Source {
    fn new() -> Arc<Self> {
        Arc::new(Self { has_come: AtomicBool::new(false), waker: Mutex::new(None) })
    }

    fn future(self: &Arc<Self>) -> SharedFuture<u8> {
        let source = Arc::clone(self);
        SharedFuture::new(Box::pin(poll_fn(move |cx| {
            let old = lock(&source.waker).replace(cx.waker().clone());
            drop(old);
            match source.has_come.load(Ordering::Acquire) {
                true => Poll::Ready(7),
                false => Poll::Pending,
            }
        })))
    }

    fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Two tasks on threads of their own, and the call from a third.
pub fn every_task_gets_the_output() {
    explore(|| {
        let source = Source::new();
        let future = source.future();
        let threads = [future.clone(), future].map(|one| thread::spawn(move || block_on(one)));
        source.come();
        for thread in threads {
            assert_eq!(thread.join().expect("no model panics"), 7);
        }
    });
}

/// One of two polls once and is dropped, at whatever moment the call comes.
pub fn a_task_that_goes_away_takes_no_call_with_it() {
    explore(|| {
        let source = Source::new();
        let staying = source.future();
        let leaving = staying.clone();
        let leaves = thread::spawn(move || {
            let mut leaving = pin!(leaving);
            let _ = leaving.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        let comes = thread::spawn(move || source.come());
        // This thread stays.
        assert_eq!(block_on(staying), 7);
        leaves.join().expect("no model panics");
        comes.join().expect("no model panics");
    });
}
