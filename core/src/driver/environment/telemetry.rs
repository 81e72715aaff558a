//! What a client did by itself: counters that are always kept, and events for whoever listens.
//!
//! Counting costs an atomic addition off the straight way only: a command that needs no help is not
//! counted. An event goes to every listener's own bounded queue, so a slow listener loses events
//! of its own and learns how many, and never slows the client.
//!
//! Limit: `EVENTS_MAX` per listener. Called by everything in `driver`; read through
//! `Client::metrics` and `Client::events`.

use crate::Endpoint;
use crate::error::Error;
use crate::lock::lock;
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use futures::Stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Events that wait for one listener.
const EVENTS_MAX: usize = 1024;

/// Something that the client noticed or did by itself.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Event {
    /// All that is heard for a while is of another cluster, which takes the place of the one that
    /// was known.
    ClusterReplaced,
    /// A connection is up.
    Connected {
        /// Where to.
        endpoint: Endpoint,
        /// Name, stream and TLS.
        took: Duration,
        /// How much of that the name took, where the transport tells.
        name_took: Option<Duration>,
    },
    /// Every slot that had no owner has one.
    CoverageComplete,
    /// Some slots have no owner.
    CoverageIncomplete {
        /// Slots that have one, of 16384.
        covered: u16,
    },
    /// The listener was too slow and lost this many events, which were to come here.
    Lagged(u64),
    /// A node that was lost is connected again.
    NodeBack {
        /// Which.
        endpoint: Endpoint,
    },
    /// A node cannot be reached: a dial or a handshake failed, for the first time since it was last
    /// connected.
    NodeLost {
        /// Which.
        endpoint: Endpoint,
        /// Why.
        error: Error,
    },
    /// A look at the topology found nobody to ask.
    RefreshFailed {
        /// Why it was made.
        reason: RefreshReason,
        /// What the last node failed with.
        error: Option<Error>,
    },
    /// A look at the topology has ended.
    Refreshed {
        /// Why it was made.
        reason: RefreshReason,
        /// Nodes before and after.
        nodes: (usize, usize),
        /// Slots with an owner before and after.
        covered: (u16, u16),
        /// Whether it changed where commands go.
        changed: bool,
        /// How long it took.
        took: Duration,
    },
    /// A slot was moved by a redirect, before any look.
    SlotMoved {
        /// Its number.
        slot: u16,
        /// Who has it now.
        to: Endpoint,
    },
}

/// What a client has done by itself since it was made, and how its nodes do.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Dials begun.
    pub dials: u64,
    /// Dials, handshakes included, that failed.
    pub dials_failed: u64,
    /// How long the streams took that were opened, all together: name, connection and TLS.
    pub dial_time: Duration,
    /// How much of that was spent on looking names up, where the transport tells.
    pub name_time: Duration,
    /// Commands sent again, redirects not counted.
    pub retries: u64,
    /// Redirects followed.
    pub redirects: u64,
    /// Looks at the topology.
    pub refreshes: u64,
    /// Looks that found nobody to ask.
    pub refreshes_failed: u64,
    /// Why the last of those was made, and what it failed with.
    pub refresh_failure: Option<(RefreshReason, Option<Error>)>,
    /// The nodes of the topology.
    pub nodes: Vec<NodeMetrics>,
}

/// How one node does, as this client sees it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// Which.
    pub id: NodeId,
    /// Where it is dialled.
    pub endpoint: Endpoint,
    /// Whether it takes writes.
    pub primary: bool,
    /// Whether commands reach it.
    pub state: NodeState,
    /// Commands that were written to it and not answered, as of the last time that bytes moved.
    pub in_flight: usize,
}

/// Whether commands reach a node.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// It is connected.
    Connected,
    /// It is not, and the last attempt to connect failed.
    Failing,
    /// It is not, because nobody needed it.
    Idle,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// See `Metrics`.
    pub(crate) dials: AtomicU64,
    /// See `Metrics`.
    pub(crate) dials_failed: AtomicU64,
    /// See `Metrics`.
    pub(crate) retries: AtomicU64,
    /// See `Metrics`.
    pub(crate) redirects: AtomicU64,
    /// See `Metrics`.
    pub(crate) refreshes: AtomicU64,
    /// See `Metrics`.
    pub(crate) refreshes_failed: AtomicU64,
    /// See `Metrics`, in nanoseconds.
    pub(crate) dial_time: AtomicU64,
    /// See `Metrics`, in nanoseconds.
    pub(crate) name_time: AtomicU64,
    /// See `Metrics`.
    refresh_failure: Mutex<Option<(RefreshReason, Option<Error>)>>,
    /// Everybody who listens.
    listeners: Mutex<Vec<Weak<Mutex<Inbox>>>>,
}

/// One listener's queue.
#[derive(Debug, Default)]
struct Inbox {
    /// Not taken yet.
    events: VecDeque<Event>,
    /// Dropped since the last one taken, for want of room.
    lost: u64,
    /// The client has gone.
    ended: bool,
    /// Whoever waits.
    waker: Option<Waker>,
}

/// Adds a time.
pub(crate) fn add_time(total: &AtomicU64, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    total.fetch_add(nanos, Ordering::Relaxed);
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Telemetry {
    /// All but the nodes.
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
            refresh_failure: lock(&self.refresh_failure).clone(),
            nodes: Vec::new(),
        }
    }

    /// A look came to nothing.
    pub(crate) fn note_failure(&self, reason: RefreshReason, error: Option<&Error>) {
        count(&self.refreshes_failed);
        *lock(&self.refresh_failure) = Some((reason, error.cloned()));
        self.tell(|| Event::RefreshFailed { reason, error: error.cloned() });
    }

    pub(crate) fn listen(&self) -> Events {
        let inbox = Arc::default();
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&inbox));
        Events { inbox }
    }

    /// Tells everybody. `event` is only made when somebody listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let listeners: Vec<_> = lock(&self.listeners).iter().filter_map(Weak::upgrade).collect();
        if listeners.is_empty() {
            return;
        }
        let event = event();
        for listener in listeners {
            let waker = {
                let mut inbox = lock(&listener);
                if inbox.events.len() == EVENTS_MAX {
                    inbox.lost += 1;
                } else {
                    inbox.events.push_back(event.clone());
                }
                inbox.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// No event will follow.
    pub(crate) fn end(&self) {
        for listener in lock(&self.listeners).drain(..).filter_map(|weak| weak.upgrade()) {
            let waker = {
                let mut inbox = lock(&listener);
                inbox.ended = true;
                inbox.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// A stream of [`Event`]s, from the moment that it was asked for until the client is closed.
///
/// At most 1024 wait for a slow listener; what does not fit is lost to this listener alone, which
/// is told by [`Event::Lagged`].
#[derive(Debug)]
pub struct Events {
    /// Shared with the client.
    inbox: Arc<Mutex<Inbox>>,
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut inbox = lock(&self.inbox);
        if let Some(event) = inbox.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if inbox.lost > 0 {
            return Poll::Ready(Some(Event::Lagged(std::mem::take(&mut inbox.lost))));
        }
        if inbox.ended {
            return Poll::Ready(None);
        }
        inbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    #[test]
    fn a_slow_listener_learns_how_many_it_lost() {
        let telemetry = Telemetry::default();
        let mut events = telemetry.listen();
        for _ in 0..EVENTS_MAX + 7 {
            telemetry.tell(|| Event::CoverageComplete);
        }
        for _ in 0..EVENTS_MAX {
            let event = events.next().now_or_never().flatten();
            assert!(matches!(event, Some(Event::CoverageComplete)));
        }
        assert!(matches!(events.next().now_or_never().flatten(), Some(Event::Lagged(7))));
        assert!(events.next().now_or_never().is_none(), "nothing more for now");
        telemetry.end();
        assert!(events.next().now_or_never().expect("the end is there").is_none());
    }

    #[test]
    fn nobody_listening_costs_no_event() {
        Telemetry::default().tell(|| unreachable!("nobody listens"));
    }
}
