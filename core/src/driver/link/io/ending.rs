//! The end of a link: what is in flight fails, the stream is dropped.
//!
//! **Invariants**: callers learn of the loss before foreign code runs that may panic; a stream on
//! which this client gives up commands is aborted, so that they do not run behind later ones that
//! take another connection. Spec: RFC 9293, section 3.10.5 ("ABORT Call").

use super::Io;
use crate::connection::outcome::Lost;
use crate::connection::wakers::{wake_all, without_panic};
use crate::lock::lock;
use std::sync::atomic::Ordering;

impl Io {
    pub(super) fn lose(&mut self, cause: Lost) {
        if !matches!(cause, Lost::Retired) {
            self.triggers.report_connection_lost();
        }
        self.status.closed.store(true, Ordering::Release);
        lock(&self.queue).lose(cause, self.written, &mut self.wakers);
        self.release();
        wake_all(&mut self.wakers);
    }

    /// The link is lost because a turn panics. What is in flight fails first, because the rest is
    /// foreign code, which may panic again. It is not known how many of the bytes that were taken
    /// from the queue the stream has accepted: all of them may have been sent.
    pub(crate) fn lose_by_panic(&mut self) {
        self.status.closed.store(true, Ordering::Release);
        lock(&self.queue).lose(Lost::Panicked, u64::MAX, &mut self.wakers);
        wake_all(&mut self.wakers);
        without_panic(|| self.triggers.report_connection_lost());
        without_panic(|| self.release());
    }

    /// Drops the stream and the timer of a link that is lost, and tells the push sink. Commands
    /// that were given up must not run behind later ones that take another connection: the stream
    /// is aborted.
    pub(super) fn release(&mut self) {
        let (lost, given_up) = {
            let queue = lock(&self.queue);
            (queue.lost().cloned(), queue.is_given_up())
        };
        if given_up {
            self.abort.set();
        }
        if self.stream.take().is_some()
            && let (Some(sink), Some(cause)) = (self.status.push_sink.get(), lost)
        {
            sink.handle_lost(&cause);
        }
        self.place = None;
        self.sleep = None;
        self.silence = None;
        self.out = Vec::new();
        self.sent = 0;
    }
}
