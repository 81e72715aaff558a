//! The waker that a link's stream and timer get, whoever polls them.
//!
//! It decides at wake time whom to wake, so it never matters who polled last; and it remembers that
//! it was called, so that a driver need not ask a stream or a timer again that has not called.
//! Called by the reactor; made and asked by `driver/io.rs`.

use crate::connection::queue::{Queue, Wakers};
use crate::connection::wakers::wake_all;
use crate::driver::link::turns::Fired;
use crate::lock::lock;
use std::sync::{Arc, Mutex, Weak};
use std::task::Wake;

/// The waker of a link's stream and timer.
pub(crate) struct IoWaker {
    /// Who may be waiting. Weak, so that a forgotten registration keeps nothing alive.
    queue: Weak<Mutex<Queue>>,
    /// The stream or the timer has called since somebody last looked.
    fired: Fired,
}

impl IoWaker {
    pub(crate) fn new(queue: &Arc<Mutex<Queue>>) -> Self {
        Self { queue: Arc::downgrade(queue), fired: Fired::default() }
    }

    /// Whether it was called since the last time. Ask before polling, never after: a call in
    /// between must be seen by the next.
    pub(crate) fn take(&self) -> bool {
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
