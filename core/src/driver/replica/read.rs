//! The way of a read under a policy, when it does not go straight: no link yet, a lost one, a node
//! that refuses, a table in which nobody can answer.
//!
//! One loop: pick a node of the key's shard (`driver/pick.rs`), get a link, exchange, and see what
//! follows for the node (a strike, a trial passed) and for the call (another node, a pause, an
//! error), under the caller's one deadline. A node at which the call has failed is not asked again
//! before all others have been.
//!
//! Invariants: the call never leaves the shard that owns its key, nor goes to its primary unless
//! the policy says so; `attempts_max` and `redirects_max` bound it; when every node is known to be
//! down it fails at once, and while one may still come back it waits for that.
//! Called by `driver/spread.rs` (single commands) and `driver/batch.rs` (what did not go well
//! there).

use crate::BoxFuture;
use crate::command::Command;
use crate::connection::queue::Entry;
use crate::driver::attempt::item::Item;
use crate::driver::attempt::next_step::{Attempts, CallOptions, explain};
use crate::driver::attempt::redirect::{Redirected, malformed, resolve, too_many};
use crate::driver::attempt::waiting::rest;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::telemetry::count;
use crate::driver::link::dial::closed;
use crate::driver::link::submit::{sole_reply, submit};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::node::node::Node;
use crate::driver::replica::health_check;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::select::{NoNode, SelectionContext, select_node, table};
use crate::driver::replica::shard_lookup::{members, shard_for, slot_of};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::features::{READ_POLICIES, left_out};
use crate::resp::ServerError;
use crate::routing::error_policy::{CallAction, ErrorOrigin};
use crate::routing::read_from::{NodeRow, SkipReason};
use crate::routing::retry::{AttemptFailure, decide_read};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot_map::Shard;
use bytes::Bytes;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

/// Commands whose cursor means something on one node only.
const CURSORS: [&str; 4] = ["HSCAN", "SCAN", "SSCAN", "ZSCAN"];
/// A dial may keep a read waiting for this part of the progress time-out; then another node goes.
const DIAL_PART: u32 = 4;
/// Between two looks at the table, when somebody may be able to answer.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// As long at most.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// Looks at the topology that a read without a replica waits for.
const LOOKS_MAX: u32 = 4;
/// How long a read waits for a check-up that somebody else makes.
const CHECK_WAIT: Duration = Duration::from_millis(500);

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

/// What an attempt that did not go well means for the call.
enum After {
    /// It failed for good.
    Fail(Error),
    /// Another node, after a pause.
    Again(Duration),
}

/// Whether a rule says where an item goes. A cursor is one node's: such a read stays at the
/// primary.
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
    let message = "its cursor is one node's: read it from the primary, or name a node";
    Err(Error::new(ErrorKind::Config, Delivery::NotSent, message).with_command(&command.name()))
}

/// Whether a command is an ordinary read: of one key or none, answered at once, without a cursor.
#[inline]
pub(crate) fn is_plain(command: &Command) -> bool {
    command.goes_straight() && command.is_readonly() && !is_cursor(command)
}

/// Whether a command goes on from where it went before, on the same node.
pub(crate) fn is_cursor(command: &Command) -> bool {
    let name = command.spec().name();
    name.ends_with("SCAN") && CURSORS.contains(&name)
}

/// Runs a read until it has a reply that is no error, or there is nothing left to try. Says who
/// replied.
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
    Box::pin(run(topology, settings, item, options, from))
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
    let (mut seen, mut first) = match from {
        ResumeFrom::Attempt(seen, node) => (Some((seen, node)), None),
        ResumeFrom::Node(node) => (None, Some(node)),
        ResumeFrom::PrimaryCapped | ResumeFrom::Start => (None, None),
    };
    let mut tries = Attempts { attempts: u32::from(seen.is_some()), ..Attempts::default() };
    let mut tried: Vec<Arc<Node>> = Vec::new();
    let mut waited = Waited::default();
    loop {
        if let Some((what, node)) = seen.take() {
            match next_read(topology, item, options, &mut tries, &what, &node) {
                After::Fail(error) => return Err(error),
                After::Again(pause) => {
                    count(&env.telemetry().retries);
                    tries.last =
                        Some(explain(&what, item.command, node.endpoint(), &tries, options));
                    tried.push(node);
                    rest(topology, pause, options.deadline).await;
                }
            }
        }
        let routes = Arc::clone(&topology.routes());
        let now = env.now();
        let spent = tries.attempts >= env.config().attempts_max || now >= options.deadline;
        let Some(shard) = shard_for(&routes, item, now) else {
            if spent {
                return Err(topology.no_node_error().with_command(&item.command.name()));
            }
            tries.attempts += 1;
            topology.request_refresh(RefreshReason::Uncovered);
            rest(topology, env.backoff(tries.attempts), options.deadline).await;
            continue;
        };
        if !env.has_background()
            && let Some(checkup) = health_check::claim(env, &routes, shard, settings, now)
        {
            topology.while_refreshing(checkup.run()).await;
            topology.take_triggers();
        }
        let context = SelectionContext { settings, tried: &tried, capped, now: env.now() };
        let picked = match first.take() {
            _ if spent => Err(NoNode::NoReplica),
            Some(node) => Ok(node),
            None => select_node(env, &routes, shard, &context).cloned(),
        };
        match picked {
            Ok(node) => {
                tries.attempts += 1;
                match attempt(topology, item, &node, options.deadline).await {
                    Ok(frame) => {
                        return Ok((
                            topology.wait_briefly_for_own_refresh(frame, options.deadline).await,
                            node,
                        ));
                    }
                    Err(what) => seen = Some((what, node)),
                }
            }
            Err(nobody) => {
                let more =
                    !spent && wait(topology, &routes, shard, &context, options, &mut waited).await;
                if !more {
                    let error = no_replica(&routes, shard, &context, item, nobody);
                    return Err(finish(error, item, tries));
                }
                capped = capped || nobody == NoNode::Capped;
                tried.clear();
            }
        }
    }
}

/// What a call has waited for.
#[derive(Default)]
struct Waited {
    /// A check-up that tells lags.
    check: bool,
    /// Looks at the topology, which may tell of replicas.
    looks: u32,
}

/// Waits for something by which another node may become able to answer. False when there is nothing
/// to wait for.
async fn wait(
    topology: &Arc<LiveTopology>,
    routes: &Arc<Routes>,
    shard: &Shard,
    context: &SelectionContext<'_>,
    options: CallOptions,
    waited: &mut Waited,
) -> bool {
    let env = topology.env();
    if context.settings.max_staleness.is_some() && !std::mem::replace(&mut waited.check, true) {
        learn_lags(topology, routes, shard, context, options.deadline).await;
        return true;
    }
    let replicas = || members(shard).skip(1).filter_map(|index| routes.node(index));
    // Where there is none, or one says that it is none, the map may be old.
    let doubtful = replicas().all(|node| node.health().is_promoted());
    if doubtful && topology.is_dynamic() && waited.looks < LOOKS_MAX {
        waited.looks += 1;
        topology.request_refresh(RefreshReason::ReadOnly);
        topology
            .wait_for_refresh(options.deadline.min(context.now.after(env.config().connect_timeout)))
            .await;
        rest(topology, env.backoff(waited.looks), options.deadline).await;
        return env.now() < options.deadline;
    }
    let (rows, nodes) = table(routes, shard, context);
    let each = rows.iter().zip(nodes).filter(|(row, _)| !row.is_primary);
    let Some(until) = each.filter_map(|(row, node)| hope(row, node, context.now)).min() else {
        return false;
    };
    if until >= options.deadline {
        return false;
    }
    // A trial that somebody else makes may end sooner.
    let pause = until.since(context.now).clamp(PAUSE_MIN, PAUSE_MAX);
    rest(topology, pause, options.deadline).await;
    true
}

/// When a node may be able to answer. Those that failed a few times at most may come back any
/// moment; others are known to be down.
fn hope(row: &NodeRow, node: &Node, now: Timestamp) -> Option<Timestamp> {
    match row.skip {
        Some(SkipReason::LagUnknown | SkipReason::NoReplica | SkipReason::Stale) => None,
        Some(SkipReason::Quarantined) if node.health().is_down() => None,
        Some(SkipReason::Quarantined) => Some(node.health().quarantined_until().unwrap_or(now)),
        Some(SkipReason::Silent) => Some(now.after(PAUSE_MAX)),
        Some(SkipReason::Tried) | None => Some(now),
    }
}

/// Waits until the lags of a shard's replicas are known, or a moment has passed.
async fn learn_lags(
    topology: &Arc<LiveTopology>,
    routes: &Arc<Routes>,
    shard: &Shard,
    context: &SelectionContext<'_>,
    deadline: Timestamp,
) {
    let env = topology.env();
    let Some(primary) = routes.node(shard.primary) else { return };
    let ended = primary.health().listen_for_check_end();
    if let Some(checkup) = health_check::claim(env, routes, shard, context.settings, context.now) {
        drop(ended);
        topology.while_refreshing(checkup.run()).await;
        return;
    }
    if !primary.health().is_checking() {
        return;
    }
    let until = deadline.min(context.now.after(CHECK_WAIT));
    topology.while_refreshing(env.with_deadline(until, ended)).await;
}

/// One try at one node.
async fn attempt(
    topology: &Arc<LiveTopology>,
    item: Item<'_>,
    node: &Arc<Node>,
    deadline: Timestamp,
) -> Result<Bytes, AttemptFailure> {
    let env = topology.env();
    let mut guard = InFlightGuard::timed(node, env.now());
    let link = match node.ready() {
        Some(link) if !link.is_closed() => link,
        _ => {
            let patience = env.config().progress_timeout / DIAL_PART;
            let until = deadline.min(env.now().after(patience));
            let dial = env.while_open(node.connect(env, until));
            match topology.while_refreshing(dial).await {
                Some(link) => link.map_err(AttemptFailure::NoLink)?,
                None => {
                    return Err(AttemptFailure::NoLink(closed(node.endpoint())));
                }
            }
        }
    };
    let entry = Entry { len: item.encoded_len(), replies: 1, deadline };
    let write = |out: &mut Vec<u8>| item.write_to(out);
    let outcome = topology.while_refreshing(submit(env, &link, entry, &write)).await;
    let reply = outcome.map_err(AttemptFailure::NoLink)?.map_err(AttemptFailure::NoReply)?;
    let frame = sole_reply(reply)?;
    guard.succeed(|| env.now());
    Ok(frame)
}

/// Decides, and notes what was learnt of the node.
fn next_read(
    topology: &Arc<LiveTopology>,
    item: Item<'_>,
    options: CallOptions,
    tries: &mut Attempts,
    seen: &AttemptFailure,
    node: &Arc<Node>,
) -> After {
    let env = topology.env();
    let now = env.now();
    let policy = seen.policy(ErrorOrigin::of(item.command));
    let action = decide_read(policy, now >= options.deadline);
    if action == CallAction::FollowRedirect
        && let AttemptFailure::ErrorReply(error) = seen
    {
        return follow(topology, item.command, tries, error, node);
    }
    if policy.node.is_strike() {
        node.health().record_failure(now, &reason_of(seen));
    }
    if let Some(reason) = policy.refresh {
        topology.request_refresh(reason);
    }
    match action {
        CallAction::RetryNow => After::Again(Duration::ZERO),
        CallAction::RetryAfterPause => After::Again(env.backoff(tries.attempts)),
        CallAction::Fail | CallAction::FollowRedirect | CallAction::RetryIfRepeatable => {
            After::Fail(explain(seen, item.command, node.endpoint(), tries, options))
        }
    }
}

/// What `Client::explain` and errors say of a node that failed.
fn reason_of(seen: &AttemptFailure) -> String {
    match seen {
        AttemptFailure::ErrorReply(error) => error.code().to_owned(),
        AttemptFailure::NoReply(failed) => failed.failure.to_string(),
        AttemptFailure::NoLink(error) | AttemptFailure::Final(error) => error.to_string(),
    }
}

/// Learns from a redirect. The next node comes from the map as it is then, and from the policy: a
/// redirect names a primary.
fn follow(
    topology: &LiveTopology,
    command: &Command,
    tries: &mut Attempts,
    error: &ServerError,
    node: &Arc<Node>,
) -> After {
    let env = topology.env();
    tries.redirects += 1;
    count(&env.telemetry().redirects);
    let (met, max) = (tries.redirects, env.config().redirects_max);
    let redirect = match error.redirect() {
        Some(Ok(redirect)) if met <= max => redirect,
        Some(Err(wrong)) => return After::Fail(malformed(wrong, command, node)),
        _ => return After::Fail(too_many(max, command, error, node, tries.attempts)),
    };
    let later = env.backoff(met);
    let version = topology.routes().map.version();
    match resolve(topology, &redirect, node, met) {
        Redirected::Unusable => {
            topology.request_refresh(RefreshReason::Moved);
            return After::Again(later);
        }
        // The slot is on the move: soon it will be at one place.
        Redirected::Ask(_) => return After::Again(later),
        Redirected::Sender => node.redial(),
        Redirected::Moved { slot, endpoint, literally } => {
            drop(topology.handle_moved(slot, &endpoint, literally));
        }
    }
    if topology.routes().map.version() == version {
        // The map says the same: it is the node that is not what the map takes it for.
        node.health().record_failure(env.now(), "it does not serve reads of the slot");
    }
    After::Again(if met > 2 { later } else { Duration::ZERO })
}

/// The error of a read that no node can answer: names the slot, and of each node why not.
pub(crate) fn no_replica(
    routes: &Routes,
    shard: &Shard,
    context: &SelectionContext<'_>,
    item: Item<'_>,
    nobody: NoNode,
) -> Error {
    let slot = item.slot().unwrap_or_else(|| slot_of(item.command)).number();
    let (rows, nodes) = table(routes, shard, context);
    let each = rows.iter().zip(nodes).filter(|(row, _)| !row.is_primary).map(|(row, node)| {
        let why = row.skip.map_or("it may be well again".to_owned(), |skip| skip.to_string());
        let last = node.health().last_failure();
        match last.is_empty() {
            true => format!("{}: {why}", node.endpoint()),
            false => format!("{}: {why} ({last})", node.endpoint()),
        }
    });
    let each: Vec<String> = each.collect();
    let whose = match nobody {
        NoNode::NoReplica => "no node that the read policy allows can answer",
        NoNode::Capped => "no replica can answer, and the primary has its share of reads",
    };
    let nodes = match each.is_empty() {
        true => "no replica is known".to_owned(),
        false => each.join("; "),
    };
    let message = format!("{whose} for slot {slot}: {nodes}");
    Error::new(ErrorKind::Topology, Delivery::NotSent, message)
        .with_detail(ErrorDetail::NoReplica { slot })
}

/// Says how often the read was tried, and what came of it.
fn finish(error: Error, item: Item<'_>, tries: Attempts) -> Error {
    let error = error.with_command(&item.command.name()).with_attempts(tries.attempts);
    match tries.last {
        None => error,
        Some(last) => error.with_delivery(last.delivery()).with_cause(last),
    }
}
