//! The waker that a link's stream and timer get, whoever polls them.
//!
//! It decides at wake time whom to wake, so it never matters who polled last.
//! Called by the reactor; made by `driver/link.rs`.

use crate::connection::queue::{Queue, Wakers};
use crate::sync::lock;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};

/// The waker of a link's stream and timer. Weak, so that a forgotten registration keeps nothing
/// alive.
pub(crate) struct Signal(pub(crate) Weak<Mutex<Queue>>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(queue) = self.0.upgrade() else { return };
        let mut wakers = Wakers::new();
        lock(&queue).wake_driver(&mut wakers);
        wakers.drain(..).for_each(Waker::wake);
    }
}
