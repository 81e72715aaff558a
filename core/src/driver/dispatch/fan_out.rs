//! Commands for several nodes: split over slots, sent to each node of a target, or run key by key.
//!
//! Each part is sent, redirected and tried again by itself; then the replies become one, or the
//! caller gets the result of each node or key.
//!
//! Invariants: a part that fails does not keep the others from finishing; an error says how many
//! parts failed, and at which nodes. Without slots, the one primary is every target.

use crate::Endpoint;
use crate::command::Command;
use crate::driver::attempt::item::Item;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::node_batch::BatchSender;
use crate::driver::dispatch::parts::{PartList, join_results};
use crate::driver::dispatch::pipeline::{self, Results};
use crate::driver::dispatch::single::{Request, dispatch};
use crate::driver::environment::join_all::join_all;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::read::{self, ResumeFrom};
use crate::error::Error;
use crate::routing::destination::Destination;
use crate::routing::fold::{Fold, fold};
use crate::routing::plan::Plan;
use crate::routing::session::refusal;
use crate::routing::split::{Split, SplitBy};
use crate::routing::target::Target;
use crate::topology::node_id::NodeId;
use crate::topology::slot::{SLOT_COUNT, Slot};
use crate::topology::slot_map::Shard;
use crate::topology::slot_range::every_slot;
use crate::topology::view::ReportedHealth;
use bytes::Bytes;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// A reply that is no error, with the node that sent it; or why there is none.
type NodeResult = Result<(Bytes, Arc<Node>), Error>;

/// Runs a command that is split or goes to several nodes, for one reply.
pub(crate) async fn run(
    topology: Arc<LiveTopology>,
    command: Command,
    plan: Plan,
    reads: Option<Arc<ReadSettings>>,
    options: CallOptions,
) -> Result<Bytes, Error> {
    if let Plan::FanOut(target, how) = plan {
        let destinations = planned(&topology, &target, how, options).await?;
        let replies =
            send_to_each(&topology, destinations, &command, reads.as_ref(), options).await;
        return join_replies(replies, &command, how);
    }
    let commands = [command];
    let mut results =
        run_planned(&topology, &commands, vec![plan], reads.as_ref(), options, None).await?;
    results.pop().expect("one command has one result")
}

/// Runs commands of which some are split or go to several nodes. `plans` has one for each.
/// `sender`: as in `pipeline::run`.
///
/// # Errors
/// When a command is for nodes of which none is known; nothing was sent then.
pub(super) async fn run_planned(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    plans: Vec<Plan>,
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
    sender: Option<&dyn BatchSender>,
) -> Result<Results, Error> {
    let mut parts = PartList::new(commands);
    for plan in plans {
        let own = match &plan {
            Plan::FanOut(target, how) => planned(topology, target, *how, options).await?,
            Plan::Split(_) | Plan::Unknown | Plan::Whole => Vec::new(),
        };
        parts.push(plan, own);
    }
    let results = pipeline::run_parts(topology, &parts, reads, options, sender).await;
    Ok(parts.per_command(results))
}

/// Runs a command on the nodes that the caller named, for one reply.
pub(crate) async fn run_at(
    topology: &Arc<LiveTopology>,
    target: &Target,
    command: Command,
    options: CallOptions,
) -> Result<Bytes, Error> {
    refusal(&command).map_or(Ok(()), Err)?;
    let destinations = destinations(topology, target, options).await?;
    let mut replies = send_to_each(topology, destinations, &command, None, options).await;
    if replies.len() == 1 {
        return Ok(replies.pop().expect("there is one, as was just asked")?.0);
    }
    join_replies(replies, &command, Fold::By(command.spec().response()))
}

/// The result of a command at one node.
#[derive(Debug)]
pub(crate) struct NodeAnswer {
    /// The node that answered, or should have.
    pub(crate) node: NodeId,
    /// Its address, if known.
    pub(crate) endpoint: Option<Endpoint>,
    /// A frame that is no error, or the error.
    pub(crate) result: Result<Bytes, Error>,
}

/// Runs a command on the nodes that the caller named, for the result of each.
///
/// # Errors
/// When no node is known, or the one that was named is not there.
pub(crate) async fn run_at_each(
    topology: &Arc<LiveTopology>,
    target: &Target,
    command: Command,
    options: CallOptions,
) -> Result<Vec<NodeAnswer>, Error> {
    refusal(&command).map_or(Ok(()), Err)?;
    let destinations = destinations(topology, target, options).await?;
    let replies = send_to_each(topology, destinations.clone(), &command, None, options).await;
    let routes = Arc::clone(&topology.routes());
    let answers = replies.into_iter().zip(&destinations);
    answers.map(|(reply, to)| name_node(topology, &routes, to, reply)).collect()
}

/// Says which node a result is of.
///
/// # Errors
/// The result's own, if no node was asked: then the caller's target has no such node.
fn name_node(
    topology: &LiveTopology,
    routes: &Routes,
    destination: &Destination,
    reply: NodeResult,
) -> Result<NodeAnswer, Error> {
    let (result, at) = match reply {
        Ok((frame, node)) => (Ok(frame), Some(node.endpoint().clone())),
        Err(error) => {
            let at = error.endpoint().cloned();
            (Err(error), at)
        }
    };
    let index = at.as_ref().and_then(|at| routes.map.node_at(at));
    let index = index.or_else(|| routes.index_of(destination));
    let (node, endpoint) = match (index.map(|index| routes.map.node(index)), at) {
        (Some(view), at) => (view.id.clone(), at.or_else(|| view.endpoint.clone())),
        (None, Some(at)) => (NodeId::provisional(&at), Some(at)),
        (None, None) => return Err(result.err().unwrap_or_else(|| topology.no_node_error())),
    };
    Ok(NodeAnswer { node, endpoint, result })
}

/// Runs a command key by key: MGET, MSET, DEL, EXISTS, TOUCH or UNLINK. Returns the result of each
/// key; none for a command without keys, which is not sent.
pub(crate) async fn run_per_key(
    topology: &Arc<LiveTopology>,
    command: Command,
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
) -> Results {
    let Some(split) = Split::of(&command, SplitBy::Key) else {
        debug_assert_eq!(command.keys().count(), 0, "a command that cannot be split by key");
        return Vec::new();
    };
    let commands = [command];
    let mut parts = PartList::new(&commands);
    parts.push(Plan::Split(Box::new(split)), Vec::new());
    parts.per_key(pipeline::run_parts(topology, &parts, reads, options, None).await)
}

/// Sends a command to each destination at once; each is tried again by itself. `rule` chooses the
/// node for a read that is for a shard; without one it is the shard's primary.
async fn send_to_each(
    topology: &Arc<LiveTopology>,
    destinations: Vec<Destination>,
    command: &Command,
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
) -> Vec<NodeResult> {
    let each = destinations.into_iter().map(|destination| async move {
        let item = Item::aimed(command, &destination);
        match reads {
            Some(reads) if read::governs(reads, item)? => {
                read::read(topology, reads, item, options, ResumeFrom::Start).await
            }
            _ => {
                let request = Request::new(command.clone(), destination);
                dispatch(Arc::clone(topology), request, options, None).await
            }
        }
    });
    join_all(each).await
}

/// One reply from those of several nodes.
fn join_replies(replies: Vec<NodeResult>, command: &Command, how: Fold) -> Result<Bytes, Error> {
    let frames = replies.into_iter().map(|reply| Ok(reply?.0));
    join_results(frames, command, how.needs_all(), |frames| fold(how, frames))
}

/// Where a command goes that the plan sends to a target. Where any value will do, the first one is
/// taken: so another node comes first each time, and RANDOMKEY has keys of all shards.
async fn planned(
    topology: &Arc<LiveTopology>,
    target: &Target,
    how: Fold,
    options: CallOptions,
) -> Result<Vec<Destination>, Error> {
    let mut all = destinations(topology, target, options).await?;
    if how == Fold::AnyValue {
        let first = topology.env().rng().below(all.len().max(1) as u64);
        all.rotate_left(first as usize);
    }
    Ok(all)
}

/// Where a command for a target goes: to the owner of a slot of each shard, so that an attempt
/// after a failover goes to the new primary, and to other nodes by their ids.
///
/// # Errors
/// When no such node is known.
async fn destinations(
    topology: &Arc<LiveTopology>,
    target: &Target,
    options: CallOptions,
) -> Result<Vec<Destination>, Error> {
    if !knows_every_slot(&topology.routes()) {
        // The first topology is not complete yet: nodes would be left out.
        topology.wait_for_refresh(options.deadline).await;
    }
    if let Some(destination) = target.destination() {
        return Ok(vec![destination]);
    }
    let routes = Arc::clone(&topology.routes());
    let slots = routes.map.slots();
    let several: Vec<Destination> = match target {
        Target::AllNodes => primaries(&routes).chain(replicas(&routes, slots.shards())).collect(),
        Target::Shard(slot) => {
            let shard = slots.shard_at(*slot);
            std::iter::once(Destination::Shard(*slot)).chain(replicas(&routes, shard)).collect()
        }
        _ => primaries(&routes).collect(),
    };
    if several.is_empty() { Err(topology.no_node_error()) } else { Ok(several) }
}

/// Whether every slot has an owner, or none according to the cluster itself.
fn knows_every_slot(routes: &Routes) -> bool {
    let map = &routes.map;
    let denied = map.uncovered().keys().filter(|slot| map.owner(**slot).is_none()).count();
    usize::from(map.slots().owned()) + denied >= usize::from(SLOT_COUNT)
}

/// Every primary: by a slot of its own or, where it has none, by its id.
fn primaries(routes: &Routes) -> impl Iterator<Item = Destination> {
    let slots = routes.map.slots();
    let mut first: Vec<Option<Slot>> = vec![None; slots.shards().len()];
    for slot in every_slot() {
        if let Some(first) = first.get_mut(usize::from(slots.owner_at(slot))) {
            first.get_or_insert(slot);
        }
    }
    slots.shards().iter().zip(first).map(|(shard, slot)| match slot {
        Some(slot) => Destination::Shard(slot),
        None => Destination::Primary(routes.map.node(shard.primary).id.clone()),
    })
}

/// Every replica that the cluster does not consider failed. One that is failed misses the command,
/// as it would if it had been restarted.
fn replicas<'r>(
    routes: &'r Routes,
    shards: impl IntoIterator<Item = &'r Shard>,
) -> impl Iterator<Item = Destination> {
    let nodes = shards.into_iter().flat_map(|shard| &shard.replicas);
    let nodes = nodes.map(|index| routes.map.node(*index));
    let alive =
        nodes.filter(|node| node.health != ReportedHealth::Failed && node.endpoint.is_some());
    alive.map(|node| Destination::Node(node.id.clone()))
}
