//! What a client did on its own or noticed, as a stream of events.
//!
//! Each listener has a bounded queue of its own. A slow listener loses events and learns how many;
//! it neither slows the client down nor takes events from other listeners.
//!
//! Limit: `EVENTS_MAX` events wait for one listener; further ones are dropped and counted.
//! Users get the stream from `Client::events`.

use crate::Endpoint;
use crate::error::Error;
use crate::lock::lock;
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use futures::Stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The most events that wait for one listener.
pub(super) const EVENTS_MAX: usize = 1024;

/// Something that the client noticed or did on its own.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Event {
    /// For some time, all nodes have described another cluster than the one known so far. The
    /// client uses the other cluster from now on. Told once for each cluster that replaces another.
    ClusterReplaced,
    /// A connection was opened, and the handshake begins, which may still fail. Told for each
    /// connection, also those to sentinels, of blocking commands and of subscriptions.
    Connected {
        /// The node it leads to.
        endpoint: Endpoint,
        /// Time for name resolution, connection and TLS.
        took: Duration,
        /// The part of it that name resolution took, where the transport measures that. `None` for
        /// an address, which needs none.
        name_took: Option<Duration>,
    },
    /// Every slot has an owner that serves it, and that was not so before. Not told of the slots
    /// that the client knew when it became ready: there is no listener before.
    CoverageComplete,
    /// Some slots have no owner that serves them. Told again when their number changes.
    CoverageIncomplete {
        /// Slots that have an owner, of 16384.
        covered: u16,
    },
    /// A node describes another cluster than the known one. It gets no command until it describes
    /// the known one again, or the cluster was replaced. Told once for each time.
    ForeignNode {
        /// The node.
        endpoint: Endpoint,
    },
    /// This listener was too slow and lost this many events at this point of the stream.
    Lagged(u64),
    /// A node that was told as lost is connected again, or its connection was silent only and goes
    /// on. Told once for each `NodeLost`.
    NodeBack {
        /// The node.
        endpoint: Endpoint,
    },
    /// A node cannot be reached: connecting or the handshake failed for the first time since the
    /// last connection to it. Told once, however many attempts follow, and by one connection for
    /// all of the node. Also told of sentinels. A connection that ends is no lost node: that
    /// connecting fails tells it.
    NodeLost {
        /// The node.
        endpoint: Endpoint,
        /// The reason.
        error: Error,
    },
    /// A refresh of the topology got no usable answer from any node. Told instead of `Refreshed`.
    RefreshFailed {
        /// Why the refresh was started.
        reason: RefreshReason,
        /// The error of the last node.
        error: Option<Error>,
    },
    /// A refresh of the topology has ended, and was answered.
    Refreshed {
        /// Why it was started.
        reason: RefreshReason,
        /// Number of nodes before the refresh.
        nodes_before: usize,
        /// Number of nodes after it.
        nodes_after: usize,
        /// Slots that had an owner before the refresh, of 16384.
        covered_before: u16,
        /// Slots that have an owner after it.
        covered_after: u16,
        /// Whether commands are routed differently now.
        changed: bool,
        /// Duration of the refresh.
        took: Duration,
    },
    /// A redirect told the client that a slot has moved, before any refresh did. Not told of a
    /// redirect that says what is known already, of an ASK, and of what a refresh finds.
    SlotMoved {
        /// The slot's number.
        slot: u16,
        /// The node that owns it now.
        to: Endpoint,
    },
    /// Another server listens at a node's address than the one that the slot map means: a pod's
    /// address was reused, or nodes swapped theirs. It got nothing but the handshake. Told once for
    /// each server that is found there.
    WrongNode {
        /// The address.
        endpoint: Endpoint,
        /// The node that the map means; `None` if any node of the cluster was meant.
        expected: Option<NodeId>,
        /// The node that the server says it is; `None` for one that is no cluster node.
        found: Option<NodeId>,
    },
}

/// The queue of one listener.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    /// Not yet taken by the listener.
    events: VecDeque<Event>,
    /// Events dropped since the listener last took one, because the queue was full.
    dropped: u64,
    /// The client is closed: nothing follows.
    closed: bool,
    /// Wakes the task that waits for the next event.
    waker: Option<Waker>,
}

impl EventQueue {
    /// Adds an event, or counts it as dropped. The caller wakes the waker after it has let go of
    /// the queue's lock.
    pub(super) fn push(&mut self, event: Event) -> Option<Waker> {
        if self.events.len() == EVENTS_MAX {
            self.dropped += 1;
        } else {
            self.events.push_back(event);
        }
        self.waker.take()
    }

    /// Ends the stream after the events that are queued. The caller wakes the waker.
    pub(super) fn close(&mut self) -> Option<Waker> {
        self.closed = true;
        self.waker.take()
    }
}

/// A stream of [`Event`]s, from the call that made it until the client is closed.
///
/// At most 1024 events wait for a slow listener. Only this listener loses what does not fit, and it
/// gets an [`Event::Lagged`] instead. Dropping the stream ends the subscription.
#[derive(Debug)]
pub struct Events {
    /// Shared with the client.
    queue: Arc<Mutex<EventQueue>>,
}

impl Events {
    /// A new listener: the stream for the user, and the queue that the client fills.
    pub(super) fn new() -> (Self, Weak<Mutex<EventQueue>>) {
        let queue = Arc::default();
        let filled = Arc::downgrade(&queue);
        (Self { queue }, filled)
    }
}

impl Events {
    /// Waits for the next event. `None` after the client was closed.
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.queue);
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if queue.dropped > 0 {
            return Poll::Ready(Some(Event::Lagged(std::mem::take(&mut queue.dropped))));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
