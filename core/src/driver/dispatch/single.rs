//! One request from its first attempt to its result: a single command or a whole transaction.
//!
//! One loop for every deployment: find the node, get a link, submit, decide what the end of the
//! attempt means (`driver/attempt/next_step.rs`), and again, under the caller's one deadline. The
//! first attempt of an ordinary command is made in `client/call.rs`, which passes on how it failed.
//!
//! Invariants: a retry waits for something (a link, a pause, a newer map), it never spins;
//! `attempts_max` and `redirects_max` bound it; an ASKING is written in one piece with its command;
//! a command for one certain node goes to no other, whatever redirects say.

use crate::bounds::BoxFuture;
use crate::command::Command;
use crate::connection::outcome::{Lost, Outcome};
use crate::connection::queue::Entry;
use crate::connection::reply_shape::Expected;
use crate::driver::attempt::confirm::confirm;
use crate::driver::attempt::item::Item;
use crate::driver::attempt::next_step::{
    Attempts, CallOptions, NextHop, NextStep, explain_end, explain_late, next_step, refresh_reason,
};
use crate::driver::attempt::payload::Payload;
use crate::driver::attempt::waiting::{
    connect, no_connection, pause_before, pause_unless_map_changes,
};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::refresh_wait::RepairWaiter;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::blocked::until_deserted;
use crate::driver::environment::connection_limit::DialWait;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::link::submit::{Write, closed, submit_expecting};
use crate::driver::node::exclusive_links::ExclusiveLink;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::resp::ErrorClass;
use crate::routing::destination::Destination;
use crate::routing::error_policy::ErrorOrigin;
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use bytes::Bytes;
use futures::future::{Either, select};
use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// What to send, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The command; for a transaction, an EXEC that carries the routing key and is never written.
    command: Command,
    /// Where it goes.
    destination: Destination,
    /// The commands of a transaction.
    transaction: Option<Arc<[Command]>>,
    /// Where the connection is left for a caller that goes on to use it alone.
    keep_link: Option<KeptLink>,
    /// The connection that is preferred, if its node is chosen; then the one that brought the
    /// reply.
    last_link: Option<LastLink>,
}

/// The connection that brought a reply; none before the first.
pub(crate) type LastLink = Arc<Mutex<Weak<Link>>>;

/// A connection that was kept for its caller.
pub(crate) type KeptLink = Arc<Mutex<Option<ExclusiveLink>>>;

impl Request {
    pub(crate) fn new(command: Command, destination: Destination) -> Self {
        Self { command, destination, transaction: None, keep_link: None, last_link: None }
    }

    /// The same request, over this connection as long as it leads to the node that is chosen.
    pub(crate) fn with_last_link(self, link: LastLink) -> Self {
        Self { last_link: Some(link), ..self }
    }

    /// A transaction. `lead` carries its routing key and names it in errors.
    pub(crate) fn transaction(lead: Command, commands: Arc<[Command]>) -> Self {
        Self { transaction: Some(commands), ..Self::new(lead, Destination::Key) }
    }

    /// A command on a connection of its own, which is left in `kept`.
    pub(crate) fn keeping_link(command: Command, kept: KeptLink) -> Self {
        Self { keep_link: Some(kept), ..Self::new(command, Destination::Key) }
    }

    /// The same, on a connection of its own, which is left in `kept`.
    pub(crate) fn leaving_link(self, kept: KeptLink) -> Self {
        Self { keep_link: Some(kept), ..self }
    }

    /// The connection of the reply before, if it is one of this node's live ones.
    fn last_link_to(&self, node: &Node) -> Option<Arc<Link>> {
        lock(self.last_link.as_ref()?).upgrade().filter(|link| node.has_live(link))
    }

    fn note_link(&self, link: &Arc<Link>) {
        if let Some(last) = &self.last_link {
            *lock(last) = Arc::downgrade(link);
        }
    }

    fn payload(&self, ask: bool) -> Payload<'_> {
        match &self.transaction {
            None => Payload::single(&self.command, ask),
            Some(commands) => Payload::transaction(commands, ask),
        }
    }
}

/// Sends a request until it has a reply that is no error, or there is nothing left to try. Returns
/// the reply and the node that sent it. `failed`: how a first attempt failed, and where.
pub(crate) fn dispatch(
    topology: Arc<LiveTopology>,
    request: Request,
    options: CallOptions,
    failed: Option<(AttemptFailure, Arc<Node>)>,
) -> BoxFuture<'static, Result<(Bytes, Arc<Node>), Error>> {
    Box::pin(run(topology, request, options, failed))
}

async fn run(
    topology: Arc<LiveTopology>,
    request: Request,
    options: CallOptions,
    mut failed: Option<(AttemptFailure, Arc<Node>)>,
) -> Result<(Bytes, Arc<Node>), Error> {
    let tries = Attempts { attempts: u32::from(failed.is_some()), ..Attempts::default() };
    let mut progress = RequestProgress {
        topology: &topology,
        request: &request,
        options,
        ends: options.deadline,
        tries,
        next_hop: NextHop::Map,
        uncovered: None,
        waiter: None,
    };
    progress.begin_timeout();
    let item = Item::aimed(&request.command, &request.destination);
    let (mut begun, mut asking) = (None, false);
    loop {
        if let Some((failure, node)) = failed.take() {
            let now = topology.env().now();
            let took = begun.map_or_else(|| options.elapsed(now), |begun| now.since(begun));
            let failure =
                confirm(&topology, item, (&node, asking), options.deadline, failure).await;
            progress.prepare_next(&failure, &node, took).await?;
        }
        let routes = Arc::clone(&topology.routes());
        let Some((node, ask)) = progress.next_node(&routes) else {
            progress.wait_for_node().await?;
            continue;
        };
        (begun, asking) = (Some(topology.env().now()), ask);
        let attempt = progress.attempt(&routes, &node, ask);
        match topology.while_refreshing(attempt).await {
            Ok(Some(frame)) => {
                let frame = topology.wait_briefly_for_own_refresh(frame, options.deadline).await;
                return Ok((frame, node));
            }
            // The map names another node now.
            Ok(None) => {}
            Err(failure) => {
                if !matches!(failure, AttemptFailure::NoLink(_)) {
                    progress.begin_timeout();
                }
                failed = Some((failure, node));
            }
        }
    }
}

/// A request between two attempts.
struct RequestProgress<'a> {
    /// The current topology.
    topology: &'a Arc<LiveTopology>,
    /// What is sent.
    request: &'a Request,
    /// What the caller asked for. The deadline of a blocking command is that of getting it sent.
    options: CallOptions,
    /// When the call ends at the latest.
    ends: Timestamp,
    /// The attempts so far.
    tries: Attempts,
    /// Where the next attempt goes.
    next_hop: NextHop,
    /// The slot that the map had no owner for, and when that was first seen.
    uncovered: Option<(Slot, Timestamp)>,
    /// Keeps the topology refreshed while this request waits for a repair.
    waiter: Option<RepairWaiter>,
}

impl RequestProgress<'_> {
    /// A blocking command may wait for long, and then has to be sent again: it has its timeout for
    /// that, from now on.
    fn begin_timeout(&mut self) {
        if self.request.command.is_blocking() {
            let now = self.topology.env().now();
            self.options.deadline = self.ends.min(now.after(self.options.timeout));
        }
    }

    /// After a failed attempt, which took so long: decides where the next one goes, and waits until
    /// it may begin.
    ///
    /// # Errors
    /// The caller's error, if there is no next attempt.
    async fn prepare_next(
        &mut self,
        failure: &AttemptFailure,
        node: &Arc<Node>,
        took: Duration,
    ) -> Result<(), Error> {
        let Request { command, destination, .. } = self.request;
        let (topology, options) = (self.topology, self.options);
        let env = topology.env();
        let took = if failure.is_answer() { took } else { Duration::ZERO };
        if refresh_reason(failure, command).is_some() {
            self.waiter.get_or_insert_with(|| topology.register_waiter(Some(node)));
        }
        let redirect = failure.redirect(ErrorOrigin::of(command));
        if redirect.is_some() && !destination.follows_redirects() {
            return Err(self.error(failure, node));
        }
        let item = Item::aimed(command, destination);
        match next_step(topology, item, options, &mut self.tries, failure, node) {
            NextStep::FailWith(error) => return Err(error),
            NextStep::Fail => return Err(self.error(failure, node)),
            NextStep::Again { target, pause } => {
                let spare = options.spare(env.now(), took);
                // A newer map ends the wait for it, and a dial may succeed until the deadline.
                let may_help = topology.is_dynamic() && matches!(target, NextHop::Map);
                if pause >= spare && failure.is_answer() && !may_help {
                    return Err(self.late_error(failure, node));
                }
                pause_before(&target, topology, pause.min(spare), options.deadline).await;
                self.next_hop = target;
            }
        }
        let has_left =
            destination.is_pinned() && topology.routes().resolve(destination, command).is_none();
        if has_left {
            return Err(self.error(failure, node));
        }
        match options.spare(env.now(), took).is_zero() {
            true => Err(self.late_error(failure, node)),
            false => Ok(()),
        }
    }

    /// What the caller is told if there is no time left to go on after `failure`.
    fn late_error(&self, failure: &AttemptFailure, node: &Node) -> Error {
        let (env, command) = (self.topology.env(), &self.request.command);
        let error = explain_late(env, failure, command, node.endpoint(), &self.tries, self.options);
        self.name_slot(error)
    }

    /// What the caller is told if `failure` is the last.
    fn error(&self, failure: &AttemptFailure, node: &Node) -> Error {
        let command = &self.request.command;
        let env = self.topology.env();
        let error = explain_end(env, failure, command, node.endpoint(), &self.tries, self.options);
        self.name_slot(error)
    }

    /// Names the slot that has no owner, if that is why the call failed.
    fn name_slot(&self, error: Error) -> Error {
        let routes = self.topology.routes();
        let slot = self.request.command.first_key().map(Slot::of);
        let reported = slot.and_then(|slot| Some((slot, routes.map.uncovered_since(slot)?)));
        name_slot(error, reported.or(self.uncovered), self.topology.env())
    }

    /// The node that the next attempt goes to, and whether behind an ASKING; `None` if there is
    /// none.
    fn next_node(&mut self, routes: &Routes) -> Option<(Arc<Node>, bool)> {
        match std::mem::replace(&mut self.next_hop, NextHop::Map) {
            NextHop::Node(node) => return Some((node, false)),
            NextHop::Ask(node) => return Some((node, true)),
            NextHop::Map => {}
        }
        self.tries.attempts += 1;
        let Request { command, destination, .. } = self.request;
        let named = routes.resolve(destination, command).cloned();
        if named.is_some() || !matches!(destination, Destination::Any | Destination::Key) {
            return Some((named?, false));
        }
        // Any node can answer about a slot that the map has no owner for: a MOVED names the owner,
        // a CLUSTERDOWN says that there is none.
        let topology = self.topology;
        let slot = command.first_key().map(Slot::of);
        self.uncovered = self.uncovered.or(slot.map(|slot| (slot, topology.env().now())));
        self.waiter.get_or_insert_with(|| topology.register_waiter(None));
        topology.request_refresh(RefreshReason::Uncovered);
        Some((topology.any_node()?, false))
    }

    /// The destination has no node now: waits for a newer map.
    ///
    /// # Errors
    /// If waiting cannot help, or time or attempts have run out.
    async fn wait_for_node(&mut self) -> Result<(), Error> {
        let (topology, tries) = (self.topology, &mut self.tries);
        let Request { command, destination, .. } = self.request;
        let (env, deadline) = (topology.env(), self.options.deadline);
        if env.is_closed() {
            return Err(topology.no_node_error().with_command(&command.name()));
        }
        let pause = env.backoff(tries.attempts);
        let spent = tries.attempts >= env.config().attempts_max
            || env.now() >= deadline
            || tries.is_waited_out(env, pause);
        if destination.is_pinned() || spent {
            let sent = tries.last.as_ref().map_or(Delivery::NotSent, Error::delivery);
            let error = if matches!(destination, Destination::Any | Destination::Key) {
                topology.no_node_error().with_delivery(sent)
            } else {
                let message = format!("the deployment has no {destination}");
                Error::new(ErrorKind::Topology, sent, message)
            };
            return Err(error.with_command(&command.name()).with_attempts(tries.attempts));
        }
        topology.request_refresh(RefreshReason::Uncovered);
        pause_unless_map_changes(topology, pause, deadline).await;
        Ok(())
    }

    /// One attempt: gets a link, submits the request, checks the reply. `Ok(None)`: while there was
    /// no link, a newer map came that names another node.
    async fn attempt(
        &self,
        routes: &Arc<Routes>,
        node: &Arc<Node>,
        ask: bool,
    ) -> Result<Option<Bytes>, AttemptFailure> {
        let (topology, request, deadline) = (self.topology, self.request, self.options.deadline);
        let (env, command) = (topology.env(), &request.command);
        if env.now() >= deadline {
            return Err(AttemptFailure::NoLink(no_connection(node)));
        }
        let payload = request.payload(ask);
        let alone = command.is_blocking() || command.is_urgent() || request.keep_link.is_some();
        let outcome = if alone {
            self.submit_alone(node, &payload).await
        } else {
            let leads_away = |now: &Routes| now.leads_away(&request.destination, command, node);
            match connect(topology, routes, node, &leads_away, deadline).await {
                Ok(Some(link)) => {
                    let link = request.last_link_to(node).unwrap_or(link);
                    let outcome = payload.submit(env, &link, deadline).await;
                    request.note_link(&link);
                    outcome
                }
                Ok(None) => return Ok(None),
                Err(error) => Err(error),
            }
        };
        match outcome.map_err(AttemptFailure::NoLink)? {
            Err(failed) => Err(AttemptFailure::NoReply(failed)),
            Ok(reply) => payload.judge(reply).map(Some),
        }
    }

    /// Submits the request on a connection that nothing else uses meanwhile.
    async fn submit_alone(
        &self,
        node: &Arc<Node>,
        payload: &Payload<'_>,
    ) -> Result<Outcome, Error> {
        let (env, request) = (self.topology.env(), self.request);
        let own = own_link(env, node, request.command.is_urgent(), self.options.deadline).await?;
        let outcome = {
            let write = |out: &mut Vec<u8>| payload.write_to(out);
            let entry = payload.entry(self.ends);
            let mut submitted = pin!(submit_on(env, &own, entry, payload.expected(), &write));
            match select(submitted.as_mut(), self.until_deserted(node)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right((why, _)) => {
                    own.link().close_for(Lost::Deserted(why));
                    env.triggers().report_connection_lost();
                    submitted.await
                }
            }
        };
        match &request.keep_link {
            _ if !matches!(outcome, Ok(Ok(_))) => {}
            Some(kept) => *lock(kept) = Some(own),
            None => own.release(),
        }
        outcome
    }

    /// Ends when a blocking command need not wait any more at this node; never for others.
    fn until_deserted<'a>(&'a self, node: &'a Arc<Node>) -> BoxFuture<'a, &'static str> {
        if !self.request.command.is_blocking() {
            return Box::pin(std::future::pending());
        }
        let Request { command, destination, .. } = self.request;
        let leads_away = move |now: &Routes| now.leads_away(destination, command, node);
        Box::pin(until_deserted(self.topology, node, leads_away, self.options.timeout))
    }
}

/// Whether the server does not answer this question at all: the user may not ask it, or the server
/// does not know it.
pub(crate) fn is_refused(error: &Error) -> bool {
    use ErrorClass::{NoPermission, Other, UnknownCommand, UnknownSubcommand};
    error.server_error().is_some_and(|server| {
        matches!(server.class(), NoPermission | Other | UnknownCommand | UnknownSubcommand)
    })
}

/// Names the slot that has no owner in an error that says only that the cluster is down.
fn name_slot(error: Error, uncovered: Option<(Slot, Timestamp)>, env: &Environment) -> Error {
    // A script may say so as well, after it ran.
    let is_down = error.delivery() != Delivery::Answered
        && error.server_error().is_some_and(|server| server.class() == ErrorClass::ClusterDown);
    let Some((slot, since)) = uncovered.filter(|_| is_down) else { return error };
    let since = env.now().since(since);
    let message = format!("no node serves slot {slot}");
    let detail = ErrorDetail::SlotUncovered { slot: slot.number(), since };
    let command = error.command().map(str::to_owned).unwrap_or_default();
    Error::new(ErrorKind::Topology, error.delivery(), message)
        .with_detail(detail)
        .with_command(&command)
        .with_attempts(error.attempts())
        .with_cause(error)
}

/// A connection that nothing else uses meanwhile. `urgent`: for a command that frees others.
pub(super) async fn own_link(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    urgent: bool,
    deadline: Timestamp,
) -> Result<ExclusiveLink, Error> {
    let wait = DialWait::default();
    let link = if urgent { node.urgent_link(env, &wait) } else { node.exclusive_link(env, &wait) };
    match env.while_open(env.with_deadline(deadline, link)).await {
        Some(Some(own)) => own,
        Some(None) => {
            Err(wait.error(node.endpoint()).unwrap_or_else(|| node.late_exclusive_error(env)))
        }
        None => Err(closed(node.endpoint())),
    }
}

/// Submits an entry on such a connection.
///
/// # Errors
/// The entry was never enqueued.
pub(super) async fn submit_on(
    env: &Arc<Environment>,
    own: &ExclusiveLink,
    entry: Entry,
    expected: Expected<'_>,
    write: Write<'_>,
) -> Result<Outcome, Error> {
    let terms = (expected, false);
    let mut submitted = pin!(submit_expecting(env, own.link(), entry, terms, write));
    match env.while_open(submitted.as_mut()).await {
        Some(outcome) => outcome,
        // The client was closed. That closes the connections of the topology's nodes, but this node
        // may have left the topology.
        None => {
            own.link().close();
            submitted.await
        }
    }
}
