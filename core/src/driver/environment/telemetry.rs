//! A client's counters and the listeners of its events.
//!
//! Counting is one relaxed atomic addition, and never on the hot path: a command that needs no
//! retry, redirect or new connection is not counted. An event is built only if there is a listener.
//!
//! **Invariant**: no waker is woken under a lock.

use crate::driver::environment::events::{Event, EventQueue, Events};
use crate::driver::environment::metrics::Metrics;
use crate::driver::environment::weak_list::WeakList;
use crate::error::Error;
use crate::lock::lock;
use crate::topology::refresh::RefreshReason;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

/// A client's counters and listeners; see the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// See `Metrics::dials`.
    pub(crate) dials: AtomicU64,
    /// See `Metrics::dials_failed`.
    pub(crate) dials_failed: AtomicU64,
    /// See `Metrics::retries`.
    pub(crate) retries: AtomicU64,
    /// See `Metrics::redirects`.
    pub(crate) redirects: AtomicU64,
    /// See `Metrics::refreshes`.
    pub(crate) refreshes: AtomicU64,
    /// See `Metrics::refreshes_failed`.
    pub(crate) refreshes_failed: AtomicU64,
    /// See `Metrics::entries_left_out`.
    pub(crate) entries_left_out: AtomicU64,
    /// See `Metrics::dial_time`; in nanoseconds.
    pub(crate) dial_time: AtomicU64,
    /// See `Metrics::name_time`; in nanoseconds.
    pub(crate) name_time: AtomicU64,
    /// See `Metrics::refresh_failure`.
    refresh_failure: Mutex<Option<(RefreshReason, Option<Error>)>>,
    /// The queues of all listeners that are not dropped.
    listeners: Mutex<WeakList<Mutex<EventQueue>>>,
}

/// Adds a duration to a counter of nanoseconds.
pub(crate) fn add_time(total: &AtomicU64, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    total.fetch_add(nanos, Ordering::Relaxed);
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Telemetry {
    /// All numbers except those of the nodes.
    pub(crate) fn metrics(&self) -> Metrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            dials: read(&self.dials),
            dials_failed: read(&self.dials_failed),
            dial_time: Duration::from_nanos(read(&self.dial_time)),
            name_time: Duration::from_nanos(read(&self.name_time)),
            retries: read(&self.retries),
            redirects: read(&self.redirects),
            refreshes: read(&self.refreshes),
            refreshes_failed: read(&self.refreshes_failed),
            entries_left_out: read(&self.entries_left_out),
            refresh_failure: lock(&self.refresh_failure).clone(),
            nodes: Vec::new(),
        }
    }

    /// Records a refresh that failed, and tells the listeners.
    pub(crate) fn refresh_failed(&self, reason: RefreshReason, error: Option<&Error>) {
        count(&self.refreshes_failed);
        *lock(&self.refresh_failure) = Some((reason, error.cloned()));
        self.emit(|| Event::RefreshFailed { reason, error: error.cloned() });
    }

    /// Adds a listener.
    pub(crate) fn listen(&self) -> Events {
        let (events, queue) = Events::new();
        lock(&self.listeners).push(queue);
        events
    }

    /// Sends an event to all listeners. `event` is called only if there is one.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        let listeners = lock(&self.listeners).all();
        if listeners.is_empty() {
            return;
        }
        let event = event();
        for listener in listeners {
            let waker = lock(&listener).push(event.clone());
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Ends the streams of all listeners.
    pub(crate) fn close(&self) {
        let listeners = std::mem::take(&mut *lock(&self.listeners)).all();
        for listener in listeners {
            let waker = lock(&listener).close();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::environment::events::EVENTS_MAX;
    use futures::FutureExt;

    #[test]
    fn a_slow_listener_learns_how_many_it_lost() {
        let telemetry = Telemetry::default();
        let mut events = telemetry.listen();
        for _ in 0..EVENTS_MAX + 7 {
            telemetry.emit(|| Event::CoverageComplete);
        }
        for _ in 0..EVENTS_MAX {
            let event = events.next().now_or_never().flatten();
            assert!(matches!(event, Some(Event::CoverageComplete)));
        }
        assert!(matches!(events.next().now_or_never().flatten(), Some(Event::Lagged(7))));
        assert!(events.next().now_or_never().is_none(), "nothing more for now");
        telemetry.close();
        assert!(events.next().now_or_never().expect("the end is there").is_none());
    }

    #[test]
    fn without_a_listener_no_event_is_built() {
        Telemetry::default().emit(|| unreachable!("there is no listener"));
    }
}
