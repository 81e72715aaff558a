//! The waker that a link's stream and timer are polled with, whichever task polls them.
//!
//! It decides at wake time which task to wake, so it does not matter which task polled last. And it
//! records that it was called, so that a driver need not poll a stream or a timer again that has
//! not called. The host's reactor calls it; `io.rs` asks it.

use crate::connection::queue::{CommandQueue, Wakers};
use crate::connection::wakers::wake_all;
use crate::driver::link::turns::Fired;
use crate::lock::lock;
use std::sync::{Arc, Mutex, Weak};
use std::task::Wake;

/// The waker of a link's stream and timer.
pub(crate) struct IoWaker {
    /// Knows which tasks wait. Weak, so that a waker that a reactor keeps holds no queue.
    queue: Weak<Mutex<CommandQueue>>,
    /// The stream or the timer has called since the last `take_fired`.
    fired: Fired,
}

impl IoWaker {
    pub(crate) fn new(queue: &Arc<Mutex<CommandQueue>>) -> Self {
        Self { queue: Arc::downgrade(queue), fired: Fired::default() }
    }

    /// Whether it was called since the last time. A turn asks before it polls, never after: a call
    /// that comes in between is for the next turn.
    pub(crate) fn take_fired(&self) -> bool {
        self.fired.take()
    }
}

impl Wake for IoWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.fired.set();
        let Some(queue) = self.queue.upgrade() else { return };
        let mut wakers = Wakers::new();
        lock(&queue).wake_driver(&mut wakers);
        wake_all(&mut wakers);
    }
}
