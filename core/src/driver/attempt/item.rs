//! One thing to send: a whole command, a part of a command, or a command for a destination.
//!
//! **Invariant**: an item knows its own length and its bytes; a caller only adds up the lengths.

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
    /// The command, whole or in part.
    pub(crate) command: &'a Command,
    /// The part that is sent, if it is not the whole command.
    part: Option<(&'a Split, &'a Part)>,
    /// Where it goes, if not to the owner of its key.
    destination: Option<&'a Destination>,
}

impl<'a> Item<'a> {
    /// A whole command.
    #[inline]
    pub(crate) fn whole(command: &'a Command) -> Self {
        Self { command, part: None, destination: None }
    }

    /// The same command, of which this part is sent.
    pub(crate) fn with_part(self, split: &'a Split, part: &'a Part) -> Self {
        Self { part: Some((split, part)), ..self }
    }

    /// The same command, for this destination.
    pub(crate) fn with_destination(self, destination: &'a Destination) -> Self {
        Self { destination: Some(destination), ..self }
    }

    /// A whole command for a destination.
    pub(crate) fn aimed(command: &'a Command, destination: &'a Destination) -> Self {
        Self { command, part: None, destination: Some(destination) }
    }

    /// The number of bytes that `write_to` appends.
    #[inline]
    pub(crate) fn encoded_len(&self) -> usize {
        match self.part {
            None => self.command.encoded_len(),
            Some((_, part)) => part.encoded_len(),
        }
    }

    /// Appends it, encoded for the server.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        match self.part {
            None => self.command.write_to(out),
            Some((split, part)) => split.write_part(self.command, part, out),
        }
    }

    /// The node that the map names for it.
    #[inline]
    pub(crate) fn node<'r>(&self, routes: &'r Routes) -> Option<&'r Arc<Node>> {
        match (self.part, self.destination) {
            (Some((_, part)), _) => routes.owner(part.slot),
            (None, Some(destination)) => routes.resolve(destination, self.command),
            (None, None) => routes.node_for(self.command),
        }
    }

    /// Whether the map names another node than this one by now.
    pub(crate) fn leads_away(&self, routes: &Routes, node: &Arc<Node>) -> bool {
        match (self.part, self.destination) {
            (Some((_, part)), _) => {
                routes.leads_away(&Destination::Slot(part.slot), self.command, node)
            }
            (None, destination) => {
                routes.leads_away(destination.unwrap_or(&Destination::Key), self.command, node)
            }
        }
    }

    /// Whether a read policy may choose its node, since the caller named none.
    pub(crate) fn may_be_spread(&self) -> bool {
        matches!(self.destination, None | Some(Destination::Shard(_)))
    }

    /// The slot that it is for, if it is not that of the command's key.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match (self.part, self.destination) {
            (Some((_, part)), _) => Some(part.slot),
            (None, Some(Destination::Shard(slot))) => Some(*slot),
            _ => None,
        }
    }

    /// How a slot relates to what it is for. Of a command whose keys are not known, each argument
    /// may be one.
    pub(crate) fn relation_to(&self, slot: Slot) -> SlotRelation {
        let of_key = || self.command.first_key().map(Slot::of);
        let own = match (self.part, self.destination) {
            (Some((_, part)), _) => Some(part.slot),
            (None, Some(Destination::Shard(slot) | Destination::Slot(slot))) => {
                of_key().or(Some(*slot))
            }
            (None, _) => of_key(),
        };
        let mut arguments = self.command.args_iter().skip(1).map(Slot::of);
        match own {
            Some(own) if own == slot => SlotRelation::Own,
            Some(_) => SlotRelation::Other,
            None if !self.command.has_unknown_keys() => SlotRelation::NoSlot,
            None if arguments.any(|argument| argument == slot) => SlotRelation::Own,
            None => SlotRelation::Other,
        }
    }

    /// Whether it may go to any node when the map names none. That node answers with a redirect,
    /// since the item has a key.
    pub(crate) fn may_go_to_any_node(&self) -> bool {
        self.part.is_some() || self.destination.is_none()
    }
}

/// How the slot that a redirect names relates to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotRelation {
    /// The item is for this slot.
    Own,
    /// It is for another slot.
    Other,
    /// It is for no slot.
    NoSlot,
}

/// Items in their order.
pub(crate) trait Items: Sync {
    /// How many.
    fn count(&self) -> usize;

    /// One of them.
    fn item(&self, member: usize) -> Item<'_>;

    /// The index of the command that an item is, or is a part of.
    fn command_of(&self, member: usize) -> usize {
        member
    }
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
