//! Many commands at once: grouped by node, one write for each node, each judged by its own reply.
//!
//! A round sends what has no result yet to every node that it concerns, in parallel, and settles
//! each command by its own reply. Those that may be sent again make the next round, so a refused
//! command never makes its neighbours run twice. Reads under a policy are grouped apart; those that
//! fail, or whose node has no link yet, continue as single reads (`driver/replica/read.rs`).
//! Batches go over the shared connections, unless a [`BatchSender`] sends them otherwise.
//!
//! Invariants: results are in the order of the commands; commands for one node keep their order
//! within a round. Limits: `pipeline_commands_max`, checked by the caller; `attempts_max` rounds,
//! and `redirects_max` more for redirects; one deadline over all of them.

use crate::BoxFuture;
use crate::command::Command;
use crate::connection::outcome::{Outcome, Replies};
use crate::driver::attempt::confirm::confirm;
use crate::driver::attempt::item::{Item, Items};
use crate::driver::attempt::next_step::{
    Attempts, CallOptions, NextHop, NextStep, explain_end, explain_late, next_step,
};
use crate::driver::attempt::waiting::{await_any_node, pause_unless_map_changes};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::node_batch::{BatchSender, NodeBatch};
use crate::driver::dispatch::parts::PartList;
use crate::driver::environment::join_all::join_all;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::read::{self, ResumeFrom};
use crate::driver::replica::select::{SelectionContext, select_node};
use crate::driver::replica::shard_lookup::shard_for;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::READ_POLICIES;
use crate::resp::{FrameKind, frame_kind};
use crate::routing::retry::AttemptFailure;
use crate::sorted::{SortedMap, sort_by_key};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use bytes::Bytes;
use futures::future::join;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The result of each command: its frame, which is no error reply, or its error.
pub(crate) type Results = Vec<Result<Bytes, Error>>;

/// All items, sent to one node: how that ended, and when it began.
type FirstRound = (NodeBatch, Result<Outcome, Error>, Timestamp);

/// Runs commands that are each sent whole. `reads`: the read settings, if reads do not all go to
/// the primary. `sender`: how batches are sent, if not over the shared connections.
pub(super) async fn run(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
    sender: Option<&dyn BatchSender>,
) -> Results {
    let mut first_round = None;
    await_any_node(topology, options.deadline).await;
    let routes = Arc::clone(&topology.routes());
    let is_plain = reads.is_none() && sender.is_none() && !commands.is_empty();
    if let Some(node) = routes.only().filter(|_| is_plain) {
        let members = (0..commands.len()).collect();
        let all = NodeBatch { node: Arc::clone(node), ask: false, by_policy: false, members };
        let begun = topology.env().now();
        let sent = all.send(topology, &routes, &commands, options.deadline);
        match without_errors(topology.while_refreshing(sent).await) {
            Ok(frames) => {
                let frames = topology.wait_briefly_for_own_refresh(frames, options.deadline).await;
                return frames.into_iter().map(Ok).collect();
            }
            Err(outcome) => first_round = Some((all, outcome, begun)),
        }
    }
    run_rounds(topology, &commands, reads, options, sender, first_round).await
}

/// Runs the items of a list, which may be for several nodes.
pub(super) fn run_parts<'a>(
    topology: &'a Arc<LiveTopology>,
    parts: &'a PartList<'_>,
    reads: Option<&'a Arc<ReadSettings>>,
    options: CallOptions,
    sender: Option<&'a dyn BatchSender>,
) -> BoxFuture<'a, Results> {
    run_rounds(topology, parts, reads, options, sender, None)
}

/// Runs round after round until every item has a result. `first`: a round that was sent already.
fn run_rounds<'a>(
    topology: &'a Arc<LiveTopology>,
    items: &'a dyn Items,
    reads: Option<&'a Arc<ReadSettings>>,
    options: CallOptions,
    sender: Option<&'a dyn BatchSender>,
    first: Option<FirstRound>,
) -> BoxFuture<'a, Results> {
    Box::pin(async move {
        let rounds = Rounds { sender, ..Rounds::new(topology, items, reads, options) };
        let results = rounds.run(first).await;
        topology.wait_briefly_for_own_refresh(results, options.deadline).await
    })
}

/// The frames of an outcome that has no error at all; otherwise the outcome.
fn without_errors(outcome: Result<Outcome, Error>) -> Result<Vec<Bytes>, Result<Outcome, Error>> {
    let frames = outcome.map_err(Err)?.map_err(|failed| Ok(Err(failed)))?.into_all();
    let is_good = |frame: &Bytes| frame_kind(frame) != FrameKind::Error;
    if frames.iter().all(is_good) { Ok(frames) } else { Err(Ok(Ok(Replies::Many(frames)))) }
}

/// An item that has no result yet and goes where the map or a redirect says.
struct PendingItem {
    /// Its index in the pipeline.
    member: usize,
    /// Where it goes next.
    next_hop: NextHop,
    /// The attempts so far.
    tries: Attempts,
    /// What it fails with if there is no time for the next attempt.
    late: Option<Error>,
}

/// A read under a policy that has no result yet: its index, and what was done for it.
type PendingRead = (usize, ResumeFrom);

/// Among so many nodes, the batch of an item is looked for one by one.
const FEW_NODES: usize = 16;

/// The batches of a round.
struct Batches {
    /// In the order of their first items.
    list: Vec<NodeBatch>,
    /// Where each is, by the number of its node, ASKING, and whether a policy chose the node.
    places: SortedMap<(u64, bool, bool), usize>,
}

impl Batches {
    /// The batch that an item fits into. `MANY`: found by a search instead of one by one.
    #[inline]
    fn find<const MANY: bool>(
        &mut self,
        node: &Arc<Node>,
        ask: bool,
        by_policy: bool,
    ) -> Option<&mut NodeBatch> {
        if MANY {
            let place = *self.places.get(&(node.number(), ask, by_policy))?;
            return self.list.get_mut(place);
        }
        self.list.iter_mut().find(|batch| batch.fits(node, ask, by_policy))
    }

    fn push<const MANY: bool>(&mut self, batch: NodeBatch) {
        if MANY {
            let key = (batch.node.number(), batch.ask, batch.by_policy);
            self.places.insert(key, self.list.len());
        }
        self.list.push(batch);
    }
}

/// A pipeline between its first round and its last.
struct Rounds<'a> {
    /// The current topology.
    topology: &'a Arc<LiveTopology>,
    /// What is sent.
    items: &'a dyn Items,
    /// The read settings, if reads do not all go to the primary.
    reads: Option<&'a Arc<ReadSettings>>,
    /// What the caller asked for.
    options: CallOptions,
    /// How batches are sent, if not over the shared connections.
    sender: Option<&'a dyn BatchSender>,
    /// The results so far, by index.
    results: Vec<Option<Result<Bytes, Error>>>,
    /// Items without a result, ascending by index.
    pending: Vec<PendingItem>,
    /// Reads under a policy without a result.
    pending_reads: Vec<PendingRead>,
}

impl<'a> Rounds<'a> {
    fn new(
        topology: &'a Arc<LiveTopology>,
        items: &'a dyn Items,
        reads: Option<&'a Arc<ReadSettings>>,
        options: CallOptions,
    ) -> Self {
        let all = 0..items.count();
        let results = vec![None; items.count()];
        let pending = all.map(|member| PendingItem {
            member,
            next_hop: NextHop::Map,
            tries: Attempts::default(),
            late: None,
        });
        let (pending, pending_reads) = (pending.collect(), Vec::new());
        Self { topology, items, reads, options, sender: None, results, pending, pending_reads }
    }

    async fn run(mut self, first: Option<FirstRound>) -> Results {
        self.separate_reads();
        if let Some((all, outcome, begun)) = first {
            self.pending.iter_mut().for_each(|one| one.tries.attempts += 1);
            self.finish_round(vec![all], vec![outcome], begun).await;
        }
        while !self.pending.is_empty() || !self.pending_reads.is_empty() {
            let begun = self.topology.env().now();
            let routes = Arc::clone(&self.topology.routes());
            let mut batches = self.batch_items(&routes);
            let single_reads = self.batch_reads(&routes, &mut batches);
            let batches = batches.list;
            let outcomes = self.send(&routes, &batches, single_reads).await;
            self.finish_round(batches, outcomes, begun).await;
        }
        let results = self.results.into_iter();
        results.map(|r| r.expect("a round settles an item or leaves it pending")).collect()
    }

    /// Takes the reads that a policy governs out of the pending items.
    fn separate_reads(&mut self) {
        let Some(reads) = self.reads else { return };
        let (items, results) = (self.items, &mut self.results);
        let pending_reads = &mut self.pending_reads;
        self.pending.retain(|one| match read::governs(reads, items.item(one.member)) {
            Ok(false) => true,
            Ok(true) => {
                pending_reads.push((one.member, ResumeFrom::Start));
                false
            }
            Err(error) => {
                results[one.member] = Some(Err(error));
                false
            }
        });
    }

    /// Groups the pending items by node; an item without any node fails here.
    fn batch_items(&mut self, routes: &Routes) -> Batches {
        // Compiled twice, so that where there are few nodes no item pays for the question.
        if routes.nodes.len() > FEW_NODES {
            self.batch_items_of::<true>(routes)
        } else {
            self.batch_items_of::<false>(routes)
        }
    }

    fn batch_items_of<const MANY: bool>(&mut self, routes: &Routes) -> Batches {
        let mut batches = Batches { list: Vec::new(), places: SortedMap::new() };
        let all = self.pending.len();
        for one in &mut self.pending {
            one.tries.attempts += u32::from(matches!(one.next_hop, NextHop::Map));
            let any;
            let (node, ask) = match &one.next_hop {
                NextHop::Node(node) => (Some(node), false),
                NextHop::Ask(node) => (Some(node), true),
                NextHop::Map => {
                    let item = self.items.item(one.member);
                    let owner = item.node(routes);
                    any = if owner.is_none() { any_node_for(self.topology, item) } else { None };
                    (owner.or(any.as_ref()), false)
                }
            };
            let Some(node) = node else {
                let error = no_node_for(self.topology, self.items.item(one.member));
                self.results[one.member] = Some(Err(error));
                continue;
            };
            match batches.find::<MANY>(node, ask, false) {
                Some(batch) => batch.members.push(one.member),
                None => {
                    // Most pipelines go to one node, and the others to few.
                    let mut members = Vec::with_capacity(all / (batches.list.len() + 1));
                    members.push(one.member);
                    let node = Arc::clone(node);
                    batches.push::<MANY>(NodeBatch { node, ask, by_policy: false, members });
                }
            }
        }
        batches
    }

    /// Adds batches of the reads that were not tried yet and whose node has a link; returns the
    /// other reads.
    fn batch_reads(&mut self, routes: &Arc<Routes>, batches: &mut Batches) -> Vec<PendingRead> {
        let pending = std::mem::take(&mut self.pending_reads);
        let Some(settings) = self.reads.filter(|_| READ_POLICIES) else { return pending };
        let env = self.topology.env();
        let context = SelectionContext { settings, tried: &[], capped: false, now: env.now() };
        let select = |member| {
            let item = self.items.item(member);
            let shard = shard_for(routes, item, context.now).ok_or(ResumeFrom::Start)?;
            select_node(env, routes, shard, &context).map_err(ResumeFrom::from)
        };
        let mut single_reads = Vec::new();
        for (member, from) in pending {
            let selected =
                if matches!(from, ResumeFrom::Start) { select(member) } else { Err(from) };
            let node = match selected {
                Ok(node) => node,
                Err(from) => {
                    single_reads.push((member, from));
                    continue;
                }
            };
            if node.ready().is_none_or(|link| link.is_closed()) {
                single_reads.push((member, ResumeFrom::Node(Arc::clone(node))));
                continue;
            }
            match batches.find::<true>(node, false, true) {
                Some(batch) => batch.members.push(member),
                None => {
                    let (node, members) = (Arc::clone(node), vec![member]);
                    let batch = NodeBatch { node, ask: false, by_policy: true, members };
                    batches.push::<true>(batch);
                }
            }
        }
        single_reads
    }

    /// Sends all batches, and runs the single reads to their results. Returns how each batch ended.
    async fn send(
        &mut self,
        routes: &Arc<Routes>,
        batches: &[NodeBatch],
        single_reads: Vec<PendingRead>,
    ) -> Vec<Result<Outcome, Error>> {
        let (topology, items, options) = (self.topology, self.items, self.options);
        let (settings, sender) = (self.reads, self.sender);
        let sent = batches.iter().map(|batch| async move {
            match sender.and_then(|by| by.send(topology, batch, items, options.deadline)) {
                Some(own) => own.await,
                None => batch.send(topology, routes, items, options.deadline).await,
            }
        });
        let reads = single_reads.into_iter().map(|(member, from)| async move {
            let settings = settings.expect("reads are separated under read settings alone");
            let item = items.item(member);
            (member, read::read(topology, settings, item, options, from).await)
        });
        let both = join(join_all(sent), join_all(reads));
        let (outcomes, read) = topology.while_refreshing(both).await;
        for (member, result) in read {
            self.results[member] = Some(result.map(|(frame, _)| frame));
        }
        outcomes
    }

    /// Settles what the batches of a round brought, and waits until the next one may begin.
    async fn finish_round(
        &mut self,
        batches: Vec<NodeBatch>,
        outcomes: Vec<Result<Outcome, Error>>,
        begun: Timestamp,
    ) {
        let (topology, options) = (self.topology, self.options);
        let took = topology.env().now().since(begun);
        let (mut pause, mut all_answered) = (Duration::ZERO, true);
        let mut left = Vec::new();
        for (batch, outcome) in batches.iter().zip(outcomes) {
            let failures = batch.settle(self.items, outcome, &mut self.results);
            for (member, failure) in self.confirm_all(batch, failures).await {
                if batch.by_policy {
                    let from = ResumeFrom::Attempt(failure, Arc::clone(&batch.node));
                    self.pending_reads.push((member, from));
                } else if let Some((one, own)) = self.retry(member, &failure, &batch.node) {
                    pause = pause.max(own);
                    all_answered &= failure.is_answer();
                    left.push(one);
                }
            }
            if let Some(sender) = self.sender {
                sender.settled(batch, self.items, &self.results);
            }
        }
        sort_by_key(&mut left, |one: &PendingItem| one.member);
        self.pending = left;
        if !self.pending.is_empty() {
            let took = if all_answered { took } else { Duration::ZERO };
            let spare = options.spare(topology.env().now(), took);
            // A newer map ends the pause early, and a dial may succeed until the deadline.
            if pause >= spare && all_answered && !topology.is_dynamic() {
                return self.fail_expired();
            }
            pause_unless_map_changes(topology, pause.min(spare), options.deadline).await;
            if options.spare(topology.env().now(), took).is_zero() {
                self.fail_expired();
            }
        }
    }

    /// How the items of a batch failed, after the node was asked about those that may have spoken
    /// for themselves. Reads under a policy ask for themselves.
    async fn confirm_all(
        &self,
        batch: &NodeBatch,
        failures: Vec<(usize, AttemptFailure)>,
    ) -> Vec<(usize, AttemptFailure)> {
        if batch.by_policy || failures.is_empty() {
            return failures;
        }
        let (topology, items, deadline) = (self.topology, self.items, self.options.deadline);
        let all = failures.into_iter().map(|(member, failure)| async move {
            let answerer = (&batch.node, batch.ask);
            (member, confirm(topology, items.item(member), answerer, deadline, failure).await)
        });
        join_all(all).await
    }

    /// Decides about an item that failed: returns it with a pause, to be sent again, or stores its
    /// error.
    fn retry(
        &mut self,
        member: usize,
        failure: &AttemptFailure,
        node: &Arc<Node>,
    ) -> Option<(PendingItem, Duration)> {
        let (topology, options) = (self.topology, self.options);
        let index = self.pending.binary_search_by_key(&member, |one| one.member);
        let index = index.expect("batches are made of pending items");
        let mut tries = std::mem::take(&mut self.pending[index].tries);
        let item = self.items.item(member);
        let (env, command, endpoint) = (topology.env(), item.command, node.endpoint());
        let error = match next_step(topology, item, options, &mut tries, failure, node) {
            NextStep::Again { target, pause } => {
                let late = explain_late(env, failure, command, endpoint, &tries, options);
                let one = PendingItem { member, next_hop: target, tries, late: Some(late) };
                return Some((one, pause));
            }
            NextStep::FailWith(error) => error,
            NextStep::Fail => explain_end(env, failure, command, endpoint, &tries, options),
        };
        self.results[member] = Some(Err(error));
        None
    }

    /// No time is left for another attempt: items that were tried before fail.
    fn fail_expired(&mut self) {
        let results = &mut self.results;
        self.pending.retain_mut(|one| match one.late.take() {
            Some(late) => {
                results[one.member] = Some(Err(late));
                false
            }
            None => true,
        });
    }
}

/// The node to ask about a slot that the map has no owner for: its answer names the owner.
fn any_node_for(topology: &LiveTopology, item: Item<'_>) -> Option<Arc<Node>> {
    topology.request_refresh(RefreshReason::Uncovered);
    if item.may_go_to_any_node() { topology.any_node() } else { None }
}

fn no_node_for(topology: &LiveTopology, item: Item<'_>) -> Error {
    let error = if item.may_go_to_any_node() {
        topology.no_node_error()
    } else {
        let message = "the node that the command was for has left the deployment";
        Error::new(ErrorKind::Topology, Delivery::NotSent, message)
    };
    error.with_command(&item.command.name())
}
