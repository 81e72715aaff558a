//! What a read waits for when no node that its policy allows can answer: a health check, a newer
//! topology, the end of a quarantine.
//!
//! Invariants: each wait ends at the caller's deadline; a node that is known to be down is not
//! waited for. Limits for each call: one wait for a health check, 500 ms at most, and 4 more after
//! lost connections; 4 refreshes; 2 to 50 ms between two looks at the table.

use crate::driver::attempt::waiting::pause_unless_map_changes;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::driver::replica::health_check;
use crate::driver::replica::select::{SelectionContext, table};
use crate::driver::replica::shard_lookup::members;
use crate::routing::read_from::{NodeRow, SkipReason};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot_map::Shard;
use std::sync::Arc;
use std::time::Duration;

/// The least time between two looks at the table, while a node may recover.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// The most.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// Refreshes of the topology that a read waits for when its shard has no replica.
const REFRESHES_MAX: u32 = 4;
/// Health checks that a read waits for after the first one, each because a connection was lost.
const CHECKS_MAX: u32 = 4;
/// How long a read waits for a health check that another task runs.
const CHECK_WAIT: Duration = Duration::from_millis(500);

/// What a call has waited for so far.
#[derive(Default)]
pub(super) struct WaitHistory {
    /// Whether it waited for a health check, which tells lags.
    checked: bool,
    /// Further health checks that it waited for, because a connection was lost meanwhile.
    checked_again: u32,
    /// Refreshes of the topology, which may name other replicas.
    refreshes: u32,
}

/// Waits for something that may let another node answer. False when there is nothing to wait for.
pub(super) async fn wait_for_recovery(
    topology: &Arc<LiveTopology>,
    routes: &Arc<Routes>,
    shard: &Shard,
    context: &SelectionContext<'_>,
    deadline: Timestamp,
    history: &mut WaitHistory,
) -> bool {
    let env = topology.env();
    if env.is_closed() {
        return false;
    }
    if context.settings.max_staleness.is_some() {
        let is_first = !std::mem::replace(&mut history.checked, true);
        let again = !is_first
            && history.checked_again < CHECKS_MAX
            && members(shard).skip(1).any(|index| can_be_asked(routes, index, context.now));
        history.checked_again += u32::from(again);
        if is_first || again {
            learn_lags(topology, routes, shard, context, deadline).await;
            return env.now() < deadline || is_first;
        }
    }
    let mut replicas = members(shard).skip(1).filter_map(|index| routes.node(index));
    // Where there is no replica, or each says that it is none, the map may be old.
    let is_doubtful = replicas.all(|node| node.health().is_promoted());
    if is_doubtful && topology.is_dynamic() && history.refreshes < REFRESHES_MAX {
        history.refreshes += 1;
        topology.request_refresh(RefreshReason::ReadOnly);
        let until = deadline.min(context.now.after(env.config().connect_timeout));
        topology.wait_for_refresh(until).await;
        pause_unless_map_changes(topology, env.backoff(history.refreshes), deadline).await;
        return env.now() < deadline;
    }
    let (rows, nodes) = table(routes, shard, context);
    let replicas = rows.iter().zip(nodes).filter(|(row, _)| !row.is_primary);
    let recoveries = replicas.filter_map(|(row, node)| earliest_recovery(row, node, context.now));
    let Some(until) = recoveries.min().filter(|until| *until < deadline) else { return false };
    // Another task's trial of a node may end before its quarantine does.
    let pause = until.since(context.now).clamp(PAUSE_MIN, PAUSE_MAX);
    pause_unless_map_changes(topology, pause, deadline).await;
    true
}

/// When a node may be able to answer; `None` if it is known to be down. One that failed only a few
/// times may come back at any time.
fn earliest_recovery(row: &NodeRow, node: &Node, now: Timestamp) -> Option<Timestamp> {
    match row.skip {
        // Its lag is asked for when its quarantine is over.
        Some(SkipReason::LagUnknown) if has_outdated_lag(node) && !node.health().is_down() => {
            node.health().quarantined_until()
        }
        Some(SkipReason::LagUnknown | SkipReason::NoReplica | SkipReason::Stale) => None,
        Some(SkipReason::Quarantined) if node.health().is_down() => None,
        Some(SkipReason::Quarantined) => Some(node.health().quarantined_until().unwrap_or(now)),
        Some(SkipReason::Silent) => Some(now.after(PAUSE_MAX)),
        // The primary may come back, or this one is made the primary.
        Some(SkipReason::Tried) if node.target().lacks_readonly().is_some() => {
            Some(now.after(PAUSE_MAX))
        }
        Some(SkipReason::Tried) | None => Some(now),
    }
}

/// Whether the lag of a node was told before its present connection was made, which may lead to
/// another process.
fn has_outdated_lag(node: &Node) -> bool {
    node.health().lag_asked_at() != node.links()
}

/// The same of a shard's node.
fn is_lag_outdated(routes: &Routes, index: usize) -> bool {
    routes.node(index).is_some_and(|node| has_outdated_lag(node))
}

/// The same of one that a health check asks now: it is not quarantined, or for long enough.
fn can_be_asked(routes: &Routes, index: usize, now: Timestamp) -> bool {
    let asked = |node: &Arc<Node>| node.health().quarantine(now) != Some(false);
    is_lag_outdated(routes, index) && routes.node(index).is_some_and(asked)
}

/// Waits until the lags of a shard's replicas are known, or until `CHECK_WAIT` has passed.
async fn learn_lags(
    topology: &Arc<LiveTopology>,
    routes: &Arc<Routes>,
    shard: &Shard,
    context: &SelectionContext<'_>,
    deadline: Timestamp,
) {
    let env = topology.env();
    let Some(primary) = routes.node(shard.primary) else { return };
    if members(shard).skip(1).any(|index| is_lag_outdated(routes, index))
        && !primary.health().is_checking()
    {
        primary.health().return_check();
    }
    let ended = primary.health().listen_for_check_end();
    if let Some(check) = health_check::claim(env, routes, shard, context.settings, context.now) {
        drop(ended);
        topology.while_refreshing(check.run()).await;
        return;
    }
    if !primary.health().is_checking() {
        return;
    }
    let until = deadline.min(context.now.after(CHECK_WAIT));
    topology.while_refreshing(env.while_open(env.with_deadline(until, ended))).await;
}
