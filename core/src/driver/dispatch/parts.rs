//! What a batch consists of: whole commands, parts of commands, the same command for many nodes.
//!
//! A pipeline of ordinary commands is its own list of items and costs nothing besides. As soon as
//! one of its commands concerns several slots or nodes, the pipeline becomes a [`Work`], in which
//! every part is an item of its own: parts and whole commands for one node travel in one write.
//!
//! Invariant: the items of a command stand together, in the order of the commands, so that commands
//! that meet at a node run there in the caller's order.
//! Called by `driver/batch.rs`, which sends items, and `driver/spread.rs`, which makes works.

use crate::command::Command;
use crate::driver::attempt::item::{Item, Items};
use crate::error::Error;
use crate::routing::destination::Destination;
use crate::routing::fold::{Fold, fold};
use crate::routing::partial::partial;
use crate::routing::split::Split;
use bytes::Bytes;

/// How one command of a work is sent.
#[derive(Debug)]
pub(crate) enum Way {
    /// To each of these.
    Fan(Vec<Destination>, Fold),
    /// In parts.
    Parts(Split),
    /// By itself.
    Whole,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// In the caller's order.
    commands: &'a [Command],
    /// How each of them is sent.
    ways: Vec<Way>,
    /// Of each item: the number of its command, and its own number within that command.
    items: Vec<(u32, u32)>,
}

impl<'a> Work<'a> {
    /// `ways` has one for each command.
    pub(crate) fn new(commands: &'a [Command], ways: Vec<Way>) -> Self {
        debug_assert_eq!(commands.len(), ways.len(), "every command has a way");
        let mut items = Vec::new();
        for (command, way) in (0..).zip(&ways) {
            let own = u32::try_from(way.count()).expect("fewer parts than bytes in a command");
            items.extend((0..own).map(|part| (command, part)));
        }
        Self { commands, ways, items }
    }

    /// What became of each key of its only command, which was cut by key.
    pub(crate) fn by_key(&self, results: Vec<Result<Bytes, Error>>) -> Vec<Result<Bytes, Error>> {
        let [Way::Parts(split)] = self.ways.as_slice() else { return results };
        results.into_iter().map(|result| split.single(&result?)).collect()
    }

    /// What became of each command, from what became of each item.
    pub(crate) fn gather(&self, results: Vec<Result<Bytes, Error>>) -> Vec<Result<Bytes, Error>> {
        let mut results = results.into_iter();
        let each = self.ways.iter().zip(self.commands);
        each.map(|(way, command)| {
            let mut own = results.by_ref().take(way.count());
            match way {
                Way::Whole => own.next().expect("every item has a result"),
                Way::Parts(split) => whole(own, command, true, |frames| split.merge(frames)),
                Way::Fan(_, how) => whole(own, command, how.needs_all(), |f| fold(*how, f)),
            }
        })
        .collect()
    }
}

/// One result out of the parts'. `needs_all`: a part that failed fails the whole.
pub(crate) fn whole(
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

impl Way {
    /// How many items it makes.
    fn count(&self) -> usize {
        match self {
            Self::Fan(aims, _) => aims.len(),
            Self::Parts(split) => split.parts().len(),
            Self::Whole => 1,
        }
    }
}

impl Items for Work<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    #[inline]
    fn item(&self, member: usize) -> Item<'_> {
        let (command, part) = self.items[member];
        let part = part as usize;
        let item = Item::whole(&self.commands[command as usize]);
        match &self.ways[command as usize] {
            Way::Whole => item,
            Way::Parts(split) => item.with_part(split, &split.parts()[part]),
            Way::Fan(aims, _) => item.with_destination(&aims[part]),
        }
    }
}
