//! One server: its shared connections for ordinary commands, the exclusive connections that
//! blocking commands, transactions and waits for replicas take, and those that carry subscriptions
//! only.
//!
//! Invariants: a blocking command never shares a connection; a connection that still owes a reply
//! is never reused. Limits: `connections_per_node` shared connections, `exclusive_connections_max`
//! exclusive ones; idle exclusive connections are kept, up to that number. Commands that end what
//! blocks the others (SCRIPT KILL, CLIENT UNBLOCK) get one beyond that limit.

use crate::connection::budget::Budget;
use crate::connection::handshake::Profile;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::link::dial::{closed, open};
use crate::driver::link::dial_target::DialTarget;
use crate::driver::link::link::Link;
use crate::driver::node::health::NodeHealth;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::driver::node::subscription_links::SubscriptionLinks;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::time::Timestamp;
use crate::topology::identity::Identity;
use crate::topology::node_id::NodeId;
use crate::{BoxFuture, Endpoint};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it listens, what kind of server it is, and which one.
    target: Arc<DialTarget>,
    /// Its availability zone by `Config::zones`.
    zone: Option<Arc<str>>,
    /// What this client has seen of it: load, latency, failures, lag.
    health: NodeHealth,
    /// The connections that ordinary commands share; at least one.
    connections: Vec<Arc<ReconnectingLink>>,
    /// Round-robin counter over `connections`; wraps around.
    next_connection: AtomicUsize,
    /// The connections of blocking commands.
    exclusive: Mutex<ExclusiveLinks>,
    /// When it last answered a question for a sign of life, in nanoseconds.
    heard_at: AtomicU64,
    /// The connections of subscriptions.
    subscriptions: SubscriptionLinks,
    /// It cannot be reached, as far as was told by an event.
    reported_lost: Arc<AtomicBool>,
}

/// Connections that carry one caller's commands at a time.
#[derive(Debug, Default)]
struct ExclusiveLinks {
    /// Live and not in use.
    idle: Vec<Arc<Link>>,
    /// How many are in use.
    busy: usize,
    /// All that are open, idle or in use.
    all: Vec<Weak<Link>>,
    /// No connection is handed out any more.
    closed: bool,
    /// A connection is closed after its use, not kept.
    retired: bool,
}

impl Node {
    pub(crate) fn new(endpoint: Endpoint, profile: Profile, env: &Environment) -> Self {
        let count = env.config().connections_per_node.max(1);
        let zone = env.config().zones.get(&endpoint).map(|zone| Arc::from(zone.as_str()));
        let health = NodeHealth::new(env.rng().next_u64());
        let budget = env.node_budget();
        let mut node = Self {
            target: Arc::new(DialTarget::new(endpoint, profile)),
            zone,
            health,
            connections: Vec::new(),
            next_connection: AtomicUsize::new(0),
            exclusive: Mutex::default(),
            subscriptions: SubscriptionLinks::default(),
            reported_lost: Arc::default(),
            heard_at: AtomicU64::new(0),
        };
        node.connections = (0..count).map(|_| node.new_link(&budget)).collect();
        node
    }

    /// When it last answered a question for a sign of life.
    pub(super) fn heard_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.heard_at.load(Ordering::Relaxed))
    }

    /// It has answered such a question.
    pub(super) fn set_heard_at(&self, now: Timestamp) {
        self.heard_at.store(now.nanos(), Ordering::Relaxed);
    }

    /// A connection that was not dialled yet.
    fn new_link(&self, budget: &Arc<Budget>) -> Arc<ReconnectingLink> {
        let (target, reported_lost) = (Arc::clone(&self.target), Arc::clone(&self.reported_lost));
        Arc::new(ReconnectingLink::new(target, Arc::clone(budget), reported_lost))
    }

    /// A connection for the subscriptions of one subscriber, which carries no commands of callers:
    /// their replies would count for the server's limit of subscribers. It was not dialled yet.
    pub(crate) fn subscription_link(&self, env: &Environment) -> Arc<ReconnectingLink> {
        let link = self.new_link(&env.node_budget());
        self.subscriptions.add(&link);
        link
    }

    /// What this client has seen of it.
    #[inline]
    pub(crate) fn health(&self) -> &NodeHealth {
        &self.health
    }

    /// How many shared connections there were so far: what was asked of the server before the last
    /// one was made may have been told by another process.
    #[inline]
    pub(crate) fn links(&self) -> u32 {
        self.connections.iter().fold(0, |sum, link| sum.wrapping_add(link.links()))
    }

    /// Its lag: it may lack what was written within this time. `None` if that is not known of the
    /// process to which its connections lead.
    #[inline]
    pub(crate) fn lag(&self, now: Timestamp) -> Option<Duration> {
        self.health.lag(now, self.links())
    }

    /// Its availability zone by `Config::zones`.
    pub(crate) fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    pub(crate) fn profile(&self) -> Profile {
        self.target.profile()
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.target.endpoint()
    }

    /// Which server it is.
    pub(crate) fn target(&self) -> &DialTarget {
        &self.target
    }

    /// Whether it can be the node of this id: it has the id, or none is known and no connection
    /// leads to another server. A provisional id fits every node.
    pub(crate) fn may_be(&self, id: &NodeId) -> bool {
        let told = |link: &Arc<ReconnectingLink>| link.live()?.identity().cloned();
        let differs =
            |told: Identity| told != Identity::Untold && told != Identity::Node(id.clone());
        id.is_provisional()
            || match self.target.expected() {
                Some(expected) => expected == id,
                None => !self.connections.iter().filter_map(told).any(differs),
            }
    }

    /// Gives up the idle connections that lead to another server than the one that is meant now.
    pub(crate) fn recheck(&self, env: &Environment) {
        let links = self.connections.iter().cloned().chain(self.subscriptions.all());
        links.for_each(|link| link.recheck(env));
        self.close_idle(|link| self.target.doubts(link, env));
    }

    /// Gives up all connections that carry no caller's command alone; the next command dials again.
    pub(crate) fn give_up(&self) {
        let links = self.connections.iter().cloned().chain(self.subscriptions.all());
        links.for_each(|link| link.give_up());
        self.close_idle(|_| true);
    }

    /// Closes those of the idle exclusive connections.
    fn close_idle(&self, which: impl Fn(&Link) -> bool) {
        let closed: Vec<Arc<Link>> = {
            let mut exclusive = lock(&self.exclusive);
            let idle = std::mem::take(&mut exclusive.idle);
            let (closed, kept) = idle.into_iter().partition(|link| which(link));
            exclusive.idle = kept;
            closed
        };
        closed.iter().for_each(|link| link.close());
    }

    /// A link to send on without waiting, if there is one: of several the one with the least in
    /// flight. `None` while one of several connections is lost and not being restored, so that the
    /// caller goes through `connect`, which restores it.
    // On the way of every command, and small there.
    #[inline(always)]
    pub(crate) fn ready(&self) -> Option<Arc<Link>> {
        match self.connections.as_slice() {
            [only] => only.ready(),
            several if several.iter().any(|link| link.needs_repair()) => None,
            _ => self.least_loaded(),
        }
    }

    /// A live link, dialled if need be. While one connection is live, no caller waits for the
    /// others: the first caller that finds one lost begins to restore it.
    ///
    /// # Errors
    /// See [`ReconnectingLink::connect`].
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
        if self.connections.len() > 1 && self.connections.iter().any(|link| link.live().is_some()) {
            if let Some(lost) = self.connections.iter().find(|link| link.needs_repair()) {
                lost.repair(env, deadline).await;
            }
            if let Some(link) = self.least_loaded() {
                return Ok(link);
            }
        }
        self.first().connect(env, deadline).await
    }

    /// What a caller fails with whose deadline has passed while it had no connection to this node.
    pub(crate) fn deadline_error(&self) -> Error {
        self.first().deadline_error()
    }

    fn first(&self) -> &Arc<ReconnectingLink> {
        self.connections.first().expect("a node has at least one connection")
    }

    /// The live link with the least in flight; among equals, each in turn.
    fn least_loaded(&self) -> Option<Arc<Link>> {
        let first = self.next_connection.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let (before, after) = self.connections.split_at(first);
        let links = after.iter().chain(before).filter_map(|link| link.live());
        links.min_by_key(|link| link.load())
    }

    /// A connection for one caller. It goes back with [`ExclusiveLink::release`]. Dropped instead,
    /// it is closed, because the server may be blocked on it without end.
    ///
    /// # Errors
    /// `Limit` when `exclusive_connections_max` are in use; `Closed`; the dial's error.
    pub(crate) fn exclusive_link<'a>(
        self: &'a Arc<Self>,
        env: &'a Arc<Environment>,
    ) -> BoxFuture<'a, Result<ExclusiveLink, Error>> {
        Box::pin(self.take_exclusive_link(env, false))
    }

    /// The same for a command that ends what keeps the server or its connections busy: without a
    /// limit, and also from a server that takes no other command. A connection that was made for it
    /// is not kept, since its handshake may be incomplete.
    ///
    /// # Errors
    /// `Closed`; the dial's error.
    pub(crate) fn urgent_link<'a>(
        self: &'a Arc<Self>,
        env: &'a Arc<Environment>,
    ) -> BoxFuture<'a, Result<ExclusiveLink, Error>> {
        Box::pin(self.take_exclusive_link(env, true))
    }

    async fn take_exclusive_link(
        self: &Arc<Self>,
        env: &Arc<Environment>,
        urgent: bool,
    ) -> Result<ExclusiveLink, Error> {
        let max = env.config().exclusive_connections_max as usize;
        let idle = {
            let mut exclusive = lock(&self.exclusive);
            if exclusive.closed {
                return Err(closed(self.endpoint()));
            }
            if exclusive.busy >= max && !urgent {
                let limit =
                    ErrorDetail::Limit { name: "exclusive_connections_max", max: max as u64 };
                let message = format!("{max} exclusive connections to this node are in use");
                let error = Error::new(ErrorKind::Limit, Delivery::NotSent, message);
                return Err(error.with_endpoint(self.endpoint()).with_detail(limit));
            }
            exclusive.busy += 1;
            exclusive.idle.pop()
        };
        // `busy` counts this connection from here on. The drop of `ExclusiveLink` takes it off,
        // also when the dial fails or is dropped.
        // On a host without background tasks nobody has noticed that the server closed it.
        let link = idle.inspect(|link| link.read_what_has_come()).filter(|link| !link.is_closed());
        let is_kept = link.is_some() || !urgent;
        let mut taken = ExclusiveLink { node: Arc::clone(self), link, is_kept };
        if taken.link.is_none() {
            let proven = !self.is_failing();
            let budget = env.node_budget();
            let settings = LinkSettings {
                progress_timeout: None,
                tolerates_busy: urgent,
                ..env.link_settings(&budget)
            };
            let link = open(&self.target, env, settings, proven).await?;
            let mut exclusive = lock(&self.exclusive);
            exclusive.all.retain(|link| link.strong_count() > 0);
            exclusive.all.push(Arc::downgrade(&link));
            let is_late = exclusive.closed;
            drop(exclusive);
            taken.link = Some(link);
            if is_late {
                return Err(closed(self.endpoint()));
            }
        }
        Ok(taken)
    }

    /// Whether this is one of its shared connections, and takes entries.
    pub(crate) fn has_live(&self, link: &Arc<Link>) -> bool {
        self.connections.iter().any(|own| own.live().is_some_and(|live| Arc::ptr_eq(&live, link)))
    }

    /// Whether commands can be sent to it without a dial.
    pub(crate) fn is_live(&self) -> bool {
        self.ready().is_some_and(|link| !link.is_closed())
    }

    /// Whether there is no live shared connection, and the last dials failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.connections.iter().all(|link| link.is_failing())
    }

    /// Whether there is no connection, and no dial begins before a back-off is over.
    pub(crate) fn is_backing_off(&self, now: Timestamp) -> bool {
        self.connections.iter().all(|link| link.is_backing_off(now))
    }

    /// The next dial may begin at once.
    pub(crate) fn end_backoff(&self, env: &Environment) {
        let now = env.now();
        self.connections.iter().for_each(|link| link.end_backoff(now));
        self.subscriptions.all().iter().for_each(|link| link.end_backoff(now));
    }

    /// Gives up every shared connection; the next command dials again. For an address at which
    /// another server listens now. A connection with subscriptions stays open until these have
    /// another one.
    pub(crate) fn redial(&self) {
        self.connections.iter().for_each(|link| link.redial());
        self.subscriptions.all().iter().for_each(|link| link.redial());
    }

    /// The deployment has no such node any more: each connection ends when nothing is in flight on
    /// it.
    pub(crate) fn retire(&self) {
        self.redial();
        let idle = {
            let mut exclusive = lock(&self.exclusive);
            exclusive.retired = true;
            std::mem::take(&mut exclusive.idle)
        };
        idle.iter().for_each(|link| link.close());
    }

    /// Closes every connection; no other will follow.
    pub(crate) fn close(&self) {
        self.connections.iter().for_each(|link| link.close());
        self.subscriptions.close();
        let (idle, all) = {
            let mut exclusive = lock(&self.exclusive);
            exclusive.closed = true;
            (std::mem::take(&mut exclusive.idle), std::mem::take(&mut exclusive.all))
        };
        all.iter().filter_map(Weak::upgrade).for_each(|link| link.close());
        drop(idle);
    }
}

/// A connection that one caller has to itself.
#[derive(Debug)]
pub(crate) struct ExclusiveLink {
    /// The node that it leads to.
    node: Arc<Node>,
    /// The connection; `None` once it was released.
    link: Option<Arc<Link>>,
    /// Whether another caller may have it afterwards.
    is_kept: bool,
}

impl ExclusiveLink {
    pub(crate) fn link(&self) -> &Arc<Link> {
        self.link.as_ref().expect("a link is there from its dial to its release")
    }

    /// Returns the connection for the next caller. No reply may be owed on it.
    pub(crate) fn release(mut self) {
        let Some(link) = self.link.take() else { return };
        let mut exclusive = lock(&self.node.exclusive);
        if exclusive.closed || exclusive.retired || !self.is_kept {
            drop(exclusive);
            link.close();
        } else {
            exclusive.idle.push(link);
        }
    }
}

impl Drop for ExclusiveLink {
    fn drop(&mut self) {
        lock(&self.node.exclusive).busy -= 1;
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}
