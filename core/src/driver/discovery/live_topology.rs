//! The topology that a client works with: the published routes, and when they are refreshed.
//!
//! The data path reads the published [`Routes`] and never waits here; only a command that no node
//! can take does. What a refresh does is in `refresh_round.rs`, how callers wait for one in
//! `refresh_wait.rs`, which nodes there are in `node_table.rs`, and how a new map becomes routes in
//! `publish.rs`.
//!
//! Invariants:
//! - configured endpoints are kept for the client's whole life, as names, and are asked when no
//!   other node answers;
//! - a refresh that began before a redirect was followed does not undo the redirect (`patched`);
//! - while a caller waits for a repair (`RepairWaiter`), one refresh follows the other.

use crate::Endpoint;
use crate::config::Deployment;
use crate::connection::courtesy::Withheld;
use crate::connection::handshake::Profile;
use crate::driver::discovery::command_info::CommandInfoCache;
use crate::driver::discovery::routes::Routes;
use crate::driver::discovery::sentinel_query::Sentinels;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event;
use crate::driver::environment::shared_future::SharedFuture;
use crate::driver::link::submit::client_closed;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::{CLUSTER, SENTINEL};
use crate::lock::lock;
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::replaced_cluster::ReplacedCluster;
use crate::topology::refresh::{RefreshReason, RefreshSchedule, Urgency};
use crate::topology::slot::Slot;
use crate::topology::snapshot::Topology;
use crate::topology::view::{NodeView, Role};
use arc_swap::{ArcSwap, Guard};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

/// A refresh under way. Every caller that waits for it drives it.
pub(in crate::driver) type RefreshFuture = SharedFuture<()>;

/// See the head of this file.
pub(crate) struct LiveTopology {
    /// Transport, configuration, clock and events.
    pub(in crate::driver) env: Arc<Environment>,
    /// What the data path reads.
    pub(in crate::driver) routes: ArcSwap<Routes>,
    /// Notified when routes are published.
    pub(in crate::driver) published: event_listener::Event,
    /// Everything that only refreshes and redirects use.
    pub(in crate::driver) state: Mutex<State>,
    /// What servers have told about commands that the built-in table lacks.
    pub(in crate::driver) command_info: CommandInfoCache,
    /// How many callers wait for a repair.
    pub(super) waiting: AtomicUsize,
    /// How many of them a refresh may help, because another node could replace the one they need.
    pub(super) waiting_for_replacement: AtomicUsize,
    /// When commands begin a periodic refresh, in nanoseconds of the clock; `u64::MAX` where the
    /// background does.
    pub(super) next_poll: AtomicU64,
    /// A command has begun such a refresh, and no command has waited for its end yet.
    pub(super) poll_begun: AtomicBool,
}

/// See `LiveTopology::state`.
pub(in crate::driver) struct State {
    /// Decides when the next refresh begins.
    pub(in crate::driver) schedule: RefreshSchedule,
    /// The refresh under way.
    pub(in crate::driver) running: Option<RefreshFuture>,
    /// Nodes outside the map: the seeds, and nodes that only a redirect has named.
    pub(in crate::driver) unlisted: Vec<Arc<Node>>,
    /// The sentinels, where the deployment has them.
    pub(in crate::driver) sentinels: Option<Sentinels>,
    /// When the last refresh ended that found something.
    pub(in crate::driver) refreshed_at: Option<Timestamp>,
    /// Why the last refresh found nothing, if so.
    pub(in crate::driver) failure: Option<Error>,
    /// The node that the next refresh asks first, if a redirect of it named an unknown one.
    pub(in crate::driver) ask_first: Option<Arc<Node>>,
    /// Whether refreshes hear from another cluster only.
    pub(in crate::driver) replaced_cluster: ReplacedCluster,
    /// The next refresh was requested only because callers waited when the last one ended. It is
    /// dropped if none waits any more.
    pub(in crate::driver) only_for_waiters: bool,
    /// No refresh begins any more.
    pub(in crate::driver) closed: bool,
}

impl fmt::Debug for LiveTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTopology").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl LiveTopology {
    /// `known` is the topology that an earlier client stored. With it, no refresh begins before
    /// something fails or the interval has passed.
    pub(crate) fn start(env: Arc<Environment>, known: Option<ClusterMap>) -> Arc<Self> {
        let config = env.config();
        let (mut unlisted, mut sentinels) = (Vec::new(), None);
        let mut map = ClusterMap::empty();
        let mut schedule = RefreshSchedule::new(config.refreshes_per_second, env.now());
        let mut begin = || {
            schedule.request(RefreshReason::Start, Urgency::Awaited, env.now(), &mut env.rng());
        };
        match &config.deployment {
            // A build without clusters, or sentinels, refuses the configuration before.
            Deployment::Cluster if !CLUSTER => {}
            Deployment::Cluster => {
                let node = |e: &Endpoint| Arc::new(Node::new(e.clone(), Profile::Server, &env));
                unlisted = config.endpoints.iter().map(node).collect();
                match known {
                    Some(known) => map = known,
                    None => begin(),
                }
            }
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
        env.members().set(&map);
        let routes = first_routes(map, &env);
        let state = State {
            schedule,
            running: None,
            unlisted,
            sentinels,
            refreshed_at: None,
            failure: None,
            ask_first: None,
            replaced_cluster: ReplacedCluster::default(),
            only_for_waiters: false,
            closed: false,
        };
        Arc::new(Self {
            env,
            routes: ArcSwap::from_pointee(routes),
            published: event_listener::Event::new(),
            state: Mutex::new(state),
            command_info: CommandInfoCache::default(),
            waiting: AtomicUsize::new(0),
            waiting_for_replacement: AtomicUsize::new(0),
            next_poll: AtomicU64::new(u64::MAX),
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

    /// Whether this deployment's topology can change: a standalone server's cannot.
    pub(crate) fn is_dynamic(&self) -> bool {
        (CLUSTER || SENTINEL) && self.env.config().deployment != Deployment::Standalone
    }

    /// Requests a refresh. Does not wait for it.
    pub(crate) fn request_refresh(&self, reason: RefreshReason) {
        self.request(reason, Urgency::Awaited);
    }

    /// Requests a refresh because a connection was lost. Whether the server is there still, the
    /// next dial tells, and requests one at once if not. Sentinels announce what follows from a
    /// loss to all at once anyway, so behind them there is nothing to spread.
    pub(crate) fn request_refresh_for_lost_link(&self) {
        let urgency = if self.env.has_slots() { Urgency::Idle } else { Urgency::Awaited };
        self.request(RefreshReason::NodeLost, urgency);
    }

    /// Requests a refresh because of what `node` did or said.
    pub(crate) fn request_refresh_about(&self, node: &Arc<Node>, reason: RefreshReason) {
        let may_help = self.may_be_replaced(node);
        self.request(reason, if may_help { Urgency::Awaited } else { Urgency::Patient });
    }

    /// Requests a refresh that asks `node` before others: it knows what the map lacks.
    pub(crate) fn request_refresh_from(&self, node: &Arc<Node>, reason: RefreshReason) {
        lock(&self.state).ask_first = Some(Arc::clone(node));
        self.request(reason, Urgency::Awaited);
    }

    fn request(&self, reason: RefreshReason, urgency: Urgency) {
        if !self.is_dynamic() {
            return;
        }
        let (now, mut state) = (self.env.now(), lock(&self.state));
        let sooner = state.schedule.request(reason, urgency, now, &mut self.env.rng());
        state.only_for_waiters = false;
        drop(state);
        // The tasks that wait for the next refresh only have to know when it begins sooner.
        if sooner {
            self.env.triggers().wake_listeners();
        }
    }

    /// Requests a refresh for each trigger that connections and health checks have set.
    pub(in crate::driver) fn take_triggers(&self) {
        let triggers = self.env.triggers();
        if triggers.take_connection_lost() {
            self.request_refresh_for_lost_link();
        }
        let taken = [
            (triggers.take_server_silent(), RefreshReason::NodeSilent),
            (triggers.take_sentinel_message(), RefreshReason::Announced),
            (triggers.take_role_changed(), RefreshReason::ReadOnly),
            (triggers.take_wrong_node(), RefreshReason::WrongNode),
        ];
        taken.into_iter().filter(|(set, _)| *set).for_each(|(_, r)| self.request_refresh(r));
    }

    /// When the last refresh ended that found something.
    pub(crate) fn refreshed_at(&self) -> Option<Timestamp> {
        lock(&self.state).refreshed_at
    }

    /// Why the last refresh found nothing, if so.
    pub(crate) fn refresh_failure(&self) -> Option<Error> {
        lock(&self.state).failure.clone()
    }

    /// Whether the next refresh leaves out a courtesy that had no answer.
    pub(crate) fn suspects_courtesies(&self) -> bool {
        let state = lock(&self.state);
        let sentinels = state.sentinels.iter().flat_map(Sentinels::nodes);
        let all = Withheld::ALL;
        state.unlisted.iter().chain(sentinels).any(|node| node.target().suspects_any(all))
    }

    /// What a command fails with that no node can take.
    pub(crate) fn no_node_error(&self) -> Error {
        if self.env.is_closed() {
            return client_closed();
        }
        let unknown = || Error::new(ErrorKind::Topology, Delivery::NotSent, "no node is known");
        // Why no node could be asked says more than that none was.
        self.refresh_failure().map_or_else(unknown, |error| error.with_delivery(Delivery::NotSent))
    }

    /// Follows a MOVED: `slot` belongs to the node at `endpoint` now. The map learns this at once,
    /// a refresh finds out the rest. Returns the node. `literally`: the node at exactly that
    /// endpoint, not the one that the map knows under this name, which did not serve the slot.
    // spec: cluster-spec, "MOVED Redirection"
    pub(crate) fn handle_moved(
        &self,
        slot: Slot,
        endpoint: &Endpoint,
        literally: bool,
    ) -> Arc<Node> {
        let mut state = lock(&self.state);
        let patched = self.routes.load().map.patch(slot, endpoint);
        // A map that says so already is newer than the command was. And the first refresh, which is
        // under way or due, reads the topology anyway.
        let first_is_pending = state.refreshed_at.is_none() && state.schedule.is_pending();
        let is_news = patched.is_some() && !first_is_pending;
        if let Some(map) = patched {
            let (number, to) = (slot.number(), endpoint);
            self.env.telemetry().emit(|| Event::SlotMoved { slot: number, to: to.clone() });
            let held = self.routes.load();
            if held.map.owner(slot).is_none() || held.map.uncovered_since(slot).is_some() {
                self.emit_coverage(&held.map, &map);
            }
            self.publish_moved(&mut state, slot, map);
        }
        let node = match self.known_node_at(endpoint) {
            Some(node) if !literally => node,
            _ => self.find_or_add_node(&mut state, endpoint),
        };
        drop(state);
        if is_news {
            self.request_refresh(RefreshReason::Moved);
        }
        node
    }

    /// Closes all connections; no other will follow. Wakes everything that waits here.
    pub(crate) fn close(&self) {
        let (mut nodes, running) = {
            let mut state = lock(&self.state);
            state.closed = true;
            let mut nodes = std::mem::take(&mut state.unlisted);
            nodes.extend(state.sentinels.iter().flat_map(|s| s.nodes().to_vec()));
            (nodes, state.running.take())
        };
        if let Some(refresh) = running {
            refresh.end(());
        }
        nodes.extend(self.routes.load().dialable().cloned());
        nodes.iter().for_each(|node| node.close());
        self.env.close();
        self.env.triggers().wake_listeners();
        self.published.notify(usize::MAX);
        self.env.telemetry().close();
    }

    /// Whether no refresh begins any more.
    pub(in crate::driver) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// The topology as plain data, for the application to show or to store.
    pub(crate) fn snapshot(&self) -> Topology {
        let age = lock(&self.state).refreshed_at.map(|at| self.env.now().since(at));
        Topology::of(&self.routes.load().map, age)
    }

    /// The sentinels and the name of their service, where the deployment has them.
    pub(in crate::driver) fn sentinels(&self) -> Option<(Vec<Arc<Node>>, Arc<str>)> {
        let state = lock(&self.state);
        let sentinels = state.sentinels.as_ref()?;
        Some((sentinels.nodes().to_vec(), Arc::clone(sentinels.service())))
    }
}

/// The routes of the map that a client starts with.
fn first_routes(map: ClusterMap, env: &Environment) -> Routes {
    let is_cluster = env.has_slots();
    let node = |view: &Arc<NodeView>| {
        // Without READONLY, a cluster's replica redirects reads to its primary.
        let is_replica = is_cluster && view.role == Role::Replica;
        let profile = if is_replica { Profile::Replica } else { Profile::Server };
        let node = Node::new(view.endpoint.clone()?, profile, env);
        node.target().expect(&view.id);
        Some(Arc::new(node))
    };
    let nodes = map.nodes().iter().map(node).collect();
    Routes::new(map, nodes, &mut env.rng())
}

#[cfg(test)]
mod tests;
