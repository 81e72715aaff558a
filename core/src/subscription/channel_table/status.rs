//! The part of the channel table that says what became of one reader's channels, and which
//! connections are used.
//!
//! Invariant: a reader costs what it has of channels; one that asks again and again looks at each
//! of them once.

use super::{ChannelTable, Connection, ConnectionId, ReaderId};
use crate::resp::ServerError;
use crate::subscription::kind::Channel;

impl ChannelTable {
    /// A channel of one reader that is not live, and its number. The search begins at `from`, where
    /// the one before has ended: a caller that asks again looks at each channel once.
    pub(crate) fn unconfirmed(&self, reader: ReaderId, from: usize) -> Option<(usize, &Channel)> {
        let after = self.readers.range((reader, from)..=(reader, usize::MAX));
        let before = self.readers.range((reader, 0)..(reader, from));
        after.chain(before).find_map(|((_, index), _)| {
            self.visit();
            let entry = self.entries[*index].as_ref()?;
            self.confirmed(*index).is_none().then_some((*index, &entry.channel))
        })
    }

    /// A channel of one reader that the server refuses, with the server's error.
    pub(crate) fn refusal(&self, reader: ReaderId) -> Option<(&Channel, &ServerError)> {
        if self.refusals == 0 {
            return None;
        }
        self.indexes_of(reader).find_map(|index| {
            let channel = &self.entries[index].as_ref()?.channel;
            Some((channel, self.refused(index)?))
        })
    }

    /// The channels that one reader wants.
    pub(crate) fn channels(&self, reader: ReaderId) -> impl Iterator<Item = &Channel> {
        let own = self.indexes_of(reader);
        own.filter_map(|index| Some(&self.entries[index].as_ref()?.channel))
    }

    fn indexes_of(&self, reader: ReaderId) -> impl Iterator<Item = usize> {
        let own = self.readers.range((reader, 0)..=(reader, usize::MAX));
        own.map(|((_, index), _)| {
            self.visit();
            *index
        })
    }

    /// Whether any channel is live or pending at a connection, or still to be unsubscribed there.
    pub(crate) fn is_in_use(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(Connection::is_used)
    }

    /// The connections whose use has begun or ended since the last call, and new ones. A connection
    /// may come twice.
    pub(crate) fn take_use_changes(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.use_changes)
    }
}
