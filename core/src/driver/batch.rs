//! Many commands at once: grouped by node, one write each, judged one by one.
//!
//! A round sends what is left to every node that it concerns, in parallel and in order, and judges
//! each command by its own reply. Those that `routing/retry.rs` sends again make the next round, so
//! a refused command never makes its neighbours run twice.
//!
//! Invariants: results are in the order of the commands; commands for one node keep their order
//! within a round. Limits: `pipeline_commands_max`, checked by the caller; `attempts_max` rounds;
//! one deadline over all of them. Called by `client/pipeline.rs`.

use super::dispatch::{Routes, Terms, error_in, exchange, explain, nowhere};
use super::host::Host;
use super::node::Node;
use crate::command::Command;
use crate::connection::outcome::{Failed, Outcome};
use crate::connection::queue::Entry;
use crate::error::Error;
use crate::routing::retry::{Facts, Seen, Verdict, judge};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What became of each command: its frame, which is no error reply, or its error.
pub(crate) type Results = Vec<Result<Bytes, Error>>;

/// The commands of one round that go to one node.
struct Group {
    /// Where they go.
    node: Arc<Node>,
    /// Their numbers in the batch, ascending.
    members: Vec<usize>,
}

/// Runs all commands.
pub(crate) async fn run(
    host: &Arc<Host>,
    routes: &arc_swap::ArcSwap<Routes>,
    commands: &[Command],
    terms: Terms,
) -> Results {
    let mut results: Vec<Option<Result<Bytes, Error>>> = vec![None; commands.len()];
    let mut left: Vec<usize> = (0..commands.len()).collect();
    let mut round = 0;
    while !left.is_empty() {
        round += 1;
        let groups = group(&routes.load_full(), commands, &left, &mut results);
        left.clear();
        let sent = groups.iter().map(|group| send(host, group, commands, terms));
        let outcomes = futures::future::join_all(sent).await;
        let mut pause = Duration::ZERO;
        for (group, outcome) in groups.iter().zip(outcomes) {
            for (member, seen) in judge_each(group, commands, outcome, &mut results) {
                let verdict = verdict(host, &seen, &commands[member], round, terms);
                if verdict == Verdict::Fail {
                    let endpoint = group.node.endpoint();
                    let error = explain(seen, &commands[member], endpoint, round, terms);
                    results[member] = Some(Err(error));
                    continue;
                }
                if verdict == Verdict::AgainLater && pause.is_zero() {
                    pause = host.backoff(round);
                }
                left.push(member);
            }
        }
        left.sort_unstable();
        host.sleep_until(host.now().after(pause).min(terms.deadline)).await;
    }
    results.into_iter().map(|r| r.expect("a round settles a command or leaves it")).collect()
}

fn verdict(host: &Host, seen: &Seen, command: &Command, round: u32, terms: Terms) -> Verdict {
    let facts = Facts { readonly: command.is_readonly(), retry_unknown: terms.retry_unknown };
    let spent = round >= host.config().attempts_max || host.now() >= terms.deadline;
    if spent { Verdict::Fail } else { judge(seen, facts) }
}

/// Sorts what is left by node; what has no node fails here.
fn group(
    routes: &Routes,
    commands: &[Command],
    left: &[usize],
    results: &mut [Option<Result<Bytes, Error>>],
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for &member in left {
        let Some(node) = routes.node_for(&commands[member]) else {
            results[member] = Some(Err(nowhere(&commands[member])));
            continue;
        };
        match groups.iter_mut().find(|group| Arc::ptr_eq(&group.node, node)) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { node: Arc::clone(node), members: vec![member] }),
        }
    }
    groups
}

/// One group, in one write.
async fn send(
    host: &Arc<Host>,
    group: &Group,
    commands: &[Command],
    terms: Terms,
) -> Result<Outcome, Error> {
    let link = match group.node.ready() {
        Some(link) if !link.is_closed() => link,
        _ => group.node.connect(host, terms.deadline).await?,
    };
    let members = || group.members.iter().map(|&member| &commands[member]);
    let entry = Entry {
        len: members().map(Command::encoded_len).sum(),
        replies: u32::try_from(group.members.len()).expect("a batch is limited in its commands"),
        deadline: terms.deadline,
    };
    let write = |out: &mut Vec<u8>| {
        out.reserve(entry.len);
        members().for_each(|command| command.write_to(out));
    };
    exchange(host, &link, entry, write).await
}

/// Keeps the good replies and returns what was seen instead of one, by command.
fn judge_each(
    group: &Group,
    commands: &[Command],
    outcome: Result<Outcome, Error>,
    results: &mut [Option<Result<Bytes, Error>>],
) -> Vec<(usize, Seen)> {
    let (replies, failed) = match outcome {
        Ok(Ok(reply)) => (reply.into_all(), None),
        Ok(Err(mut failed)) => (std::mem::take(&mut failed.replies), Some(failed)),
        Err(error) => {
            let seen = |&member| (member, Seen::NoLink(error.clone()));
            return group.members.iter().map(seen).collect();
        }
    };
    let mut seen = Vec::new();
    let mut offset = 0;
    let mut replies = replies.into_iter();
    for &member in &group.members {
        let len = commands[member].encoded_len() as u64;
        match (replies.next(), &failed) {
            (Some(frame), _) => match error_in(&frame) {
                None => results[member] = Some(Ok(frame)),
                Some(error) => seen.push((member, Seen::Refused(error))),
            },
            (None, Some(failed)) => {
                let written = failed.written.saturating_sub(offset).min(len);
                let failure = failed.failure.clone();
                let own = Failed { failure, replies: Vec::new(), written, len };
                seen.push((member, Seen::Failed(Box::new(own))));
            }
            (None, None) => unreachable!("an entry that ended well has all its replies"),
        }
        offset += len;
    }
    seen
}
