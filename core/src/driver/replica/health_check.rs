//! Health checks: asks the nodes of a shard for their role and replication offset, over the
//! connections that they have.
//!
//! While a shard is read from under a policy other than `Primary`, its replicas are checked once a
//! second; under a bound on staleness four times within the bound, and the primary before them
//! (`topology/replication.rs` computes lags from the offsets). A lag is known of a process: it is
//! unknown from a new connection on, which may lead to another one, until the next check. So a
//! replica that lost its primary, or was promoted, is noticed although its connection is up. A node
//! whose quarantine is over is checked before it gets reads again.
//!
//! Runs in the background if the host has background tasks; otherwise a read that finds it due runs
//! it (`read.rs`). Limits: one check of a shard at a time; `connect_timeout` for each.
//! Spec: PING is refused while a server loads or, if it may not serve stale data, has lost its
//! primary; INFO is not.

use crate::BoxFuture;
use crate::command::cmd;
use crate::driver::discovery::routes::Routes;
use crate::driver::discovery::staggered_query::query_node;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::join_all::join_all;
use crate::driver::link::submit::error_in;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::shard_lookup::members;
use crate::features::BACKGROUND;
use crate::lock::lock;
use crate::resp::{ServerError, from_frame};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::time::Timestamp;
use crate::topology::replication::{ReplicationInfo, info_field, parse_replication};
use crate::topology::slot_map::Shard;
use std::sync::Arc;

/// A health check of a shard, ready to run. Dropped, however it ended, it lets the next one begin.
pub(crate) struct HealthCheck {
    /// Transport, configuration, clock.
    env: Arc<Environment>,
    /// The primary.
    primary: Arc<Node>,
    /// Its replicas.
    replicas: Vec<Arc<Node>>,
    /// Whether the lag of each node has to be known, so that nodes without a connection are
    /// dialled.
    wants_lag: bool,
    /// Whether zones have to be known that the topology does not name.
    wants_zones: bool,
}

/// Claims the health check of a shard, if it is due and no other task has claimed it.
pub(crate) fn claim(
    env: &Arc<Environment>,
    routes: &Routes,
    shard: &Shard,
    settings: &ReadSettings,
    now: Timestamp,
) -> Option<HealthCheck> {
    let primary = routes.node(shard.primary)?;
    let lags = settings.max_staleness.is_some();
    if !primary.health().claim_check(now, settings.check_interval(), lags) {
        return None;
    }
    let has_zone = |index: usize| routes.map.nodes().get(index).is_some_and(|v| v.zone.is_some());
    let replicas = members(shard).skip(1).filter_map(|index| routes.node(index)).cloned();
    Some(HealthCheck {
        env: Arc::clone(env),
        primary: Arc::clone(primary),
        replicas: replicas.collect(),
        wants_lag: lags,
        wants_zones: settings.needs_zones() && !members(shard).all(has_zone),
    })
}

/// Starts a health check in the background, if the host has background tasks.
pub(crate) fn start_in_background(
    env: &Arc<Environment>,
    routes: &Arc<Routes>,
    shard: &Shard,
    settings: &Arc<ReadSettings>,
    now: Timestamp,
) {
    if BACKGROUND
        && env.has_background()
        && let Some(check) = claim(env, routes, shard, settings, now)
    {
        let primary = Arc::clone(&check.primary);
        if !env.spawn(check.run()) {
            primary.health().return_check();
        }
    }
}

/// Checks a node whose quarantine is over, in the background; false if there is no background.
pub(crate) fn check_quarantined(env: &Arc<Environment>, node: &Arc<Node>, now: Timestamp) -> bool {
    let deadline = now.after(env.config().connect_timeout);
    let (env, node) = (Arc::clone(env), Arc::clone(node));
    let at = Arc::clone(&env);
    if !BACKGROUND {
        return false;
    }
    let trial: BoxFuture<'static, ()> = Box::pin(async move {
        if let Ok(info) = examine(&env, &node, false, deadline).await {
            if !info.is_primary {
                node.health().set_reported(false, !info.link_up);
            }
            node.health().record_success();
        }
    });
    at.spawn(trial)
}

impl Drop for HealthCheck {
    fn drop(&mut self) {
        self.primary.health().end_check();
    }
}

impl HealthCheck {
    /// Asks all nodes, and stores what they report.
    pub(crate) fn run(self) -> BoxFuture<'static, ()> {
        Box::pin(self.check_all())
    }

    async fn check_all(self) {
        let deadline = self.env.now().after(self.env.config().connect_timeout);
        if self.wants_lag || self.wants_zones {
            let asked = self.env.now();
            let ask = examine(&self.env, &self.primary, self.wants_zones, deadline);
            if let Ok(info) = ask.await {
                if !info.is_primary {
                    self.env.triggers().report_role_changed();
                }
                lock(self.primary.health().primary_offsets()).note(asked, &info);
            }
        }
        join_all(self.replicas.iter().map(|node| self.check_replica(node, deadline))).await;
    }

    /// Asks a replica.
    async fn check_replica(&self, node: &Arc<Node>, deadline: Timestamp) {
        let live = node.ready().is_some_and(|link| !link.is_closed());
        let quarantine = node.health().quarantine(self.env.now());
        // A node that was found without a primary, or as one, is asked until it is a replica again,
        // although no read goes to it.
        let is_impaired = node.health().is_link_down() || node.health().is_promoted();
        // Where the lag matters, no read tries a node of which it is not known: the check does. Any
        // other quarantined node is checked by the first read that finds its quarantine over.
        let is_trial = quarantine == Some(true) && (self.wants_lag || is_impaired);
        let wanted = live || is_impaired || self.wants_lag || self.wants_zones;
        if (quarantine.is_some() && !is_trial) || !wanted {
            return;
        }
        // On a host without background tasks nobody has noticed that the server closed it.
        if let Some(link) = node.ready() {
            link.read_what_has_come();
        }
        // Connected before it is asked: the answer counts for the process that gives it.
        if let Err(error) = node.connect(&self.env, deadline).await {
            return node.health().record_failure(self.env.now(), &error.to_string());
        }
        let links = node.links();
        let Ok(info) = examine(&self.env, node, self.wants_zones, deadline).await else {
            return;
        };
        if info.is_primary {
            self.env.triggers().report_role_changed();
        }
        let has_lost_primary = !info.is_primary && !info.link_up;
        node.health().set_reported(info.is_primary, has_lost_primary);
        let fresh_as_of = lock(self.primary.health().primary_offsets()).reached_by(&info);
        node.health().set_fresh_as_of(fresh_as_of, links);
        if is_trial {
            node.health().record_success();
        }
    }
}

/// Whether a node that answers PING so is left out of reads.
fn is_unwell(error: &ServerError) -> bool {
    !reply_policy(error, ErrorOrigin::Server).is_well
}

/// Asks one node about itself. If that fails, the failure counts against the node.
fn examine<'a>(
    env: &'a Arc<Environment>,
    node: &'a Arc<Node>,
    zone: bool,
    deadline: Timestamp,
) -> BoxFuture<'a, Result<ReplicationInfo, ()>> {
    Box::pin(examine_node(env, node, zone, deadline))
}

async fn examine_node(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    zone: bool,
    deadline: Timestamp,
) -> Result<ReplicationInfo, ()> {
    let mut queries = vec![cmd("PING"), cmd("INFO").arg("replication")];
    let asks_zone = zone && node.health().zone().is_none();
    if asks_zone {
        queries.push(cmd("INFO").arg("server"));
    }
    let record_failure = |why: &str| node.health().record_failure(env.now(), why);
    let replies = query_node(env, node, &queries, deadline).await;
    let replies = replies.map_err(|error| record_failure(&error.to_string()))?;
    let [ping, info, server @ ..] = replies.as_slice() else { return Err(()) };
    if let Some(error) = error_in(ping).filter(is_unwell) {
        record_failure(error.code());
        return Err(());
    }
    if asks_zone && let Some(Ok(server)) = server.first().map(from_frame::<String>) {
        node.health().set_zone(info_field(&server, "availability_zone"));
    }
    // A client that may not run INFO does not know lags and roles, and reads all the same.
    let unknown = || ReplicationInfo { link_up: true, ..ReplicationInfo::default() };
    let info = from_frame::<String>(info).ok().and_then(|info| parse_replication(&info));
    Ok(info.unwrap_or_else(unknown))
}
