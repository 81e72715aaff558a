//! Keeps the routes current: runs the looks that `topology/refresh.rs` allows, publishes what
//! `topology/merge.rs` makes of them.
//!
//! The data path reads a published [`Routes`] and never waits here; only a command that cannot go
//! anywhere does. A look belongs to nobody: whoever waits for it drives it, and where the host has
//! a background it is driven there as well.
//!
//! Invariants:
//! - configured endpoints are kept for ever, as names, and asked when nobody else answers;
//! - a look that began before a redirect was followed does not undo it (`patched`);
//! - a node keeps its connections through every change that keeps its id and endpoint; others are
//!   retired, not cut.
//!
//! Called by `client` (reads `routes`) and `driver/dispatch.rs` (wants looks, follows redirects).

use super::discover::{self, Found};
use super::host::Host;
use super::node::Node;
use super::observe::{Event, count};
use super::routes::Routes;
use super::sentinels::{self, Heard, Sentinels};
use crate::config::Deployment;
use crate::connection::handshake::Profile;
use crate::error::{Delivery, Error, ErrorKind};
use crate::sync::lock;
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::merge;
use crate::topology::refresh::{Refresh, RefreshReason};
use crate::topology::service::choose;
use crate::topology::slot::{SLOT_COUNT, Slot};
use crate::topology::snapshot::Topology;
use crate::topology::view::{NodeView, Role};
use crate::{BoxFuture, Endpoint};
use arc_swap::{ArcSwap, Guard};
use futures::FutureExt;
use futures::future::{Either, Shared, select};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};

/// A look under way, driven by whoever waits for it.
pub(super) type Look = Shared<BoxFuture<'static, ()>>;

/// See the head of this file.
pub(crate) struct Keeper {
    /// Transport, configuration, chance.
    host: Arc<Host>,
    /// What the data path reads.
    routes: ArcSwap<Routes>,
    /// Told at every publication.
    published: event_listener::Event,
    /// Everything that only looks and redirects touch.
    state: Mutex<State>,
}

/// See `Keeper::state`.
struct State {
    /// Decides when.
    refresh: Refresh,
    /// The look that is under way.
    look: Option<Look>,
    /// Nodes that a redirect or a seed named and the map does not know.
    others: Vec<Arc<Node>>,
    /// Who tells of the service, where sentinels do.
    sentinels: Option<Sentinels>,
    /// When the last look that found something ended.
    looked: Option<Timestamp>,
    /// Why the last look failed.
    failure: Option<Error>,
    /// No look will begin any more.
    closed: bool,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(crate) fn start(host: Arc<Host>) -> Arc<Self> {
        let config = host.config();
        let seed = |e: &Endpoint| Arc::new(Node::new(e.clone(), Profile::Server, &host));
        let mut others = Vec::new();
        let mut sentinels = None;
        let mut routes = Routes::new(ClusterMap::empty(), Vec::new(), &mut host.chance());
        match &config.deployment {
            Deployment::Cluster => others = config.endpoints.iter().map(seed).collect(),
            Deployment::Sentinel { service, .. } => {
                sentinels = Some(Sentinels::new(service, &host));
            }
            Deployment::Standalone => {
                let all = || config.endpoints.iter().take(1).chain(&config.replicas);
                let mut views = all().map(NodeView::provisional);
                if let Some(primary) = views.next() {
                    let map = ClusterMap::single(primary, views.collect());
                    let nodes = all().map(|e| Some(seed(e))).collect();
                    routes = Routes::new(map, nodes, &mut host.chance());
                }
            }
        }
        let mut refresh = Refresh::new(config.refreshes_per_second, host.now());
        let is_dynamic = config.deployment != Deployment::Standalone;
        if is_dynamic {
            refresh.want(RefreshReason::Start, host.now(), &mut host.chance());
        }
        let state = State {
            refresh,
            look: None,
            others,
            sentinels,
            looked: None,
            failure: None,
            closed: false,
        };
        Arc::new(Self {
            host,
            routes: ArcSwap::from_pointee(routes),
            published: event_listener::Event::new(),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The current routes, without a lock.
    pub(crate) fn routes(&self) -> Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Whether this deployment can be looked at again.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.host.config().deployment != Deployment::Standalone
    }

    /// Asks for a look. Nothing waits for it here.
    pub(crate) fn want(&self, reason: RefreshReason) {
        if !self.is_dynamic() {
            return;
        }
        lock(&self.state).refresh.want(reason, self.host.now(), &mut self.host.chance());
        self.host.alarm().nudge();
    }

    /// Ends when routes newer than `version` are published.
    pub(crate) async fn newer_than(&self, version: u64) {
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
    pub(crate) async fn look(self: &Arc<Self>, deadline: Timestamp) {
        loop {
            match self.step() {
                Step::Nothing => return,
                Step::Wait(until) => {
                    self.host.sleep_until(until.min(deadline)).await;
                    if self.host.now() >= deadline {
                        return;
                    }
                }
                Step::Drive(look) => {
                    self.host.by(deadline, look).await;
                    return;
                }
            }
        }
    }

    /// Runs `future`, and the look that is wanted beside it. For hosts without a background, where
    /// a look would otherwise wait for nobody.
    pub(crate) async fn beside<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let look = pin!(self.look(Timestamp::FAR_FUTURE));
        match select(pin!(future), look).await {
            Either::Left((output, _)) => output,
            Either::Right(((), future)) => future.await,
        }
    }

    /// Why the last look found nothing, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        lock(&self.state).failure.clone()
    }

    /// A slot has moved to `endpoint`: the map learns it at once, and a look will tell the rest.
    pub(crate) fn handle_moved(&self, slot: Slot, endpoint: &Endpoint) -> Arc<Node> {
        let mut state = lock(&self.state);
        if let Some(map) = self.routes.load().map.patch(slot, endpoint) {
            let (slot, to) = (slot.number(), endpoint);
            self.host.observer().tell(|| Event::SlotMoved { slot, to: to.clone() });
            self.publish(&mut state, map);
        }
        let node = self.node_in(&mut state, endpoint);
        state.refresh.want(RefreshReason::Moved, self.host.now(), &mut self.host.chance());
        drop(state);
        self.host.alarm().nudge();
        node
    }

    /// The node at `endpoint`, known or new; the map does not change.
    pub(crate) fn node_at(&self, endpoint: &Endpoint) -> Arc<Node> {
        self.node_in(&mut lock(&self.state), endpoint)
    }

    /// Somebody who can say more about a slot that the map does not know: any primary, else any
    /// node.
    pub(crate) fn anybody(&self) -> Option<Arc<Node>> {
        let routes = self.routes.load();
        let alive = |node: &&Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
        let live: Vec<_> = routes.primaries().filter(alive).cloned().collect();
        let state = lock(&self.state);
        let pool = if live.is_empty() {
            routes.dialable().chain(&state.others).cloned().collect()
        } else {
            live
        };
        let index = self.host.chance().below(pool.len() as u64) as usize;
        pool.get(index).cloned()
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
        self.host.close();
        self.host.alarm().nudge();
        self.published.notify(usize::MAX);
        self.host.observer().end();
    }

    /// What is held, for the application to keep or to show.
    pub(crate) fn snapshot(&self) -> Topology {
        let age = lock(&self.state).looked.map(|at| self.host.now().since(at));
        Topology::of(&self.routes.load().map, age)
    }

    /// What to do for the look that is wanted; begins it when its time has come.
    pub(super) fn step(self: &Arc<Self>) -> Step {
        let mut state = lock(&self.state);
        if state.closed {
            return Step::Nothing;
        }
        if let Some(look) = &state.look {
            return Step::Drive(look.clone());
        }
        let now = self.host.now();
        let Some(due) = state.refresh.due() else { return Step::Nothing };
        if due > now {
            return Step::Wait(due);
        }
        let Some(reason) = state.refresh.begin(now) else { return Step::Nothing };
        count(&self.host.observer().refreshes);
        let version = self.routes.load().map.version();
        let began = Began { version, at: now, reason };
        let (weak, host) = (Arc::downgrade(self), Arc::clone(&self.host));
        let look: BoxFuture<'static, ()> = if let Some(sentinels) = &state.sentinels {
            let (candidates, service) = (sentinels.candidates(), Arc::clone(sentinels.service()));
            Box::pin(async move {
                let heard = sentinels::look(&host, candidates, &service).await;
                if let Some(keeper) = weak.upgrade() {
                    keeper.handle_opinions(&heard, began);
                }
            })
        } else {
            let candidates = self.candidates(&state);
            Box::pin(async move {
                let found = discover::look(&host, candidates).await;
                if let Some(keeper) = weak.upgrade() {
                    keeper.handle_views(found, began);
                }
            })
        };
        let look = look.shared();
        state.look = Some(look.clone());
        Step::Drive(look)
    }

    /// Whom to ask, in order: those with a live connection, the others of the map, the seeds.
    fn candidates(&self, state: &State) -> Vec<Arc<Node>> {
        let routes = self.routes.load();
        let alive = |node: &&Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
        let mut live: Vec<_> = routes.dialable().filter(alive).cloned().collect();
        let mut known: Vec<_> = routes.dialable().filter(|node| !alive(node)).cloned().collect();
        let mut chance = self.host.chance();
        for list in [&mut live, &mut known] {
            for i in (1..list.len()).rev() {
                list.swap(i, chance.below(i as u64 + 1) as usize);
            }
        }
        live.extend(known);
        for seed in &state.others {
            if !live.iter().any(|node| node.endpoint() == seed.endpoint()) {
                live.push(Arc::clone(seed));
            }
        }
        live
    }

    fn handle_views(&self, found: Found, began: Began) {
        let mut state = lock(&self.state);
        state.look = None;
        let now = self.host.now();
        let observer = self.host.observer();
        let changed = if found.views.is_empty() {
            count(&observer.refreshes_failed);
            let error = found.failure.clone();
            observer.tell(|| Event::RefreshFailed { reason: began.reason, error });
            state.failure = found.failure;
            false
        } else {
            state.failure = None;
            state.looked = Some(now);
            let held = self.routes.load_full();
            let map = merge(Some(&held.map), &found.views, began.version, now).map;
            let changed = map.version() != held.map.version();
            self.tell_of(&held.map, &map, began, now);
            if changed {
                self.publish(&mut state, map);
            }
            changed
        };
        state.refresh.end(now, changed);
    }

    fn handle_opinions(&self, heard: &Heard, began: Began) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.look = None;
        let now = self.host.now();
        let observer = self.host.observer();
        let mut changed = false;
        if let Some(sentinels) = &mut state.sentinels {
            if heard.opinions.is_empty() {
                let error = heard.error(sentinels.service());
                count(&observer.refreshes_failed);
                let told = Some(error.clone());
                observer.tell(|| Event::RefreshFailed { reason: began.reason, error: told });
                state.failure = Some(error);
            } else {
                state.failure = None;
                state.looked = Some(now);
                sentinels.learn(&heard.opinions, &self.host);
                let old = self.routes.load_full();
                let disproved = old.primaries().all(|node| node.is_failing());
                let next = choose(sentinels.held.as_ref(), disproved, &heard.opinions);
                let map = next.as_ref().map_or_else(
                    || old.map.clone(),
                    |service| {
                        let primary = NodeView::provisional(&service.primary);
                        ClusterMap::single(primary, service.replicas.clone())
                            .with_version(old.map.version() + 1)
                    },
                );
                changed = next.is_some();
                sentinels.held = next.or(sentinels.held.take());
                self.tell_of(&old.map, &map, began, now);
                if changed {
                    self.publish(state, map);
                }
            }
        }
        state.refresh.end(now, changed);
    }

    fn tell_of(&self, old: &ClusterMap, new: &ClusterMap, began: Began, now: Timestamp) {
        let observer = self.host.observer();
        let covered = (old.coverage(), new.coverage());
        observer.tell(|| Event::Refreshed {
            reason: began.reason,
            nodes: (old.nodes().len(), new.nodes().len()),
            covered,
            changed: new.version() != old.version(),
            took: now.since(began.at),
        });
        if covered.0 != covered.1 {
            observer.tell(|| match covered.1 {
                SLOT_COUNT => Event::CoverageComplete,
                covered => Event::CoverageIncomplete { covered },
            });
        }
    }

    /// Makes routes of a map, with the nodes that there are already where they fit.
    fn publish(&self, state: &mut State, map: ClusterMap) {
        let old = self.routes.load_full();
        // A server that sentinels made the primary is dialled anew, to say so itself; one that they
        // made a replica loses what is under way to it as a primary.
        let primary = if state.sentinels.is_some() { Profile::Primary } else { Profile::Server };
        let profile_of = |view: &NodeView| match view.role {
            Role::Primary => primary,
            Role::Replica if state.sentinels.is_some() => Profile::Server,
            Role::Replica => Profile::Replica,
        };
        let find = |endpoint: &Endpoint, profile| {
            let mut known = old.dialable().chain(&state.others);
            known.find(|n| n.endpoint() == endpoint && n.profile() == profile).cloned()
        };
        let nodes: Vec<Option<Arc<Node>>> = map
            .nodes()
            .iter()
            .map(|view| {
                let endpoint = view.endpoint.as_ref()?;
                let profile = profile_of(view);
                let new = || Arc::new(Node::new(endpoint.clone(), profile, &self.host));
                Some(find(endpoint, profile).unwrap_or_else(new))
            })
            .collect();
        let kept = |node: &Arc<Node>| nodes.iter().flatten().any(|kept| Arc::ptr_eq(kept, node));
        let seeds = &self.host.config().endpoints;
        let gone: Vec<_> = old.dialable().filter(|node| !kept(node)).cloned().collect();
        // A seed stays, also when it is no member now; it waits among the others.
        state.others.retain(|node| seeds.contains(node.endpoint()) || !kept(node));
        for node in gone {
            if !seeds.contains(node.endpoint()) {
                node.retire();
            } else if !state.others.iter().any(|other| Arc::ptr_eq(other, &node)) {
                state.others.push(node);
            }
        }
        self.routes.store(Arc::new(Routes::new(map, nodes, &mut self.host.chance())));
        self.published.notify(usize::MAX);
    }

    fn node_in(&self, state: &mut State, endpoint: &Endpoint) -> Arc<Node> {
        let routes = self.routes.load();
        let at = |node: &&Arc<Node>| node.endpoint() == endpoint;
        if let Some(node) = routes.dialable().chain(&state.others).find(at) {
            return Arc::clone(node);
        }
        let node = Arc::new(Node::new(endpoint.clone(), Profile::Server, &self.host));
        if state.closed {
            node.close();
        }
        state.others.push(Arc::clone(&node));
        node
    }
}

/// What was so when a look began.
#[derive(Clone, Copy)]
struct Began {
    /// The map's version.
    version: u64,
    /// The time.
    at: Timestamp,
    /// Why it was wanted.
    reason: RefreshReason,
}

/// What a caller who waits for a look has to do.
pub(super) enum Step {
    /// No look is wanted.
    Nothing,
    /// The next may begin then.
    Wait(Timestamp),
    /// One is under way.
    Drive(Look),
}

impl Keeper {
    /// Whether no look will begin any more.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// The sentinels and the name of their service, where there are any.
    pub(super) fn sentinels(&self) -> Option<(Vec<Arc<Node>>, Arc<str>)> {
        let state = lock(&self.state);
        let sentinels = state.sentinels.as_ref()?;
        Some((sentinels.nodes().to_vec(), Arc::clone(sentinels.service())))
    }

    /// Asks for a look, for the background, which needs no nudge.
    pub(super) fn want_quietly(&self, reason: RefreshReason) {
        lock(&self.state).refresh.want(reason, self.host.now(), &mut self.host.chance());
    }

    /// What a command fails with that no node can take.
    pub(crate) fn nowhere(&self) -> Error {
        let unknown = || Error::new(ErrorKind::Topology, Delivery::NotSent, "no node is known");
        // Why nobody could be asked says more than that nobody was.
        self.failure().map_or_else(unknown, |error| error.with_delivery(Delivery::NotSent))
    }
}
