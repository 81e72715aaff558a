//! One refresh of the topology, from its begin to the publication of what it found.
//!
//! `topology/refresh.rs` says when it begins; `cluster_query.rs` or `sentinel_query.rs` asks the
//! servers; `topology/merge` or `topology/sentinel.rs` decides what to believe.
//! Invariants: one refresh at a time; what it found replaces nothing that is newer; a cluster that
//! every answer calls another one, for long enough, replaces the one that is known
//! (`topology/merge/replaced_cluster.rs`).

use crate::driver::discovery::cluster_query::{self, ClusterAnswers, Teller};
use crate::driver::discovery::live_topology::{LiveTopology, RefreshFuture, State};
use crate::driver::discovery::refresh_wait::RefreshState;
use crate::driver::discovery::sentinel_query::{self, SentinelAnswers};
use crate::driver::environment::events::Event;
use crate::driver::environment::shared_future::SharedFuture;
use crate::driver::environment::telemetry::count;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::{CLUSTER, SENTINEL};
use crate::lock::lock;
use crate::sorted::SortedSet;
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::view_filter::Rejection;
use crate::topology::merge::{merge, merge_by_evidence, same_places};
use crate::topology::refresh::{RefreshReason, Urgency};
use crate::topology::sentinel::Opinion;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::view::NodeView;
use crate::{BoxFuture, Endpoint};
use std::sync::Arc;

/// What was true when a refresh began.
#[derive(Clone, Copy)]
struct Begin {
    /// The map's version.
    version: u64,
    /// The time.
    at: Timestamp,
    /// Why it was requested.
    reason: RefreshReason,
}

impl LiveTopology {
    /// Where the next refresh stands; begins it when it is due.
    pub(in crate::driver) fn advance_refresh(self: &Arc<Self>) -> RefreshState {
        let mut state = lock(&self.state);
        if state.closed {
            return RefreshState::Idle;
        }
        if let Some(running) = &state.running {
            return RefreshState::Running(running.clone());
        }
        let now = self.env.now();
        let Some(due) = state.schedule.due() else { return RefreshState::Idle };
        if due > now {
            return RefreshState::DueAt(due);
        }
        if state.only_for_waiters && !self.waiters().0 {
            state.schedule.cancel();
            return RefreshState::Idle;
        }
        let Some(reason) = state.schedule.begin(now) else { return RefreshState::Idle };
        state.only_for_waiters = false;
        count(&self.env.telemetry().refreshes);
        let ask_first = state.ask_first.take();
        let running = self.refresh(&state, ask_first, reason, now);
        state.running = Some(running.clone());
        RefreshState::Running(running)
    }

    /// The refresh itself. It holds the topology weakly: a client that is dropped ends it.
    fn refresh(
        self: &Arc<Self>,
        state: &State,
        ask_first: Option<Arc<Node>>,
        reason: RefreshReason,
        now: Timestamp,
    ) -> RefreshFuture {
        let (version, unconfirmed) = {
            let map = &self.routes.load().map;
            (map.version(), map.has_unconfirmed_owners())
        };
        let begin = Begin { version, at: now, reason };
        let (weak, env) = (Arc::downgrade(self), Arc::clone(&self.env));
        let refresh: BoxFuture<'static, ()> = if let Some(sentinels) =
            state.sentinels.as_ref().filter(|_| SENTINEL)
        {
            let (candidates, service) = (sentinels.candidates(), Arc::clone(sentinels.service()));
            let epoch_min = sentinels.epoch();
            Box::pin(async move {
                let mut answers =
                    sentinel_query::query(&env, candidates, &service, epoch_min).await;
                let disputed = weak.upgrade().map(|it| it.disputed(&answers.opinions));
                let disputed = disputed.unwrap_or_default();
                if !disputed.is_empty() {
                    answers.proofs = sentinel_query::prove(&env, disputed).await;
                }
                if let Some(topology) = weak.upgrade() {
                    topology.handle_sentinels(&answers, begin);
                }
            })
        } else if !CLUSTER {
            Box::pin(async {})
        } else {
            let mut candidates = self.candidates(state);
            if let Some(first) = ask_first {
                candidates.retain(|other| other.endpoint() != first.endpoint());
                candidates.insert(0, first);
            }
            // A node that described another cluster is asked whether it still does.
            let is_foreign = |node: &Arc<Node>| node.target().is_foreign();
            let several = unconfirmed || candidates.iter().any(is_foreign);
            Box::pin(async move {
                let answers = cluster_query::query(&env, candidates, several).await;
                if let Some(topology) = weak.upgrade() {
                    topology.handle_views(answers, begin);
                }
            })
        };
        SharedFuture::new(refresh)
    }

    /// Which nodes to ask, in order: connected ones, others of the map, the seeds. Nodes whose last
    /// dial failed alternate with the seeds, so that a map of dead addresses does not keep the
    /// seeds from being asked; where no node is connected, all nodes of the map do.
    fn candidates(&self, state: &State) -> Vec<Arc<Node>> {
        let routes = self.routes.load();
        let (live, rest): (Vec<_>, Vec<_>) = routes.dialable().partition(|node| node.is_live());
        let (failing, idle): (Vec<_>, Vec<_>) = rest.into_iter().partition(|n| n.is_failing());
        let mut lists = [live, idle, failing];
        let mut rng = self.env.rng();
        for list in &mut lists {
            for i in (1..list.len()).rev() {
                list.swap(i, rng.below(i as u64 + 1) as usize);
            }
        }
        let [live, idle, failing] = lists;
        let mut seeds: Vec<&Arc<Node>> = state.unlisted.iter().collect();
        let all_fail = live.is_empty()
            && idle.is_empty()
            && !failing.is_empty()
            && seeds.iter().all(|seed| seed.is_failing());
        if all_fail && !seeds.is_empty() {
            // No other node is left: one seed, another one each time, is dialled without a
            // back-off. Refreshes have pauses of their own.
            let first = rng.below(seeds.len() as u64) as usize;
            seeds.rotate_left(first);
            seeds[0].end_backoff(&self.env);
        }
        let mut seeds = seeds.into_iter();
        let is_alone = live.is_empty();
        let mut order = live;
        for node in idle {
            order.push(node);
            if is_alone {
                order.extend(seeds.next());
            }
        }
        for node in failing {
            order.extend(seeds.next());
            order.push(node);
        }
        order.extend(seeds);
        let is_foreign = order.iter().position(|node| node.target().is_foreign());
        if let Some(foreign) = is_foreign {
            order[..=foreign].rotate_right(1);
        }
        let now = self.env.now();
        let mut candidates: Vec<Arc<Node>> = Vec::with_capacity(order.len());
        let mut endpoints = SortedSet::default();
        for node in order {
            // A node that is backing off would only delay this refresh, and so the next one. Where
            // another server answers, that one is asked without a back-off.
            let waits = node.is_backing_off(now) && !node.target().is_mistaken();
            if !candidates.is_empty() && waits {
                continue;
            }
            if endpoints.insert(node.endpoint()) {
                candidates.push(Arc::clone(node));
            }
        }
        candidates
    }

    fn handle_views(&self, answers: ClusterAnswers, begin: Begin) {
        let foreign = self.take_views(answers, begin);
        // Closes connections, which wakes callers: not under the lock.
        for node in foreign {
            node.give_up();
            let endpoint = node.endpoint().clone();
            self.env.telemetry().emit(|| Event::ForeignNode { endpoint });
        }
    }

    /// Makes the next map of the views. Returns the nodes that describe another cluster since now.
    fn take_views(&self, answers: ClusterAnswers, begin: Begin) -> Vec<Arc<Node>> {
        let mut state = lock(&self.state);
        state.running = None;
        let now = self.env.now();
        if answers.views.is_empty() {
            self.fail_refresh(&mut state, answers.failure, begin);
            return Vec::new();
        }
        let held = self.routes.load_full();
        let nodes = held.map.nodes().iter().zip(&*held.nodes);
        let unreachable = nodes.filter(|(_, node)| node.as_ref().is_some_and(|n| n.is_failing()));
        let unreachable = unreachable.map(|(view, _)| view.id.clone()).collect();
        let (began, views) = (begin.version, &answers.views);
        let mut decision = merge_by_evidence(Some(&held.map), views, began, now, &unreachable);
        let foreign = decision.is_foreign();
        let replaced = state.replaced_cluster.note(foreign, now);
        let mut foreign_nodes = Vec::new();
        for (teller, rejection) in answers.tellers.iter().zip(&decision.rejections) {
            let is_foreign = *rejection == Some(Rejection::Foreign) && !replaced;
            foreign_nodes.extend(self.judge_teller(teller, is_foreign));
        }
        if replaced {
            decision = merge(None, &answers.views, 0, now);
            decision.map = decision.map.with_version(held.map.version() + 1);
            let all = held.dialable().chain(&state.unlisted);
            all.for_each(|node| _ = node.target().set_foreign(false));
            self.env.telemetry().emit(|| Event::ClusterReplaced);
        }
        let map = decision.map;
        if (foreign && !replaced) || map.nodes().is_empty() {
            let message = if foreign {
                "all nodes that answered belong to another cluster; check the endpoints"
            } else {
                "no node that answered has any slot; check that the cluster is set up"
            };
            let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
            self.fail_refresh(&mut state, Some(error), begin);
            return foreign_nodes;
        }
        let changed = replaced || !same_places(&held.map, &map);
        let recovered = state.failure.take().is_some();
        state.refreshed_at = Some(now);
        self.emit_refreshed(&held.map, &map, begin, now);
        let map = if recovered {
            // Nodes answer again, so callers need not wait for the back-off of others.
            held.dialable().for_each(|node| node.end_backoff(&self.env));
            map.with_version(held.map.version() + 1)
        } else {
            map
        };
        if map.version() != held.map.version() {
            self.publish(&mut state, map);
        }
        self.end_refresh(&mut state, changed);
        foreign_nodes
    }

    /// A node that describes another cluster gets no command any more, although it has the id that
    /// the map means: it has joined that cluster. Returns it if that is news.
    fn judge_teller(&self, teller: &Teller, is_foreign: bool) -> Option<Arc<Node>> {
        let Teller { node, is_anyone } = teller;
        if is_foreign {
            let is_news = !is_anyone && node.target().set_foreign(true);
            return is_news.then(|| Arc::clone(node));
        }
        if node.target().set_foreign(false) || *is_anyone {
            // It may be the right node again.
            node.end_backoff(&self.env);
        }
        None
    }

    /// The servers whose ROLE decides, because sentinels differ.
    fn disputed(&self, opinions: &[Opinion]) -> Vec<Endpoint> {
        let routes = self.routes.load_full();
        let state = lock(&self.state);
        let (primary, now) = (routes.primaries().next(), self.env.now());
        let sentinels = state.sentinels.as_ref();
        sentinels.map(|it| it.disputed(opinions, primary, now)).unwrap_or_default()
    }

    fn handle_sentinels(&self, answers: &SentinelAnswers, begin: Begin) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.running = None;
        let now = self.env.now();
        let Some(sentinels) = &mut state.sentinels else { return self.end_refresh(state, false) };
        if answers.opinions.is_empty() {
            let error = answers.error(sentinels.service());
            return self.fail_refresh(state, Some(error), begin);
        }
        state.failure = None;
        state.refreshed_at = Some(now);
        sentinels.update_nodes(&answers.opinions, &self.env);
        let old = self.routes.load_full();
        let said = (answers.opinions.as_slice(), &answers.proofs);
        let next = sentinels.decide(said, old.primaries().next(), now);
        let map = next.as_ref().map_or_else(
            || old.map.clone(),
            |service| {
                let primary = NodeView::provisional(&service.primary);
                ClusterMap::single(primary, service.replicas.clone())
                    .with_version(old.map.version() + 1)
            },
        );
        self.emit_refreshed(&old.map, &map, begin, now);
        if next.is_some() {
            self.publish(state, map);
        }
        self.end_refresh(state, next.is_some());
    }

    /// Ends a refresh that found nothing.
    fn fail_refresh(&self, state: &mut State, failure: Option<Error>, begin: Begin) {
        self.env.telemetry().refresh_failed(begin.reason, failure.as_ref());
        state.failure = failure;
        self.end_refresh(state, false);
    }

    /// A refresh has ended. Another one follows if a caller still waits for what it did not find.
    fn end_refresh(&self, state: &mut State, changed: bool) {
        let now = self.env.now();
        if self.next_poll() != Timestamp::FAR_FUTURE {
            self.set_next_poll(self.env.next_refresh_at());
        }
        let mut rng = self.env.rng();
        state.schedule.end(now, changed, &mut rng);
        let (waiting, refresh_may_help) = self.waiters();
        let reason = if state.replaced_cluster.is_suspected() {
            RefreshReason::Foreign
        } else {
            RefreshReason::NodeLost
        };
        // A newer map wakes every waiter; the ones that it does not help request a refresh again.
        let follows = waiting && !changed;
        if follows || reason == RefreshReason::Foreign {
            let is_first_request = state.schedule.due().is_none();
            let hopeless = waiting && !refresh_may_help;
            let urgency = if hopeless { Urgency::Patient } else { Urgency::Awaited };
            state.schedule.request(reason, urgency, now, &mut rng);
            state.only_for_waiters = is_first_request && reason == RefreshReason::NodeLost;
        }
    }

    fn emit_refreshed(&self, old: &ClusterMap, new: &ClusterMap, begin: Begin, now: Timestamp) {
        let telemetry = self.env.telemetry();
        let (covered_before, covered_after) = (old.coverage(), new.coverage());
        telemetry.emit(|| Event::Refreshed {
            reason: begin.reason,
            nodes_before: old.nodes().len(),
            nodes_after: new.nodes().len(),
            covered_before,
            covered_after,
            changed: new.version() != old.version(),
            took: now.since(begin.at),
        });
        self.emit_coverage(old, new);
    }

    /// Tells when another number of slots is served by this map than by the one before.
    pub(super) fn emit_coverage(&self, old: &ClusterMap, new: &ClusterMap) {
        let covered = new.coverage();
        if covered == old.coverage() {
            return;
        }
        self.env.telemetry().emit(|| match covered {
            SLOT_COUNT => Event::CoverageComplete,
            covered => Event::CoverageIncomplete { covered },
        });
    }
}
