//! Writes and the wait for their acknowledgements, on one connection that carries nothing else.
//!
//! WAIT and WAITAOF count the replicas that have what their own connection wrote, and block that
//! connection. So the writes of a pipeline that go to one node are sent with a WAIT directly behind
//! them, in one piece, on an exclusive connection. A command that is redirected or tried again gets
//! another WAIT, behind it, on the connection on which it ran at last. Behind a transaction or a
//! blocking command, WAIT is sent when the reply has come, on the same connection.
//!
//! **Invariants**: a number is told only of writes that the same connection carried before; the
//! commands' own results do not depend on what WAIT says; a wait whose writes all ran elsewhere is
//! given up with its connection. Limits: `exclusive_connections_max` per node; the commands have
//! their usual deadline, and a wait ends its own timeout after that at the latest.
//! Spec: <https://redis.io/commands/wait/>, <https://redis.io/commands/waitaof/>.

use crate::bounds::BoxFuture;
use crate::command::Command;
use crate::connection::outcome::{Failure, Lost, Outcome};
use crate::connection::queue::{Entry, NewEntry};
use crate::connection::reply_shape::Expected;
use crate::driver::attempt::item::Items;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::dispatch::entry;
use crate::driver::dispatch::node_batch::{BatchSender, NodeBatch, write_items};
use crate::driver::dispatch::pipeline::Results;
use crate::driver::dispatch::single::{KeptLink, Request, dispatch, own_link, submit_on};
use crate::driver::dispatch::transaction::WatchLink;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::join_all::join_all;
use crate::driver::link::pending_reply::PendingReply;
use crate::driver::link::submit::{Write, admit, check_deadline, error_in, rejection_error};
use crate::driver::node::exclusive_links::ExclusiveLink;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::resp::is_null;
use crate::routing::acknowledgement::{AcknowledgedBy, ShardAcknowledgement, Wanted, by_primary};
use crate::time::Timestamp;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[cfg(test)]
mod tests;

/// What a call waits for behind its writes.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// How many acknowledgements.
    wanted: Wanted,
    /// The command that asks for them.
    command: Command,
    /// When the call ends at the latest.
    deadline: Timestamp,
}

impl Wait {
    /// `deadline`: of the whole call.
    ///
    /// # Errors
    /// `Config` for a timeout of zero.
    pub(crate) fn new(wanted: Wanted, deadline: Timestamp) -> Result<Self, Error> {
        Ok(Self { wanted, command: wanted.command()?, deadline })
    }

    fn entry(&self) -> Entry {
        Entry { len: self.command.encoded_len(), replies: 1, deadline: self.deadline }
    }

    /// The error of a wait whose end is not known.
    fn unknown(&self, failure: &Failure) -> Error {
        let (kind, why) = match failure {
            Failure::TimedOut => (ErrorKind::Timeout, "no reply in time".to_owned()),
            Failure::Lost(lost) => {
                let kind = match **lost {
                    Lost::ByUs => ErrorKind::Closed,
                    Lost::Protocol(_) => ErrorKind::Protocol,
                    _ => ErrorKind::Connect,
                };
                (kind, lost.to_string())
            }
        };
        let message = format!("it is not known who has acknowledged the writes: {why}");
        Error::new(kind, Delivery::Unknown, message)
    }
}

/// A WAIT behind its writes, of which the reply has not been read.
struct PendingWait {
    /// The connection that carried both.
    own: ExclusiveLink,
    /// The reply to come.
    pending: PendingReply,
}

impl PendingWait {
    /// Waits for the reply, and releases the connection.
    async fn finish(
        mut self,
        env: &Arc<Environment>,
        wait: &Wait,
    ) -> Result<AcknowledgedBy, Error> {
        let outcome = match env.while_open(poll_fn(|cx| self.pending.poll(cx))).await {
            Some(outcome) => outcome,
            None => {
                self.own.link().close();
                poll_fn(|cx| self.pending.poll(cx)).await
            }
        };
        judge(self.own, outcome, wait)
    }
}

/// What the reply to WAIT says; releases the connection if there is one.
fn judge(own: ExclusiveLink, outcome: Outcome, wait: &Wait) -> Result<AcknowledgedBy, Error> {
    let endpoint = own.link().endpoint().clone();
    let name = |error: Error| error.with_command(wait.wanted.name()).with_endpoint(&endpoint);
    match outcome {
        Ok(reply) => {
            own.release();
            let frame = reply.into_last().expect("an entry that ended well has a reply");
            match error_in(&frame) {
                Some(error) => Err(name(Error::server(Delivery::Answered, error))),
                None => wait.wanted.read(&frame).map_err(name),
            }
        }
        Err(failed) => Err(name(wait.unknown(&failed.failure))),
    }
}

/// Submits writes with a WAIT behind them, and waits for the writes alone.
///
/// # Errors
/// Nothing was enqueued.
async fn submit_with_wait(
    env: &Arc<Environment>,
    own: ExclusiveLink,
    entry: Entry,
    expected: Expected<'_>,
    write: Write<'_>,
    wait: &Wait,
) -> Result<(Outcome, PendingWait), Error> {
    let link = Arc::clone(own.link());
    check_deadline(env, &link, entry.deadline)?;
    let rejected = |rejected| {
        let error = rejection_error(env, &link, rejected, Timestamp::ZERO);
        error.expect("nothing waits for room on a connection of its own")
    };
    admit(env, &link, entry.len, None).map_err(rejected)?;
    let first = NewEntry { expected, ..entry.into() };
    let write_wait = |out: &mut Vec<u8>| wait.command.write_to(out);
    let both = poll_fn(|cx| {
        Poll::Ready(link.enqueue_both(first, write, wait.entry().into(), &write_wait, cx))
    });
    let [writes, pending] =
        both.await.map_err(rejected)?.map(|ticket| PendingReply::new(Arc::clone(&link), ticket));
    let mut writes = writes;
    let outcome = match env.while_open(poll_fn(|cx| writes.poll(cx))).await {
        Some(outcome) => outcome,
        None => {
            link.close();
            poll_fn(|cx| writes.poll(cx)).await
        }
    };
    Ok((outcome, PendingWait { own, pending }))
}

/// Sends WAIT on the connection that carried the writes, and waits for its reply.
async fn wait_on(
    env: &Arc<Environment>,
    own: ExclusiveLink,
    wait: &Wait,
) -> Result<AcknowledgedBy, Error> {
    let write = |out: &mut Vec<u8>| wait.command.write_to(out);
    match submit_on(env, &own, wait.entry(), Expected::Values, &write).await {
        Ok(outcome) => judge(own, outcome, wait),
        Err(error) => {
            let message = format!("it is not known who has acknowledged the writes: {error}");
            let unknown = Error::new(error.kind(), Delivery::Unknown, message);
            Err(unknown.with_command(wait.wanted.name()).with_endpoint(own.link().endpoint()))
        }
    }
}

/// What a primary says of these commands.
fn acknowledgement(
    topology: &LiveTopology,
    node: &Node,
    commands: Vec<usize>,
    result: Result<AcknowledgedBy, Error>,
    wait: &Wait,
) -> ShardAcknowledgement {
    let routes = topology.routes();
    let index = routes.map.node_at(node.endpoint());
    ShardAcknowledgement {
        endpoint: node.endpoint().clone(),
        node: index.map(|index| routes.map.node(index).id.clone()),
        commands,
        is_reached: result.as_ref().is_ok_and(|by| wait.wanted.is_reached(by)),
        result,
    }
}

/// Sends the batches of a pipeline with a WAIT behind each.
struct WaitSender {
    /// What is waited for.
    wait: Wait,
    /// The waits of this round, until their batches are settled.
    sent: Mutex<Vec<Sent>>,
    /// The waits behind commands that have run, with the indexes of these commands.
    under_way: Mutex<Vec<(Sent, Vec<usize>)>>,
}

/// A wait behind a batch.
struct Sent {
    /// Where the batch went.
    node: Arc<Node>,
    /// Whether behind ASKINGs.
    ask: bool,
    /// The wait.
    wait: PendingWait,
}

/// Whether a command may have written something that is waited for.
fn may_write(items: &dyn Items, member: usize) -> bool {
    !items.item(member).command.is_readonly()
}

impl BatchSender for WaitSender {
    fn send<'a>(
        &'a self,
        topology: &'a Arc<LiveTopology>,
        batch: &'a NodeBatch,
        items: &'a dyn Items,
        deadline: Timestamp,
    ) -> Option<BoxFuture<'a, Result<Outcome, Error>>> {
        if batch.by_policy || !batch.members.iter().any(|&member| may_write(items, member)) {
            return None;
        }
        Some(Box::pin(async move {
            let env = topology.env();
            let own = own_link(env, &batch.node, false, deadline).await?;
            let asking = batch.asking();
            let entry = batch.entry(items, asking.as_ref(), deadline);
            let members = &*batch.members;
            let write =
                |out: &mut Vec<u8>| write_items(members, items, asking.as_ref(), entry.len, out);
            let exempt = batch.exempt(items);
            let expected = Expected::values_but(&exempt);
            let sent = submit_with_wait(env, own, entry, expected, &write, &self.wait);
            let (outcome, wait) = sent.await?;
            let sent = Sent { node: Arc::clone(&batch.node), ask: batch.ask, wait };
            lock(&self.sent).push(sent);
            Ok(outcome)
        }))
    }

    fn settled(
        &self,
        batch: &NodeBatch,
        items: &dyn Items,
        results: &[Option<Result<Bytes, Error>>],
    ) {
        let mut sent = lock(&self.sent);
        let is_own = |sent: &Sent| sent.ask == batch.ask && Arc::ptr_eq(&sent.node, &batch.node);
        let Some(at) = sent.iter().position(is_own).filter(|_| !batch.by_policy) else { return };
        let sent = sent.swap_remove(at);
        let ran_here = |member: &usize| match &results[*member] {
            Some(Ok(_)) => may_write(items, *member),
            Some(Err(error)) => error.delivery().may_have_run() && may_write(items, *member),
            // It will be sent again, with a wait of its own.
            None => false,
        };
        let ran: Vec<usize> = batch.members.iter().copied().filter(ran_here).collect();
        if !ran.is_empty() {
            let commands = ran.into_iter().map(|member| items.command_of(member)).collect();
            lock(&self.under_way).push((sent, commands));
        }
    }
}

impl WaitSender {
    /// Waits for what is under way.
    async fn finish(self, topology: &Arc<LiveTopology>) -> Vec<ShardAcknowledgement> {
        let under_way = std::mem::take(&mut *lock(&self.under_way));
        let wait = &self.wait;
        let each = under_way.into_iter().map(|(sent, commands)| async move {
            let result = sent.wait.finish(topology.env(), wait).await;
            acknowledgement(topology, &sent.node, commands, result, wait)
        });
        by_primary(join_all(each).await)
    }
}

/// Runs the commands of a pipeline, and waits until their writes are acknowledged.
///
/// # Errors
/// When one of them cannot be part of it; nothing was sent then.
pub(crate) async fn run_all(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
    wait: Wait,
) -> Result<(Results, Vec<ShardAcknowledgement>), Error> {
    let sender = WaitSender { wait, sent: Mutex::default(), under_way: Mutex::default() };
    let results = entry::run_all_by(topology, commands, reads, options, Some(&sender)).await?;
    Ok((results, sender.finish(topology).await))
}

/// Runs a blocking command, and waits until what it wrote is acknowledged.
pub(crate) async fn run_blocking(
    topology: &Arc<LiveTopology>,
    command: Command,
    options: CallOptions,
    wait: Wait,
) -> Result<(Bytes, Vec<ShardAcknowledgement>), Error> {
    let kept = KeptLink::default();
    let request = Request::keeping_link(command, Arc::clone(&kept));
    run_request(topology, request, kept, 1, options, wait).await
}

/// Runs a transaction, and waits until its writes are acknowledged. `lead` carries its routing key.
pub(crate) async fn run_transaction(
    topology: &Arc<LiveTopology>,
    lead: Command,
    commands: Vec<Command>,
    options: CallOptions,
    wait: Wait,
) -> Result<(Bytes, Vec<ShardAcknowledgement>), Error> {
    if commands.iter().all(Command::is_readonly) {
        let request = Request::transaction(lead, commands.into());
        let (frame, _) = dispatch(Arc::clone(topology), request, options, None).await?;
        return Ok((frame, Vec::new()));
    }
    let (kept, count) = (KeptLink::default(), commands.len());
    let request = Request::transaction(lead, commands.into()).leaving_link(Arc::clone(&kept));
    run_request(topology, request, kept, count, options, wait).await
}

async fn run_request(
    topology: &Arc<LiveTopology>,
    request: Request,
    kept: KeptLink,
    count: usize,
    options: CallOptions,
    wait: Wait,
) -> Result<(Bytes, Vec<ShardAcknowledgement>), Error> {
    let (frame, node) = dispatch(Arc::clone(topology), request, options, None).await?;
    let own = lock(&kept).take().expect("a request that succeeded left its connection");
    let result = wait_on(topology.env(), own, &wait).await;
    let commands = (0..count).collect();
    Ok((frame, vec![acknowledgement(topology, &node, commands, result, &wait)]))
}

/// Commits a transaction whose keys are watched, and waits until its writes are acknowledged. If a
/// watched key was changed, the reply is null, and there is nothing to wait for.
pub(crate) async fn commit(
    watch: WatchLink,
    lead: &Command,
    commands: &[Command],
    options: CallOptions,
    wait: Wait,
) -> Result<(Bytes, Vec<ShardAcknowledgement>), Error> {
    let committed = watch.commit_keeping_link(lead, commands, options).await?;
    let (frame, topology, own, node) = committed;
    if is_null(&frame) || commands.iter().all(Command::is_readonly) {
        own.release();
        return Ok((frame, Vec::new()));
    }
    let result = wait_on(topology.env(), own, &wait).await;
    let commands = (0..commands.len()).collect();
    Ok((frame, vec![acknowledgement(&topology, &node, commands, result, &wait)]))
}
