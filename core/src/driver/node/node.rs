//! One server: its shared connections for ordinary commands, the exclusive connections that
//! blocking commands, transactions and waits for replicas take, and those that carry subscriptions
//! only.
//!
//! Invariants: a blocking command never shares a connection. Limits: `connections_per_node` shared
//! connections; `exclusive_links.rs` has those of the exclusive ones.

use crate::connection::budget::Budget;
use crate::connection::handshake::Profile;
use crate::driver::environment::connection_limit::DialWait;
use crate::driver::environment::environment::Environment;
use crate::driver::link::dial_target::DialTarget;
use crate::driver::link::link::Link;
use crate::driver::node::exclusive_links::{ExclusiveLink, ExclusiveLinks};
use crate::driver::node::health::NodeHealth;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::driver::node::subscription_links::SubscriptionLinks;
use crate::error::{Error, ErrorKind};
use crate::time::Timestamp;
use crate::topology::identity::Identity;
use crate::topology::node_id::NodeId;
use crate::{BoxFuture, Endpoint};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Node {
    /// Tells it from all other nodes of the client, so that tables need not be searched for it.
    number: u64,
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
    exclusive: Arc<ExclusiveLinks>,
    /// When it last answered a question for a sign of life, in nanoseconds.
    heard_at: AtomicU64,
    /// The connections of subscriptions.
    subscriptions: SubscriptionLinks,
    /// It cannot be reached, as far as was told by an event.
    reported_lost: Arc<AtomicBool>,
}

impl Node {
    pub(crate) fn new(endpoint: Endpoint, profile: Profile, env: &Environment) -> Self {
        let count = env.config().connections_per_node.max(1);
        let zone = env.config().zones.get(&endpoint).map(|zone| Arc::from(zone.as_str()));
        let health = NodeHealth::new(env.rng().next_u64());
        let budget = env.node_budget();
        let target = Arc::new(DialTarget::new(endpoint, profile));
        let exclusive = ExclusiveLinks::new(&target);
        let mut node = Self {
            number: env.next_node_number(),
            target,
            zone,
            health,
            connections: Vec::new(),
            next_connection: AtomicUsize::new(0),
            exclusive,
            subscriptions: SubscriptionLinks::default(),
            reported_lost: Arc::default(),
            heard_at: AtomicU64::new(0),
        };
        node.connections = (0..count).map(|_| node.new_link(&budget, false)).collect();
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
    fn new_link(&self, budget: &Arc<Budget>, is_subscription: bool) -> Arc<ReconnectingLink> {
        let (target, reported_lost) = (Arc::clone(&self.target), Arc::clone(&self.reported_lost));
        let budget = Arc::clone(budget);
        Arc::new(ReconnectingLink::new(target, budget, reported_lost, is_subscription))
    }

    /// A connection for the subscriptions of one subscriber, which carries no commands of callers:
    /// their replies would count for the server's limit of subscribers. It was not dialled yet.
    pub(crate) fn subscription_link(&self, env: &Environment) -> Arc<ReconnectingLink> {
        let link = self.new_link(&env.node_budget(), true);
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

    /// A number that no other node of the client has.
    pub(crate) fn number(&self) -> u64 {
        self.number
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
        self.exclusive.close_idle(|link| self.target.doubts(link, env));
    }

    /// Gives up all connections that carry no caller's command alone; the next command dials again.
    pub(crate) fn give_up(&self) {
        let links = self.connections.iter().cloned().chain(self.subscriptions.all());
        links.for_each(|link| link.give_up());
        self.exclusive.close_idle(|_| true);
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

    /// A connection for one caller; waits for one if `when_full` says so.
    ///
    /// # Errors
    /// `Limit` when `exclusive_connections_max` are in use; `Closed`; the dial's error.
    pub(crate) fn exclusive_link<'a>(
        self: &'a Arc<Self>,
        env: &'a Arc<Environment>,
        wait: &'a DialWait,
    ) -> BoxFuture<'a, Result<ExclusiveLink, Error>> {
        Box::pin(self.exclusive.take(env, false, !self.is_failing(), wait))
    }

    /// The same for a command that ends what keeps the server or its connections busy: without a
    /// limit, and also from a server that takes no other command.
    ///
    /// # Errors
    /// `Closed`; the dial's error.
    pub(crate) fn urgent_link<'a>(
        self: &'a Arc<Self>,
        env: &'a Arc<Environment>,
        wait: &'a DialWait,
    ) -> BoxFuture<'a, Result<ExclusiveLink, Error>> {
        Box::pin(self.exclusive.take(env, true, !self.is_failing(), wait))
    }

    /// What a caller fails with that got no exclusive connection before its deadline.
    pub(crate) fn late_exclusive_error(&self, env: &Environment) -> Error {
        if self.exclusive.is_full(env) {
            self.exclusive.full_error(env, ErrorKind::Timeout)
        } else {
            self.deadline_error()
        }
    }

    /// How many exclusive connections are in use, and how many are idle.
    pub(crate) fn exclusive_count(&self) -> (usize, usize) {
        self.exclusive.count()
    }

    /// Whether this is one of its shared connections, and takes entries.
    pub(crate) fn has_live(&self, link: &Arc<Link>) -> bool {
        self.connections.iter().any(|own| own.live().is_some_and(|live| Arc::ptr_eq(&live, link)))
    }

    /// Commands in flight on its live shared connections; `None` if no such connection is open.
    pub(crate) fn in_flight(&self) -> Option<usize> {
        let live = self.connections.iter().filter_map(|link| link.live());
        live.map(|link| link.in_flight()).reduce(|sum, count| sum + count)
    }

    /// Whether commands can be sent to it without a dial.
    pub(crate) fn is_live(&self) -> bool {
        self.ready().is_some_and(|link| !link.is_closed())
    }

    /// Whether there is no live shared connection, and the last dials failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.connections.iter().all(|link| link.is_failing())
    }

    /// Whether a dial of its shared connections waits for room among the client's.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.first().waits_for_room()
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

    /// The server takes no writes, and no topology tells where the primary is: the next command
    /// resolves the name again and dials. Connections with subscriptions stay.
    pub(crate) fn redial_demoted(&self, env: &Environment) {
        self.connections.iter().for_each(|link| link.redial_demoted(env));
        self.exclusive.close_idle(|_| true);
    }

    /// The deployment has no such node any more: each connection ends when nothing is in flight on
    /// it.
    pub(crate) fn retire(&self) {
        self.redial();
        self.exclusive.retire();
    }

    /// Closes every connection; no other will follow.
    pub(crate) fn close(&self) {
        self.connections.iter().for_each(|link| link.close());
        self.subscriptions.close();
        self.exclusive.close();
    }
}
