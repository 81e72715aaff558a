//! The table of channels: what is wanted, what is confirmed, and what follows from the difference.
//! It alone decides which connection gets which subscribe command, and what readers are told.
//!
//! ```text
//!            plan: ask there          confirmed
//!  wanted ──────────────────► pending ─────────► live ──► updates: Subscribed, or Moved and Gap
//!    ▲                           │                 │
//!    ├──refused, not answered────┘                 │ owner changed: pending there, live here;
//!    └──lost, dropped by the server (a gap begins)─┘ confirmed there: unsubscribe here
//! ```
//!
//! **After each change call `plan`, and send all that it returns, in that order.**
//!
//! A channel that tells of keys is subscribed to at every primary (`every_primary.rs`): it has a
//! part for each, and what is said here of a channel holds for each part.
//!
//! Invariants:
//! - a channel is live at one connection at most, and pending at one more at most;
//! - the new connection is asked first; the old one is unsubscribed when the new one has confirmed;
//! - each channel has its own retries: a failure of one delays no other;
//! - each interruption is told once, to the readers that were subscribed when it began;
//! - what is done for one reader, channel, connection or slot costs what that one holds.

use super::kind::{Channel, ChannelKind, tells_of_keys};
use super::pending_commands::PendingCommands;
use super::reach::{Primary, Reach};
use super::update::{GapCause, Update};
use crate::endpoint::Endpoint;
use crate::resp::ServerError;
use crate::rng::Rng;
use crate::time::Timestamp;
use crate::topology::slot::Slot;
use bytes::Bytes;
use smallvec::SmallVec;
use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

mod every_primary;
mod planning;
mod recheck;
mod replies;
mod status;
#[cfg(test)]
mod tests;

/// After so many failures in a row even a redirect is followed only after a pause.
const IMMEDIATE_RETRIES_MAX: u32 = 4;

/// A connection's name. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A reader's name: of one subscription, as the user sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReaderId(pub(crate) u64);

/// Updates for readers, in order.
pub(crate) type ReaderUpdates = Vec<(ReaderId, Update)>;

/// Channels by name. Never iterated, so its order decides nothing.
type Names = HashMap<Bytes, usize, BuildHasherDefault<DefaultHasher>>;

/// One command to be written: it subscribes to channels, or unsubscribes from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelCommand {
    /// Whether it subscribes.
    pub(crate) subscribe: bool,
    /// The kind of its channels.
    pub(crate) kind: ChannelKind,
    /// The channels' names; those of sharded channels are all in one slot.
    pub(crate) names: Vec<Bytes>,
}

/// Commands to send in one piece, with a marker after them.
pub(crate) type ChannelWrite = Vec<ChannelCommand>;

/// What to write on each connection, in this order.
pub(crate) type Plan = BTreeMap<ConnectionId, Vec<ChannelWrite>>;

/// A server confirmed more or less than it was asked for, in these words: what the connection is
/// subscribed to is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownState(pub(crate) &'static str);

/// What the choice of a node for a channel depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacementQuery {
    /// The channel's kind.
    pub(crate) kind: ChannelKind,
    /// The slot of its name, also for a kind that has no slots.
    pub(crate) slot: Slot,
    /// The connection where it is pending or, if it is not, live.
    pub(crate) current: Option<ConnectionId>,
    /// The primary that it must be at, as an index into the list of `follow_primaries`.
    pub(crate) primary: Option<usize>,
}

/// What a channel waits for that has no connection: a name that the chooser of connections gives.
pub(crate) type WaitKey = u64;

/// Where a channel is to be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// At this connection.
    At(ConnectionId),
    /// Nowhere yet: not before `recheck_waiting` with this key, or a change of owners.
    Later(WaitKey),
}

impl From<Option<ConnectionId>> for Placement {
    fn from(connection: Option<ConnectionId>) -> Self {
        connection.map_or(Self::Later(0), Self::At)
    }
}

/// A reader of a channel.
#[derive(Clone, Copy, Debug)]
struct ChannelReader {
    /// The reader's name.
    id: ReaderId,
    /// It got `Subscribed` for this channel.
    was_subscribed: bool,
    /// It got `Refused` for this channel since the last confirmation.
    was_refused: bool,
}

/// An interruption that readers were not told of yet.
#[derive(Clone, Debug)]
struct Gap {
    /// When it began, at the latest.
    since: Timestamp,
    /// The cause.
    cause: GapCause,
    /// The node that sent the messages until then.
    from: Arc<Endpoint>,
}

/// A channel that at least one reader wants.
#[derive(Debug)]
struct ChannelEntry {
    /// Its kind and name.
    channel: Channel,
    /// The slot of its name.
    slot: Slot,
    /// Differs from that of earlier entries with the same name, whose replies may still arrive.
    serial: u64,
    /// How many nodes it is subscribed to at.
    reach: Reach,
    /// The readers that want it; never empty, except in a part.
    readers: SmallVec<[ChannelReader; 1]>,
    /// The connection that has confirmed it; of a channel with parts, the last one that did. It
    /// stays when that is lost: others may go on.
    live: Option<ConnectionId>,
    /// The connection whose confirmation told a gap: what others bring since is older, and dropped.
    only: Option<ConnectionId>,
    /// The connection that was asked and has not answered.
    pending: Option<ConnectionId>,
    /// The connection whose server last dropped it, and when.
    dropped: Option<(ConnectionId, Timestamp)>,
    /// Set while it is not live at its new owner: the owner changed at some time after this one.
    owner_changed_after: Option<Timestamp>,
    /// The interruption to be told with the next confirmation.
    gap: Option<Gap>,
    /// Failures in a row since the last confirmation.
    failures: u32,
    /// It is not asked for before this time.
    not_before: Timestamp,
    /// It gets a command of its own, so that its refusal does not fail other channels.
    alone: bool,
    /// The error by which the server refuses it, until it is asked again.
    refused: Option<ServerError>,
    /// What it waits for, while there is no connection for it.
    waits_for: Option<WaitKey>,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    /// The server's endpoint.
    endpoint: Arc<Endpoint>,
    /// The commands that it has not answered yet.
    pending_commands: PendingCommands,
    /// The channels that are live or pending at it.
    channels: BTreeSet<usize>,
    /// Channels to unsubscribe from.
    to_unsubscribe: Vec<(ChannelKind, Slot, Bytes)>,
    /// Whether it was used when that was last noted in `use_changes`.
    was_used: bool,
}

/// The table of channels; see the head of this file.
#[derive(Debug)]
pub(crate) struct ChannelTable {
    /// Whether the channels of one sharded command must be in one slot.
    has_slots: bool,
    /// The shortest and the longest pause between two attempts for a channel.
    pauses: (Duration, Duration),
    /// When the slots' owners were last known to be those before the last change.
    owners_known_at: Timestamp,
    /// The primaries; see `follow_primaries`.
    primaries: Vec<Primary>,
    /// The channels that have parts.
    wholes: BTreeSet<usize>,
    /// For jitter.
    rng: Rng,
    /// Channels by name, for each kind.
    names: [Names; 3],
    /// The index of the last message's channel: the next message often has the same. Never that of
    /// a part.
    recent: Cell<usize>,
    /// The channels; `None` where an index is free.
    entries: Vec<Option<ChannelEntry>>,
    /// The free indexes.
    free: Vec<usize>,
    /// The open connections.
    connections: BTreeMap<ConnectionId, Connection>,
    /// Those that have channels to unsubscribe from.
    leaving: Vec<ConnectionId>,
    /// Those whose use has begun or ended since this was taken, with repetitions.
    use_changes: Vec<ConnectionId>,
    /// The sharded channels by their slots.
    by_slot: BTreeSet<(Slot, usize)>,
    /// Channels that wait for a connection, by what they wait for.
    waiting: BTreeSet<(WaitKey, usize)>,
    /// Channels that the next plan checks.
    to_check: BTreeSet<usize>,
    /// Channels that a plan checks from a time on.
    check_later: BTreeSet<(Timestamp, usize)>,
    /// The channels of each reader, each with the reader's position in the channel's `readers`.
    readers: BTreeMap<(ReaderId, usize), usize>,
    /// The last serial given out.
    serial: u64,
    /// Updates that were not taken yet.
    updates: ReaderUpdates,
    /// How many channels are refused.
    refusals: usize,
    /// How many channels and connections were looked at one by one.
    #[cfg(test)]
    visits: Cell<usize>,
}

impl ChannelTable {
    pub(crate) fn new(has_slots: bool, pauses: (Duration, Duration), rng: Rng) -> Self {
        Self {
            has_slots,
            pauses,
            owners_known_at: Timestamp::ZERO,
            primaries: vec![None],
            wholes: BTreeSet::new(),
            rng,
            names: Default::default(),
            recent: Cell::new(0),
            entries: Vec::new(),
            free: Vec::new(),
            connections: BTreeMap::new(),
            leaving: Vec::new(),
            use_changes: Vec::new(),
            by_slot: BTreeSet::new(),
            waiting: BTreeSet::new(),
            to_check: BTreeSet::new(),
            check_later: BTreeSet::new(),
            readers: BTreeMap::new(),
            serial: 0,
            updates: Vec::new(),
            refusals: 0,
            #[cfg(test)]
            visits: Cell::new(0),
        }
    }

    /// Adds a channel for a reader.
    pub(crate) fn subscribe(&mut self, kind: ChannelKind, name: &[u8], reader: ReaderId) {
        let index = match self.names[kind as usize].get(name) {
            Some(index) => *index,
            None => self.add(kind, name),
        };
        let confirmed = self.confirmed(index);
        let Some(entry) = &mut self.entries[index] else { return };
        if self.readers.contains_key(&(reader, index)) {
            return;
        }
        self.readers.insert((reader, index), entry.readers.len());
        let connection = confirmed.and_then(|id| self.connections.get(&id));
        if let Some(connection) = connection {
            let endpoint = Arc::clone(&connection.endpoint);
            let channel = entry.channel.clone();
            self.updates.push((reader, Update::Subscribed { channel, endpoint }));
        }
        let was_subscribed = connection.is_some();
        entry.readers.push(ChannelReader { id: reader, was_subscribed, was_refused: false });
        self.ask_refused_again(index);
    }

    fn add(&mut self, kind: ChannelKind, name: &[u8]) -> usize {
        let name = Bytes::copy_from_slice(name);
        let everywhere = self.has_slots && tells_of_keys(kind, &name);
        let index = self.insert(Channel { kind, name: name.clone() }, Reach::OneNode);
        self.names[kind as usize].insert(name, index);
        if everywhere {
            self.add_parts(index);
        }
        index
    }

    /// Adds an entry without readers, which the next plan checks.
    fn insert(&mut self, channel: Channel, reach: Reach) -> usize {
        self.serial += 1;
        let slot = Slot::of(&channel.name);
        let sharded = channel.kind == ChannelKind::Sharded;
        let entry = ChannelEntry {
            slot,
            channel,
            serial: self.serial,
            reach,
            readers: SmallVec::new(),
            live: None,
            only: None,
            pending: None,
            dropped: None,
            owner_changed_after: None,
            gap: None,
            failures: 0,
            not_before: Timestamp::ZERO,
            alone: false,
            refused: None,
            waits_for: None,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index] = Some(entry);
                index
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() - 1
            }
        };
        if sharded {
            self.by_slot.insert((slot, index));
        }
        self.to_check.insert(index);
        index
    }

    /// Removes a channel for a reader.
    pub(crate) fn unsubscribe(&mut self, kind: ChannelKind, name: &[u8], reader: ReaderId) {
        let Some(index) = self.names[kind as usize].get(name).copied() else { return };
        let Some(position) = self.readers.remove(&(reader, index)) else { return };
        if let Some(entry) = &self.entries[index] {
            let channel = entry.channel.clone();
            self.updates.push((reader, Update::Unsubscribed { channel }));
        }
        self.release(index, position);
    }

    /// Removes a reader from all of its channels.
    pub(crate) fn remove_reader(&mut self, reader: ReaderId) {
        let own = self.readers.range((reader, 0)..=(reader, usize::MAX)).map(|(key, _)| key.1);
        for index in own.collect::<Vec<usize>>() {
            if let Some(position) = self.readers.remove(&(reader, index)) {
                self.release(index, position);
            }
        }
    }

    /// Removes the reader at `position` from an entry, and the entry with its last reader.
    fn release(&mut self, index: usize, position: usize) {
        self.visit();
        let Some(entry) = &mut self.entries[index] else { return };
        entry.readers.swap_remove(position);
        if let Some(moved) = entry.readers.get(position) {
            self.readers.insert((moved.id, index), position);
        }
        if !entry.readers.is_empty() {
            return;
        }
        if let Reach::EveryPrimary { parts } = std::mem::replace(&mut entry.reach, Reach::OneNode) {
            // It is live only where its parts are.
            entry.live = None;
            parts.into_iter().for_each(|part| drop(self.remove(part)));
            self.wholes.remove(&index);
        }
        if let Some(Channel { kind, name }) = self.remove(index) {
            self.names[kind as usize].remove(&name);
        }
    }

    /// Removes an entry; it is unsubscribed from.
    fn remove(&mut self, index: usize) -> Option<Channel> {
        let entry = self.entries[index].take()?;
        self.free.push(index);
        self.to_check.remove(&index);
        self.check_later.remove(&(entry.not_before, index));
        if let Some(key) = entry.waits_for {
            self.waiting.remove(&(key, index));
        }
        self.refusals -= usize::from(entry.refused.is_some());
        let Channel { kind, name } = &entry.channel;
        for id in entry.live.iter().chain(&entry.pending) {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.leave(index, *kind, entry.slot, name.clone());
                self.leaving.push(*id);
            }
        }
        if *kind == ChannelKind::Sharded {
            self.by_slot.remove(&(entry.slot, index));
        }
        Some(entry.channel)
    }

    /// Adds a connection: commands may be sent on it from now on.
    pub(crate) fn open(&mut self, id: ConnectionId, endpoint: Arc<Endpoint>) {
        let connection = Connection {
            endpoint,
            pending_commands: PendingCommands::default(),
            channels: BTreeSet::new(),
            to_unsubscribe: Vec::new(),
            was_used: false,
        };
        self.connections.insert(id, connection);
        self.use_changes.push(id);
    }

    /// Removes a lost connection. `since`: when its channels were last known to be subscribed to.
    pub(crate) fn close(&mut self, id: ConnectionId, since: Timestamp, cause: GapCause) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.lose_what_leaves(&connection, since, cause);
        for index in connection.channels {
            self.visit();
            let Some(entry) = &mut self.entries[index] else { continue };
            entry.pending = entry.pending.filter(|pending| *pending != id);
            if entry.live == Some(id) {
                entry.interrupt(since, cause, &connection.endpoint);
            }
            self.to_check.insert(index);
        }
    }

    /// The readers of a message that came over a connection; none unless the channel is live, and
    /// none if the message is late: from a connection that was left with a gap.
    #[inline]
    pub(crate) fn readers(
        &self,
        kind: ChannelKind,
        name: &[u8],
        from: ConnectionId,
    ) -> impl ExactSizeIterator<Item = ReaderId> + '_ {
        let of_name =
            |entry: &&ChannelEntry| entry.channel.kind == kind && entry.channel.name == name;
        let recent = self.entries.get(self.recent.get()).and_then(Option::as_ref).filter(of_name);
        let entry = recent.or_else(|| self.entry(kind, name));
        let counts = |entry: &&ChannelEntry| entry.only.is_none_or(|only| only == from);
        let live = entry.filter(|entry| entry.live.is_some()).filter(counts);
        live.map_or(&[][..], |entry| &entry.readers[..]).iter().map(|reader| reader.id)
    }

    /// The entry of a channel that is wanted.
    fn entry(&self, kind: ChannelKind, name: &[u8]) -> Option<&ChannelEntry> {
        let index = *self.names[kind as usize].get(name)?;
        self.recent.set(index);
        self.entries[index].as_ref()
    }

    /// Takes the updates for readers, in order.
    pub(crate) fn take_updates(&mut self) -> ReaderUpdates {
        std::mem::take(&mut self.updates)
    }

    /// Counts a channel that is looked at. Tests bound how many are.
    #[inline]
    fn visit(&self) {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
    }
}

impl Connection {
    fn is_used(&self) -> bool {
        !self.channels.is_empty() || !self.to_unsubscribe.is_empty()
    }

    /// Adds the connection to `changes` if its use has begun or ended since the last call.
    fn note_use(&mut self, id: ConnectionId, changes: &mut Vec<ConnectionId>) {
        let is_used = self.is_used();
        if std::mem::replace(&mut self.was_used, is_used) != is_used {
            changes.push(id);
        }
    }

    /// A channel is unsubscribed from here: it is live or pending elsewhere, or wanted no more.
    fn leave(&mut self, index: usize, kind: ChannelKind, slot: Slot, name: Bytes) {
        self.channels.remove(&index);
        self.to_unsubscribe.push((kind, slot, name));
    }
}
