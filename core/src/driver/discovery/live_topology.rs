//! Keeps the routes current: what the data path reads, and what everything else may ask and tell.
//!
//! The data path reads a published [`Routes`] and never waits here; only a command that cannot go
//! anywhere does. A look belongs to nobody: whoever waits for it drives it, and where the host has
//! a background it is driven there as well. What a look does is in `driver/look.rs`, what becomes
//! of a new map in `driver/publish.rs`.
//!
//! Invariants:
//! - configured endpoints are kept for ever, as names, and asked when nobody else answers;
//! - a look that began before a redirect was followed does not undo it (`patched`);
//! - while a caller waits for a repair ([`RepairWaiter`]), looks follow looks.
//!
//! Called by `client` (reads `routes`) and `driver/dispatch.rs` (wants looks, follows redirects).

use crate::config::Deployment;
use crate::connection::handshake::Profile;
use crate::driver::discovery::command_info::CommandInfoCache;
use crate::driver::discovery::routes::Routes;
use crate::driver::discovery::sentinel_query::Sentinels;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::SENTINEL;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::replaced_cluster::ReplacedCluster;
use crate::topology::refresh::{RefreshReason, RefreshSchedule};
use crate::topology::slot::Slot;
use crate::topology::snapshot::Topology;
use crate::topology::view::{NodeView, ReportedHealth, Role};
use crate::{BoxFuture, Endpoint};
use arc_swap::{ArcSwap, Guard};
use futures::future::{Either, Shared, select};
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long one command of an interval may wait for a look that it does not need: as long as a
/// sentinel may keep the next one waiting.
const LINGER: Duration = Duration::from_millis(100);

/// A look under way, driven by whoever waits for it.
pub(in crate::driver) type RefreshFuture = Shared<BoxFuture<'static, ()>>;

/// See the head of this file.
pub(crate) struct LiveTopology {
    /// Transport, configuration, chance.
    pub(in crate::driver) env: Arc<Environment>,
    /// What the data path reads.
    pub(in crate::driver) routes: ArcSwap<Routes>,
    /// Told at every publication.
    pub(in crate::driver) published: event_listener::Event,
    /// Everything that only looks and redirects touch.
    pub(in crate::driver) state: Mutex<State>,
    /// What servers said of commands that the table lacks.
    pub(in crate::driver) command_info: CommandInfoCache,
    /// Callers that wait for a repair.
    waiting: AtomicUsize,
    /// Those of them whom a look may help: somebody could take over what they need.
    hopeful: AtomicUsize,
    /// Nanoseconds of the clock at which whoever comes by is to look without a cause; never where
    /// the background does.
    poll_at: AtomicU64,
    /// Somebody who came by has begun that look, and nobody has seen to its end yet.
    poll_begun: AtomicBool,
}

/// See `LiveTopology::state`.
pub(in crate::driver) struct State {
    /// Decides when.
    pub(in crate::driver) refresh: RefreshSchedule,
    /// The look that is under way.
    pub(in crate::driver) look: Option<RefreshFuture>,
    /// The seeds, and nodes that a redirect named and the map does not know.
    pub(in crate::driver) others: Vec<Arc<Node>>,
    /// Who tells of the service, where sentinels do.
    pub(in crate::driver) sentinels: Option<Sentinels>,
    /// When the last look that found something ended.
    pub(in crate::driver) looked: Option<Timestamp>,
    /// Why the last look failed.
    pub(in crate::driver) failure: Option<Error>,
    /// Whether looks hear of another cluster.
    pub(in crate::driver) foreign: ReplacedCluster,
    /// The look that is due is for those who waited when the last one ended, and for nobody else.
    pub(in crate::driver) follows_up: bool,
    /// No look will begin any more.
    pub(in crate::driver) closed: bool,
}

impl fmt::Debug for LiveTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTopology").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl LiveTopology {
    /// `known` is what an earlier client knew of the cluster: nothing is looked at before something
    /// is wrong, or the interval has passed.
    pub(crate) fn start(env: Arc<Environment>, known: Option<ClusterMap>) -> Arc<Self> {
        let config = env.config();
        let new = |e: &Endpoint, profile| Arc::new(Node::new(e.clone(), profile, &env));
        let node = |e: &Endpoint| new(e, Profile::Server);
        let mut others = Vec::new();
        let mut sentinels = None;
        let mut map = ClusterMap::empty();
        let mut refresh = RefreshSchedule::new(config.refreshes_per_second, env.now());
        let mut begin = || {
            refresh.request(RefreshReason::Start, false, env.now(), &mut env.rng());
        };
        match &config.deployment {
            Deployment::Cluster => {
                others = config.endpoints.iter().map(node).collect();
                match known {
                    Some(known) => map = known,
                    None => begin(),
                }
            }
            // A client does not begin with them where they are left out.
            Deployment::Sentinel { service, .. } => {
                sentinels = SENTINEL.then(|| Sentinels::new(service, &env));
                begin();
            }
            Deployment::Standalone => {
                let all = config.endpoints.iter().take(1).chain(&config.replicas);
                let mut views = all.map(NodeView::provisional);
                if let Some(primary) = views.next() {
                    map = ClusterMap::single(primary, views.collect());
                }
            }
        }
        // Without being told that old data will do, a cluster's replica sends reads to its primary.
        let is_cluster = config.deployment == Deployment::Cluster;
        let member = |view: &Arc<NodeView>| {
            let is_replica = is_cluster && view.role == Role::Replica;
            let profile = if is_replica { Profile::Replica } else { Profile::Server };
            Some(new(view.endpoint.as_ref()?, profile))
        };
        let nodes = map.nodes().iter().map(member).collect();
        let routes = Routes::new(map, nodes, &mut env.rng());
        let state = State {
            refresh,
            look: None,
            others,
            sentinels,
            looked: None,
            failure: None,
            foreign: ReplacedCluster::default(),
            follows_up: false,
            closed: false,
        };
        Arc::new(Self {
            env,
            routes: ArcSwap::from_pointee(routes),
            published: event_listener::Event::new(),
            state: Mutex::new(state),
            command_info: CommandInfoCache::default(),
            waiting: AtomicUsize::new(0),
            hopeful: AtomicUsize::new(0),
            poll_at: AtomicU64::new(u64::MAX),
            poll_begun: AtomicBool::new(false),
        })
    }

    pub(crate) fn env(&self) -> &Arc<Environment> {
        &self.env
    }

    /// The current routes, without a lock.
    pub(crate) fn routes(&self) -> Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Whether this deployment can be looked at again.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.env.config().deployment != Deployment::Standalone
    }

    /// Asks for a look. Nothing waits for it here.
    pub(crate) fn request_refresh(&self, reason: RefreshReason) {
        self.request_refresh_as(reason, false);
    }

    /// Asks for a look because of what a node did.
    pub(crate) fn request_refresh_about(&self, node: &Arc<Node>, reason: RefreshReason) {
        self.request_refresh_as(reason, !self.may_be_replaced(node));
    }

    fn request_refresh_as(&self, reason: RefreshReason, patient: bool) {
        if !self.is_dynamic() {
            return;
        }
        let (now, mut state) = (self.env.now(), lock(&self.state));
        let sooner = state.refresh.request(reason, patient, now, &mut self.env.rng());
        state.follows_up = false;
        drop(state);
        // Only who changes when the next look begins has to wake those who wait for it.
        if sooner {
            self.env.triggers().wake_listeners();
        }
    }

    /// Makes reasons to look of what links have shouted.
    pub(in crate::driver) fn take_triggers(&self) {
        let triggers = self.env.triggers();
        let raised = [
            (triggers.take_connection_lost(), RefreshReason::NodeLost),
            (triggers.take_server_silent(), RefreshReason::NodeSilent),
            (triggers.take_sentinel_message(), RefreshReason::Announced),
            (triggers.take_role_changed(), RefreshReason::ReadOnly),
        ];
        raised.into_iter().filter(|(raised, _)| *raised).for_each(|(_, r)| self.request_refresh(r));
    }

    /// Whether somebody could take over from a node: a look may find that somebody has. A primary
    /// without a living replica comes back by itself or not at all; but where nobody is connected,
    /// all may have moved.
    fn may_be_replaced(&self, node: &Arc<Node>) -> bool {
        let routes = self.routes.load();
        let is_it = |index: &usize| routes.node(*index).is_some_and(|n| Arc::ptr_eq(n, node));
        let mut shards = routes.map.slots().shards().iter();
        let lives = |index: &usize| routes.map.node(*index).health != ReportedHealth::Failed;
        let shard = shards.find(|shard| is_it(&shard.primary));
        shard.is_none_or(|shard| shard.replicas.iter().any(lives))
            || !routes.dialable().any(|node| node.is_live())
    }

    /// Says that a caller cannot go on before `node`, or any node, serves it again. Looks follow
    /// looks until the result is dropped.
    pub(in crate::driver) fn register_waiter(
        self: &Arc<Self>,
        node: Option<&Arc<Node>>,
    ) -> RepairWaiter {
        let hopeful = node.is_none_or(|node| self.may_be_replaced(node));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.hopeful.fetch_add(usize::from(hopeful), Ordering::Relaxed);
        RepairWaiter { topology: Arc::clone(self), hopeful }
    }

    /// Whether a caller waits for a repair, and whether for one that a look may find.
    pub(in crate::driver) fn waiters(&self) -> (bool, bool) {
        let some = |count: &AtomicUsize| count.load(Ordering::Relaxed) > 0;
        (some(&self.waiting), some(&self.hopeful))
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

    /// Waits until the look that is wanted has ended, or `deadline` passes; drives it. Returns at
    /// once when none is wanted.
    pub(crate) fn wait_for_refresh(self: &Arc<Self>, deadline: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(self.drive_refresh(deadline))
    }

    async fn drive_refresh(self: &Arc<Self>, deadline: Timestamp) {
        loop {
            match self.advance_refresh() {
                RefreshState::Idle => return,
                RefreshState::DueAt(until) => {
                    self.env.sleep_until(until.min(deadline)).await;
                    if self.env.now() >= deadline {
                        return;
                    }
                }
                RefreshState::Running(look) => {
                    self.env.with_deadline(deadline, look).await;
                    return;
                }
            }
        }
    }

    /// Runs `future`, and beside it every look that is wanted meanwhile. For hosts without a
    /// background, where a look would otherwise wait for nobody.
    pub(crate) async fn while_refreshing<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        if !self.is_dynamic() {
            return future.await;
        }
        match select(pin!(future), self.drive_refreshes()).await {
            Either::Left((output, _)) => output,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Drives every look that is wanted, for ever.
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
                    RefreshState::DueAt(until) => {
                        self.env.with_deadline(until, listener).await;
                    }
                    RefreshState::Running(look) => look.await,
                }
            }
        })
    }

    /// There is no background that would look from time to time: whoever comes by does, from `at`
    /// on.
    pub(in crate::driver) fn set_next_poll(&self, at: Timestamp) {
        self.poll_at.store(at.nanos(), Ordering::Relaxed);
    }

    /// When whoever comes by is to look without a cause.
    pub(in crate::driver) fn next_poll(&self) -> Timestamp {
        Timestamp::from_nanos(self.poll_at.load(Ordering::Relaxed))
    }

    /// Whether it is time for that. The clock is read only where somebody may have to.
    #[inline]
    pub(crate) fn is_poll_due(&self) -> bool {
        let at = self.poll_at.load(Ordering::Relaxed);
        at != u64::MAX && self.env.now().nanos() >= at
    }

    /// Asks for the look without a cause, if it is time; one that is wanted already will do.
    fn request_poll_if_due(&self) {
        if self.is_poll_due() && !lock(&self.state).refresh.is_pending() {
            self.request_refresh(RefreshReason::Interval);
            self.poll_begun.store(true, Ordering::Relaxed);
        }
    }

    /// Whoever comes by when such a look is under way sees it through for a moment, once his own
    /// work is `done`: the next may not come before it is out of date.
    pub(in crate::driver) async fn wait_briefly_for_own_refresh<T>(
        self: &Arc<Self>,
        done: T,
        deadline: Timestamp,
    ) -> T {
        if self.poll_begun.load(Ordering::Relaxed) && self.poll_begun.swap(false, Ordering::Relaxed)
        {
            self.wait_for_refresh(self.env.now().after(LINGER).min(deadline)).await;
        }
        done
    }

    /// When the last look that found something ended.
    pub(crate) fn refreshed_at(&self) -> Option<Timestamp> {
        lock(&self.state).looked
    }

    /// Why the last look found nothing, if it did.
    pub(crate) fn refresh_failure(&self) -> Option<Error> {
        lock(&self.state).failure.clone()
    }

    /// A slot has moved to `endpoint`: the map learns it at once, and a look will tell the rest.
    /// `literally`: not to whom the map knows under that name, which has led nowhere.
    pub(crate) fn handle_moved(
        &self,
        slot: Slot,
        endpoint: &Endpoint,
        literally: bool,
    ) -> Arc<Node> {
        let mut state = lock(&self.state);
        let patched = self.routes.load().map.patch(slot, endpoint);
        // A map that says so already was newer than the command; the first look is under way.
        let is_news = patched.is_some() && (state.looked.is_some() || !state.refresh.is_pending());
        if let Some(map) = patched {
            let (slot, to) = (slot.number(), endpoint);
            self.env.telemetry().emit(|| Event::SlotMoved { slot, to: to.clone() });
            self.publish(&mut state, map);
        }
        let node = match self.known_node_at(endpoint) {
            Some(node) if !literally => node,
            _ => self.node_in(&mut state, endpoint),
        };
        drop(state);
        if is_news {
            self.request_refresh(RefreshReason::Moved);
        }
        node
    }

    /// The node of the map that listens at `endpoint`, or is known under it besides.
    pub(crate) fn known_node_at(&self, endpoint: &Endpoint) -> Option<Arc<Node>> {
        let routes = self.routes.load();
        routes.node(routes.map.node_at(endpoint)?).cloned()
    }

    /// The node at `endpoint`, known or new; the map does not change.
    pub(crate) fn node_at(&self, endpoint: &Endpoint) -> Arc<Node> {
        let known = self.known_node_at(endpoint);
        known.unwrap_or_else(|| self.node_in(&mut lock(&self.state), endpoint))
    }

    /// Somebody who can say more about a slot that the map does not know: any primary, else any
    /// node; who is connected before who is not, and the seeds in their order, so that the first
    /// command travels with the first look.
    pub(crate) fn any_node(&self) -> Option<Arc<Node>> {
        let routes = self.routes.load();
        let state = lock(&self.state);
        let all = || routes.dialable().chain(&state.others);
        let pick = |nodes: Vec<&Arc<Node>>| {
            let index = self.env.rng().below(nodes.len() as u64) as usize;
            nodes.get(index).map(|node| Arc::clone(node))
        };
        pick(routes.primaries().filter(|node| node.is_live()).collect())
            .or_else(|| pick(all().filter(|node| node.is_live()).collect()))
            .or_else(|| pick(routes.dialable().filter(|node| !node.is_failing()).collect()))
            .or_else(|| state.others.iter().find(|node| !node.is_failing()).cloned())
            .or_else(|| pick(all().collect()))
    }

    /// Closes all connections; none will follow.
    pub(crate) fn close(&self) {
        let (mut others, look) = {
            let mut state = lock(&self.state);
            state.closed = true;
            (std::mem::take(&mut state.others), state.look.take())
        };
        others.extend(lock(&self.state).sentinels.iter().flat_map(|s| s.nodes().to_vec()));
        drop(look);
        self.routes.load().dialable().chain(&others).for_each(|node| node.close());
        self.env.close();
        self.env.triggers().wake_listeners();
        self.published.notify(usize::MAX);
        self.env.telemetry().close();
    }

    /// What is held, for the application to keep or to show.
    pub(crate) fn snapshot(&self) -> Topology {
        let age = lock(&self.state).looked.map(|at| self.env.now().since(at));
        Topology::of(&self.routes.load().map, age)
    }
}

/// What a caller who waits for a look has to do.
pub(in crate::driver) enum RefreshState {
    /// No look is wanted.
    Idle,
    /// The next may begin then.
    DueAt(Timestamp),
    /// One is under way.
    Running(RefreshFuture),
}

impl LiveTopology {
    /// Whether no look will begin any more.
    pub(in crate::driver) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// The sentinels and the name of their service, where there are any.
    pub(in crate::driver) fn sentinels(&self) -> Option<(Vec<Arc<Node>>, Arc<str>)> {
        let state = lock(&self.state);
        let sentinels = state.sentinels.as_ref()?;
        Some((sentinels.nodes().to_vec(), Arc::clone(sentinels.service())))
    }

    /// What a command fails with that no node can take.
    pub(crate) fn no_node_error(&self) -> Error {
        let unknown = || Error::new(ErrorKind::Topology, Delivery::NotSent, "no node is known");
        // Why nobody could be asked says more than that nobody was.
        self.refresh_failure().map_or_else(unknown, |error| error.with_delivery(Delivery::NotSent))
    }
}

/// See [`LiveTopology::register_waiter`].
#[derive(Debug)]
pub(in crate::driver) struct RepairWaiter {
    /// Whose looks go on.
    topology: Arc<LiveTopology>,
    /// Whether it counts among those whom a look may help.
    hopeful: bool,
}

impl Drop for RepairWaiter {
    fn drop(&mut self) {
        self.topology.waiting.fetch_sub(1, Ordering::Relaxed);
        self.topology.hopeful.fetch_sub(usize::from(self.hopeful), Ordering::Relaxed);
    }
}
