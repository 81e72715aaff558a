//! One server: its lanes for ordinary commands, and the connections that blocking commands have to
//! themselves.
//!
//! Invariants: a blocking command never shares a connection; a connection that still owes a reply
//! is never reused. Limits: `connections_per_node` shared connections, `exclusive_connections_max`
//! others (idle ones are kept, up to that number). Called by `client/call.rs` (the fast path takes
//! a ready link) and `driver/dispatch.rs` (everything that may wait).

use crate::connection::handshake::Profile;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::link::dial::{closed, open};
use crate::driver::link::link::Link;
use crate::driver::node::health::NodeHealth;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::time::Timestamp;
use crate::{BoxFuture, Endpoint};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it listens; a name stays a name.
    endpoint: Endpoint,
    /// What kind of server it is.
    profile: Profile,
    /// Its zone by the configuration's table.
    zone: Option<Arc<str>>,
    /// How it does in this client's own eyes.
    health: NodeHealth,
    /// Shared by all ordinary commands.
    lanes: Vec<Arc<ReconnectingLink>>,
    /// Which of several lanes is asked first; any number.
    turn: AtomicUsize,
    /// For blocking commands.
    own: Mutex<ExclusiveLinks>,
}

/// Connections that carry one blocking command at a time.
#[derive(Debug, Default)]
struct ExclusiveLinks {
    /// Live and free.
    idle: Vec<Arc<Link>>,
    /// Handed out.
    busy: usize,
    /// All that live, free or not.
    all: Vec<Weak<Link>>,
    /// None is handed out any more.
    closed: bool,
    /// None is kept for the next any more.
    retired: bool,
}

impl Node {
    pub(crate) fn new(endpoint: Endpoint, profile: Profile, env: &Environment) -> Self {
        let count = env.config().connections_per_node.max(1);
        let zone = env.config().zones.get(&endpoint).map(|zone| Arc::from(zone.as_str()));
        let health = NodeHealth::new(env.rng().next_u64());
        let budget = env.node_budget();
        let lane =
            || Arc::new(ReconnectingLink::new(endpoint.clone(), profile, Arc::clone(&budget)));
        let lanes = (0..count).map(|_| lane()).collect();
        let (turn, own) = (AtomicUsize::new(0), Mutex::default());
        Self { endpoint, profile, zone, health, lanes, turn, own }
    }

    /// How it does in this client's own eyes.
    #[inline]
    pub(crate) fn health(&self) -> &NodeHealth {
        &self.health
    }

    /// Its zone by the configuration's table.
    pub(crate) fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A link to send on without waiting, if there is one: of the lane with the least in flight.
    /// None as long as a lane needs somebody who sees to it, which is for `connect` to find.
    #[inline]
    pub(crate) fn ready(&self) -> Option<Arc<Link>> {
        match self.lanes.as_slice() {
            [lane] => lane.ready(),
            lanes if lanes.iter().any(|lane| lane.is_neglected()) => None,
            _ => self.least_loaded(),
        }
    }

    /// A live link, dialled if need be. While one lane is alive nobody waits for the others: the
    /// first who finds one without a link sees to it, so that all come to life under load.
    pub(crate) fn connect<'a>(
        &'a self,
        env: &'a Arc<Environment>,
        deadline: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Link>, Error>> {
        Box::pin(self.connect_any(env, deadline))
    }

    async fn connect_any(
        &self,
        env: &Arc<Environment>,
        deadline: Timestamp,
    ) -> Result<Arc<Link>, Error> {
        let first = self.lanes.first().expect("a node has at least one lane");
        if self.lanes.len() > 1 && self.lanes.iter().any(|lane| lane.live().is_some()) {
            if let Some(lane) = self.lanes.iter().find(|lane| lane.is_neglected()) {
                lane.tend(env, deadline).await;
            }
            if let Some(link) = self.least_loaded() {
                return Ok(link);
            }
        }
        first.connect(env, deadline).await
    }

    /// Of several live links the one with the least in flight; among equals, each in turn.
    fn least_loaded(&self) -> Option<Arc<Link>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        let (after, before) = (&self.lanes[turn..], &self.lanes[..turn]);
        let links = after.iter().chain(before).filter_map(|lane| lane.live());
        links.min_by_key(|link| link.load())
    }

    /// A connection for one blocking command. It goes back with [`ExclusiveLink::release`];
    /// dropped instead, it is closed, for the server may be blocked on it for ever.
    pub(crate) fn exclusive_link<'a>(
        self: &'a Arc<Self>,
        env: &'a Arc<Environment>,
    ) -> BoxFuture<'a, Result<ExclusiveLink, Error>> {
        Box::pin(self.take_exclusive_link(env))
    }

    async fn take_exclusive_link(
        self: &Arc<Self>,
        env: &Arc<Environment>,
    ) -> Result<ExclusiveLink, Error> {
        let max = env.config().exclusive_connections_max as usize;
        let idle = {
            let mut own = lock(&self.own);
            if own.closed {
                return Err(closed(&self.endpoint));
            }
            if own.busy >= max {
                let limit =
                    ErrorDetail::Limit { name: "exclusive_connections_max", max: max as u64 };
                let message = format!("{max} blocking commands wait at this node already");
                let error = Error::new(ErrorKind::Limit, Delivery::NotSent, message);
                return Err(error.with_endpoint(&self.endpoint).with_detail(limit));
            }
            own.busy += 1;
            own.idle.pop()
        };
        // From here on the place counts as taken; `ExclusiveLink` gives it free, also when the dial
        // fails or is dropped.
        let mut place =
            ExclusiveLink { node: Arc::clone(self), link: idle.filter(|link| !link.is_closed()) };
        if place.link.is_none() {
            let proven = !self.is_failing();
            let budget = env.node_budget();
            let settings = LinkSettings { progress_timeout: None, ..env.link_settings(&budget) };
            let link = open(&self.endpoint, self.profile, env, settings, proven).await?;
            let mut own = lock(&self.own);
            own.all.retain(|link| link.strong_count() > 0);
            own.all.push(Arc::downgrade(&link));
            let is_late = own.closed;
            drop(own);
            place.link = Some(link);
            if is_late {
                return Err(closed(&self.endpoint));
            }
        }
        Ok(place)
    }

    /// Whether commands can be sent to it without waiting.
    pub(crate) fn is_live(&self) -> bool {
        self.ready().is_some_and(|link| !link.is_closed())
    }

    /// Whether there is no connection, and the last attempt to make one failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_failing())
    }

    /// Whether a connection is out of reach before a pause is over.
    pub(crate) fn is_backing_off(&self, now: Timestamp) -> bool {
        self.lanes.iter().all(|lane| lane.is_backing_off(now))
    }

    /// The next dial need not wait.
    pub(crate) fn end_backoff(&self, env: &Environment) {
        self.lanes.iter().for_each(|lane| lane.end_backoff(env.now()));
    }

    /// Gives up every shared connection; the next command dials anew. For an address behind which
    /// another server listens now.
    pub(crate) fn redial(&self) {
        self.lanes.iter().for_each(|lane| lane.redial());
    }

    /// The deployment has no such node any more: connections end when what is in flight on them
    /// has.
    pub(crate) fn retire(&self) {
        self.redial();
        let idle = {
            let mut own = lock(&self.own);
            own.retired = true;
            std::mem::take(&mut own.idle)
        };
        idle.iter().for_each(|link| link.close());
    }

    /// Closes every connection; none will follow.
    pub(crate) fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.close());
        let (idle, all) = {
            let mut own = lock(&self.own);
            own.closed = true;
            (std::mem::take(&mut own.idle), std::mem::take(&mut own.all))
        };
        all.iter().filter_map(Weak::upgrade).for_each(|link| link.close());
        drop(idle);
    }
}

/// A connection that somebody has to himself.
#[derive(Debug)]
pub(crate) struct ExclusiveLink {
    /// Whose it is.
    node: Arc<Node>,
    /// Gone once it was given back.
    link: Option<Arc<Link>>,
}

impl ExclusiveLink {
    pub(crate) fn link(&self) -> &Arc<Link> {
        self.link.as_ref().expect("a link is there from its dial until it is given back")
    }

    /// Nothing is owed on it: the next may have it.
    pub(crate) fn release(mut self) {
        let Some(link) = self.link.take() else { return };
        let mut own = lock(&self.node.own);
        if own.closed || own.retired {
            drop(own);
            link.close();
        } else {
            own.idle.push(link);
        }
    }
}

impl Drop for ExclusiveLink {
    fn drop(&mut self) {
        lock(&self.node.own).busy -= 1;
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}
