//! The task that drives a link while no caller waits, or more than one.
//!
//! It exists only where the host runs tasks in the background, and ends when its link is lost. If
//! the host drops it before, as an executor does that ends, the link's callers drive again.

use crate::driver::link::link::Link;
use crate::features::BACKGROUND;
use crate::transport::Transport;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Starts the task, if the host runs tasks in the background.
pub(crate) fn spawn_driver(link: &Arc<Link>, transport: &dyn Transport) {
    if !BACKGROUND {
        return;
    }
    link.attach_background();
    // A host without background drops the task, now or later.
    transport.spawn(Box::pin(BackgroundTask { link: Arc::clone(link), has_waited: false }));
}

/// The task; see the head of this file.
struct BackgroundTask {
    /// The link that it drives.
    link: Arc<Link>,
    /// Since it last drove, it has let other tasks run first.
    has_waited: bool,
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.link.detach_background();
    }
}

impl Future for BackgroundTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The first of several commands wakes this task. It lets the other tasks that are ready run
        // once, so that their commands go out in the same write.
        if !self.has_waited && self.link.should_wait_for_more() {
            self.has_waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_waited = false;
        self.link.drive(None);
        let Some(sleeps) = self.link.may_background_sleep(cx.waker()) else {
            return Poll::Ready(());
        };
        // It was woken meanwhile, so it drives again, but in another poll: a runtime that rations
        // its tasks' I/O returns `Pending` and wakes at once until the task has returned.
        if !sleeps {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
