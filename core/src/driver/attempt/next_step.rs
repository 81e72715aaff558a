//! What follows from a failed attempt: where the command goes next and after which pause, or what
//! its caller is told.
//!
//! `routing/error_policy.rs` and `routing/retry.rs` decide; this turns the decision into a next hop
//! and tells the topology what was learnt. Single commands and pipelines share it.
//!
//! **Invariants**: a call follows at most `redirects_max` redirects, with growing pauses from the
//! third on; a retry goes where the map says then; the delivery that a caller is told is never
//! weaker than that of an earlier attempt.
//! Tested by `next_step/tests.rs`.

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
use crate::resp::ServerError;
use crate::routing::error_policy::{CallAction, ErrorOrigin};
use crate::routing::retry::{AttemptFailure, RetryContext, decide};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// What a call allows: the same for all its attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOptions {
    /// When the call ends at the latest.
    pub(crate) deadline: Timestamp,
    /// The time-out that the deadline was made of, for the text of errors.
    pub(crate) timeout: Duration,
    /// The caller accepts that a command may run twice.
    pub(crate) retry_unknown: bool,
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
    command: &Command,
    options: CallOptions,
    attempts: &mut Attempts,
    failure: &AttemptFailure,
    node: &Arc<Node>,
) -> NextStep {
    let env = topology.env();
    let policy = failure.policy(ErrorOrigin::of(command));
    let context = RetryContext {
        readonly: command.is_readonly(),
        retry_unknown: options.retry_unknown,
        is_spent: attempts.attempts >= env.config().attempts_max || env.now() >= options.deadline,
    };
    let action = decide(policy, context);
    if action == CallAction::FollowRedirect
        && let AttemptFailure::ErrorReply(error) = failure
    {
        return follow(topology, command, attempts, error, node);
    }
    match policy.refresh {
        Some(_) if failure.is_lost_link() && !node.is_failing() => {
            topology.request_refresh_for_lost_link();
        }
        Some(reason) => topology.request_refresh_about(node, reason),
        None => {}
    }
    match action {
        CallAction::Fail | CallAction::FollowRedirect => NextStep::Fail,
        CallAction::RetryNow | CallAction::RetryIfRepeatable | CallAction::RetryAfterPause => {
            count(&env.telemetry().retries);
            attempts.last = Some(explain(failure, command, node.endpoint(), attempts, options));
            // Where a refresh may name another node, the pause gives it time. Elsewhere the node's
            // links pace their own dials; those of blocking commands do not.
            let paced = !topology.is_dynamic() && !command.is_blocking();
            let pause = match action {
                CallAction::RetryNow if paced => Duration::ZERO,
                _ => env.backoff(attempts.attempts),
            };
            NextStep::Again { target: NextHop::Map, pause }
        }
    }
}

fn follow(
    topology: &LiveTopology,
    command: &Command,
    attempts: &mut Attempts,
    error: &ServerError,
    node: &Arc<Node>,
) -> NextStep {
    let env = topology.env();
    attempts.redirects += 1;
    count(&env.telemetry().redirects);
    let (met, max) = (attempts.redirects, env.config().redirects_max);
    let redirect = match error.redirect() {
        Some(Ok(_)) if met > max => {
            let error = too_many(max, command, error, node, attempts.attempts);
            return NextStep::FailWith(error);
        }
        Some(Ok(redirect)) => redirect,
        Some(Err(wrong)) => return NextStep::FailWith(malformed(wrong, command, node)),
        None => return NextStep::Fail,
    };
    // Two nodes that point at each other are in the middle of a failover: give them time.
    let pause = if met > 2 { env.redirect_pause(met - 2) } else { Duration::ZERO };
    let target = match resolve(topology, &redirect, node, met) {
        Redirected::Unusable => {
            topology.request_refresh(RefreshReason::Moved);
            return NextStep::Again { target: NextHop::Map, pause: env.backoff(met) };
        }
        Redirected::Ask(endpoint) => NextHop::Ask(topology.node_at(&endpoint)),
        Redirected::Sender => {
            node.redial();
            NextHop::Node(Arc::clone(node))
        }
        Redirected::Moved { slot, endpoint, literally } => {
            NextHop::Node(topology.handle_moved(slot, &endpoint, literally))
        }
    };
    NextStep::Again { target, pause }
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
    let delivery = failure.delivery(ErrorOrigin::of(command));
    let mut error = match failure {
        AttemptFailure::NoLink(error) | AttemptFailure::Final(error) => error.clone(),
        AttemptFailure::ErrorReply(server) => Error::server(delivery, server.clone()),
        AttemptFailure::NoReply(failed) => match &failed.failure {
            Failure::TimedOut => {
                let message = format!("no reply within {:?}", options.timeout);
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
        if last.delivery() == Delivery::Unknown && !error.delivery().may_have_run() {
            error = error.with_delivery(Delivery::Unknown);
        }
        // That the time ran out does not say why the attempt before it failed.
        if error.kind() == ErrorKind::Timeout && error.source().is_none() {
            error = error.with_cause(last.clone());
        }
    }
    error.with_command(&command.name()).with_endpoint(endpoint).with_attempts(attempts.attempts)
}
