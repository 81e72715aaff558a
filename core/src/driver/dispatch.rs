//! The way of a command that does not go straight: no link yet, a lost one, a refusal, a blocking
//! command.
//!
//! One loop for every deployment: find the node, get a link, exchange, judge (`routing/retry.rs`),
//! and again, under the caller's one deadline. The straight way is `client/call.rs`, which comes
//! here with what it saw.
//!
//! Invariants: a retry waits for something (a link, a pause), it never spins; `attempts_max` bounds
//! it besides. Called by `client/call.rs` and `client/pipeline.rs`.

use super::exchange::Exchange;
use super::host::Host;
use super::link::Link;
use super::node::Node;
use crate::command::Command;
use crate::config::WhenFull;
use crate::connection::outcome::{Failure, Outcome};
use crate::connection::queue::{Entry, Rejected};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{FrameKind, ServerError, frame_kind};
use crate::routing::retry::{Facts, Seen, Verdict, delivery_of, judge};
use crate::time::Timestamp;
use crate::topology::slot_map::SlotMap;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A slot map and the nodes that it speaks of: what a command is routed by. Never changes; a change
/// publishes another.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Slots to shards; shards name nodes by their index here.
    pub(crate) map: SlotMap,
    /// The nodes.
    pub(crate) nodes: Vec<Arc<Node>>,
}

impl Routes {
    /// The node that a command goes to.
    pub(crate) fn node_for(&self, command: &Command) -> Option<&Arc<Node>> {
        let shard = match command.first_key() {
            Some(key) => self.map.shard_of(key),
            None => self.map.shards().first(),
        };
        shard.and_then(|shard| self.nodes.get(shard.primary))
    }
}

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

/// Runs a command until it has a reply that is no error, or there is nothing left to try.
pub(crate) async fn dispatch(
    host: Arc<Host>,
    routes: Arc<arc_swap::ArcSwap<Routes>>,
    command: Command,
    terms: Terms,
    mut seen: Option<(Seen, Arc<Node>)>,
) -> Result<Bytes, Error> {
    let facts = Facts { readonly: command.is_readonly(), retry_unknown: terms.retry_unknown };
    let mut attempts = u32::from(seen.is_some());
    loop {
        if let Some((seen, node)) = seen.take() {
            let fail = |seen| Err(explain(seen, &command, node.endpoint(), attempts, terms));
            let pause = match judge(&seen, facts) {
                Verdict::Fail => return fail(seen),
                _ if attempts >= host.config().attempts_max => return fail(seen),
                Verdict::Again => Duration::ZERO,
                Verdict::AgainLater => host.backoff(attempts),
            };
            let resume = host.now().after(pause);
            host.sleep_until(resume.min(terms.deadline)).await;
            if host.now() >= terms.deadline {
                return fail(seen);
            }
        }
        attempts += 1;
        let node = match routes.load().node_for(&command) {
            Some(node) => Arc::clone(node),
            None => return Err(nowhere(&command)),
        };
        seen = match attempt(&host, &node, &command, terms.deadline).await {
            Ok(frame) => return Ok(frame),
            Err(what) => Some((what, node)),
        };
    }
}

/// One try: a link, an exchange, a look at the reply.
async fn attempt(
    host: &Arc<Host>,
    node: &Arc<Node>,
    command: &Command,
    deadline: Timestamp,
) -> Result<Bytes, Seen> {
    let entry = Entry { len: command.encoded_len(), replies: 1, deadline };
    let write = |out: &mut Vec<u8>| command.write_to(out);
    let outcome = if command.is_blocking() {
        let own = match host.by(deadline, node.own_link(host)).await {
            Some(own) => own.map_err(Seen::NoLink)?,
            None => return Err(Seen::NoLink(no_connection(node.endpoint()))),
        };
        let outcome = exchange(host, own.link(), entry, write).await;
        if matches!(outcome, Ok(Ok(_))) {
            own.give_back();
        }
        outcome
    } else {
        let link = node.connect(host, deadline).await.map_err(Seen::NoLink)?;
        exchange(host, &link, entry, write).await
    };
    match outcome.map_err(Seen::NoLink)? {
        Err(failed) => Err(Seen::Failed(failed)),
        Ok(reply) => {
            let frame = reply.into_last().expect("an entry that ended well has a reply");
            match error_in(&frame) {
                None => Ok(frame),
                Some(error) => Err(Seen::Refused(error)),
            }
        }
    }
}

/// Enqueues an entry, waiting for the budget if that is what the configuration says, and waits for
/// its outcome.
///
/// # Errors
/// When the entry was never enqueued.
pub(crate) async fn exchange(
    host: &Host,
    link: &Arc<Link>,
    entry: Entry,
    write: impl Fn(&mut Vec<u8>),
) -> Result<Outcome, Error> {
    let mut begun: Option<Exchange> = None;
    poll_fn(|cx| {
        if let Some(exchange) = &mut begun {
            return exchange.poll(cx).map(Ok);
        }
        match Exchange::begin(Arc::clone(link), entry, &write, cx) {
            Ok(exchange) => begun.insert(exchange).poll(cx).map(Ok),
            Err(rejected) => match turned_away(host, link, rejected, entry.deadline) {
                Some(error) => Poll::Ready(Err(error)),
                None => {
                    link.block(entry.deadline, cx);
                    Poll::Pending
                }
            },
        }
    })
    .await
}

/// What a rejected entry fails with; `None` if it is to wait for room.
pub(crate) fn turned_away(
    host: &Host,
    link: &Link,
    rejected: Rejected,
    deadline: Timestamp,
) -> Option<Error> {
    match rejected {
        Rejected::Closed(lost) => Some(
            Error::new(ErrorKind::Connect, Delivery::NotSent, lost.to_string())
                .with_endpoint(link.endpoint())
                .with_shared_cause(lost as Arc<dyn std::error::Error + Send + Sync>),
        ),
        Rejected::Full => {
            let max = host.config().node_bytes_max;
            let waits = host.config().when_full == WhenFull::Wait;
            if waits && host.now() < deadline {
                return None;
            }
            let kind = if waits { ErrorKind::Timeout } else { ErrorKind::Limit };
            let message = format!("{max} bytes are in flight to this node already");
            let limit = ErrorDetail::Limit { name: "node_bytes_max", max: max as u64 };
            let error = Error::new(kind, Delivery::NotSent, message);
            Some(error.with_endpoint(link.endpoint()).with_detail(limit))
        }
    }
}

/// The error in an error reply.
pub(crate) fn error_in(frame: &Bytes) -> Option<ServerError> {
    if frame_kind(frame) == FrameKind::Error { ServerError::from_frame(frame) } else { None }
}

pub(crate) fn nowhere(command: &Command) -> Error {
    Error::new(ErrorKind::Topology, Delivery::NotSent, "no node for this command")
        .with_command(&command.name())
}

fn no_connection(endpoint: &crate::Endpoint) -> Error {
    Error::new(ErrorKind::Timeout, Delivery::NotSent, "no connection in time")
        .with_endpoint(endpoint)
}

/// What the last attempt's end means to the caller.
pub(crate) fn explain(
    seen: Seen,
    command: &Command,
    endpoint: &crate::Endpoint,
    attempts: u32,
    terms: Terms,
) -> Error {
    let error = match seen {
        Seen::NoLink(error) => error,
        Seen::Refused(server) => Error::server(delivery_of(&server), server),
        Seen::Failed(failed) => {
            let sent = if failed.never_sent() { Delivery::NotSent } else { Delivery::Unknown };
            match failed.failure {
                Failure::TimedOut => {
                    let message = format!("no reply within {:?}", terms.timeout);
                    Error::new(ErrorKind::Timeout, sent, message)
                }
                Failure::Lost(lost) => {
                    use crate::connection::outcome::Lost;
                    let kind = match *lost {
                        Lost::ByUs => ErrorKind::Closed,
                        Lost::Protocol(_) => ErrorKind::Protocol,
                        _ => ErrorKind::Connect,
                    };
                    Error::new(kind, sent, lost.to_string())
                        .with_shared_cause(lost as Arc<dyn std::error::Error + Send + Sync>)
                }
            }
        }
    };
    error.with_command(&command.name()).with_endpoint(endpoint).with_attempts(attempts)
}
