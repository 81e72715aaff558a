//! What is wanted against what is confirmed, channel by channel: the one place that decides which
//! connection is asked for what, and what subscribers are told of it.
//!
//! ```text
//!            plan: ask there          confirmed
//!  wanted ──────────────────► pending ─────────► live ──► told: Subscribed, or Moved and Gap
//!    ▲                           │                 │
//!    ├──refused, not answered────┘                 │ owner changed: pending there, live here;
//!    └──lost, dropped by the server, (gap begins)──┘ confirmed there: leave here
//! ```
//!
//! **After each change, `plan` says what to send; the caller sends all of it, in that order.**
//!
//! Invariants:
//! - a channel is live at one connection at most, and asked for at one more at most;
//! - the new connection is asked first, the old one is left when the new one has confirmed;
//! - each channel has its own retries: what fails for one keeps no other waiting;
//! - an interruption is told once, to those who were subscribed when it began.
//!
//! Pure: time and targets come as arguments, chance from a seed. Called by `driver/hub.rs`.

use super::kind::{Channel, ChannelKind};
use super::session::{Named, Outstanding};
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

mod answers;
#[cfg(test)]
mod tests;

/// Failures in a row from which on even a redirect is followed with a pause only.
const EAGER_MAX: u32 = 4;
/// How long such a channel waits after the owners changed.
const HURRY_PAUSE: Duration = Duration::from_millis(50);

/// Names a connection for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// Names a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReaderId(pub(crate) u64);

/// Who is to be told, and what.
pub(crate) type Told = Vec<(ReaderId, Update)>;

/// Channels by name. Never walked, so its order decides nothing.
type Names = HashMap<Bytes, usize, BuildHasherDefault<DefaultHasher>>;

/// One command to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Whether it subscribes, or ends subscriptions.
    pub(crate) subscribe: bool,
    /// Which kind.
    pub(crate) kind: ChannelKind,
    /// Its channels; of a sharded kind, all in one slot.
    pub(crate) names: Vec<Bytes>,
}

/// What to send: in this order, on each connection.
pub(crate) type Plan = BTreeMap<SessionId, Vec<Order>>;

/// What matters about a channel for the choice of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// Which kind.
    pub(crate) kind: ChannelKind,
    /// The slot of its name, of whatever kind.
    pub(crate) slot: Slot,
    /// Where it was asked for last, or is live.
    pub(crate) held: Option<SessionId>,
}

/// A reader of a channel.
#[derive(Clone, Copy, Debug)]
struct Reader {
    /// Who.
    id: ReaderId,
    /// It was told that the channel is subscribed to.
    told: bool,
    /// It was told that the channel is refused, since it last was subscribed to.
    refused: bool,
}

/// An interruption that nobody was told of yet.
#[derive(Debug)]
struct Gap {
    /// When it began, at the latest.
    since: Timestamp,
    /// Why.
    cause: GapCause,
    /// Who sent the messages until then.
    from: Arc<Endpoint>,
}

/// A channel that somebody wants.
#[derive(Debug)]
struct Entry {
    /// Which.
    channel: Channel,
    /// The slot of its name.
    slot: Slot,
    /// Tells it from those of its name that were given up.
    serial: u64,
    /// Who wants it; never empty.
    readers: SmallVec<[Reader; 1]>,
    /// Who has confirmed it.
    live: Option<SessionId>,
    /// Who was asked and has not answered.
    pending: Option<SessionId>,
    /// When the server last dropped it.
    dropped: Timestamp,
    /// Its owner has changed at some time after this one, and it is not live at the new one.
    doubt: Option<Timestamp>,
    /// The interruption that is to be told with the next confirmation.
    gap: Option<Gap>,
    /// Failures since the last confirmation.
    failures: u32,
    /// Not asked for before this.
    not_before: Timestamp,
    /// Asked for in a command of its own: others must not fail with it.
    alone: bool,
    /// Why the server refuses it, as far as is known.
    refused: Option<ServerError>,
}

/// A connection.
#[derive(Debug)]
struct Session {
    /// Where it leads.
    endpoint: Arc<Endpoint>,
    /// What it owes.
    outstanding: Outstanding,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Reconciler {
    /// Whether a sharded command must stay in one slot.
    has_slots: bool,
    /// The shortest and the longest pause between attempts.
    pauses: (Duration, Duration),
    /// When the owners were last known to be those of before.
    owners_at: Timestamp,
    /// For jitter.
    rng: Rng,
    /// Channels by name, for each kind.
    names: [Names; 3],
    /// The place of the channel that the last message came for: the next one's is often the same.
    recent: Cell<usize>,
    /// The channels; none where a place is free.
    entries: Vec<Option<Entry>>,
    /// Free places.
    free: Vec<usize>,
    /// Live connections.
    sessions: BTreeMap<SessionId, Session>,
    /// Channels to look at in the next plan.
    dirty: BTreeSet<usize>,
    /// Channels to look at later.
    later: BTreeSet<(Timestamp, usize)>,
    /// Subscriptions to end.
    leaving: Vec<(SessionId, ChannelKind, Slot, Bytes)>,
    /// The last serial given out.
    serial: u64,
    /// Who is to be told.
    told: Told,
}

impl Reconciler {
    pub(crate) fn new(has_slots: bool, pauses: (Duration, Duration), rng: Rng) -> Self {
        Self {
            has_slots,
            pauses,
            owners_at: Timestamp::ZERO,
            rng,
            names: Default::default(),
            recent: Cell::new(0),
            entries: Vec::new(),
            free: Vec::new(),
            sessions: BTreeMap::new(),
            dirty: BTreeSet::new(),
            later: BTreeSet::new(),
            leaving: Vec::new(),
            serial: 0,
            told: Vec::new(),
        }
    }

    /// A reader wants a channel.
    pub(crate) fn want(&mut self, kind: ChannelKind, name: &[u8], reader: ReaderId) {
        let index = match self.names[kind as usize].get(name) {
            Some(index) => *index,
            None => self.add(kind, name),
        };
        let Some(entry) = &mut self.entries[index] else { return };
        if entry.readers.iter().any(|r| r.id == reader) {
            return;
        }
        let session = entry.live.and_then(|id| self.sessions.get(&id));
        if let Some(session) = session {
            let at = Arc::clone(&session.endpoint);
            let channel = entry.channel.clone();
            self.told.push((reader, Update::Subscribed { channel, at }));
        }
        entry.readers.push(Reader { id: reader, told: session.is_some(), refused: false });
        if entry.refused.take().is_some() {
            // Nobody knows whether it still is.
            self.later.remove(&(entry.not_before, index));
            entry.not_before = Timestamp::ZERO;
            self.dirty.insert(index);
        }
    }

    fn add(&mut self, kind: ChannelKind, name: &[u8]) -> usize {
        let name = Bytes::copy_from_slice(name);
        self.serial += 1;
        let entry = Entry {
            slot: Slot::of(&name),
            channel: Channel { kind, name: name.clone() },
            serial: self.serial,
            readers: SmallVec::new(),
            live: None,
            pending: None,
            dropped: Timestamp::ZERO,
            doubt: None,
            gap: None,
            failures: 0,
            not_before: Timestamp::ZERO,
            alone: false,
            refused: None,
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
        self.names[kind as usize].insert(name, index);
        self.dirty.insert(index);
        index
    }

    /// A reader wants a channel no more.
    pub(crate) fn unwant(&mut self, kind: ChannelKind, name: &[u8], reader: ReaderId) {
        let Some(index) = self.names[kind as usize].get(name).copied() else { return };
        self.release(index, reader, true);
    }

    /// A reader has gone.
    pub(crate) fn forget(&mut self, reader: ReaderId) {
        for index in 0..self.entries.len() {
            self.release(index, reader, false);
        }
    }

    fn release(&mut self, index: usize, reader: ReaderId, tell: bool) {
        let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut) else { return };
        let before = entry.readers.len();
        entry.readers.retain(|r| r.id != reader);
        if entry.readers.len() == before {
            return;
        }
        if tell {
            self.told.push((reader, Update::Unsubscribed { channel: entry.channel.clone() }));
        }
        if !entry.readers.is_empty() {
            return;
        }
        let Some(entry) = self.entries[index].take() else { return };
        self.free.push(index);
        self.dirty.remove(&index);
        self.later.remove(&(entry.not_before, index));
        let Channel { kind, name } = entry.channel;
        for session in entry.live.iter().chain(&entry.pending) {
            self.leaving.push((*session, kind, entry.slot, name.clone()));
        }
        self.names[kind as usize].remove(&name);
    }

    /// A connection can be asked from now on.
    pub(crate) fn open(&mut self, id: SessionId, endpoint: Arc<Endpoint>) {
        self.sessions.insert(id, Session { endpoint, outstanding: Outstanding::default() });
    }

    /// A connection is gone. `since`: when its channels were last known to be subscribed to.
    pub(crate) fn close(&mut self, id: SessionId, since: Timestamp, cause: GapCause) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.leaving.retain(|(at, ..)| *at != id);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let Some(entry) = entry else { continue };
            if entry.pending == Some(id) {
                entry.pending = None;
                self.dirty.insert(index);
            }
            if entry.live == Some(id) {
                entry.interrupt(since, cause, &session.endpoint);
                self.dirty.insert(index);
            }
        }
    }

    /// Owners may have changed: every channel is looked at in the next plan.
    pub(crate) fn look_at_all(&mut self) {
        let waits = |index: &usize| {
            let entry = self.entries[*index].as_ref();
            entry.is_some_and(|entry| !self.later.contains(&(entry.not_before, *index)))
        };
        self.dirty.extend((0..self.entries.len()).filter(waits));
    }

    /// The same, for channels that wait for another attempt as well. `owners_at`: when the owners
    /// were last known to be those of before.
    pub(crate) fn hurry(&mut self, now: Timestamp, owners_at: Timestamp) {
        self.owners_at = owners_at;
        for (at, index) in std::mem::take(&mut self.later) {
            if let Some(entry) = &mut self.entries[index] {
                // Nodes that point at each other would otherwise be asked again and again.
                let eager = entry.failures <= EAGER_MAX;
                entry.not_before = if eager { now } else { at.min(now.after(HURRY_PAUSE)) };
                self.dirty.insert(index);
            }
        }
        self.look_at_all();
    }

    /// What to send now. `target` names the connection for a channel; `None` where there is none
    /// yet.
    pub(crate) fn plan(
        &mut self,
        now: Timestamp,
        mut target: impl FnMut(Wish) -> Option<SessionId>,
    ) -> Plan {
        while let Some((at, index)) = self.later.first().copied()
            && at <= now
        {
            self.later.remove(&(at, index));
            self.dirty.insert(index);
        }
        let mut asked: BTreeMap<SessionId, Vec<usize>> = BTreeMap::new();
        for index in std::mem::take(&mut self.dirty) {
            let Some(entry) = &mut self.entries[index] else { continue };
            if entry.not_before > now {
                self.later.insert((entry.not_before, index));
                continue;
            }
            let live = entry.live;
            let held = entry.pending.or(live);
            let wish = Wish { kind: entry.channel.kind, slot: entry.slot, held };
            let Some(id) = target(wish).filter(|id| self.sessions.contains_key(id)) else {
                self.dirty.insert(index);
                continue;
            };
            if entry.pending == Some(id) || (live == Some(id) && entry.pending.is_none()) {
                continue;
            }
            if let Some(other) = entry.pending.take() {
                let Channel { kind, name } = entry.channel.clone();
                self.leaving.push((other, kind, entry.slot, name));
            }
            if live != Some(id) {
                let owned = entry.channel.kind == ChannelKind::Sharded || !self.has_slots;
                // Unless the old owner has said so itself, when it stopped to send.
                if live.is_some() && owned && entry.dropped <= self.owners_at {
                    entry.doubt.get_or_insert(self.owners_at);
                }
                entry.pending = Some(id);
                asked.entry(id).or_default().push(index);
            }
        }
        self.write(asked)
    }

    /// When the next plan may have something new to say by itself.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.later.first().map(|(at, _)| *at)
    }

    /// One command for each slot of the sharded channels, and one for all others of a kind.
    fn write(&mut self, asked: BTreeMap<SessionId, Vec<usize>>) -> Plan {
        let mut plan = Plan::new();
        let slots = self.has_slots;
        let group =
            |kind, slot: Slot| (kind, (slots && kind == ChannelKind::Sharded).then_some(slot));
        let mut left: BTreeMap<_, Vec<Bytes>> = BTreeMap::new();
        for (id, kind, slot, name) in self.leaving.drain(..) {
            left.entry((id, group(kind, slot))).or_default().push(name);
        }
        for ((id, (kind, _)), names) in left {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.outstanding.unsubscribe(kind, names.clone());
            plan.entry(id).or_default().push(Order { subscribe: false, kind, names });
        }
        for (id, indexes) in asked {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let mut groups: BTreeMap<_, Vec<Named>> = BTreeMap::new();
            for index in indexes {
                let Some(entry) = &self.entries[index] else { continue };
                let named = Named { name: entry.channel.name.clone(), serial: entry.serial };
                let alone = if entry.alone { entry.serial } else { 0 };
                let group = (group(entry.channel.kind, entry.slot), alone);
                groups.entry(group).or_default().push(named);
            }
            for (((kind, _), _), named) in groups {
                let names = named.iter().map(|named| named.name.clone()).collect();
                session.outstanding.subscribe(kind, named);
                plan.entry(id).or_default().push(Order { subscribe: true, kind, names });
            }
        }
        for id in plan.keys() {
            if let Some(session) = self.sessions.get_mut(id) {
                session.outstanding.mark();
            }
        }
        plan
    }

    /// A marker was written by itself, to see whether the server answers.
    pub(crate) fn probe(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outstanding.mark();
        }
    }

    /// Who gets a message that came for a channel; nobody, unless it is subscribed to.
    #[inline]
    pub(crate) fn readers(
        &self,
        kind: ChannelKind,
        name: &[u8],
    ) -> impl ExactSizeIterator<Item = ReaderId> + '_ {
        let of_name = |entry: &&Entry| entry.channel.kind == kind && entry.channel.name == name;
        let recent = self.entries.get(self.recent.get()).and_then(Option::as_ref).filter(of_name);
        let entry = recent.or_else(|| self.entry(kind, name));
        let live = entry.filter(|entry| entry.live.is_some());
        live.map_or(&[][..], |entry| &entry.readers[..]).iter().map(|reader| reader.id)
    }

    /// What is known of a channel, if it was ever wanted.
    fn entry(&self, kind: ChannelKind, name: &[u8]) -> Option<&Entry> {
        let index = *self.names[kind as usize].get(name)?;
        self.recent.set(index);
        self.entries[index].as_ref()
    }

    /// Takes what readers are to be told, in order.
    pub(crate) fn take_told(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    /// The channels of one reader that are not live.
    pub(crate) fn missing(&self, reader: ReaderId) -> impl Iterator<Item = &Channel> {
        let entries = self.entries.iter().flatten();
        let own = entries.filter(move |entry| entry.readers.iter().any(|r| r.id == reader));
        own.filter(|entry| entry.live.is_none()).map(|entry| &entry.channel)
    }

    /// A channel of one reader that the server refuses, and why.
    pub(crate) fn refusal(&self, reader: ReaderId) -> Option<(&Channel, &ServerError)> {
        let entries = self.entries.iter().flatten();
        let own = entries.filter(move |entry| entry.readers.iter().any(|r| r.id == reader));
        own.filter_map(|entry| Some((&entry.channel, entry.refused.as_ref()?))).next()
    }

    /// The channels that one reader wants.
    pub(crate) fn channels(&self, reader: ReaderId) -> impl Iterator<Item = &Channel> {
        let entries = self.entries.iter().flatten();
        let own = entries.filter(move |entry| entry.readers.iter().any(|r| r.id == reader));
        own.map(|entry| &entry.channel)
    }

    /// Whether anything is live at a connection, asked of it or still to be ended on it.
    pub(crate) fn uses(&self, id: SessionId) -> bool {
        self.leaving.iter().any(|(at, ..)| *at == id)
            || self.entries.iter().flatten().any(|e| e.live == Some(id) || e.pending == Some(id))
    }
}
