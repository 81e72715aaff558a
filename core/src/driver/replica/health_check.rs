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

/// A check-up of a shard, ready to run.
pub(crate) struct HealthCheck {
    /// Who asks.
    env: Arc<Environment>,
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
    let zoned = |index: usize| routes.map.nodes().get(index).is_some_and(|v| v.zone.is_some());
    let replicas = members(shard).skip(1).filter_map(|index| routes.node(index)).cloned();
    Some(HealthCheck {
        env: Arc::clone(env),
        primary: Arc::clone(primary),
        replicas: replicas.collect(),
        wants_lag: lags,
        wants_zones: settings.needs_zones() && !members(shard).all(zoned),
    })
}

/// Begins a check-up in the background, where there is one.
pub(crate) fn begin(
    env: &Arc<Environment>,
    routes: &Arc<Routes>,
    shard: &Shard,
    settings: &Arc<ReadSettings>,
    now: Timestamp,
) {
    if BACKGROUND
        && env.has_background()
        && let Some(checkup) = claim(env, routes, shard, settings, now)
    {
        let primary = Arc::clone(&checkup.primary);
        if !env.spawn(checkup.run()) {
            primary.health().return_check();
        }
    }
}

/// Asks a node whose quarantine is over, in the background; false where there is none.
pub(crate) fn try_out(env: &Arc<Environment>, node: &Arc<Node>, now: Timestamp) -> bool {
    let deadline = now.after(env.config().connect_timeout);
    let (env, node) = (Arc::clone(env), Arc::clone(node));
    let at = Arc::clone(&env);
    if !BACKGROUND {
        return false;
    }
    let trial: BoxFuture<'static, ()> = Box::pin(async move {
        if let Ok(standing) = examine(&env, &node, false, deadline).await {
            if !standing.is_primary {
                node.health().set_reported(false, !standing.link_up);
            }
            node.health().record_success();
        }
    });
    at.spawn(trial)
}

/// However it ended.
impl Drop for HealthCheck {
    fn drop(&mut self) {
        self.primary.health().end_check();
    }
}

impl HealthCheck {
    /// Asks all, and notes what they say.
    pub(crate) fn run(self) -> BoxFuture<'static, ()> {
        Box::pin(self.ask_all())
    }

    async fn ask_all(self) {
        let deadline = self.env.now().after(self.env.config().connect_timeout);
        if self.wants_lag || self.wants_zones {
            let asked = self.env.now();
            let ask = examine(&self.env, &self.primary, self.wants_zones, deadline);
            if let Ok(standing) = ask.await {
                if !standing.is_primary {
                    self.env.triggers().report_role_changed();
                }
                lock(self.primary.health().primary_offsets()).note(asked, &standing);
            }
        }
        join_all(self.replicas.iter().map(|node| self.check(node, deadline))).await;
    }

    /// Asks a replica.
    async fn check(&self, node: &Arc<Node>, deadline: Timestamp) {
        let live = node.ready().is_some_and(|link| !link.is_closed());
        let quarantined = node.health().quarantine(self.env.now()).is_some();
        // One that is quarantined is tried out in its own time.
        // One that was found without a primary is asked until it has one, though no read goes
        // there.
        let ails = node.health().is_link_down() || node.health().is_promoted();
        let wanted = live || ails || self.wants_lag || self.wants_zones;
        if quarantined || !wanted {
            return;
        }
        let Ok(standing) = examine(&self.env, node, self.wants_zones, deadline).await else {
            return;
        };
        if standing.is_primary {
            self.env.triggers().report_role_changed();
        }
        let unlinked = !standing.is_primary && !standing.link_up;
        node.health().set_reported(standing.is_primary, unlinked);
        node.health()
            .set_fresh_as_of(lock(self.primary.health().primary_offsets()).reached_by(&standing));
    }
}

/// Whether a node that answers PING so is left out of reads.
fn is_unwell(error: &ServerError) -> bool {
    !reply_policy(error, ErrorOrigin::Server).is_well
}

/// One node's word about itself. A failure is a strike.
fn examine<'a>(
    env: &'a Arc<Environment>,
    node: &'a Arc<Node>,
    zone: bool,
    deadline: Timestamp,
) -> BoxFuture<'a, Result<ReplicationInfo, ()>> {
    Box::pin(ask_one(env, node, zone, deadline))
}

async fn ask_one(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    zone: bool,
    deadline: Timestamp,
) -> Result<ReplicationInfo, ()> {
    let mut questions = vec![cmd("PING"), cmd("INFO").arg("replication")];
    let asks_zone = zone && node.health().zone().is_none();
    if asks_zone {
        questions.push(cmd("INFO").arg("server"));
    }
    let strike = |why: &str| node.health().record_failure(env.now(), why);
    let answers = query_node(env, node, &questions, deadline).await;
    let answers = answers.map_err(|error| strike(&error.to_string()))?;
    let [ping, info, server @ ..] = answers.as_slice() else { return Err(()) };
    if let Some(error) = error_in(ping).filter(is_unwell) {
        strike(error.code());
        return Err(());
    }
    if asks_zone && let Some(Ok(server)) = server.first().map(from_frame::<String>) {
        node.health().set_zone(info_field(&server, "availability_zone"));
    }
    // Who may not ask INFO knows nothing of lags and roles, and reads all the same.
    let unknown = || ReplicationInfo { link_up: true, ..ReplicationInfo::default() };
    let standing = from_frame::<String>(info).ok().and_then(|info| parse_replication(&info));
    Ok(standing.unwrap_or_else(unknown))
}
