//! What an attempt waits for: the first node, a pause, a newer map, a link.
//!
//! **Invariants**: each wait ends at its deadline, and when the client is closed; while a caller
//! waits, it drives the refreshes that are due. Limit: a dial that takes longer than `PATIENCE`
//! (200 ms) asks for a refresh.

use super::next_step::NextHop;
use crate::bounds::{BoxFuture, MaybeSync};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::link::link::Link;
use crate::driver::link::submit::closed;
use crate::driver::node::node::Node;
use crate::error::Error;
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use futures::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a dial may take before a refresh is requested: another node may serve the slot by then.
const PATIENCE: Duration = Duration::from_millis(200);

/// Waits for the first node. Behind sentinels none is known before the first refresh has found the
/// primary; the wait has as many pauses as a single command would make.
pub(crate) async fn await_any_node(topology: &Arc<LiveTopology>, deadline: Timestamp) {
    if !topology.routes().nodes.is_empty() {
        return;
    }
    let env = topology.env();
    let need = topology.register_waiter(None);
    for attempt in 1..env.config().attempts_max {
        if topology.any_node().is_some() || env.now() >= deadline {
            break;
        }
        topology.request_refresh(RefreshReason::Uncovered);
        pause_unless_map_changes(topology, env.backoff(attempt), deadline).await;
    }
    drop(need);
}

/// The pause before the next attempt. After a redirect a new map does not end it early: nodes that
/// redirect to each other need the time themselves.
pub(crate) async fn pause_before(
    target: &NextHop,
    topology: &Arc<LiveTopology>,
    pause: Duration,
    deadline: Timestamp,
) {
    if matches!(target, NextHop::Map) {
        return pause_unless_map_changes(topology, pause, deadline).await;
    }
    if !pause.is_zero() {
        let env = topology.env();
        let until = env.now().after(pause).min(deadline);
        topology.while_refreshing(env.while_open(env.sleep_until(until))).await;
    }
}

/// A pause, which ends early when the map changes.
pub(crate) fn pause_unless_map_changes(
    topology: &Arc<LiveTopology>,
    pause: Duration,
    deadline: Timestamp,
) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        if pause.is_zero() {
            return;
        }
        let version = topology.routes().map.version();
        let env = topology.env();
        let until = env.now().after(pause).min(deadline);
        let wait = env.while_open(env.with_deadline(until, topology.wait_for_newer_map(version)));
        topology.while_refreshing(wait).await;
    })
}

/// Whether a new map names another node for a command.
pub(crate) trait LeadsAway: Fn(&Routes) -> bool + MaybeSync {}
impl<F: Fn(&Routes) -> bool + MaybeSync> LeadsAway for F {}

/// A link to the node; `None` as soon as a newer map names another node.
pub(crate) fn connect<'a>(
    topology: &'a Arc<LiveTopology>,
    routes: &'a Routes,
    node: &'a Arc<Node>,
    leads_away: &'a dyn LeadsAway,
    deadline: Timestamp,
) -> BoxFuture<'a, Result<Option<Arc<Link>>, Error>> {
    Box::pin(connect_unless(topology, routes, node, leads_away, deadline))
}

async fn connect_unless(
    topology: &Arc<LiveTopology>,
    routes: &Routes,
    node: &Arc<Node>,
    leads_away: &dyn LeadsAway,
    deadline: Timestamp,
) -> Result<Option<Arc<Link>>, Error> {
    let mut version = routes.map.version();
    let env = topology.env();
    let mut need = node.is_failing().then(|| topology.register_waiter(Some(node)));
    loop {
        // Begun again with each map: the wait makes no sense if the map names another node.
        let mut link = pin!(env.while_open(node.connect(env, deadline)));
        // Nothing reports a dial that hangs: after a while a refresh is requested.
        let patience =
            if need.is_some() { Timestamp::FAR_FUTURE } else { env.now().after(PATIENCE) };
        let newer = pin!(env.with_deadline(patience, topology.wait_for_newer_map(version)));
        match select(link.as_mut(), newer).await {
            Either::Left((Some(link), _)) => return link.map(Some),
            Either::Left((None, _)) => return Err(closed(node.endpoint())),
            // The server has nothing to do with it.
            Either::Right((None, _)) if node.waits_for_room() => {}
            Either::Right((None, _)) => {
                need = Some(topology.register_waiter(Some(node)));
                topology.request_refresh_about(node, RefreshReason::NodeLost);
            }
            Either::Right((Some(()), _)) => {
                let now = topology.routes();
                if leads_away(&now) {
                    return Ok(None);
                }
                version = now.map.version();
                if need.is_some() {
                    topology.request_refresh_about(node, RefreshReason::NodeLost);
                }
            }
        }
    }
}

pub(crate) fn no_connection(node: &Node) -> Error {
    node.deadline_error()
}
