//! What follows from how an attempt ended: where the command goes next, what it waits for, or what
//! its caller is told.
//!
//! The verdict is `routing/retry.rs`'s; this turns it into a target and tells the topology what was
//! learnt. One place for single commands and for batches, so that both follow redirects alike.
//!
//! Invariants: a redirect is followed at most `redirects_max` times, with growing pauses from the
//! third on; an ASK changes no map; a MOVED that names its sender means that the node behind the
//! address is another: it is dialled anew. Called by `driver/dispatch.rs` and `driver/batch.rs`.

use super::node::Node;
use super::observe::count;
use super::topology::Keeper;
use crate::Endpoint;
use crate::command::Command;
use crate::connection::outcome::{Failure, Lost};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Redirect, ServerError};
use crate::routing::retry::{Facts, Seen, Verdict, delivery_of, judge};
use crate::time::Timestamp;
use crate::topology::endpoint_rule::EndpointRule;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

/// What a caller asked for besides the command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The call's deadline.
    pub(crate) deadline: Timestamp,
    /// How long that was when the call began: for the error's text.
    pub(crate) timeout: Duration,
    /// The caller accepts that a command may run twice.
    pub(crate) retry_unknown: bool,
}

/// Where the next attempt goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Where the map says.
    Map,
    /// To this node, which a redirect named.
    Node(Arc<Node>),
    /// To this node, behind an ASKING.
    Ask(Arc<Node>),
}

/// How often a command was tried, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tries {
    /// Attempts, redirects not counted.
    pub(crate) attempts: u32,
    /// Redirects that were followed.
    pub(crate) redirects: u32,
    /// What the last attempt that another one followed had failed with.
    pub(crate) last: Option<Error>,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// Tell the caller what was seen.
    Fail,
    /// Tell the caller this.
    FailWith(Error),
    /// Try again.
    Again {
        /// Where.
        target: Target,
        /// After this pause, or when the map changed.
        pause: Duration,
    },
}

/// Decides, and tells the topology what was learnt.
pub(crate) fn react(
    keeper: &Keeper,
    command: &Command,
    terms: Terms,
    tries: &mut Tries,
    seen: &Seen,
    node: &Arc<Node>,
) -> Reaction {
    let host = keeper.host();
    if let Seen::Refused(error) = seen
        && let Some(redirect) = error.redirect()
    {
        tries.redirects += 1;
        count(&host.observer().redirects);
        return match redirect {
            Ok(_) if tries.redirects > host.config().redirects_max => {
                Reaction::FailWith(too_many_redirects(keeper, command, error, node, tries))
            }
            Ok(redirect) => follow(keeper, redirect, tries.redirects, node),
            Err(malformed) => {
                let kind = ErrorKind::Protocol;
                let error = Error::new(kind, Delivery::Refused, malformed.to_string());
                Reaction::FailWith(
                    error.with_command(&command.name()).with_endpoint(node.endpoint()),
                )
            }
        };
    }
    if let Some(reason) = reason_to_look(seen) {
        keeper.want_about(node, reason);
    }
    let facts = Facts { readonly: command.is_readonly(), retry_unknown: terms.retry_unknown };
    let verdict = judge(seen, facts);
    let spent = tries.attempts >= host.config().attempts_max || host.now() >= terms.deadline;
    match verdict {
        Verdict::Fail => Reaction::Fail,
        _ if spent => Reaction::Fail,
        Verdict::Again | Verdict::AgainLater => {
            count(&host.observer().retries);
            tries.last = Some(explain(seen, command, node.endpoint(), tries, terms));
            // Where a look may name another node, the pause is for the look; elsewhere the lane
            // itself paces the dials, but not those of blocking commands.
            let paced = !keeper.is_dynamic() && !command.is_blocking();
            let pause = match verdict {
                Verdict::Again if paced => Duration::ZERO,
                _ => host.backoff(tries.attempts),
            };
            Reaction::Again { target: Target::Map, pause }
        }
    }
}

fn follow(keeper: &Keeper, redirect: Redirect, redirects: u32, node: &Arc<Node>) -> Reaction {
    let host = keeper.host();
    // Two nodes that point at each other are settling a failover: give them time, and look
    // elsewhere.
    let pause = if redirects > 2 { host.settling(redirects - 2) } else { Duration::ZERO };
    let (ask, slot, target) = match &redirect {
        Redirect::Ask { slot, host, port } => (true, *slot, (host, *port)),
        Redirect::Moved { slot, host, port } => (false, *slot, (host, *port)),
    };
    let config = host.config();
    let rule =
        EndpointRule { asked: node.endpoint(), tls: config.tls, address_map: &config.address_map };
    let Some(endpoint) = rule.redirect(target.0, target.1) else {
        keeper.want(RefreshReason::Moved);
        return Reaction::Again { target: Target::Map, pause: host.backoff(redirects) };
    };
    if ask {
        return Reaction::Again { target: Target::Ask(keeper.node_at(&endpoint)), pause };
    }
    // The second time that a name leads back to its sender, it is taken for another node's.
    let literally = redirects > 1;
    let by_alias = || keeper.known_at(&endpoint).is_some_and(|known| Arc::ptr_eq(&known, node));
    if endpoint == *node.endpoint() || (!literally && by_alias()) {
        node.redial();
        return Reaction::Again { target: Target::Node(Arc::clone(node)), pause };
    }
    let slot = Slot::new(slot).expect("the parser of redirects checks the slot");
    let target = Target::Node(keeper.handle_moved(slot, &endpoint, literally));
    Reaction::Again { target, pause }
}

/// What a failed attempt says about the topology.
pub(super) fn reason_to_look(seen: &Seen) -> Option<RefreshReason> {
    match seen {
        Seen::Refused(error) => match error.code() {
            "READONLY" => Some(RefreshReason::ReadOnly),
            "CLUSTERDOWN" => Some(RefreshReason::ClusterDown),
            "MASTERDOWN" => Some(RefreshReason::NodeLost),
            _ => None,
        },
        Seen::Failed(failed) => match &failed.failure {
            Failure::TimedOut => Some(RefreshReason::NodeSilent),
            Failure::Lost(lost) if matches!(**lost, Lost::ByUs | Lost::Retired) => None,
            Failure::Lost(_) => Some(RefreshReason::NodeLost),
        },
        Seen::NoLink(_) => Some(RefreshReason::NodeLost),
        Seen::Ended(_) => None,
    }
}

pub(super) fn too_many_redirects(
    keeper: &Keeper,
    command: &Command,
    last: &ServerError,
    node: &Node,
    tries: &Tries,
) -> Error {
    let max = keeper.host().config().redirects_max;
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
    seen: &Seen,
    command: &Command,
    endpoint: &Endpoint,
    tries: &Tries,
    terms: Terms,
) -> Error {
    let mut error = match seen {
        Seen::NoLink(error) | Seen::Ended(error) => error.clone(),
        Seen::Refused(server) => Error::server(delivery_of(server), server.clone()),
        Seen::Failed(failed) => {
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
