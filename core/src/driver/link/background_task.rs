//! The task that looks after a link when nobody, or more than one caller, waits on it.
//!
//! It is there only where the host has a background, and ends when its link is lost.
//! Called by `driver/dial.rs`, which starts one beside each link.

use crate::driver::link::link::Link;
use crate::features::BACKGROUND;
use crate::transport::Transport;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Starts the task, if the host has a background.
pub(crate) fn spawn_driver(link: &Arc<Link>, transport: &dyn Transport) {
    if !BACKGROUND {
        return;
    }
    let background = BackgroundTask { link: Arc::clone(link), yielded: false };
    if transport.spawn(Box::pin(background)) {
        link.attach_background();
    }
}

/// See the head of this file.
struct BackgroundTask {
    /// What it looks after.
    link: Arc<Link>,
    /// It has let others go first, this time.
    yielded: bool,
}

impl Future for BackgroundTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Woken by the first of several commands, it steps back once, so that whoever is ready adds
        // theirs to the same write.
        if !self.yielded && self.link.should_wait_for_more() {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yielded = false;
        self.link.drive(None);
        let Some(rests) = self.link.may_background_sleep(cx.waker()) else {
            return Poll::Ready(());
        };
        // Called meanwhile: look again, but in another turn. A runtime that rations its tasks' I/O
        // answers "pending" and wakes at once until the task has been let go of.
        if !rests {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
