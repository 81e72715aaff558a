//! One look at the topology: begun when `topology/refresh.rs` says, asked by `driver/discover.rs`
//! or `driver/sentinels.rs`, judged by `topology/merge.rs` or `topology/service.rs`, published.
//!
//! Invariants: one look at a time; what it heard replaces nothing that is newer; a cluster that is
//! another one by all that is heard, for long enough, takes the place of the one that is held
//! (`topology/foreign.rs`). Called by `driver/topology.rs` and `driver/watch.rs`.

use crate::BoxFuture;
use crate::driver::discovery::cluster_query::{self, Found};
use crate::driver::discovery::live_topology::{LiveTopology, RefreshState, State};
use crate::driver::discovery::sentinel_query::{self, Heard};
use crate::driver::environment::events::Event;
use crate::driver::environment::telemetry::count;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::SENTINEL;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::merge::merge;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::view::NodeView;
use futures::FutureExt;
use std::sync::Arc;

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

impl LiveTopology {
    /// What to do for the look that is wanted; begins it when its time has come.
    pub(in crate::driver) fn advance_refresh(self: &Arc<Self>) -> RefreshState {
        let mut state = lock(&self.state);
        if state.closed {
            return RefreshState::Idle;
        }
        if let Some(look) = &state.look {
            return RefreshState::Running(look.clone());
        }
        let now = self.env.now();
        let Some(due) = state.refresh.due() else { return RefreshState::Idle };
        if due > now {
            return RefreshState::DueAt(due);
        }
        if state.follows_up && !self.waiters().0 {
            state.refresh.cancel();
            return RefreshState::Idle;
        }
        let Some(reason) = state.refresh.begin(now) else { return RefreshState::Idle };
        state.follows_up = false;
        count(&self.env.telemetry().refreshes);
        let (version, doubtful) = {
            let map = &self.routes.load().map;
            (map.version(), map.has_unconfirmed_owners())
        };
        let began = Began { version, at: now, reason };
        let (weak, env) = (Arc::downgrade(self), Arc::clone(&self.env));
        let look: BoxFuture<'static, ()> = if let Some(sentinels) =
            state.sentinels.as_ref().filter(|_| SENTINEL)
        {
            let (candidates, service) = (sentinels.candidates(), Arc::clone(sentinels.service()));
            let floor = sentinels.floor();
            Box::pin(async move {
                let heard = sentinel_query::look(&env, candidates, &service, floor).await;
                if let Some(topology) = weak.upgrade() {
                    topology.handle_opinions(&heard, began);
                }
            })
        } else {
            let candidates = self.candidates(&state);
            Box::pin(async move {
                let found = cluster_query::look(&env, candidates, doubtful).await;
                if let Some(topology) = weak.upgrade() {
                    topology.handle_views(found, began);
                }
            })
        };
        let look = look.shared();
        state.look = Some(look.clone());
        RefreshState::Running(look)
    }

    /// Whom to ask, in order: those with a live connection, others of the map, the seeds; those
    /// that could not be reached the last time take turns with the seeds, so that a map of dead
    /// addresses keeps nobody from asking the names.
    fn candidates(&self, state: &State) -> Vec<Arc<Node>> {
        let routes = self.routes.load();
        let (live, rest): (Vec<_>, Vec<_>) = routes.dialable().partition(|node| node.is_live());
        let (dead, known): (Vec<_>, Vec<_>) = rest.into_iter().partition(|node| node.is_failing());
        let mut lists = [live, known, dead];
        let mut chance = self.env.rng();
        for list in &mut lists {
            for i in (1..list.len()).rev() {
                list.swap(i, chance.below(i as u64 + 1) as usize);
            }
        }
        let [live, known, dead] = lists;
        let mut seeds: Vec<&Arc<Node>> = state.others.iter().collect();
        let all_fail = live.is_empty()
            && known.is_empty()
            && !dead.is_empty()
            && seeds.iter().all(|seed| seed.is_failing());
        if all_fail && !seeds.is_empty() {
            // Nobody is left: one name, another each time, is asked whatever its pause. Looks are
            // paced themselves.
            let turn = chance.below(seeds.len() as u64) as usize;
            seeds.rotate_left(turn);
            seeds[0].end_backoff(&self.env);
        }
        let mut seeds = seeds.into_iter();
        let mut order: Vec<&Arc<Node>> = live.into_iter().chain(known).collect();
        for node in dead {
            order.extend(seeds.next());
            order.push(node);
        }
        order.extend(seeds);
        let now = self.env.now();
        let mut candidates: Vec<Arc<Node>> = Vec::with_capacity(order.len());
        for node in order {
            // Who has just failed would only keep the look waiting, and the next one from
            // beginning.
            if !candidates.is_empty() && node.is_backing_off(now) {
                continue;
            }
            if !candidates.iter().any(|other| other.endpoint() == node.endpoint()) {
                candidates.push(Arc::clone(node));
            }
        }
        candidates
    }

    fn handle_views(&self, found: Found, began: Began) {
        let mut state = lock(&self.state);
        state.look = None;
        let now = self.env.now();
        if found.views.is_empty() {
            self.note_failure(&mut state, found.failure, began);
            return self.end_look(&mut state, false);
        }
        let held = self.routes.load_full();
        let mut decision = merge(Some(&held.map), &found.views, began.version, now);
        let foreign = decision.is_foreign();
        let replaced = state.foreign.note(foreign, now);
        if replaced {
            decision = merge(None, &found.views, 0, now);
            decision.map = decision.map.with_version(held.map.version() + 1);
            self.env.telemetry().emit(|| Event::ClusterReplaced);
        }
        let map = decision.map;
        if (foreign && !replaced) || map.nodes().is_empty() {
            let message = if foreign {
                "all nodes that answered tell of another cluster"
            } else {
                "all nodes that answered know of no slot"
            };
            let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
            self.note_failure(&mut state, Some(error), began);
            return self.end_look(&mut state, false);
        }
        let recovered = state.failure.take().is_some();
        state.looked = Some(now);
        let map = if recovered {
            // Somebody answers again: those who wait for others need not wait any longer.
            held.dialable().for_each(|node| node.end_backoff(&self.env));
            map.with_version(held.map.version() + 1)
        } else {
            map
        };
        self.tell_of(&held.map, &map, began, now);
        if map.version() != held.map.version() {
            self.publish(&mut state, map);
        }
        self.end_look(&mut state, replaced || !decision.difference.is_empty());
    }

    /// Nothing came of a look.
    fn note_failure(&self, state: &mut State, failure: Option<Error>, began: Began) {
        self.env.telemetry().refresh_failed(began.reason, failure.as_ref());
        state.failure = failure;
    }

    /// A look is over; another one follows if somebody still waits for what it did not bring.
    fn end_look(&self, state: &mut State, changed: bool) {
        let now = self.env.now();
        if self.next_poll() != Timestamp::FAR_FUTURE {
            self.set_next_poll(self.env.next_refresh_at());
        }
        let mut chance = self.env.rng();
        state.refresh.end(now, changed, &mut chance);
        let (waiting, hopeful) = self.waiters();
        let reason = if state.foreign.is_suspected() {
            RefreshReason::Foreign
        } else {
            RefreshReason::NodeLost
        };
        // A newer map wakes all who wait; those whom it does not help ask again.
        let follows = waiting && !changed;
        if follows || reason == RefreshReason::Foreign {
            let nobody_asked = state.refresh.due().is_none();
            state.refresh.request(reason, waiting && !hopeful, now, &mut chance);
            state.follows_up = nobody_asked && reason == RefreshReason::NodeLost;
        }
    }

    fn handle_opinions(&self, heard: &Heard, began: Began) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.look = None;
        let now = self.env.now();
        let mut changed = false;
        if let Some(sentinels) = &mut state.sentinels {
            if heard.opinions.is_empty() {
                let error = heard.error(sentinels.service());
                self.note_failure(state, Some(error), began);
            } else {
                state.failure = None;
                state.looked = Some(now);
                sentinels.learn(&heard.opinions, &self.env);
                let old = self.routes.load_full();
                let next = sentinels.decide(&heard.opinions, old.primaries().next(), now);
                let map = next.as_ref().map_or_else(
                    || old.map.clone(),
                    |service| {
                        let primary = NodeView::provisional(&service.primary);
                        ClusterMap::single(primary, service.replicas.clone())
                            .with_version(old.map.version() + 1)
                    },
                );
                changed = next.is_some();
                self.tell_of(&old.map, &map, began, now);
                if changed {
                    self.publish(state, map);
                }
            }
        }
        self.end_look(state, changed);
    }

    fn tell_of(&self, old: &ClusterMap, new: &ClusterMap, began: Began, now: Timestamp) {
        let telemetry = self.env.telemetry();
        let (covered_before, covered_after) = (old.coverage(), new.coverage());
        telemetry.emit(|| Event::Refreshed {
            reason: began.reason,
            nodes_before: old.nodes().len(),
            nodes_after: new.nodes().len(),
            covered_before,
            covered_after,
            changed: new.version() != old.version(),
            took: now.since(began.at),
        });
        if covered_before != covered_after {
            telemetry.emit(|| match covered_after {
                SLOT_COUNT => Event::CoverageComplete,
                covered => Event::CoverageIncomplete { covered },
            });
        }
    }
}
