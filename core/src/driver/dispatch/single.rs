//! The way of a command that does not go straight: no link yet, a lost one, a redirect, a refusal,
//! a blocking command.
//!
//! One loop for every deployment: find the node, get a link, exchange, react (`driver/react.rs`),
//! and again, under the caller's one deadline. The straight way is `client/call.rs`, which comes
//! here with what it saw.
//!
//! Invariants: a retry waits for something (a link, a pause, a newer map), it never spins;
//! `attempts_max` and `redirects_max` bound it besides; an ASKING is written in one piece with its
//! command; a command that is for one node alone goes nowhere else, whatever redirects say.
//! Called by `driver/spread.rs`, `driver/transaction.rs` and, to wait alike, `driver/batch.rs`.

use crate::bounds::BoxFuture;
use crate::command::Command;
use crate::driver::attempt::next_step::{
    Attempts, CallOptions, NextHop, NextStep, explain, next_step, refresh_reason,
};
use crate::driver::attempt::payload::Payload;
use crate::driver::attempt::waiting::{before, connect, no_connection, rest};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::environment::Environment;
use crate::driver::link::dial::closed;
use crate::driver::link::submit::submit;
use crate::driver::node::node::{ExclusiveLink, Node};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::resp::ErrorClass;
use crate::routing::destination::Destination;
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use bytes::Bytes;
use std::pin::pin;
use std::sync::{Arc, Mutex};

/// A command and where it is to go.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What runs or, of a transaction, what stands for it.
    command: Command,
    /// Where.
    destination: Destination,
    /// The commands of a transaction.
    transaction: Option<Arc<[Command]>>,
    /// Where the connection is left, for a caller who wants to go on with it alone.
    keep: Option<Kept>,
}

/// A connection that was kept for its caller.
pub(crate) type Kept = Arc<Mutex<Option<ExclusiveLink>>>;

impl Request {
    pub(crate) fn new(command: Command, destination: Destination) -> Self {
        Self { command, destination, transaction: None, keep: None }
    }

    /// `lead` stands for all of them.
    pub(crate) fn transaction(lead: Command, commands: Arc<[Command]>) -> Self {
        Self { transaction: Some(commands), ..Self::new(lead, Destination::Key) }
    }

    /// Runs on a connection of its own, which is left in `kept`.
    pub(crate) fn keeping(command: Command, kept: Kept) -> Self {
        Self { keep: Some(kept), ..Self::new(command, Destination::Key) }
    }

    fn payload(&self, ask: bool) -> Payload<'_> {
        match &self.transaction {
            None => Payload::single(&self.command, ask),
            Some(commands) => Payload::transaction(commands, ask),
        }
    }
}

/// Runs a command until it has a reply that is no error, or there is nothing left to try. Says who
/// replied.
pub(crate) fn dispatch(
    topology: Arc<LiveTopology>,
    request: Request,
    options: CallOptions,
    seen: Option<(AttemptFailure, Arc<Node>)>,
) -> BoxFuture<'static, Result<(Bytes, Arc<Node>), Error>> {
    Box::pin(run(topology, request, options, seen))
}

async fn run(
    topology: Arc<LiveTopology>,
    request: Request,
    options: CallOptions,
    mut seen: Option<(AttemptFailure, Arc<Node>)>,
) -> Result<(Bytes, Arc<Node>), Error> {
    let Request { command, destination, .. } = &request;
    let env = Arc::clone(topology.env());
    let mut tries = Attempts { attempts: u32::from(seen.is_some()), ..Attempts::default() };
    let mut target = NextHop::Map;
    let mut uncovered = None;
    let mut need = None;
    loop {
        if let Some((what, node)) = seen.take() {
            if refresh_reason(&what, command).is_some() {
                need.get_or_insert_with(|| topology.register_waiter(Some(&node)));
            }
            let leads_away = !destination.follows_redirects() && what.is_redirect();
            let reaction = if leads_away {
                NextStep::Fail
            } else {
                next_step(&topology, command, options, &mut tries, &what, &node)
            };
            let fail = || {
                let error = explain(&what, command, node.endpoint(), &tries, options);
                let slot = command.first_key().map(Slot::of);
                let told = slot
                    .and_then(|slot| Some((slot, topology.routes().map.uncovered_since(slot)?)));
                Err(name_slot(error, told.or(uncovered), &env))
            };
            match reaction {
                NextStep::FailWith(error) => return Err(error),
                NextStep::Fail => return fail(),
                NextStep::Again { target: next, pause } => {
                    target = next;
                    before(&target, &topology, pause, options.deadline).await;
                }
            }
            let gone = destination.is_pinned()
                && topology.routes().resolve(destination, command).is_none();
            if gone || env.now() >= options.deadline {
                return fail();
            }
        }
        let routes = topology.routes().clone();
        let (node, ask) = match std::mem::replace(&mut target, NextHop::Map) {
            NextHop::Node(node) => (node, false),
            NextHop::Ask(node) => (node, true),
            NextHop::Map => {
                tries.attempts += 1;
                let node = match routes.resolve(destination, command).cloned() {
                    None if matches!(destination, Destination::Any | Destination::Key) => {
                        // Anybody's answer teaches about a slot that the map does not know: a MOVED
                        // names the owner, a CLUSTERDOWN says that there is none.
                        let slot = command.first_key().map(Slot::of);
                        uncovered = uncovered.or(slot.map(|slot| (slot, env.now())));
                        need.get_or_insert_with(|| topology.register_waiter(None));
                        topology.request_refresh(RefreshReason::Uncovered);
                        topology.any_node()
                    }
                    aimed => aimed,
                };
                let Some(node) = node else {
                    wait_for(&topology, &request, options, &tries).await?;
                    continue;
                };
                (node, false)
            }
        };
        let tried = attempt(&topology, &routes, &node, &request, ask, options.deadline);
        match topology.while_refreshing(tried).await {
            Ok(Some(frame)) => {
                return Ok((
                    topology.wait_briefly_for_own_refresh(frame, options.deadline).await,
                    node,
                ));
            }
            // The map sends it elsewhere now.
            Ok(None) => {}
            Err(what) => seen = Some((what, node)),
        }
    }
}

/// NoNode is where the command is to go, and nobody else will do: waits for a newer map.
async fn wait_for(
    topology: &Arc<LiveTopology>,
    request: &Request,
    options: CallOptions,
    tries: &Attempts,
) -> Result<(), Error> {
    let env = topology.env();
    let spent = tries.attempts >= env.config().attempts_max || env.now() >= options.deadline;
    if request.destination.is_pinned() || spent {
        let sent = tries.last.as_ref().map_or(Delivery::NotSent, Error::delivery);
        let error = if matches!(request.destination, Destination::Any | Destination::Key) {
            topology.no_node_error().with_delivery(sent)
        } else {
            let message = format!("the deployment has no {}", request.destination);
            Error::new(ErrorKind::Topology, sent, message)
        };
        return Err(error.with_command(&request.command.name()).with_attempts(tries.attempts));
    }
    topology.request_refresh(RefreshReason::Uncovered);
    rest(topology, env.backoff(tries.attempts), options.deadline).await;
    Ok(())
}

/// Says of a failure which slot nobody serves.
fn name_slot(error: Error, uncovered: Option<(Slot, Timestamp)>, env: &Environment) -> Error {
    let down = error.server_error().is_some_and(|server| server.class() == ErrorClass::ClusterDown);
    match uncovered {
        Some((slot, since)) if down => {
            let since = env.now().since(since);
            let message = format!("nobody serves slot {slot}");
            let detail = ErrorDetail::SlotUncovered { slot: slot.number(), since };
            let named = error.command().map(str::to_owned).unwrap_or_default();
            Error::new(ErrorKind::Topology, Delivery::Refused, message)
                .with_detail(detail)
                .with_command(&named)
                .with_attempts(error.attempts())
                .with_cause(error)
        }
        _ => error,
    }
}

/// One try: a link, an exchange, a look at the reply. `Ok(None)`: the map changed while there was
/// no link, and names another node.
async fn attempt(
    topology: &Arc<LiveTopology>,
    routes: &Arc<Routes>,
    node: &Arc<Node>,
    request: &Request,
    ask: bool,
    deadline: Timestamp,
) -> Result<Option<Bytes>, AttemptFailure> {
    let (env, command) = (topology.env(), &request.command);
    if env.now() >= deadline {
        return Err(AttemptFailure::NoLink(no_connection(node)));
    }
    let payload = request.payload(ask);
    let entry = payload.entry(deadline);
    let write = |out: &mut Vec<u8>| payload.write_to(out);
    let outcome = if command.is_blocking() || request.keep.is_some() {
        let dialled = env.while_open(env.with_deadline(deadline, node.exclusive_link(env))).await;
        let own = match dialled {
            Some(Some(own)) => own.map_err(AttemptFailure::NoLink)?,
            Some(None) => return Err(AttemptFailure::NoLink(no_connection(node))),
            None => return Err(AttemptFailure::NoLink(closed(node.endpoint()))),
        };
        let outcome = {
            let mut running = pin!(submit(env, own.link(), entry, &write));
            match env.while_open(running.as_mut()).await {
                Some(outcome) => outcome,
                // Its node may have left the topology, which alone closes connections.
                None => {
                    own.link().close();
                    running.await
                }
            }
        };
        match &request.keep {
            _ if !matches!(outcome, Ok(Ok(_))) => {}
            Some(kept) => *lock(kept) = Some(own),
            None => own.release(),
        }
        outcome
    } else {
        let away = |now: &Routes| now.leads_away(&request.destination, command, node);
        match connect(topology, routes, node, &away, deadline).await {
            Ok(Some(link)) => submit(env, &link, entry, &write).await,
            Ok(None) => return Ok(None),
            Err(error) => return Err(AttemptFailure::NoLink(error)),
        }
    };
    match outcome.map_err(AttemptFailure::NoLink)? {
        Err(failed) => Err(AttemptFailure::NoReply(failed)),
        Ok(reply) => payload.judge(reply).map(Some),
    }
}
