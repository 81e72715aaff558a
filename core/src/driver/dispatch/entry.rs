//! Commands that concern several slots or several nodes, and the way there of all others.
//!
//! A command with keys in several slots is split, or refused before a byte is sent; one that is for
//! all primaries or all nodes goes to each, and their replies become one. Everything else is one
//! `dispatch`. Deployments without slots have one primary, to which everything goes as it is.
//!
//! Invariants: what fails at one node does not keep the others from finishing; an error says how
//! many parts failed, and where. Called by `client/call.rs` and `client/pipeline.rs`.

use crate::command::{Command, Learned, cmd};
use crate::driver::attempt::item::Item;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::parts::{Way, Work, whole};
use crate::driver::dispatch::pipeline::{self, Results};
use crate::driver::dispatch::single::{Request, dispatch};
use crate::driver::environment::join_all::join_all;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::read::{self, Begin};
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::{FAN_OUT, READ_POLICIES, left_out};
use crate::resp::plain_value;
use crate::routing::destination::Destination;
use crate::routing::fold::{Fold, fold};
use crate::routing::plan::{Audience, Plan, plan};
use crate::routing::session::refusal;
use crate::routing::split::{Grain, Span, Split, cross_slot, span};
use crate::topology::node_id::NodeId;
use crate::topology::slot::{SLOT_COUNT, Slot};
use crate::topology::slot_map::Shard;
use crate::topology::slot_range::every_slot;
use crate::topology::view::ReportedHealth;
use crate::{BoxFuture, Endpoint};
use bytes::Bytes;
use std::future::ready;
use std::sync::Arc;

/// Whether a command takes the straight way after all: it was marked as one to look at.
pub(crate) fn is_single(topology: &LiveTopology, command: &Command) -> bool {
    !topology.env().has_slots() || plan(command) == Plan::One
}

/// Whether a command travels as it is, to one node.
#[inline]
fn is_plain(topology: &LiveTopology, command: &Command) -> bool {
    command.goes_straight() || is_single(topology, command)
}

/// The error for a command that must not run among others on a shared connection.
#[inline]
pub(crate) fn unfit(command: &Command) -> Option<Error> {
    if command.is_blocking() {
        let message = "a blocking command cannot be part of a pipeline";
        let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
        return Some(error.with_command(&command.name()));
    }
    refusal(command)
}

/// Runs a command that cannot go straight, or could not: `begin` is what came of it.
pub(crate) fn run(
    topology: Arc<LiveTopology>,
    command: Command,
    rule: Option<Arc<ReadSettings>>,
    terms: CallOptions,
    begin: Begin,
) -> BoxFuture<'static, Result<Bytes, Error>> {
    if let Some(error) = refusal(&command) {
        return Box::pin(ready(Err(error)));
    }
    let single = !matches!(begin, Begin::Fresh) || is_plain(&topology, &command);
    if single && let Some(rule) = rule {
        match read::governs(&rule, Item::whole(&command)) {
            Ok(false) => {}
            Ok(true) if !READ_POLICIES => {
                let error = left_out("a read policy", "read-policies");
                return Box::pin(ready(Err(error.with_command(&command.name()))));
            }
            Ok(true) => {
                return Box::pin(async move {
                    let item = Item::whole(&command);
                    Ok(read::read(&topology, &rule, item, terms, begin).await?.0)
                });
            }
            Err(error) => return Box::pin(ready(Err(error))),
        }
        return alone(topology, command, terms, begin);
    }
    if single {
        return alone(topology, command, terms, begin);
    }
    if !FAN_OUT {
        return match plan(&command) {
            Plan::Unknown => alone(topology, command, terms, begin),
            plan => Box::pin(ready(Err(beyond_one(&command, plan)))),
        };
    }
    Box::pin(async move {
        let mut command = command;
        if command.is_unknown() {
            learn(&topology, &mut command, terms).await;
            return if command.is_unknown() {
                alone(topology, command, terms, Begin::Fresh).await
            } else {
                run(topology, command, rule, terms, Begin::Fresh).await
            };
        }
        let commands = [command];
        match way(&topology, &commands[0], terms).await? {
            Way::Fan(aims, how) => {
                let replies = ask_each(&topology, aims, &commands[0], rule.as_ref(), terms).await;
                let frames = replies.into_iter().map(|reply| Ok(reply?.0));
                whole(frames, &commands[0], how.needs_all(), |frames| fold(how, frames))
            }
            way => {
                let work = Work::new(&commands, vec![way]);
                let mut results =
                    work.gather(pipeline::run_work(&topology, &work, rule.as_ref(), terms).await);
                results.pop().expect("a work of one command has one result")
            }
        }
    })
}

/// Learns of a command that the table lacks what the servers know of it. Nothing is lost if that
/// fails: it goes to anybody, then, and is redirected.
async fn learn(topology: &Arc<LiveTopology>, command: &mut Command, terms: CallOptions) {
    if topology.command_info.apply(command) {
        return;
    }
    let name = command.args_iter().next().unwrap_or_default();
    let question = cmd("COMMAND INFO").arg(name);
    let errand = Request::new(question, Destination::Any);
    let Ok((frame, _)) = dispatch(Arc::clone(topology), errand, terms, None).await else { return };
    let Ok(reply) = plain_value(&frame) else { return };
    topology.command_info.note(command, Learned::parse(&reply));
    topology.command_info.apply(command);
}

/// Runs a command at one node, the one that the map names.
fn alone(
    topology: Arc<LiveTopology>,
    command: Command,
    terms: CallOptions,
    begin: Begin,
) -> BoxFuture<'static, Result<Bytes, Error>> {
    let seen = match begin {
        Begin::After(seen, node) => Some((seen, node)),
        Begin::At(_) | Begin::Capped | Begin::Fresh => None,
    };
    let errand = Request::new(command, Destination::Key);
    Box::pin(async move { Ok(dispatch(topology, errand, terms, seen).await?.0) })
}

/// Runs the commands of a pipeline.
///
/// # Errors
/// When one of them cannot be part of it; nothing was sent then.
pub(crate) async fn run_all(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    rule: Option<&Arc<ReadSettings>>,
    terms: CallOptions,
) -> Result<Results, Error> {
    if commands.iter().all(|command| is_plain(topology, command)) {
        return Ok(pipeline::run(topology, commands, rule, terms).await);
    }
    mixed(topology, commands, rule, terms).await
}

/// Runs commands of which some are split, go to many nodes, or are unknown.
fn mixed<'a>(
    topology: &'a Arc<LiveTopology>,
    commands: &'a [Command],
    rule: Option<&'a Arc<ReadSettings>>,
    terms: CallOptions,
) -> BoxFuture<'a, Result<Results, Error>> {
    Box::pin(run_mixed(topology, commands, rule, terms))
}

async fn run_mixed(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    rule: Option<&Arc<ReadSettings>>,
    terms: CallOptions,
) -> Result<Results, Error> {
    if commands.iter().any(|command| command.is_unknown() && !is_plain(topology, command)) {
        let mut taught = commands.to_vec();
        for command in taught.iter_mut().filter(|command| command.is_unknown()) {
            learn(topology, command, terms).await;
        }
        if let Some(error) = taught.iter().find_map(unfit) {
            return Err(error);
        }
        return run_planned(topology, &taught, rule, terms).await;
    }
    run_planned(topology, commands, rule, terms).await
}

/// Runs commands of which all is known that there is to know.
async fn run_planned(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    rule: Option<&Arc<ReadSettings>>,
    terms: CallOptions,
) -> Result<Results, Error> {
    let mut ways = Vec::with_capacity(commands.len());
    for command in commands {
        ways.push(if is_plain(topology, command) {
            Way::Whole
        } else {
            way(topology, command, terms).await?
        });
    }
    let work = Work::new(commands, ways);
    Ok(work.gather(pipeline::run_work(topology, &work, rule, terms).await))
}

/// What a command fails with that concerns several slots or nodes, where it cannot.
fn beyond_one(command: &Command, plan: Plan) -> Error {
    let error = match plan {
        Plan::CrossSlot { first, second } => cross_slot(first, second),
        _ => left_out("a command for several slots or nodes", "fan-out"),
    };
    error.with_command(&command.name())
}

/// How a command that is marked as wide is sent over a cluster.
async fn way(
    topology: &Arc<LiveTopology>,
    command: &Command,
    terms: CallOptions,
) -> Result<Way, Error> {
    let cross = |first, second| cross_slot(first, second).with_command(&command.name());
    match plan(command) {
        Plan::One => Ok(Way::Whole),
        Plan::CrossSlot { first, second } => Err(cross(first, second)),
        plan @ (Plan::Split | Plan::Fan(..)) if !FAN_OUT => Err(beyond_one(command, plan)),
        Plan::Split => match Split::of(command, Grain::Slot) {
            Some(split) => Ok(Way::Parts(split)),
            None => match span(command.keys().map(|(_, key)| key)) {
                Span::Several { first, second } => Err(cross(first, second)),
                Span::One => Ok(Way::Whole),
            },
        },
        Plan::Fan(audience, how) => {
            Ok(Way::Fan(aims_of(topology, Goal::Many(audience), terms).await?, how))
        }
        Plan::OnNode => {
            let message = "its cursor is one node's: a cluster is scanned by `Client::scan_all`";
            Err(Error::new(ErrorKind::Config, Delivery::NotSent, message)
                .with_command(&command.name()))
        }
        Plan::Unknown => Ok(Way::Whole),
    }
}

/// Sends a command to each aim at once; each is tried again by itself. `rule` says which node of an
/// aim's shard a read goes to; without one it is the primary.
async fn ask_each(
    topology: &Arc<LiveTopology>,
    aims: Vec<Destination>,
    command: &Command,
    rule: Option<&Arc<ReadSettings>>,
    terms: CallOptions,
) -> Vec<Result<(Bytes, Arc<Node>), Error>> {
    let each = aims.into_iter().map(|aim| async move {
        let item = Item::aimed(command, &aim);
        match rule {
            Some(rule) if READ_POLICIES && read::governs(rule, item)? => {
                read::read(topology, rule, item, terms, Begin::Fresh).await
            }
            _ => {
                let errand = Request::new(command.clone(), aim);
                dispatch(Arc::clone(topology), errand, terms, None).await
            }
        }
    });
    join_all(each).await
}

/// Whom a caller named.
#[derive(Debug)]
pub(crate) enum Goal {
    /// One node.
    One(Destination),
    /// Several.
    Many(Audience),
}

/// What became of a command at one node.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Who answered, or should have.
    pub(crate) node: NodeId,
    /// Where it listens.
    pub(crate) endpoint: Option<Endpoint>,
    /// A frame that is no error, or the error.
    pub(crate) result: Result<Bytes, Error>,
}

/// Runs a command where the caller wants it, for one reply.
pub(crate) async fn run_at(
    topology: &Arc<LiveTopology>,
    goal: Goal,
    command: Command,
    terms: CallOptions,
) -> Result<Bytes, Error> {
    refusal(&command).map_or(Ok(()), Err)?;
    let aims = aims_of(topology, goal, terms).await?;
    let how = Fold::By(command.spec().response());
    let one = aims.len() == 1;
    let mut replies = ask_each(topology, aims, &command, None, terms).await.into_iter();
    match replies.next() {
        Some(reply) if one => Ok(reply?.0),
        first => {
            let replies = first.into_iter().chain(replies).map(|reply| Ok(reply?.0));
            whole(replies, &command, how.needs_all(), |frames| fold(how, frames))
        }
    }
}

/// The same, for a result of each node.
pub(crate) async fn each_at(
    topology: &Arc<LiveTopology>,
    goal: Goal,
    command: Command,
    terms: CallOptions,
) -> Result<Vec<Answer>, Error> {
    refusal(&command).map_or(Ok(()), Err)?;
    let aims = aims_of(topology, goal, terms).await?;
    let replies = ask_each(topology, aims.clone(), &command, None, terms).await;
    let routes = topology.routes();
    let answer = |(reply, aim): (Result<(Bytes, Arc<Node>), Error>, &Destination)| {
        let (result, at) = match reply {
            Ok((frame, node)) => (Ok(frame), Some(node.endpoint().clone())),
            Err(error) => {
                let at = error.endpoint().cloned();
                (Err(error), at)
            }
        };
        let node = at.as_ref().and_then(|at| routes.map.node_at(at)).or(routes.index_of(aim));
        let (node, endpoint) = match (node.map(|index| routes.map.node(index)), at) {
            (Some(node), at) => (node.id.clone(), at.or_else(|| node.endpoint.clone())),
            (None, Some(at)) => (NodeId::provisional(&at), Some(at)),
            // Nobody there: not a node's failure, but the caller's target.
            (None, None) => return Err(result.err().unwrap_or_else(|| topology.no_node_error())),
        };
        Ok(Answer { node, endpoint, result })
    };
    replies.into_iter().zip(&aims).map(answer).collect()
}

/// Runs a command key by key.
///
/// # Errors
/// `Config` if it is none of those that can be cut.
pub(crate) async fn by_key(
    topology: &Arc<LiveTopology>,
    command: Command,
    rule: Option<&Arc<ReadSettings>>,
    terms: CallOptions,
) -> Result<Results, Error> {
    let Some(split) = Split::of(&command, Grain::Key) else {
        let message = "a command that does not run key by key";
        let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
        return Err(error.with_command(&command.name()));
    };
    let commands = [command];
    let work = Work::new(&commands, vec![Way::Parts(split)]);
    Ok(work.by_key(pipeline::run_work(topology, &work, rule, terms).await))
}

/// Where a command goes: to the owner of a slot of each shard, which is somebody else after a
/// failover, and to nodes by their ids.
///
/// # Errors
/// When no such node is known.
async fn aims_of(
    topology: &Arc<LiveTopology>,
    goal: Goal,
    terms: CallOptions,
) -> Result<Vec<Destination>, Error> {
    if !knows_every_slot(&topology.routes()) {
        // Who has just started would leave somebody out.
        topology.wait_for_refresh(terms.deadline).await;
    }
    let audience = match goal {
        Goal::One(aim) => return Ok(vec![aim]),
        Goal::Many(audience) => audience,
    };
    let routes = topology.routes();
    let shards = routes.map.slots().shards();
    let aims: Vec<Destination> = match audience {
        Audience::Primaries => primaries(&routes).collect(),
        Audience::Nodes => primaries(&routes).chain(replicas(&routes, shards)).collect(),
        Audience::Shard(slot) => {
            let shard = routes.map.slots().shard_at(slot);
            std::iter::once(Destination::Shard(slot)).chain(replicas(&routes, shard)).collect()
        }
    };
    if aims.is_empty() { Err(topology.no_node_error()) } else { Ok(aims) }
}

/// Whether every slot has an owner, or nobody by the cluster's own word.
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

/// Every replica that the cluster does not hold for dead: what such a one misses, it misses as if
/// it had been restarted.
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
