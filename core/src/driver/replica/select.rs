//! From a read policy to a node: makes the table of a shard's nodes from which
//! `routing/read_from.rs` chooses, and acts on the choice.
//!
//! Takes no lock, does not wait, and does not allocate for a shard of up to eight nodes: it runs
//! for every read under a policy other than `Primary`. It may start two things: a health check of
//! the shard (`health_check.rs`) when one is due, and, if the host has background tasks, a check of
//! a node whose quarantine is over, so that no caller's read has to try that node. If the policy
//! takes the less loaded of two nodes and both are healthy, no table is made
//! (`select_less_loaded`).
//!
//! Invariants: the primary is given only to policies that name it, and beyond its cap to none;
//! `Client::explain` runs the same code and changes nothing.

use crate::config::{Candidate, ReadFrom};
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::environment::Environment;
use crate::driver::node::node::Node;
use crate::driver::replica::health_check;
use crate::driver::replica::policy::{CHECK, ReadSettings};
use crate::driver::replica::shard_lookup::{members, zone_of};
use crate::routing::read_from::{
    CheckDue, ChosenFor, NodeChoice, NodeRow, NodeRows, SkipReason, choose, choose_custom,
    lighter_of_two,
};
use crate::time::Timestamp;
use crate::topology::slot_map::Shard;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// What a selection needs to know of the call.
pub(crate) struct SelectionContext<'a> {
    /// The read settings in force.
    pub(crate) settings: &'a Arc<ReadSettings>,
    /// Nodes at which this call has failed.
    pub(crate) tried: &'a [Arc<Node>],
    /// The primary has had its share of reads in place of replicas; this is asked once per call.
    pub(crate) capped: bool,
    /// The current time.
    pub(crate) now: Timestamp,
}

/// Why no node is selected for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoNode {
    /// No replica can answer, and the primary has had its share.
    Capped,
    /// No node can answer.
    NoReplica,
}

/// Selects the node for a read.
pub(crate) fn select_node<'r>(
    env: &Arc<Environment>,
    routes: &'r Arc<Routes>,
    shard: &Shard,
    context: &SelectionContext<'_>,
) -> Result<&'r Arc<Node>, NoNode> {
    let Some(primary) = routes.node(shard.primary) else { return Err(NoNode::NoReplica) };
    let (settings, now) = (context.settings, context.now);
    let (interval, lags) = (settings.check_interval(), settings.max_staleness.is_some());
    if primary.health().is_check_due(now, interval, lags) {
        health_check::start_in_background(env, routes, shard, settings, now);
    }
    let (mut rows, nodes) = table(routes, shard, context);
    let turn = primary.health().next_choice();
    let mut capped = context.capped;
    loop {
        let Some(choice) = choice(routes, shard, context, &rows, turn) else {
            return Err(if capped { NoNode::Capped } else { NoNode::NoReplica });
        };
        let node = nodes[choice.index];
        match choice.how {
            ChosenFor::Policy => return Ok(node),
            ChosenFor::Probe if node.health().claim_probe(now) => return Ok(node),
            ChosenFor::Probe => rows[choice.index].due = CheckDue::Not,
            ChosenFor::Trial if !node.health().claim_trial(now) => {
                rows[choice.index].skip = Some(SkipReason::Quarantined);
            }
            ChosenFor::Trial if health_check::check_quarantined(env, node, now) => {
                rows[choice.index].skip = Some(SkipReason::Quarantined);
            }
            ChosenFor::Trial => return Ok(node),
            ChosenFor::Fallback
                if !capped && primary.health().may_fall_back(settings.fallback_percent) =>
            {
                return Ok(node);
            }
            ChosenFor::Fallback => {
                capped = true;
                rows[choice.index].skip = Some(SkipReason::Tried);
            }
        }
    }
}

/// The less loaded of a shard's replicas, or of all its nodes, without a table: for one or two
/// healthy nodes. `None` leaves the choice to `select_node`, which would make the same one; so
/// nothing is claimed or started here.
#[inline]
pub(crate) fn select_less_loaded<'r>(
    routes: &'r Routes,
    shard: &Shard,
    among_all: bool,
    (now, silent): (Timestamp, u64),
) -> Option<&'r Arc<Node>> {
    let primary = routes.node(shard.primary)?;
    if primary.health().is_check_due(now, CHECK, false) {
        return None;
    }
    let healthy = |index| routes.node(index).filter(|node| node.health().is_healthy(now, silent));
    let (one, other) = match (among_all, shard.replicas.as_slice()) {
        (false, [one]) => return healthy(*one),
        (false, [one, other]) => (healthy(*one)?, healthy(*other)?),
        (true, [other]) => (healthy(shard.primary)?, healthy(*other)?),
        _ => return None,
    };
    let load = |node: &Node| (node.health().in_flight(), node.health().latency(now));
    let chance = mix(primary.health().next_choice());
    Some([one, other][lighter_of_two([load(one), load(other)], chance)])
}

/// Whether a health check is due that the caller has to run, because the host has no background
/// tasks.
#[inline]
pub(crate) fn must_check_first(
    env: &Environment,
    routes: &Routes,
    shard: &Shard,
    context: &SelectionContext<'_>,
) -> bool {
    !env.has_background()
        && routes.node(shard.primary).is_some_and(|primary| {
            let (interval, lags) =
                (context.settings.check_interval(), context.settings.max_staleness.is_some());
            primary.health().is_check_due(context.now, interval, lags)
        })
}

/// The policy's choice from a table.
pub(crate) fn choice(
    routes: &Routes,
    shard: &Shard,
    context: &SelectionContext<'_>,
    rows: &[NodeRow],
    turn: u64,
) -> Option<NodeChoice> {
    match &context.settings.policy {
        policy @ ReadFrom::Custom(_) => {
            let candidates: SmallVec<[Candidate<'_>; 8]> = members(shard)
                .zip(0..)
                .filter_map(|(index, at)| candidate(routes, index, at == 0, context.now))
                .collect();
            choose_custom(policy, rows, &candidates, turn)
        }
        policy => choose(policy, rows, turn, mix(turn)),
    }
}

/// The table of a shard's nodes that can be dialled, and these nodes.
pub(crate) fn table<'r>(
    routes: &'r Routes,
    shard: &Shard,
    context: &SelectionContext<'_>,
) -> (NodeRows, SmallVec<[&'r Arc<Node>; 8]>) {
    let mut rows = NodeRows::new();
    let mut nodes = SmallVec::new();
    for index in members(shard) {
        let Some(node) = routes.node(index) else { continue };
        let is_primary = index == shard.primary;
        rows.push(row(routes, index, node, is_primary, context));
        nodes.push(node);
    }
    (rows, nodes)
}

#[inline]
fn row(
    routes: &Routes,
    index: usize,
    node: &Arc<Node>,
    is_primary: bool,
    context: &SelectionContext<'_>,
) -> NodeRow {
    let (settings, now, health) = (context.settings, context.now, node.health());
    let quarantine = health.quarantine(now);
    let skip = if !context.tried.is_empty() && context.tried.iter().any(|it| Arc::ptr_eq(it, node))
    {
        Some(SkipReason::Tried)
    } else if quarantine == Some(false) {
        Some(SkipReason::Quarantined)
    } else if health.is_promoted() {
        Some(SkipReason::NoReplica)
    } else if health.unanswered_for(now) > settings.silent {
        Some(SkipReason::Silent)
    } else if let (Some(bound), false) = (settings.max_staleness, is_primary) {
        match node.lag(now) {
            None => Some(SkipReason::LagUnknown),
            Some(lag) if lag > bound => Some(SkipReason::Stale),
            Some(_) => None,
        }
    } else {
        None
    };
    let due = match quarantine {
        Some(_) => CheckDue::Trial,
        None if settings.uses_latency() && health.needs_probe(now) => CheckDue::Probe,
        None => CheckDue::Not,
    };
    let in_zone = match &settings.policy {
        ReadFrom::Zone(zone) => zone_of(routes, index, node) == Some(&**zone),
        _ => false,
    };
    let (in_flight, latency) = (health.in_flight(), health.latency(now));
    let is_spare = health.is_link_down();
    NodeRow { is_primary, in_zone, due, skip, is_spare, in_flight, latency }
}

/// What the application's own policy sees of a node.
pub(crate) fn candidate<'r>(
    routes: &'r Routes,
    index: usize,
    is_primary: bool,
    now: Timestamp,
) -> Option<Candidate<'r>> {
    let node = routes.node(index)?;
    let health = node.health();
    let mut candidate = if is_primary {
        Candidate::primary(node.endpoint())
    } else {
        Candidate { lag: node.lag(now), ..Candidate::replica(node.endpoint()) }
    };
    candidate.zone = zone_of(routes, index, node);
    candidate.in_flight = health.in_flight();
    let latency = health.latency(now);
    candidate.latency = (latency != 0).then(|| Duration::from_nanos(latency));
    candidate.is_quarantined =
        health.quarantine(now).is_some() || health.is_link_down() || health.is_promoted();
    Some(candidate)
}

/// A number that looks random, from one that counts (the last step of SplitMix64).
#[inline]
fn mix(turn: u64) -> u64 {
    let mut z = turn.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
