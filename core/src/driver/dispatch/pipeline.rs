//! Many commands at once: grouped by node, one write each, judged one by one.
//!
//! A round sends what is left to every node that it concerns, in parallel and in order, and judges
//! each command by its own reply. Those that `routing/retry.rs` sends again make the next round, so
//! a refused command never makes its neighbours run twice. Reads under a policy travel in groups of
//! their own; those that do not go well, or have no link yet, go on by themselves
//! (`driver/reads.rs`).
//!
//! Invariants: results are in the order of the commands; commands for one node keep their order
//! within a round. Limits: `pipeline_commands_max`, checked by the caller; `attempts_max` rounds;
//! one deadline over all of them. Called by `driver/spread.rs`.

use crate::BoxFuture;
use crate::command::{Command, cmd};
use crate::connection::outcome::{Failed, Outcome, Reply};
use crate::connection::queue::Entry;
use crate::driver::attempt::item::{Item, Items};
use crate::driver::attempt::next_step::{
    Attempts, CallOptions, NextHop, NextStep, explain, next_step,
};
use crate::driver::attempt::waiting::{await_anybody, connect, rest};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::parts::PartList;
use crate::driver::environment::join_all::join_all;
use crate::driver::link::submit::{error_in, submit};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::read::{self, ResumeFrom};
use crate::driver::replica::select::{SelectionContext, select_node};
use crate::driver::replica::shard_lookup::shard_for;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::READ_POLICIES;
use crate::resp::{FrameKind, frame_kind};
use crate::routing::retry::AttemptFailure;
use crate::sorted::sort_by_key;
use crate::topology::refresh::RefreshReason;
use bytes::Bytes;
use futures::future::join;
use std::sync::Arc;
use std::time::Duration;

/// What became of each command: its frame, which is no error reply, or its error.
pub(crate) type Results = Vec<Result<Bytes, Error>>;

/// The commands of one round that go to one node.
struct Group {
    /// Where they go.
    node: Arc<Node>,
    /// Each behind an ASKING of its own.
    ask: bool,
    /// Reads, whose node a policy chose.
    spread: bool,
    /// Their numbers in the batch, ascending.
    members: Vec<usize>,
}

impl Group {
    /// All items, for one node.
    fn all(node: &Arc<Node>, count: usize) -> Self {
        Self { node: Arc::clone(node), ask: false, spread: false, members: (0..count).collect() }
    }
}

/// A command that has no result yet.
struct Pending {
    /// Its number in the batch.
    member: usize,
    /// Where it goes next.
    target: NextHop,
    /// How often it was tried.
    tries: Attempts,
}

/// Runs all of them. `rule` says where reads go; none stands for the primary.
pub(crate) async fn run(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
) -> Results {
    let mut begun = None;
    await_anybody(topology, options.deadline).await;
    let routes = Arc::clone(&topology.routes());
    if let Some(node) = routes.only().filter(|_| reads.is_none() && !commands.is_empty()) {
        let all = Group::all(node, commands.len());
        let sent = send(topology, &routes, &all, &commands, options);
        match all_good(topology.while_refreshing(sent).await) {
            Ok(frames) => {
                let frames = topology.wait_briefly_for_own_refresh(frames, options.deadline).await;
                return frames.into_iter().map(Ok).collect();
            }
            Err(outcome) => begun = Some((all, outcome)),
        }
    }
    rounds(topology, &commands, reads, options, begun).await
}

/// Runs the items of a list, which may be for several nodes.
pub(crate) fn run_parts<'a>(
    topology: &'a Arc<LiveTopology>,
    parts: &'a PartList<'_>,
    reads: Option<&'a Arc<ReadSettings>>,
    options: CallOptions,
) -> BoxFuture<'a, Results> {
    rounds(topology, parts, reads, options, None)
}

/// What came of sending all items to one node.
type Begun = (Group, Result<Outcome, Error>);

/// Round after round, the first of which may have `begun`.
fn rounds<'a>(
    topology: &'a Arc<LiveTopology>,
    items: &'a dyn Items,
    reads: Option<&'a Arc<ReadSettings>>,
    options: CallOptions,
    begun: Option<Begun>,
) -> BoxFuture<'a, Results> {
    Box::pin(async move {
        let results = run_rounds(topology, items, reads, options, begun).await;
        topology.wait_briefly_for_own_refresh(results, options.deadline).await
    })
}

/// The frames of an outcome without any error.
fn all_good(outcome: Result<Outcome, Error>) -> Result<Vec<Bytes>, Result<Outcome, Error>> {
    let frames = outcome.map_err(Err)?.map_err(|failed| Ok(Err(failed)))?.into_all();
    let is_good = |frame: &Bytes| frame_kind(frame) != FrameKind::Error;
    if frames.iter().all(is_good) { Ok(frames) } else { Err(Ok(Ok(Reply::Many(frames)))) }
}

async fn run_rounds(
    topology: &Arc<LiveTopology>,
    items: &dyn Items,
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
    mut begun: Option<Begun>,
) -> Results {
    let env = topology.env();
    let mut results: Vec<Option<Result<Bytes, Error>>> = vec![None; items.count()];
    let fresh = |member| Pending { member, target: NextHop::Map, tries: Attempts::default() };
    let mut pending: Vec<Pending> = (0..items.count()).map(fresh).collect();
    // Reads under a policy that go on by themselves.
    let mut alone = take_reads(items, reads, &mut pending, &mut results);
    while !pending.is_empty() || !alone.is_empty() {
        let (groups, outcomes) = match begun.take() {
            Some((all, outcome)) => {
                pending.iter_mut().for_each(|one| one.tries.attempts += 1);
                (vec![all], vec![outcome])
            }
            None => {
                let routes = Arc::clone(&topology.routes());
                let mut groups = group(topology, &routes, items, &mut pending, &mut results);
                alone = join_groups(topology, &routes, items, reads, alone, &mut groups);
                let sent =
                    groups.iter().map(|group| send(topology, &routes, group, items, options));
                let reads = alone.drain(..).map(|(member, from)| async move {
                    let reads = reads.expect("only a reads makes reads go alone");
                    (member, read::read(topology, reads, items.item(member), options, from).await)
                });
                let both = join(join_all(sent), join_all(reads));
                let (outcomes, read) = topology.while_refreshing(both).await;
                for (member, result) in read {
                    results[member] = Some(result.map(|(frame, _)| frame));
                }
                (groups, outcomes)
            }
        };
        let mut pause = Duration::ZERO;
        let mut left = Vec::new();
        for (group, outcome) in groups.iter().zip(outcomes) {
            for (member, seen) in judge_each(group, items, outcome, &mut results) {
                if group.spread {
                    alone.push((member, ResumeFrom::Attempt(seen, Arc::clone(&group.node))));
                    continue;
                }
                let index = pending.binary_search_by_key(&member, |p| p.member);
                let index = index.expect("groups are made of what is pending");
                let mut tries = std::mem::take(&mut pending[index].tries);
                let command = items.item(member).command;
                match next_step(topology, command, options, &mut tries, &seen, &group.node) {
                    NextStep::Again { target, pause: own } if env.now() < options.deadline => {
                        pause = pause.max(own);
                        left.push(Pending { member, target, tries });
                    }
                    NextStep::FailWith(error) => results[member] = Some(Err(error)),
                    NextStep::Fail | NextStep::Again { .. } => {
                        let at = group.node.endpoint();
                        results[member] = Some(Err(explain(&seen, command, at, &tries, options)));
                    }
                }
            }
        }
        sort_by_key(&mut left, |pending: &Pending| pending.member);
        pending = left;
        if !pending.is_empty() {
            rest(topology, pause, options.deadline).await;
            if env.now() >= options.deadline {
                give_up(&mut pending, &mut results);
            }
        }
    }
    results.into_iter().map(|r| r.expect("a round settles a command or leaves it")).collect()
}

/// A read under a policy: its number, and where it stands.
type Alone = (usize, ResumeFrom);

/// Takes out what a read policy governs.
fn take_reads(
    items: &dyn Items,
    reads: Option<&Arc<ReadSettings>>,
    pending: &mut Vec<Pending>,
    results: &mut [Option<Result<Bytes, Error>>],
) -> Vec<Alone> {
    let Some(reads) = reads else { return Vec::new() };
    let mut alone = Vec::new();
    pending.retain(|one| match read::governs(reads, items.item(one.member)) {
        Ok(false) => true,
        Ok(true) => {
            alone.push((one.member, ResumeFrom::Start));
            false
        }
        Err(error) => {
            results[one.member] = Some(Err(error));
            false
        }
    });
    alone
}

/// Puts reads that have not been tried into groups of their nodes; returns those that go alone.
fn join_groups(
    topology: &LiveTopology,
    routes: &Arc<Routes>,
    items: &dyn Items,
    reads: Option<&Arc<ReadSettings>>,
    alone: Vec<Alone>,
    groups: &mut Vec<Group>,
) -> Vec<Alone> {
    let Some(reads) = reads.filter(|_| READ_POLICIES) else { return alone };
    let context =
        SelectionContext { settings: reads, tried: &[], capped: false, now: topology.env().now() };
    let pick_for = |member| {
        let shard = shard_for(routes, items.item(member), context.now).ok_or(ResumeFrom::Start)?;
        select_node(topology.env(), routes, shard, &context).map_err(ResumeFrom::from)
    };
    let mut left = Vec::new();
    for (member, from) in alone {
        let picked = if matches!(from, ResumeFrom::Start) { pick_for(member) } else { Err(from) };
        let node = match picked {
            Ok(node) => node,
            Err(from) => {
                left.push((member, from));
                continue;
            }
        };
        if node.ready().is_none_or(|link| link.is_closed()) {
            left.push((member, ResumeFrom::Node(Arc::clone(node))));
            continue;
        }
        let fits = |group: &&mut Group| group.spread && Arc::ptr_eq(&group.node, node);
        match groups.iter_mut().find(fits) {
            Some(group) => group.members.push(member),
            None => {
                let node = Arc::clone(node);
                groups.push(Group { node, ask: false, spread: true, members: vec![member] });
            }
        }
    }
    left
}

/// Fails what was tried before and has no time left, with what it failed with then.
fn give_up(pending: &mut Vec<Pending>, results: &mut [Option<Result<Bytes, Error>>]) {
    pending.retain_mut(|one| match one.tries.last.take() {
        Some(last) => {
            results[one.member] = Some(Err(last));
            false
        }
        None => true,
    });
}

/// Sorts what is left by node; what has no node at all fails here.
fn group(
    topology: &LiveTopology,
    routes: &Routes,
    items: &dyn Items,
    pending: &mut [Pending],
    results: &mut [Option<Result<Bytes, Error>>],
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let all = pending.len();
    for one in pending {
        one.tries.attempts += u32::from(matches!(one.target, NextHop::Map));
        let asked;
        let (node, ask) = match &one.target {
            NextHop::Node(node) => (Some(node), false),
            NextHop::Ask(node) => (Some(node), true),
            NextHop::Map => {
                let item = items.item(one.member);
                let known = item.node(routes);
                asked = if known.is_none() { somebody(topology, item) } else { None };
                (known.or(asked.as_ref()), false)
            }
        };
        let Some(node) = node else {
            results[one.member] = Some(Err(nobody(topology, items.item(one.member))));
            continue;
        };
        let fits = |group: &&mut Group| group.ask == ask && Arc::ptr_eq(&group.node, node);
        match groups.iter_mut().find(fits) {
            Some(group) => group.members.push(one.member),
            None => {
                // Most pipelines go to one node, and the others to few.
                let mut members = Vec::with_capacity(all / (groups.len() + 1));
                members.push(one.member);
                groups.push(Group { node: Arc::clone(node), ask, spread: false, members });
            }
        }
    }
    groups
}

/// Whom to ask about a slot that the map does not know: the answer teaches.
fn somebody(topology: &LiveTopology, item: Item<'_>) -> Option<Arc<Node>> {
    topology.request_refresh(RefreshReason::Uncovered);
    if item.may_ask_around() { topology.any_node() } else { None }
}

fn nobody(topology: &LiveTopology, item: Item<'_>) -> Error {
    let error = if item.may_ask_around() {
        topology.no_node_error()
    } else {
        let message = "the node that this was for has left";
        Error::new(ErrorKind::Topology, Delivery::NotSent, message)
    };
    error.with_command(&item.command.name())
}

/// One group, in one write.
async fn send<I: Items + ?Sized>(
    topology: &Arc<LiveTopology>,
    routes: &Routes,
    group: &Group,
    items: &I,
    options: CallOptions,
) -> Result<Outcome, Error> {
    let (env, node) = (topology.env(), &group.node);
    let numbers = group.members.as_slice();
    let members = || numbers.iter().map(|&member| items.item(member));
    let link = match node.ready() {
        Some(link) if !link.is_closed() => link,
        _ => {
            let away = |now: &Routes| members().any(|item| item.leads_away(now, node));
            let link = connect(topology, routes, node, &away, options.deadline).await?;
            link.ok_or_else(|| {
                let message = "another node serves the slot now";
                Error::new(ErrorKind::Connect, Delivery::NotSent, message)
            })?
        }
    };
    let asking = group.ask.then(|| cmd("ASKING"));
    let each = asking.as_ref().map_or(0, Command::encoded_len);
    let count = group.members.len();
    let entry = Entry {
        len: members().map(|item| item.encoded_len()).sum::<usize>() + count * each,
        replies: u32::try_from(count * (1 + usize::from(group.ask)))
            .expect("a batch is limited in its commands"),
        deadline: options.deadline,
    };
    let write = |out: &mut Vec<u8>| {
        out.reserve(entry.len);
        for item in members() {
            if let Some(asking) = &asking {
                asking.write_to(out);
            }
            item.write_to(out);
        }
    };
    let mut guard = if group.spread { Some(InFlightGuard::counted(node, count)) } else { None };
    let outcome = submit(env, &link, entry, &write).await;
    if let (Some(guard), Ok(Ok(_))) = (&mut guard, &outcome) {
        guard.succeed(|| env.now());
    }
    outcome
}

/// Keeps the good replies and returns what was seen instead of one, by command.
fn judge_each(
    group: &Group,
    items: &dyn Items,
    outcome: Result<Outcome, Error>,
    results: &mut [Option<Result<Bytes, Error>>],
) -> Vec<(usize, AttemptFailure)> {
    let (replies, failed) = match outcome {
        Ok(Ok(reply)) => (reply.into_all(), None),
        Ok(Err(mut failed)) => (std::mem::take(&mut failed.replies), Some(failed)),
        Err(error) => {
            let seen = |&member| (member, AttemptFailure::NoLink(error.clone()));
            return group.members.iter().map(seen).collect();
        }
    };
    let asking = if group.ask { cmd("ASKING").encoded_len() as u64 } else { 0 };
    let mut seen = Vec::new();
    let mut offset = 0;
    let mut replies = replies.into_iter();
    for &member in &group.members {
        let len = asking + items.item(member).encoded_len() as u64;
        if group.ask {
            replies.next();
        }
        match (replies.next(), &failed) {
            (Some(frame), _) => match error_in(&frame) {
                None => results[member] = Some(Ok(frame)),
                Some(error) => seen.push((member, AttemptFailure::ErrorReply(error))),
            },
            (None, Some(failed)) => {
                let written = failed.written.saturating_sub(offset).min(len);
                let failure = failed.failure.clone();
                let own = Failed { failure, replies: Vec::new(), written, len };
                seen.push((member, AttemptFailure::NoReply(Box::new(own))));
            }
            (None, None) => unreachable!("an entry that ended well has all its replies"),
        }
        offset += len;
    }
    seen
}
