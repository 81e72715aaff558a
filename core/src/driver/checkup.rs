//! Asks nodes of a shard who they are and where they stand, in the connections that they have.
//!
//! While a shard is read from under a policy other than `Primary`, its replicas are asked once a
//! second; under a bound on staleness four times within the bound, and the primary before them
//! (`topology/replication.rs` says what follows). So a replica that has lost its primary, or was
//! made one, is noticed although its connection lives. A node whose quarantine is over is asked
//! before it gets reads again.
//!
//! Runs in the background where the host has one; elsewhere `driver/reads.rs` runs it when a read
//! finds it due. Limits: one check-up of a shard at a time, `connect_timeout` for each.
//! Spec: PING is refused while a server loads or, where it may not serve stale data, has lost its
//! primary; INFO is not. Called by `driver/pick.rs` and `driver/reads.rs`.

use super::ask::replies;
use super::host::Host;
use super::node::Node;
use super::pick::members;
use super::request::error_in;
use super::routes::Routes;
use super::rule::ReadRule;
use super::together::together;
use crate::BoxFuture;
use crate::command::cmd;
use crate::parts::BACKGROUND;
use crate::resp::from_frame;
use crate::sync::lock;
use crate::time::Timestamp;
use crate::topology::replication::{Standing, info_field, parse_standing};
use crate::topology::slot_map::Shard;
use std::sync::Arc;

/// A check-up of a shard, ready to run.
pub(crate) struct Checkup {
    /// Who asks.
    host: Arc<Host>,
    /// The primary.
    primary: Arc<Node>,
    /// Its replicas.
    replicas: Vec<Arc<Node>>,
    /// Whether the lag of each has to be known, so that nodes without a connection are dialled.
    wants_lag: bool,
    /// Whether zones have to be known that the topology does not tell.
    wants_zones: bool,
}

/// Takes the shard's check-up on, if it is due and nobody else does.
pub(crate) fn claim(
    host: &Arc<Host>,
    routes: &Routes,
    shard: &Shard,
    rule: &ReadRule,
    now: Timestamp,
) -> Option<Checkup> {
    let primary = routes.node(shard.primary)?;
    let lags = rule.max_staleness.is_some();
    if !primary.vitals().claim_check(now, rule.check_interval(), lags) {
        return None;
    }
    let zoned = |index: usize| routes.map.nodes().get(index).is_some_and(|v| v.zone.is_some());
    let replicas = members(shard).skip(1).filter_map(|index| routes.node(index)).cloned();
    Some(Checkup {
        host: Arc::clone(host),
        primary: Arc::clone(primary),
        replicas: replicas.collect(),
        wants_lag: lags,
        wants_zones: rule.needs_zones() && !members(shard).all(zoned),
    })
}

/// Begins a check-up in the background, where there is one.
pub(crate) fn begin(
    host: &Arc<Host>,
    routes: &Arc<Routes>,
    shard: &Shard,
    rule: &Arc<ReadRule>,
    now: Timestamp,
) {
    if BACKGROUND
        && host.has_background()
        && let Some(checkup) = claim(host, routes, shard, rule, now)
    {
        let primary = Arc::clone(&checkup.primary);
        if !host.spawn(checkup.run()) {
            primary.vitals().give_check_back();
        }
    }
}

/// Asks a node whose quarantine is over, in the background; false where there is none.
pub(crate) fn try_out(host: &Arc<Host>, node: &Arc<Node>, now: Timestamp) -> bool {
    let deadline = now.after(host.config().connect_timeout);
    let (host, node) = (Arc::clone(host), Arc::clone(node));
    let at = Arc::clone(&host);
    if !BACKGROUND {
        return false;
    }
    let trial: BoxFuture<'static, ()> = Box::pin(async move {
        if let Ok(standing) = examine(&host, &node, false, deadline).await {
            if !standing.is_primary {
                node.vitals().set_standing(false, !standing.link_up);
            }
            node.vitals().forgive();
        }
    });
    at.spawn(trial)
}

/// However it ended.
impl Drop for Checkup {
    fn drop(&mut self) {
        self.primary.vitals().tell_checked();
    }
}

impl Checkup {
    /// Asks all, and notes what they say.
    pub(crate) fn run(self) -> BoxFuture<'static, ()> {
        Box::pin(self.ask_all())
    }

    async fn ask_all(self) {
        let deadline = self.host.now().after(self.host.config().connect_timeout);
        if self.wants_lag || self.wants_zones {
            let asked = self.host.now();
            let ask = examine(&self.host, &self.primary, self.wants_zones, deadline);
            if let Ok(standing) = ask.await {
                if !standing.is_primary {
                    self.host.alarm().raise_role();
                }
                lock(self.primary.vitals().places()).note(asked, &standing);
            }
        }
        together(self.replicas.iter().map(|node| self.check(node, deadline))).await;
    }

    /// Asks a replica.
    async fn check(&self, node: &Arc<Node>, deadline: Timestamp) {
        let live = node.ready().is_some_and(|link| !link.is_closed());
        let quarantined = node.vitals().quarantine(self.host.now()).is_some();
        // One that is quarantined is tried out in its own time.
        // One that was found without a primary is asked until it has one, though no read goes
        // there.
        let ails = node.vitals().is_unlinked() || node.vitals().is_promoted();
        let wanted = live || ails || self.wants_lag || self.wants_zones;
        if quarantined || !wanted {
            return;
        }
        let Ok(standing) = examine(&self.host, node, self.wants_zones, deadline).await else {
            return;
        };
        if standing.is_primary {
            self.host.alarm().raise_role();
        }
        let unlinked = !standing.is_primary && !standing.link_up;
        node.vitals().set_standing(standing.is_primary, unlinked);
        node.vitals().set_fresh(lock(self.primary.vitals().places()).reached_by(&standing));
    }
}

/// One node's word about itself. A failure is a strike.
fn examine<'a>(
    host: &'a Arc<Host>,
    node: &'a Arc<Node>,
    zone: bool,
    deadline: Timestamp,
) -> BoxFuture<'a, Result<Standing, ()>> {
    Box::pin(ask_one(host, node, zone, deadline))
}

async fn ask_one(
    host: &Arc<Host>,
    node: &Arc<Node>,
    zone: bool,
    deadline: Timestamp,
) -> Result<Standing, ()> {
    let mut questions = vec![cmd("PING"), cmd("INFO").arg("replication")];
    let asks_zone = zone && node.vitals().zone().is_none();
    if asks_zone {
        questions.push(cmd("INFO").arg("server"));
    }
    let strike = |why: &str| node.vitals().strike(host.now(), why);
    let answers = replies(host, node, &questions, deadline).await;
    let answers = answers.map_err(|error| strike(&error.to_string()))?;
    let [ping, info, server @ ..] = answers.as_slice() else { return Err(()) };
    if let Some(error) = error_in(ping).filter(|error| error.code() != "NOPERM") {
        strike(error.code());
        return Err(());
    }
    if asks_zone && let Some(Ok(server)) = server.first().map(from_frame::<String>) {
        node.vitals().set_zone(info_field(&server, "availability_zone"));
    }
    // Who may not ask INFO knows nothing of lags and roles, and reads all the same.
    let unknown = || Standing { link_up: true, ..Standing::default() };
    let standing = from_frame::<String>(info).ok().and_then(|info| parse_standing(&info));
    Ok(standing.unwrap_or_else(unknown))
}
