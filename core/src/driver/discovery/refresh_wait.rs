//! How callers wait for refreshes, and drive them.
//!
//! A refresh is a shared future: every caller that waits for it polls it, and where the host has a
//! background, `background_refresh.rs` does as well. No refresh depends on one caller being polled.
//! Without a background the commands also keep the periodic refresh: the first command after
//! `next_poll` begins it.
//!
//! Limit: a command waits `OWN_REFRESH_WAIT` for a periodic refresh that it began.

use crate::BoxFuture;
use crate::driver::discovery::live_topology::{LiveTopology, RefreshFuture};
use crate::driver::node::node::Node;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use futures::future::{Either, select};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a command waits for a periodic refresh that it began and does not need: as long as one
/// sentinel may delay the question to the next.
const OWN_REFRESH_WAIT: Duration = Duration::from_millis(100);

/// Where the next refresh stands.
pub(in crate::driver) enum RefreshState {
    /// None was requested.
    Idle,
    /// The next one may begin then.
    DueAt(Timestamp),
    /// This one is under way.
    Running(RefreshFuture),
}

impl LiveTopology {
    /// Says that a caller cannot go on before `node`, or any node, serves it again. Until the
    /// result is dropped, one refresh follows the other.
    pub(in crate::driver) fn register_waiter(
        self: &Arc<Self>,
        node: Option<&Arc<Node>>,
    ) -> RepairWaiter {
        let may_help = node.is_none_or(|node| self.may_be_replaced(node));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_for_replacement.fetch_add(usize::from(may_help), Ordering::Relaxed);
        RepairWaiter { topology: Arc::clone(self), may_help }
    }

    /// Whether a caller waits for a repair, and whether for one that a refresh may find.
    pub(super) fn waiters(&self) -> (bool, bool) {
        let waiting = self.waiting.load(Ordering::Relaxed) > 0;
        (waiting, self.waiting_for_replacement.load(Ordering::Relaxed) > 0)
    }

    /// Ends when routes newer than `version` are published.
    pub(crate) async fn wait_for_newer_map(&self, version: u64) {
        loop {
            let listener = self.published.listen();
            if self.routes.load().map.version() > version {
                return;
            }
            listener.await;
        }
    }

    /// Drives the refresh that was requested to its end, or until `deadline`. Returns at once when
    /// none was requested.
    pub(crate) fn wait_for_refresh(self: &Arc<Self>, deadline: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(self.drive_refresh(deadline))
    }

    async fn drive_refresh(self: &Arc<Self>, deadline: Timestamp) {
        loop {
            match self.advance_refresh() {
                RefreshState::Idle => return,
                RefreshState::DueAt(at) => {
                    let is_open = self.env.while_open(self.env.sleep_until(at.min(deadline)));
                    if is_open.await.is_none() || self.env.now() >= deadline {
                        return;
                    }
                }
                RefreshState::Running(refresh) => {
                    self.env.with_deadline(deadline, refresh).await;
                    return;
                }
            }
        }
    }

    /// Runs `future`, and meanwhile drives every refresh that is requested. On a host without a
    /// background nothing else would.
    pub(crate) async fn while_refreshing<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        if !self.is_dynamic() {
            return future.await;
        }
        match select(pin!(future), self.drive_refreshes()).await {
            Either::Left((output, _)) => output,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Drives every refresh that is requested, without end.
    fn drive_refreshes(self: &Arc<Self>) -> BoxFuture<'_, Infallible> {
        Box::pin(async {
            loop {
                let listener = self.env.triggers().listen();
                self.take_triggers();
                self.request_poll_if_due();
                match self.advance_refresh() {
                    RefreshState::Idle => {
                        self.env.with_deadline(self.next_poll(), listener).await;
                    }
                    RefreshState::DueAt(at) => {
                        self.env.with_deadline(at, listener).await;
                    }
                    RefreshState::Running(refresh) => refresh.await,
                }
            }
        })
    }

    /// From `at` on, commands begin the periodic refresh: there is no background that would.
    pub(in crate::driver) fn set_next_poll(&self, at: Timestamp) {
        self.next_poll.store(at.nanos(), Ordering::Relaxed);
    }

    /// When commands begin the periodic refresh; `FAR_FUTURE` where the background does.
    pub(in crate::driver) fn next_poll(&self) -> Timestamp {
        Timestamp::from_nanos(self.next_poll.load(Ordering::Relaxed))
    }

    /// Whether it is time for that. Reads the clock only where commands keep the interval.
    #[inline]
    pub(crate) fn is_poll_due(&self) -> bool {
        let at = self.next_poll.load(Ordering::Relaxed);
        at != u64::MAX && self.env.now().nanos() >= at
    }

    /// Requests the periodic refresh, if it is time; one that is pending already serves as well.
    fn request_poll_if_due(&self) {
        if self.is_poll_due() && !lock(&self.state).schedule.is_pending() {
            self.request_refresh(RefreshReason::Interval);
            self.poll_begun.store(true, Ordering::Relaxed);
        }
    }

    /// Returns `done` after a short wait for the periodic refresh that a command began: without a
    /// background the next command may come long after, and the refresh would be out of date.
    pub(in crate::driver) async fn wait_briefly_for_own_refresh<T>(
        self: &Arc<Self>,
        done: T,
        deadline: Timestamp,
    ) -> T {
        if self.poll_begun.load(Ordering::Relaxed) && self.poll_begun.swap(false, Ordering::Relaxed)
        {
            self.wait_for_refresh(self.env.now().after(OWN_REFRESH_WAIT).min(deadline)).await;
        }
        done
    }
}

/// See [`LiveTopology::register_waiter`].
#[derive(Debug)]
pub(in crate::driver) struct RepairWaiter {
    /// The topology that it keeps refreshing.
    topology: Arc<LiveTopology>,
    /// Whether a refresh may help this caller.
    may_help: bool,
}

impl Drop for RepairWaiter {
    fn drop(&mut self) {
        self.topology.waiting.fetch_sub(1, Ordering::Relaxed);
        let counted = usize::from(self.may_help);
        self.topology.waiting_for_replacement.fetch_sub(counted, Ordering::Relaxed);
    }
}
