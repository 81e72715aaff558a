//! Where a call enters the driver: single commands that cannot go straight, and pipelines.
//!
//! How a command is sent (`routing/plan.rs`) is decided once: by `client/call.rs` for a single
//! command, by [`run_all`] for those of a pipeline. From here it is passed down. A whole command
//! goes to the node that the read policy chooses (`driver/replica/read.rs`) or to the owner of its
//! key (`single.rs`); the others go to several nodes (`fan_out.rs`). A command that the command
//! table lacks is looked up on a server first, and planned again.
//!
//! Invariant: a command or a pipeline that is refused is refused before its first byte is sent.

use crate::BoxFuture;
use crate::command::{Command, Learned};
use crate::connection::courtesy::Courtesy;
use crate::connection::handshake::is_unready;
use crate::driver::attempt::item::Item;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::dispatch::fan_out;
use crate::driver::dispatch::node_batch::{BatchSender, UrgentSender};
use crate::driver::dispatch::pipeline::{self, Results};
use crate::driver::dispatch::single::{LastLink, Request, dispatch};
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::read::{self, ResumeFrom};
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::FAN_OUT;
use crate::lock::lock;
use crate::resp::plain_value;
use crate::routing::destination::Destination;
use crate::routing::plan::{Plan, plan};
use crate::routing::session::refusal;
use bytes::Bytes;
use std::future::ready;
use std::sync::{Arc, Weak};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Runs a command that cannot go straight, or whose first attempt did not end well: `begin` says
/// which.
pub(crate) fn run(
    topology: Arc<LiveTopology>,
    command: Command,
    plan: Plan,
    reads: Option<Arc<ReadSettings>>,
    options: CallOptions,
    from: ResumeFrom,
) -> BoxFuture<'static, Result<Bytes, Error>> {
    match plan {
        Plan::Whole => run_whole(topology, command, reads, options, from),
        // There is no such plan then; the linker cannot know that.
        _ if !FAN_OUT => run_whole(topology, command, reads, options, from),
        Plan::Unknown => Box::pin(run_unknown(topology, command, reads, options)),
        Plan::FanOut(..) | Plan::Split(_) => {
            Box::pin(fan_out::run(topology, command, plan, reads, options))
        }
    }
}

/// Runs a command at one node: the one that the read policy chooses, if that governs the command,
/// or the owner of its key.
fn run_whole(
    topology: Arc<LiveTopology>,
    command: Command,
    reads: Option<Arc<ReadSettings>>,
    options: CallOptions,
    from: ResumeFrom,
) -> BoxFuture<'static, Result<Bytes, Error>> {
    let reads = match reads.map(|reads| Ok((read::governs(&reads, Item::whole(&command))?, reads)))
    {
        Some(Err(error)) => return Box::pin(ready(Err(error))),
        Some(Ok((true, reads))) => Some(reads),
        Some(Ok((false, _))) | None => None,
    };
    Box::pin(async move {
        if let Some(reads) = reads {
            let item = Item::whole(&command);
            return Ok(read::read(&topology, &reads, item, options, from).await?.0);
        }
        let seen = match from {
            ResumeFrom::Attempt(seen, node) => Some((seen, node)),
            ResumeFrom::Node(_) | ResumeFrom::PrimaryCapped | ResumeFrom::Start => None,
        };
        let request = Request::new(command, Destination::Key);
        Ok(dispatch(topology, request, options, seen).await?.0)
    })
}

/// Runs a command that the command table lacks.
async fn run_unknown(
    topology: Arc<LiveTopology>,
    mut command: Command,
    reads: Option<Arc<ReadSettings>>,
    options: CallOptions,
) -> Result<Bytes, Error> {
    let plan = learn_and_plan(&topology, &mut command, options).await?;
    if matches!(plan, Plan::Unknown) {
        return run_whole(topology, command, None, options, ResumeFrom::Start).await;
    }
    run(topology, command, plan, reads, options, ResumeFrom::Start).await
}

/// Plans a command that the command table lacks, with what the servers know of it.
async fn learn_and_plan(
    topology: &Arc<LiveTopology>,
    command: &mut Command,
    options: CallOptions,
) -> Result<Plan, Error> {
    learn(topology, command, options).await;
    if command.is_unknown() { Ok(Plan::Unknown) } else { plan(command, true) }
}

/// Asks a server where the keys of a command are. If that fails, the command stays unknown; it then
/// goes to any primary, whose redirect names the right one.
async fn learn(topology: &Arc<LiveTopology>, command: &mut Command, options: CallOptions) {
    let env = topology.env();
    if topology.command_info.apply(command)
        || !env.config().courtesies
        || topology.command_info.is_unanswered(env.now())
    {
        return;
    }
    let name = command.args_iter().next().unwrap_or_default();
    let last = LastLink::default();
    let request = Request::new(Courtesy::CommandInfo.command().arg(name), Destination::Any);
    let request = request.with_last_link(Arc::clone(&last));
    // The command itself needs time, too.
    let patience = options.spare(env.now(), Duration::ZERO) / 2;
    let asked = CallOptions { deadline: env.now().after(patience), ..options };
    let reply = dispatch(Arc::clone(topology), request, asked, None).await;
    let learned = match &reply {
        Ok((frame, _)) => plain_value(frame).ok().and_then(|reply| Learned::parse(&reply)),
        // The user may not ask, or the server does not know the question.
        Err(error) if error.server_error().is_some_and(|error| !is_unready(error)) => None,
        Err(_) => return topology.command_info.note_unanswered(env.now()),
    };
    let told_over = Weak::clone(&lock(&last));
    topology.command_info.note(command, learned, told_over);
    topology.command_info.apply(command);
}

/// Runs the commands of a pipeline.
///
/// # Errors
/// When one of them cannot be part of it; nothing was sent then.
pub(crate) async fn run_all(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
) -> Result<Results, Error> {
    run_all_by(topology, commands, reads, options, None).await
}

/// The same. `sender`: how batches are sent, if not over the shared connections.
pub(super) async fn run_all_by(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
    mut sender: Option<&dyn BatchSender>,
) -> Result<Results, Error> {
    let mut is_urgent = false;
    let plans = plan_all(commands, topology.env().has_slots(), &mut is_urgent)?;
    if is_urgent && sender.is_none() {
        sender = Some(&UrgentSender);
    }
    if !FAN_OUT || plans.is_empty() {
        return Ok(pipeline::run(topology, commands, reads, options, sender).await);
    }
    // Boxed: an ordinary pipeline is not to be as large as this.
    Box::pin(run_mixed(topology, commands, plans, reads, options, sender)).await
}

/// How each command of a pipeline is sent; an empty list if every command is sent whole.
fn plan_all(
    commands: &[Command],
    has_slots: bool,
    is_urgent: &mut bool,
) -> Result<Vec<Plan>, Error> {
    let mut plans = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        let plan = plan_member(command, has_slots, is_urgent)?;
        if matches!(plan, Plan::Whole) && plans.is_empty() {
            continue;
        }
        plans.resize_with(index, || Plan::Whole);
        plans.push(plan);
    }
    Ok(plans)
}

/// How a command of a pipeline is sent. One that waits for data would hold up all behind it.
/// `is_urgent` is set by one that must not be held up.
#[inline]
fn plan_member(command: &Command, has_slots: bool, is_urgent: &mut bool) -> Result<Plan, Error> {
    if command.goes_straight() {
        return Ok(Plan::Whole);
    }
    *is_urgent |= command.is_urgent();
    if command.is_blocking()
        && let None = refusal(command)
    {
        let message = "a blocking command cannot be part of a pipeline";
        let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
        return Err(error.with_command(&command.name()));
    }
    plan(command, has_slots)
}

/// Runs a pipeline of which some commands are split, go to several nodes, or are unknown.
async fn run_mixed(
    topology: &Arc<LiveTopology>,
    commands: &[Command],
    mut plans: Vec<Plan>,
    reads: Option<&Arc<ReadSettings>>,
    options: CallOptions,
    sender: Option<&dyn BatchSender>,
) -> Result<Results, Error> {
    plans.resize_with(commands.len(), || Plan::Whole);
    if !plans.iter().any(|plan| matches!(plan, Plan::Unknown)) {
        return fan_out::run_planned(topology, commands, plans, reads, options, sender).await;
    }
    let mut commands = commands.to_vec();
    for (command, plan) in commands.iter_mut().zip(&mut plans) {
        if matches!(plan, Plan::Unknown) {
            learn(topology, command, options).await;
            if !command.is_unknown() {
                *plan = plan_member(command, true, &mut false)?;
            }
        }
    }
    fan_out::run_planned(topology, &commands, plans, reads, options, sender).await
}
