//! What a pipeline or a wide command consists of: whole commands, parts of commands, the same
//! command for several nodes.
//!
//! A pipeline of ordinary commands is its own list of items and needs nothing of this. As soon as
//! one of its commands concerns several slots or nodes, the pipeline becomes a [`PartList`], in
//! which every part is an item of its own: parts and whole commands for one node are sent in one
//! write.
//!
//! Invariant: the items of a command stand together, in the order of the commands, so that commands
//! for one node run there in the caller's order.

use crate::command::Command;
use crate::driver::attempt::item::{Item, Items};
use crate::error::Error;
use crate::routing::destination::Destination;
use crate::routing::fold::fold;
use crate::routing::partial::partial;
use crate::routing::plan::Plan;
use bytes::Bytes;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct PartList<'a> {
    /// In the caller's order.
    commands: &'a [Command],
    /// How each of them is sent.
    plans: Vec<Plan>,
    /// The destinations of all commands that are for several nodes.
    destinations: Vec<Destination>,
    /// Of each item: the index of its command, and that of its part or destination.
    items: Vec<(u32, u32)>,
}

impl<'a> PartList<'a> {
    /// A list of which [`PartList::push`] has to add each command.
    pub(crate) fn new(commands: &'a [Command]) -> Self {
        let plans = Vec::with_capacity(commands.len());
        let items = Vec::with_capacity(commands.len());
        Self { commands, plans, destinations: Vec::new(), items }
    }

    /// Adds the next command. `destinations`: of a command for several nodes.
    pub(crate) fn push(&mut self, plan: Plan, destinations: Vec<Destination>) {
        let number = |count: usize| u32::try_from(count).expect("fewer items than bytes in memory");
        debug_assert!(self.plans.len() < self.commands.len(), "every command is pushed once");
        let (command, at) = (number(self.plans.len()), number(self.destinations.len()));
        let own = match &plan {
            Plan::FanOut(..) => at..at + number(destinations.len()),
            Plan::Split(split) => 0..number(split.parts().len()),
            Plan::Unknown | Plan::Whole => 0..1,
        };
        debug_assert!(!own.is_empty(), "every command has an item");
        self.items.extend(own.map(|part| (command, part)));
        self.destinations.extend(destinations);
        self.plans.push(plan);
    }

    /// The result of each key of the only command, which was split by key.
    pub(crate) fn per_key(&self, results: Vec<Result<Bytes, Error>>) -> Vec<Result<Bytes, Error>> {
        let [Plan::Split(split)] = self.plans.as_slice() else { return results };
        results.into_iter().map(|result| split.single(&result?)).collect()
    }

    /// The result of each command, from the results of all items.
    pub(crate) fn per_command(
        &self,
        results: Vec<Result<Bytes, Error>>,
    ) -> Vec<Result<Bytes, Error>> {
        let mut results = results.into_iter();
        let items = self.items.chunk_by(|a, b| a.0 == b.0);
        let each = items.zip(&self.plans).zip(self.commands);
        each.map(|((items, plan), command)| {
            let mut own = results.by_ref().take(items.len());
            match plan {
                Plan::FanOut(_, how) => {
                    join_results(own, command, how.needs_all(), |frames| fold(*how, frames))
                }
                Plan::Split(split) => join_results(own, command, true, |f| split.merge(f)),
                Plan::Unknown | Plan::Whole => own.next().expect("every item has a result"),
            }
        })
        .collect()
    }
}

/// The result of a command, from those of its parts. `needs_all`: it fails if any part failed;
/// otherwise it fails only if all did.
pub(crate) fn join_results(
    parts: impl Iterator<Item = Result<Bytes, Error>>,
    command: &Command,
    needs_all: bool,
    join: impl FnOnce(&[Bytes]) -> Result<Bytes, Error>,
) -> Result<Bytes, Error> {
    let mut frames = Vec::with_capacity(parts.size_hint().0);
    let mut errors = Vec::new();
    for part in parts {
        match part {
            Ok(frame) => frames.push(frame),
            Err(error) => errors.push(error),
        }
    }
    let failure = if needs_all || frames.is_empty() { partial(frames.len(), errors) } else { None };
    let joined = failure.map_or_else(|| join(&frames), Err);
    joined.map_err(|error| error.with_command(&command.name()))
}

impl Items for PartList<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    fn command_of(&self, member: usize) -> usize {
        self.items[member].0 as usize
    }

    #[inline]
    fn item(&self, member: usize) -> Item<'_> {
        let (command, part) = self.items[member];
        let item = Item::whole(&self.commands[command as usize]);
        match &self.plans[command as usize] {
            Plan::FanOut(..) => item.with_destination(&self.destinations[part as usize]),
            Plan::Split(split) => item.with_part(split, &split.parts()[part as usize]),
            Plan::Unknown | Plan::Whole => item,
        }
    }
}
