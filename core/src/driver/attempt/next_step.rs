//! What follows from a failed attempt: where the command goes next and after which pause, or what
//! its caller is told.
//!
//! `routing/error_policy.rs` and `routing/retry.rs` decide; this turns the decision into a next hop
//! and tells the topology what was learnt. Single commands and pipelines share it.
//!
//! **Invariants**: redirects are followed in clusters only, and for the slot of the command's own
//! key; a call follows at most `redirects_max` of them, with growing pauses from the third on; a
//! retry goes where the map says then; no attempt begins that has no time for its answer; the
//! delivery that a caller is told is never weaker than that of an earlier attempt.
//! Tested by `next_step/tests.rs`.

use super::item::{Item, SlotRelation};
use super::redirect::{Redirected, malformed, resolve, too_many};
use crate::Endpoint;
use crate::command::Command;
use crate::connection::outcome::{Failure, Lost};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::telemetry::count;
use crate::driver::node::node::Node;
use crate::driver::node::reconnecting_link::past_deadline;
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::{Redirect, ServerError};
use crate::routing::error_policy::{CallAction, ErrorOrigin, NodeFinding};
use crate::routing::retry::{AttemptFailure, RetryContext, decide};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Of a redirect that a client gets that knows of no cluster.
const NO_CLUSTER: &str = " of a cluster's node, which is configured as something else: configure \
                          the deployment as a cluster";

/// Of a redirect that could not be followed, however often the topology was read again.
const UNNAMED: &str = "; neither the configuration nor the servers' view of the topology names the \
                       address of the last one";

/// Of a text with which a server refuses a script, and which a script may answer with.
const AMBIGUOUS: &str = "; a script that ran may answer with this text as well, so it is sent \
                         again only in a transaction, or where it may run twice (EVAL_RO, \
                         FCALL_RO, retry_unknown)";

/// What a call allows: the same for all its attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOptions {
    /// When the call ends at the latest.
    pub(crate) deadline: Timestamp,
    /// The timeout that the deadline was made of. A blocking command has it anew whenever it has
    /// to be sent again.
    pub(crate) timeout: Duration,
    /// What a blocking command waits at the server, which is on top.
    pub(crate) own_wait: Duration,
    /// The caller accepts that a command may run twice.
    pub(crate) retry_unknown: bool,
}

impl CallOptions {
    /// How long an attempt may still be put off at `now`: until there is no time left for its
    /// answer. `took`: how long the attempt before it took to be refused, which the next one may
    /// take twice; zero if there was no answer. That is at most an eighth of the time-out, since a
    /// server that was slow once need not be again.
    pub(crate) fn spare(&self, now: Timestamp, took: Duration) -> Duration {
        let answer = took.saturating_mul(2).min(self.timeout / 8);
        self.deadline.since(now).saturating_sub(answer)
    }

    /// How long ago the call began.
    pub(crate) fn elapsed(&self, now: Timestamp) -> Duration {
        self.timeout.saturating_sub(self.deadline.since(now))
    }
}

/// Where the next attempt goes.
#[derive(Clone, Debug)]
pub(crate) enum NextHop {
    /// To the node that the map names when the attempt begins.
    Map,
    /// To this node, which a MOVED named.
    Node(Arc<Node>),
    /// To this node, behind an ASKING, since an ASK named it.
    Ask(Arc<Node>),
}

/// What a call has behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    /// Attempts that were begun. One that follows a redirect is part of the attempt before.
    pub(crate) attempts: u32,
    /// Redirects that were met.
    pub(crate) redirects: u32,
    /// What the attempt before the current one failed with.
    pub(crate) last: Option<Error>,
    /// When a server refused the command for the first time, to be asked again later.
    pub(crate) refused_since: Option<Timestamp>,
}

/// What to do after a failed attempt.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// The call fails, with what `explain` makes of the attempt.
    Fail,
    /// The call fails with this error.
    FailWith(Error),
    /// Another attempt.
    Again {
        /// Where it goes.
        target: NextHop,
        /// How long to wait before it. A wait for the map ends when the map changes.
        pause: Duration,
    },
}

/// Decides what follows from the failure at `node`, and tells the topology what was learnt.
pub(crate) fn next_step(
    topology: &LiveTopology,
    item: Item<'_>,
    options: CallOptions,
    attempts: &mut Attempts,
    failure: &AttemptFailure,
    node: &Arc<Node>,
) -> NextStep {
    let (env, command) = (topology.env(), item.command);
    let origin = ErrorOrigin::of(command);
    if let Some(error) = failure.redirect(origin) {
        return follow(topology, item, attempts, error, node);
    }
    let policy = failure.policy(origin);
    let context = RetryContext {
        readonly: command.is_readonly(),
        retry_unknown: options.retry_unknown,
        is_spent: attempts.attempts >= env.config().attempts_max || env.now() >= options.deadline,
    };
    let action = decide(policy, context);
    match policy.refresh {
        Some(_) if failure.is_lost_link() && !node.is_failing() => {
            topology.request_refresh_for_lost_link();
        }
        Some(reason) => topology.request_refresh_about(node, reason),
        None => {}
    }
    if policy.node == NodeFinding::NotPrimary && !topology.is_dynamic() {
        node.redial_demoted(env);
    }
    // Where a refresh may name another node, the pause gives it time. Elsewhere the node's links
    // pace their own dials; those of blocking commands do not.
    let paced = !topology.is_dynamic() && !command.is_blocking();
    let pause = match action {
        CallAction::RetryNow if paced => Duration::ZERO,
        CallAction::RetryNow => env.backoff(attempts.attempts),
        CallAction::RetryAfterPause => {
            let pause = env.backoff(attempts.attempts);
            if attempts.is_waited_out(env, pause) {
                return NextStep::Fail;
            }
            pause
        }
        _ => return NextStep::Fail,
    };
    count(&env.telemetry().retries);
    attempts.last = Some(explain(failure, command, node.endpoint(), attempts, options));
    NextStep::Again { target: NextHop::Map, pause }
}

impl Attempts {
    /// Notes that a server has refused the command, which is to be sent again after `pause`.
    /// Returns whether that is later than the configuration allows.
    pub(crate) fn is_waited_out(&mut self, env: &Environment, pause: Duration) -> bool {
        self.refused_since.get_or_insert(env.now());
        self.has_waited_too_long(env, pause)
    }

    /// Whether servers have refused the command for longer than the configuration allows, once
    /// another `pause` has passed.
    pub(crate) fn has_waited_too_long(&self, env: &Environment, pause: Duration) -> bool {
        let (max, since) = (env.config().refusal_wait_max, self.refused_since);
        let waited = |(max, since)| env.now().after(pause).since(since) > max;
        max.zip(since).is_some_and(waited)
    }
}

fn follow(
    topology: &LiveTopology,
    item: Item<'_>,
    attempts: &mut Attempts,
    error: &ServerError,
    node: &Arc<Node>,
) -> NextStep {
    let (env, command) = (topology.env(), item.command);
    if !env.has_slots() {
        return NextStep::Fail;
    }
    attempts.redirects += 1;
    count(&env.telemetry().redirects);
    let (met, max) = (attempts.redirects, env.config().redirects_max);
    let redirect = match error.redirect() {
        Some(Ok(redirect)) if met > max => {
            let error = too_many(max, command, error, node, attempts.attempts);
            let is_unusable = resolve(topology, &redirect, node, met) == Redirected::Unusable;
            let hint = if is_unusable { UNNAMED } else { "" };
            return NextStep::FailWith(error.with_hint(hint));
        }
        Some(Ok(redirect)) => redirect,
        Some(Err(wrong)) => return NextStep::FailWith(malformed(wrong, command, node)),
        None => return NextStep::Fail,
    };
    let after_refresh = || {
        topology.request_refresh_from(node, RefreshReason::UnknownNode);
        NextStep::Again { target: NextHop::Map, pause: env.backoff(met) }
    };
    let relation = relation_of(item, &redirect);
    let resolved = resolve(topology, &redirect, node, met);
    // Two nodes that point at each other are in the middle of a failover: give them time.
    let pause = if met > 2 { env.redirect_pause(met - 2) } else { Duration::ZERO };
    let target = match (relation, resolved) {
        // A refresh that began because of something else may know more.
        (SlotRelation::NoSlot, _) => {
            topology.request_refresh(RefreshReason::Moved);
            return NextStep::Fail;
        }
        (_, Redirected::Unusable) => return after_refresh(),
        (SlotRelation::Own, Redirected::Ask(endpoint)) => NextHop::Ask(topology.node_at(&endpoint)),
        (SlotRelation::Own, Redirected::Sender) => {
            node.redial();
            NextHop::Node(Arc::clone(node))
        }
        (SlotRelation::Own, Redirected::Moved { slot, endpoint, literally }) => {
            NextHop::Node(topology.handle_moved(slot, &endpoint, literally))
        }
        // The server finds the key elsewhere in the command than this client: the newest map comes
        // first, and only if that does not help, the server is believed about this command.
        (SlotRelation::Other, Redirected::Moved { endpoint, .. }) if met > 1 => {
            NextHop::Node(topology.node_at(&endpoint))
        }
        (SlotRelation::Other, _) => return after_refresh(),
    };
    NextStep::Again { target, pause }
}

/// How the slot that a redirect names relates to the item.
pub(crate) fn relation_of(item: Item<'_>, redirect: &Redirect) -> SlotRelation {
    let (Redirect::Ask { slot, .. } | Redirect::Moved { slot, .. }) = redirect;
    Slot::new(*slot).map_or(SlotRelation::Other, |slot| item.relation_to(slot))
}

/// Why the topology is to be read again after this failure, if it is. A redirect names the node
/// itself.
pub(in crate::driver) fn refresh_reason(
    failure: &AttemptFailure,
    command: &Command,
) -> Option<RefreshReason> {
    let policy = failure.policy(ErrorOrigin::of(command));
    policy.refresh.filter(|_| policy.call != CallAction::FollowRedirect)
}

/// [`explain`], for a call that could go on and has no time left for that. A redirect is no answer
/// to a caller that would follow it: it is the cause.
pub(crate) fn explain_late(
    env: &Environment,
    seen: &AttemptFailure,
    command: &Command,
    endpoint: &Endpoint,
    tries: &Attempts,
    options: CallOptions,
) -> Error {
    let error = explain_end(env, seen, command, endpoint, tries, options);
    if seen.redirect(ErrorOrigin::of(command)).is_none() {
        return error;
    }
    let message = format!("no time was left of {:?} to follow a redirect", options.timeout);
    Error::new(ErrorKind::Timeout, error.delivery(), message)
        .with_command(&command.name())
        .with_endpoint(endpoint)
        .with_attempts(tries.attempts)
        .with_cause(error)
}

/// [`explain`], for a call that ends now. A dial that failed is made again until the deadline; once
/// that has passed, the error is the same wherever the call waited.
pub(crate) fn explain_end(
    env: &Environment,
    seen: &AttemptFailure,
    command: &Command,
    endpoint: &Endpoint,
    tries: &Attempts,
    terms: CallOptions,
) -> Error {
    match seen {
        AttemptFailure::NoLink(error) if env.now() >= terms.deadline => {
            let late = past_deadline(endpoint, Some(error.clone()));
            explain(&AttemptFailure::NoLink(late), command, endpoint, tries, terms)
        }
        seen if !env.has_slots() && seen.redirect(ErrorOrigin::of(command)).is_some() => {
            explain(seen, command, endpoint, tries, terms).with_hint(NO_CLUSTER)
        }
        seen => explain(seen, command, endpoint, tries, terms),
    }
}

/// What the caller is told: how the last attempt ended, and whether any attempt may have run the
/// command.
pub(crate) fn explain(
    failure: &AttemptFailure,
    command: &Command,
    endpoint: &Endpoint,
    attempts: &Attempts,
    options: CallOptions,
) -> Error {
    let policy = failure.policy(ErrorOrigin::of(command));
    let delivery = policy.delivery;
    let mut error = match failure {
        AttemptFailure::NoLink(error) | AttemptFailure::Final(error) => error.clone(),
        AttemptFailure::ErrorReply(server)
            if policy.call == CallAction::RetryAfterPauseIfRepeatable =>
        {
            Error::server(delivery, server.clone()).with_hint(AMBIGUOUS)
        }
        AttemptFailure::ErrorReply(server) | AttemptFailure::Refusal(server) => {
            Error::server(delivery, server.clone())
        }
        AttemptFailure::NoReply(failed) => match &failed.failure {
            Failure::TimedOut => {
                let message = format!(
                    "no reply within {:?}",
                    options.timeout.saturating_add(options.own_wait)
                );
                Error::new(ErrorKind::Timeout, delivery, message)
            }
            Failure::Lost(lost) => {
                let kind = match **lost {
                    Lost::ByUs => ErrorKind::Closed,
                    Lost::Protocol(_) => ErrorKind::Protocol,
                    _ => ErrorKind::Connect,
                };
                let cause: Arc<Lost> = Arc::clone(lost);
                Error::new(kind, delivery, lost.to_string()).with_shared_cause(cause)
            }
        },
    };
    if let Some(last) = &attempts.last {
        if last.delivery().may_have_run() && !error.delivery().may_have_run() {
            error = error.with_delivery(Delivery::Unknown);
        }
        // That the time ran out does not say why the attempt before it failed.
        if error.kind() == ErrorKind::Timeout && error.source().is_none() {
            error = error.with_cause(last.clone());
        }
    }
    error.with_command(&command.name()).with_endpoint(endpoint).with_attempts(attempts.attempts)
}
