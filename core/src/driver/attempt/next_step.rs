//! What follows from how an attempt ended: where the command goes next, what it waits for, or what
//! its caller is told.
//!
//! The verdict is `routing/retry.rs`'s; this turns it into a target and tells the topology what was
//! learnt. One place for single commands and for batches, so that both follow redirects alike.
//!
//! Invariants: a redirect is followed at most `redirects_max` times, with growing pauses from the
//! third on; an ASK changes no map; a MOVED that names its sender means that the node behind the
//! address is another: it is dialled anew. Called by `driver/dispatch.rs` and `driver/batch.rs`.

use crate::Endpoint;
use crate::command::Command;
use crate::connection::outcome::{Failure, Lost};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::telemetry::count;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Redirect, ServerError};
use crate::routing::retry::{AttemptFailure, CallAction, RetryContext, delivery_of, judge};
use crate::time::Timestamp;
use crate::topology::parse::announced_address::AddressRule;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

/// What a caller asked for besides the command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOptions {
    /// The call's deadline.
    pub(crate) deadline: Timestamp,
    /// How long that was when the call began: for the error's text.
    pub(crate) timeout: Duration,
    /// The caller accepts that a command may run twice.
    pub(crate) retry_unknown: bool,
}

/// Where the next attempt goes.
#[derive(Clone, Debug)]
pub(crate) enum NextHop {
    /// Where the map says.
    Map,
    /// To this node, which a redirect named.
    Node(Arc<Node>),
    /// To this node, behind an ASKING.
    Ask(Arc<Node>),
}

/// How often a command was tried, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    /// Attempts, redirects not counted.
    pub(crate) attempts: u32,
    /// Redirects that were followed.
    pub(crate) redirects: u32,
    /// What the last attempt that another one followed had failed with.
    pub(crate) last: Option<Error>,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// Tell the caller what was seen.
    Fail,
    /// Tell the caller this.
    FailWith(Error),
    /// Try again.
    Again {
        /// Where.
        target: NextHop,
        /// After this pause, or when the map changed.
        pause: Duration,
    },
}

/// Decides, and tells the topology what was learnt.
pub(crate) fn next_step(
    topology: &LiveTopology,
    command: &Command,
    terms: CallOptions,
    tries: &mut Attempts,
    seen: &AttemptFailure,
    node: &Arc<Node>,
) -> NextStep {
    let env = topology.env();
    if let AttemptFailure::ErrorReply(error) = seen
        && let Some(redirect) = error.redirect()
    {
        tries.redirects += 1;
        count(&env.telemetry().redirects);
        return match redirect {
            Ok(_) if tries.redirects > env.config().redirects_max => {
                NextStep::FailWith(too_many_redirects(topology, command, error, node, tries))
            }
            Ok(redirect) => follow(topology, redirect, tries.redirects, node),
            Err(malformed) => {
                let kind = ErrorKind::Protocol;
                let error = Error::new(kind, Delivery::Refused, malformed.to_string());
                NextStep::FailWith(
                    error.with_command(&command.name()).with_endpoint(node.endpoint()),
                )
            }
        };
    }
    if let Some(reason) = reason_to_look(seen) {
        topology.request_refresh_about(node, reason);
    }
    let facts =
        RetryContext { readonly: command.is_readonly(), retry_unknown: terms.retry_unknown };
    let verdict = judge(seen, facts);
    let spent = tries.attempts >= env.config().attempts_max || env.now() >= terms.deadline;
    match verdict {
        CallAction::Fail => NextStep::Fail,
        _ if spent => NextStep::Fail,
        CallAction::RetryNow | CallAction::RetryAfterPause => {
            count(&env.telemetry().retries);
            tries.last = Some(explain(seen, command, node.endpoint(), tries, terms));
            // Where a look may name another node, the pause is for the look; elsewhere the lane
            // itself paces the dials, but not those of blocking commands.
            let paced = !topology.is_dynamic() && !command.is_blocking();
            let pause = match verdict {
                CallAction::RetryNow if paced => Duration::ZERO,
                _ => env.backoff(tries.attempts),
            };
            NextStep::Again { target: NextHop::Map, pause }
        }
    }
}

fn follow(
    topology: &LiveTopology,
    redirect: Redirect,
    redirects: u32,
    node: &Arc<Node>,
) -> NextStep {
    let env = topology.env();
    // Two nodes that point at each other are settling a failover: give them time, and look
    // elsewhere.
    let pause = if redirects > 2 { env.redirect_pause(redirects - 2) } else { Duration::ZERO };
    let (ask, slot, target) = match &redirect {
        Redirect::Ask { slot, host, port } => (true, *slot, (host, *port)),
        Redirect::Moved { slot, host, port } => (false, *slot, (host, *port)),
    };
    let config = env.config();
    let rule =
        AddressRule { asked: node.endpoint(), tls: config.tls, address_map: &config.address_map };
    let Some(endpoint) = rule.redirect(target.0, target.1) else {
        topology.request_refresh(RefreshReason::Moved);
        return NextStep::Again { target: NextHop::Map, pause: env.backoff(redirects) };
    };
    if ask {
        return NextStep::Again { target: NextHop::Ask(topology.node_at(&endpoint)), pause };
    }
    // The second time that a name leads back to its sender, it is taken for another node's.
    let literally = redirects > 1;
    let by_alias =
        || topology.known_node_at(&endpoint).is_some_and(|known| Arc::ptr_eq(&known, node));
    if endpoint == *node.endpoint() || (!literally && by_alias()) {
        node.redial();
        return NextStep::Again { target: NextHop::Node(Arc::clone(node)), pause };
    }
    let slot = Slot::new(slot).expect("the parser of redirects checks the slot");
    let target = NextHop::Node(topology.handle_moved(slot, &endpoint, literally));
    NextStep::Again { target, pause }
}

/// What a failed attempt says about the topology.
pub(in crate::driver) fn reason_to_look(seen: &AttemptFailure) -> Option<RefreshReason> {
    match seen {
        AttemptFailure::ErrorReply(error) => match error.code() {
            "READONLY" => Some(RefreshReason::ReadOnly),
            "CLUSTERDOWN" => Some(RefreshReason::ClusterDown),
            "MASTERDOWN" => Some(RefreshReason::NodeLost),
            _ => None,
        },
        AttemptFailure::NoReply(failed) => match &failed.failure {
            Failure::TimedOut => Some(RefreshReason::NodeSilent),
            Failure::Lost(lost) if matches!(**lost, Lost::ByUs | Lost::Retired) => None,
            Failure::Lost(_) => Some(RefreshReason::NodeLost),
        },
        AttemptFailure::NoLink(_) => Some(RefreshReason::NodeLost),
        AttemptFailure::Final(_) => None,
    }
}

pub(in crate::driver) fn too_many_redirects(
    topology: &LiveTopology,
    command: &Command,
    last: &ServerError,
    node: &Node,
    tries: &Attempts,
) -> Error {
    let max = topology.env().config().redirects_max;
    let limit = ErrorDetail::Limit { name: "redirects_max", max: u64::from(max) };
    let message = format!("redirect limit reached: {max}");
    Error::new(ErrorKind::Topology, Delivery::Refused, message)
        .with_detail(limit)
        .with_server_error(last.clone())
        .with_command(&command.name())
        .with_endpoint(node.endpoint())
        .with_attempts(tries.attempts)
}

/// What the end of the attempts means to the caller: how the last one ended, and whether any of
/// them may have run the command.
pub(crate) fn explain(
    seen: &AttemptFailure,
    command: &Command,
    endpoint: &Endpoint,
    tries: &Attempts,
    terms: CallOptions,
) -> Error {
    let mut error = match seen {
        AttemptFailure::NoLink(error) | AttemptFailure::Final(error) => error.clone(),
        AttemptFailure::ErrorReply(server) => Error::server(delivery_of(server), server.clone()),
        AttemptFailure::NoReply(failed) => {
            let sent = if failed.never_sent() { Delivery::NotSent } else { Delivery::Unknown };
            match &failed.failure {
                Failure::TimedOut => {
                    let message = format!("no reply within {:?}", terms.timeout);
                    Error::new(ErrorKind::Timeout, sent, message)
                }
                Failure::Lost(lost) => {
                    let kind = match **lost {
                        Lost::ByUs => ErrorKind::Closed,
                        Lost::Protocol(_) => ErrorKind::Protocol,
                        _ => ErrorKind::Connect,
                    };
                    let cause: Arc<Lost> = Arc::clone(lost);
                    Error::new(kind, sent, lost.to_string()).with_shared_cause(cause)
                }
            }
        }
    };
    if let Some(last) = &tries.last {
        if last.delivery() == Delivery::Unknown && !error.delivery().may_have_run() {
            error = error.with_delivery(Delivery::Unknown);
        }
        // A time that ran out says nothing about why the time before it was not enough.
        if error.kind() == ErrorKind::Timeout && error.source().is_none() {
            error = error.with_cause(last.clone());
        }
    }
    error.with_command(&command.name()).with_endpoint(endpoint).with_attempts(tries.attempts)
}
