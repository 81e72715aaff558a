//! A read under a policy that cannot go straight: no link yet, a failed attempt, no node that can
//! answer.
//!
//! One loop: select a node of the key's shard (`select.rs`), get a link, submit, and decide what
//! the end of the attempt means for the node (a failure, a passed trial) and for the call (another
//! node, a pause, an error), under the caller's one deadline. A node at which the call has failed
//! is tried again only after all others.
//!
//! Invariants: the call never leaves the shard that owns its key, nor goes to the primary unless
//! the policy says so; `attempts_max` and `redirects_max` bound it; when every node is known to be
//! down it fails at once; while one may recover, it waits for that (`recovery.rs`).

use crate::BoxFuture;
use crate::command::Command;
use crate::connection::queue::Entry;
use crate::driver::attempt::confirm::confirm;
use crate::driver::attempt::item::{Item, SlotRelation};
use crate::driver::attempt::next_step::{
    Attempts, CallOptions, explain, explain_end, explain_late, relation_of,
};
use crate::driver::attempt::payload::expected_of;
use crate::driver::attempt::redirect::{Redirected, malformed, resolve, too_many};
use crate::driver::attempt::waiting::pause_unless_map_changes;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::telemetry::count;
use crate::driver::link::link::Link;
use crate::driver::link::submit::{closed, sole_reply, submit_expecting};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::node::node::Node;
use crate::driver::replica::health_check;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::recovery::{WaitHistory, wait_for_recovery};
use crate::driver::replica::select::{NoNode, SelectionContext, select_node, table};
use crate::driver::replica::shard_lookup::{LACKS_READONLY, lacks_readonly, shard_for, slot_of};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::features::{READ_POLICIES, left_out};
use crate::resp::ServerError;
use crate::routing::error_policy::{CallAction, ErrorOrigin};
use crate::routing::retry::{AttemptFailure, decide_read};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot_map::Shard;
use bytes::Bytes;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Commands whose cursor is valid on one node only.
const CURSORS: [&str; 4] = ["HSCAN", "SCAN", "SSCAN", "ZSCAN"];
/// A read waits for a dial for this part of the progress timeout; then it goes to another node.
const DIAL_PART: u32 = 4;

/// What was done for a call before it left the straight path.
pub(crate) enum ResumeFrom {
    /// An attempt at this node failed.
    Attempt(AttemptFailure, Arc<Node>),
    /// This node was selected, and has no live link.
    Node(Arc<Node>),
    /// No replica can answer, and the primary has had its share.
    PrimaryCapped,
    /// Nothing was done yet.
    Start,
}

impl From<NoNode> for ResumeFrom {
    fn from(why: NoNode) -> Self {
        match why {
            NoNode::Capped => Self::PrimaryCapped,
            NoNode::NoReplica => Self::Start,
        }
    }
}

/// What a failed attempt means for the call.
enum ReadStep {
    /// The call fails.
    Fail(Error),
    /// It goes to another node, after this pause.
    Again(Duration),
}

/// Whether the read settings decide where an item goes. A cursor is valid on one node only: such a
/// read stays at the primary.
///
/// # Errors
/// `Config` for a cursor under a policy that never reads from the primary.
pub(crate) fn governs(settings: &ReadSettings, item: Item<'_>) -> Result<bool, Error> {
    let command = item.command;
    if !command.is_readonly() || command.is_blocking() || !item.may_be_spread() {
        return Ok(false);
    }
    if !is_cursor(command) {
        return Ok(true);
    }
    if settings.may_use_primary() {
        return Ok(false);
    }
    let message = "its cursor is valid on one node only: use a read policy that allows \
                   the primary, or name the node with `Client::send_to`";
    Err(Error::new(ErrorKind::Config, Delivery::NotSent, message).with_command(&command.name()))
}

/// Whether a command is an ordinary read: one key or none, answered at once, no cursor.
#[inline]
pub(crate) fn is_ordinary_read(command: &Command) -> bool {
    command.goes_straight() && command.is_readonly() && !is_cursor(command)
}

/// Whether a command continues an iteration that another command began on the same node.
pub(crate) fn is_cursor(command: &Command) -> bool {
    let name = command.spec().name();
    name.ends_with("SCAN") && CURSORS.contains(&name)
}

/// Sends a read until it has a reply that is no error, or there is nothing left to try. Returns the
/// reply and the node that sent it.
pub(crate) fn read<'a>(
    topology: &'a Arc<LiveTopology>,
    settings: &'a Arc<ReadSettings>,
    item: Item<'a>,
    options: CallOptions,
    from: ResumeFrom,
) -> BoxFuture<'a, Result<(Bytes, Arc<Node>), Error>> {
    if !READ_POLICIES {
        let error = left_out("a read policy", "read-policies");
        return Box::pin(ready(Err(error.with_command(&item.command.name()))));
    }
    Box::pin(async move {
        let result = run(topology, settings, item, options, from).await;
        // Why no node can answer is that all connections were closed.
        let is_closed = topology.env().is_closed();
        result.map_err(|error| match error.kind() {
            ErrorKind::Topology if is_closed => {
                let closed = topology.no_node_error().with_delivery(error.delivery());
                closed.with_command(&item.command.name()).with_attempts(error.attempts())
            }
            _ => error,
        })
    })
}

async fn run(
    topology: &Arc<LiveTopology>,
    settings: &Arc<ReadSettings>,
    item: Item<'_>,
    options: CallOptions,
    from: ResumeFrom,
) -> Result<(Bytes, Arc<Node>), Error> {
    let env = topology.env();
    let mut capped = matches!(from, ResumeFrom::PrimaryCapped);
    let (mut failed, mut selected) = match from {
        ResumeFrom::Attempt(failure, node) => (Some((failure, node)), None),
        ResumeFrom::Node(node) => (None, Some(node)),
        ResumeFrom::PrimaryCapped | ResumeFrom::Start => (None, None),
    };
    let mut tries = Attempts { attempts: u32::from(failed.is_some()), ..Attempts::default() };
    let mut tried: Vec<Arc<Node>> = Vec::new();
    let mut waited = WaitHistory::default();
    let mut begun = None;
    loop {
        if let Some((failure, node)) = failed.take() {
            let now = env.now();
            let took = begun.map_or_else(|| options.elapsed(now), |begun| now.since(begun));
            let failure = confirm(topology, item, (&node, false), options.deadline, failure).await;
            prepare_next(topology, item, options, &mut tries, (&failure, &node), took).await?;
            tried.push(node);
        }
        let routes = Arc::clone(&topology.routes());
        let now = env.now();
        let spent = tries.attempts >= env.config().attempts_max || now >= options.deadline;
        let Some(shard) = shard_for(&routes, item, now) else {
            wait_for_shard(topology, item, options, &mut tries, spent).await?;
            continue;
        };
        check_in_foreground(topology, &routes, shard, settings, now).await;
        let context = SelectionContext { settings, tried: &tried, capped, now: env.now() };
        let node = match selected.take() {
            _ if spent => Err(NoNode::NoReplica),
            Some(node) => Ok(node),
            None => select_node(env, &routes, shard, &context).cloned(),
        };
        match node {
            // What is known of a replica's data is known of the process that was there before.
            Ok(node) if must_connect_first(settings, &routes, shard, &node) => {
                if let Err(failure) = link_to(topology, &node, options.deadline).await {
                    tries.attempts += 1;
                    failed = Some((failure, node));
                }
            }
            Ok(node) => {
                tries.attempts += 1;
                begun = Some(env.now());
                match attempt(topology, item, &node, options.deadline).await {
                    Ok(frame) => {
                        let deadline = options.deadline;
                        let frame = topology.wait_briefly_for_own_refresh(frame, deadline).await;
                        return Ok((frame, node));
                    }
                    Err(failure) => failed = Some((failure, node)),
                }
            }
            Err(why) => {
                let deadline = options.deadline;
                let spent = spent || tries.has_waited_too_long(env, Duration::ZERO);
                if spent
                    || lacks_readonly(&routes, shard, settings, item).is_some()
                    || !wait_for_recovery(topology, &routes, shard, &context, deadline, &mut waited)
                        .await
                {
                    let error = no_replica(&routes, shard, &context, item, why);
                    return Err(with_attempts(error, item, tries));
                }
                capped = capped || why == NoNode::Capped;
                // One that refuses READONLY would redirect this call again.
                tried.retain(|node| node.target().lacks_readonly().is_some());
            }
        }
    }
}

/// No shard owns the slot: waits for a newer map.
///
/// # Errors
/// If time or attempts are spent.
async fn wait_for_shard(
    topology: &Arc<LiveTopology>,
    item: Item<'_>,
    options: CallOptions,
    tries: &mut Attempts,
    spent: bool,
) -> Result<(), Error> {
    if spent {
        return Err(topology.no_node_error().with_command(&item.command.name()));
    }
    tries.attempts += 1;
    topology.request_refresh(RefreshReason::Uncovered);
    let pause = topology.env().backoff(tries.attempts);
    pause_unless_map_changes(topology, pause, options.deadline).await;
    Ok(())
}

/// After a failed attempt, which took so long: waits until the next one may begin.
///
/// # Errors
/// The caller's error, if there is no next attempt.
async fn prepare_next(
    topology: &Arc<LiveTopology>,
    item: Item<'_>,
    options: CallOptions,
    tries: &mut Attempts,
    (failure, node): (&AttemptFailure, &Arc<Node>),
    took: Duration,
) -> Result<(), Error> {
    let (env, command) = (topology.env(), item.command);
    let took = if failure.is_answer() { took } else { Duration::ZERO };
    match next_read(topology, item, options, tries, failure, node) {
        ReadStep::Fail(error) => Err(error),
        ReadStep::Again(pause) => {
            tries.last = Some(explain(failure, command, node.endpoint(), tries, options));
            let pause = pause.min(options.spare(env.now(), took));
            pause_unless_map_changes(topology, pause, options.deadline).await;
            match options.spare(env.now(), took).is_zero() {
                true => Err(explain_late(env, failure, command, node.endpoint(), tries, options)),
                false => Ok(()),
            }
        }
    }
}

/// Runs a health check that is due, if the host has no background tasks for it.
async fn check_in_foreground(
    topology: &Arc<LiveTopology>,
    routes: &Routes,
    shard: &Shard,
    settings: &ReadSettings,
    now: Timestamp,
) {
    let env = topology.env();
    if !env.has_background()
        && let Some(check) = health_check::claim(env, routes, shard, settings, now)
    {
        topology.while_refreshing(check.run()).await;
        topology.take_triggers();
    }
}

/// Whether a node is a replica without a connection, under a bound on staleness.
fn must_connect_first(
    settings: &ReadSettings,
    routes: &Routes,
    shard: &Shard,
    node: &Arc<Node>,
) -> bool {
    let is_primary = || routes.node(shard.primary).is_some_and(|other| Arc::ptr_eq(other, node));
    settings.max_staleness.is_some() && !is_primary() && !node.is_live()
}

/// A link to a node, dialled if need be.
async fn link_to(
    topology: &Arc<LiveTopology>,
    node: &Arc<Node>,
    deadline: Timestamp,
) -> Result<Arc<Link>, AttemptFailure> {
    let env = topology.env();
    if let Some(link) = node.ready().filter(|link| !link.is_closed()) {
        return Ok(link);
    }
    let patience = env.config().progress_timeout / DIAL_PART;
    let until = deadline.min(env.now().after(patience));
    let dial = env.while_open(node.connect(env, until));
    match topology.while_refreshing(dial).await {
        Some(link) => link.map_err(AttemptFailure::NoLink),
        None => Err(AttemptFailure::NoLink(closed(node.endpoint()))),
    }
}

/// One attempt at one node.
async fn attempt(
    topology: &Arc<LiveTopology>,
    item: Item<'_>,
    node: &Arc<Node>,
    deadline: Timestamp,
) -> Result<Bytes, AttemptFailure> {
    let env = topology.env();
    let mut guard = InFlightGuard::timed(node, env.now());
    let link = link_to(topology, node, deadline).await?;
    let entry = Entry { len: item.encoded_len(), replies: 1, deadline };
    let write = |out: &mut Vec<u8>| item.write_to(out);
    let terms = (expected_of(item.command), true);
    let sent = submit_expecting(env, &link, entry, terms, &write);
    let outcome = topology.while_refreshing(sent).await;
    let reply = outcome.map_err(AttemptFailure::NoLink)?.map_err(AttemptFailure::NoReply)?;
    let frame = sole_reply(reply)?;
    guard.succeed(|| env.now());
    Ok(frame)
}

/// Decides about the call, and records what the failure says about the node.
fn next_read(
    topology: &Arc<LiveTopology>,
    item: Item<'_>,
    options: CallOptions,
    tries: &mut Attempts,
    failure: &AttemptFailure,
    node: &Arc<Node>,
) -> ReadStep {
    let env = topology.env();
    let now = env.now();
    let origin = ErrorOrigin::of(item.command);
    let policy = failure.policy(origin);
    let action = decide_read(policy, now >= options.deadline);
    let redirect = failure.redirect(origin).filter(|_| env.has_slots());
    if let Some(error) = redirect {
        // It redirects all reads, and the map is right.
        if node.target().lacks_readonly().is_some() {
            count(&env.telemetry().retries);
            node.health().record_failure(now, LACKS_READONLY);
            return ReadStep::Again(Duration::ZERO);
        }
        return follow(topology, item, tries, error, node);
    }
    if policy.node.is_strike() {
        node.health().record_failure(now, &reason_of(failure));
    }
    match policy.refresh {
        Some(_) if failure.is_lost_link() && !node.is_failing() => {
            topology.request_refresh_for_lost_link();
        }
        Some(reason) => topology.request_refresh(reason),
        None => {}
    }
    let pause = match action {
        CallAction::RetryNow => Some(Duration::ZERO),
        CallAction::RetryAfterPause => Some(env.backoff(tries.attempts)),
        _ => None,
    };
    match pause.filter(|pause| !failure.is_answer() || !tries.is_waited_out(env, *pause)) {
        Some(pause) => {
            count(&env.telemetry().retries);
            ReadStep::Again(pause)
        }
        None => {
            ReadStep::Fail(explain_end(env, failure, item.command, node.endpoint(), tries, options))
        }
    }
}

/// What `Client::explain` and errors say about a node that failed.
fn reason_of(failure: &AttemptFailure) -> String {
    match failure {
        AttemptFailure::ErrorReply(error) | AttemptFailure::Refusal(error) => {
            error.code().to_owned()
        }
        AttemptFailure::NoReply(failed) => failed.failure.to_string(),
        AttemptFailure::NoLink(error) | AttemptFailure::Final(error) => error.to_string(),
    }
}

/// Updates the map from a redirect. The next node comes from that map and the read policy, not from
/// the redirect, which names a primary.
fn follow(
    topology: &LiveTopology,
    item: Item<'_>,
    tries: &mut Attempts,
    error: &ServerError,
    node: &Arc<Node>,
) -> ReadStep {
    let (env, command) = (topology.env(), item.command);
    tries.redirects += 1;
    count(&env.telemetry().redirects);
    let (met, max) = (tries.redirects, env.config().redirects_max);
    let redirect = match error.redirect() {
        Some(Ok(redirect)) if met <= max => redirect,
        Some(Err(wrong)) => return ReadStep::Fail(malformed(wrong, command, node)),
        _ => return ReadStep::Fail(too_many(max, command, error, node, tries.attempts)),
    };
    let later = env.backoff(met);
    let version = topology.routes().map.version();
    let is_own = relation_of(item, &redirect) == SlotRelation::Own;
    match resolve(topology, &redirect, node, met) {
        Redirected::Unusable => {
            topology.request_refresh_from(node, RefreshReason::UnknownNode);
            return ReadStep::Again(later);
        }
        _ if !is_own => {
            topology.request_refresh_from(node, RefreshReason::UnknownNode);
            return ReadStep::Again(later);
        }
        // The slot is being moved: soon one node will have all of it.
        Redirected::Ask(_) => return ReadStep::Again(later),
        Redirected::Sender => node.redial(),
        Redirected::Moved { slot, endpoint, literally } => {
            drop(topology.handle_moved(slot, &endpoint, literally));
        }
    }
    if topology.routes().map.version() == version {
        // The map has not changed: the node is not what the map takes it for.
        node.health().record_failure(env.now(), "it refuses reads of a slot that the map gives it");
    }
    ReadStep::Again(if met > 2 { later } else { Duration::ZERO })
}

/// No node can answer: the error names the slot, and says of each node why not.
pub(crate) fn no_replica(
    routes: &Routes,
    shard: &Shard,
    context: &SelectionContext<'_>,
    item: Item<'_>,
    why: NoNode,
) -> Error {
    if let Some(error) = lacks_readonly(routes, shard, context.settings, item) {
        return error;
    }
    let slot = item.slot().unwrap_or_else(|| slot_of(item.command)).number();
    let (rows, nodes) = table(routes, shard, context);
    let each = rows.iter().zip(nodes).filter(|(row, _)| !row.is_primary).map(|(row, node)| {
        let why = row.skip.map_or("it may have recovered".to_owned(), |skip| skip.to_string());
        let last = node.health().last_failure();
        match last.is_empty() {
            true => format!("{}: {why}", node.endpoint()),
            false => format!("{}: {why} ({last})", node.endpoint()),
        }
    });
    let each: Vec<String> = each.collect();
    let problem = match why {
        NoNode::NoReplica => "no node that the read policy allows can answer",
        NoNode::Capped => "no replica can answer, and the primary has had its share of reads",
    };
    let nodes = match each.is_empty() {
        true => "no replica is known".to_owned(),
        false => each.join("; "),
    };
    let message = format!("{problem} for slot {slot}: {nodes}");
    Error::new(ErrorKind::Topology, Delivery::NotSent, message)
        .with_detail(ErrorDetail::NoReplica { slot })
}

/// Adds to the error how often the read was tried, and how the last attempt failed.
fn with_attempts(error: Error, item: Item<'_>, tries: Attempts) -> Error {
    let error = error.with_command(&item.command.name()).with_attempts(tries.attempts);
    match tries.last {
        None => error,
        Some(last) => error.with_delivery(last.delivery()).with_cause(last),
    }
}
