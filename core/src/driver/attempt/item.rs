//! One thing to send: a whole command, a part of one, or a command for a named destination.
//!
//! Invariant: an item knows its own size and bytes; the caller only adds them up.

use crate::command::Command;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::routing::destination::Destination;
use crate::routing::split::{Part, Split};
use crate::topology::slot::Slot;
use std::sync::Arc;

/// One thing to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// The command that it is, or is a part of.
    pub(crate) command: &'a Command,
    /// Which part.
    part: Option<(&'a Split, &'a Part)>,
    /// Where it goes, if that is not where its key is.
    aim: Option<&'a Destination>,
}

impl<'a> Item<'a> {
    /// A command by itself.
    #[inline]
    pub(crate) fn whole(command: &'a Command) -> Self {
        Self { command, part: None, aim: None }
    }

    /// The same command, of which this part is sent.
    pub(crate) fn with_part(self, split: &'a Split, part: &'a Part) -> Self {
        Self { part: Some((split, part)), ..self }
    }

    /// The same command, sent there.
    pub(crate) fn with_destination(self, aim: &'a Destination) -> Self {
        Self { aim: Some(aim), ..self }
    }

    /// A command for the shard of an aim.
    pub(crate) fn aimed(command: &'a Command, aim: &'a Destination) -> Self {
        Self { command, part: None, aim: Some(aim) }
    }

    /// How many bytes `write_to` appends.
    #[inline]
    pub(crate) fn encoded_len(&self) -> usize {
        match self.part {
            None => self.command.encoded_len(),
            Some((_, part)) => part.encoded_len(),
        }
    }

    /// Appends it as the server wants it.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        match self.part {
            None => self.command.write_to(out),
            Some((split, part)) => split.write_part(self.command, part, out),
        }
    }

    /// Where the map sends it.
    #[inline]
    pub(crate) fn node<'r>(&self, routes: &'r Routes) -> Option<&'r Arc<Node>> {
        match (self.part, self.aim) {
            (Some((_, part)), _) => routes.owner(part.slot),
            (None, Some(aim)) => routes.resolve(aim, self.command),
            (None, None) => routes.node_for(self.command),
        }
    }

    /// Whether the map sends it to another node than this by now.
    pub(crate) fn leads_away(&self, routes: &Routes, node: &Arc<Node>) -> bool {
        match (self.part, self.aim) {
            (Some((_, part)), _) => {
                routes.leads_away(&Destination::Slot(part.slot), self.command, node)
            }
            (None, aim) => routes.leads_away(aim.unwrap_or(&Destination::Key), self.command, node),
        }
    }

    /// Whether a read policy may choose its node: the caller named none.
    pub(crate) fn may_be_spread(&self) -> bool {
        matches!(self.aim, None | Some(Destination::Shard(_)))
    }

    /// The slot that it is for, if that is not the one of its command's key.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match (self.part, self.aim) {
            (Some((_, part)), _) => Some(part.slot),
            (None, Some(Destination::Shard(slot))) => Some(*slot),
            _ => None,
        }
    }

    /// Whether any node may be asked where the map knows none: its key makes that one answer with a
    /// redirect.
    pub(crate) fn may_ask_around(&self) -> bool {
        self.part.is_some() || self.aim.is_none()
    }
}

/// Items in their order.
pub(crate) trait Items: Sync {
    /// How many.
    fn count(&self) -> usize;

    /// One of them.
    fn item(&self, member: usize) -> Item<'_>;
}

impl Items for &[Command] {
    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn item(&self, member: usize) -> Item<'_> {
        Item::whole(&self[member])
    }
}
