//! The part of the channel table for channels that tell of keys. In a cluster only the node that
//! has a key tells of it, so they are subscribed to at every primary.
//!
//! Such a channel has an entry for itself, with its name and its readers, and a part for each
//! primary, which is asked for, confirmed and lost like a channel with one node. Readers are told
//! of the whole: `Subscribed` when every primary has confirmed, and one `Gap` when all of them do
//! so again. A gap begins when one of them is lost, or comes to own slots.
//!
//! What ceases to own slots is left at once: it would go on as a replica, and tell of the keys of
//! its shard a second time. For the same reason no node is asked that owns no slots yet.
//!
//! Invariant: there is a part for each entry of `primaries`, in that order, once `follow_primaries`
//! has returned. What is done for one channel costs what the cluster has of primaries.
//! Spec: "Redis keyspace notifications", "Events in a cluster".

use super::{ChannelTable, Connection, ConnectionId, Gap};
use crate::resp::ServerError;
use crate::subscription::kind::ChannelKind;
use crate::subscription::reach::{Primary, Reach};
use crate::subscription::update::{GapCause, Update};
use crate::time::Timestamp;
use std::sync::Arc;

impl ChannelTable {
    /// Whether any channel tells of keys, so that it matters which primaries there are.
    pub(crate) fn has_wholes(&self) -> bool {
        !self.wholes.is_empty()
    }

    /// Says which primaries there are; never none, but one that is not known. `owners_known_at`:
    /// when they were last known to be the old ones. `handle_owner_change` follows.
    pub(crate) fn follow_primaries(
        &mut self,
        primaries: Vec<Primary>,
        owners_known_at: Timestamp,
        now: Timestamp,
    ) {
        if self.primaries == primaries {
            return;
        }
        let before = std::mem::replace(&mut self.primaries, primaries);
        let place = |one: &Primary| self.primaries.iter().position(|other| other == one);
        let places: Vec<Option<usize>> = before.iter().map(place).collect();
        let new =
            self.primaries.iter().flatten().find(|one| !before.iter().flatten().any(|o| o == *one));
        // Of the keys of a new owner, events are missing since it became one.
        let gap = new.map(|from| Gap {
            since: owners_known_at,
            cause: GapCause::OwnerChanged,
            from: Arc::clone(from),
        });
        for index in self.wholes.iter().copied().collect::<Vec<usize>>() {
            self.visit();
            let Some(entry) = &mut self.entries[index] else { continue };
            let Reach::EveryPrimary { parts } = &mut entry.reach else { continue };
            let parts = std::mem::take(parts);
            let mut next = vec![None; self.primaries.len()];
            for (part, place) in parts.into_iter().zip(&places) {
                match place.and_then(|place| next.get_mut(place)) {
                    Some(next) if next.is_none() => *next = Some(part),
                    _ => {
                        let gap = self.entries[part].as_mut().and_then(|part| part.gap.take());
                        self.begin_gap(index, gap);
                        self.remove(part);
                    }
                }
            }
            self.fill_parts(index, next);
            self.begin_gap(index, gap.clone());
            self.tell_whole(index, now);
        }
    }

    /// Gives an entry a part for each primary.
    pub(super) fn add_parts(&mut self, whole: usize) {
        self.wholes.insert(whole);
        let none = vec![None; self.primaries.len()];
        self.fill_parts(whole, none);
    }

    /// Gives an entry these parts, and new ones where there is none.
    fn fill_parts(&mut self, whole: usize, parts: Vec<Option<usize>>) {
        let Some(channel) = self.entries[whole].as_ref().map(|entry| entry.channel.clone()) else {
            return;
        };
        let mut filled = Vec::with_capacity(parts.len());
        for (at, part) in parts.into_iter().enumerate() {
            let part = part.unwrap_or_else(|| {
                self.insert(channel.clone(), Reach::OnePrimary { whole, primary: at })
            });
            if let Some(entry) = &mut self.entries[part]
                && let Reach::OnePrimary { primary, .. } = &mut entry.reach
            {
                *primary = at;
            }
            if self.recent.get() == part {
                self.recent.set(usize::MAX);
            }
            filled.push(part);
        }
        if let Some(entry) = &mut self.entries[whole] {
            entry.reach = Reach::EveryPrimary { parts: filled };
        }
    }

    /// The parts of an entry.
    pub(super) fn parts(&self, index: usize) -> &[usize] {
        match self.entries[index].as_ref().map(|entry| &entry.reach) {
            Some(Reach::EveryPrimary { parts }) => parts,
            _ => &[],
        }
    }

    /// The entry that was asked for at a connection: a channel, or its part there.
    pub(super) fn asked(&self, kind: ChannelKind, name: &[u8], at: ConnectionId) -> Option<usize> {
        let index = *self.names[kind as usize].get(name)?;
        match self.parts(index) {
            [] => Some(index),
            parts => parts.iter().copied().find(|part| {
                self.entries[*part].as_ref().is_some_and(|part| part.pending == Some(at))
            }),
        }
    }

    /// The connection that has confirmed a channel; of one with parts, any of them, if all have.
    pub(super) fn confirmed(&self, index: usize) -> Option<ConnectionId> {
        let live = |index: &usize| self.entries[*index].as_ref()?.live;
        match self.parts(index) {
            [] => live(&index),
            parts => parts.iter().map(live).reduce(Option::and)?,
        }
    }

    /// The error by which a server refuses a channel, or a part of it.
    pub(super) fn refused(&self, index: usize) -> Option<&ServerError> {
        let own = std::iter::once(&index).chain(self.parts(index));
        own.filter_map(|index| self.entries[*index].as_ref()).find_map(|one| one.refused.as_ref())
    }

    /// Asks at once for a channel, or parts of it, that a server refused: it may accept it by now.
    pub(super) fn ask_refused_again(&mut self, index: usize) {
        for index in [&[index], self.parts(index)].concat() {
            let Some(entry) = &mut self.entries[index] else { continue };
            if entry.refused.take().is_some() {
                self.refusals -= 1;
                self.check_later.remove(&(entry.not_before, index));
                entry.not_before = Timestamp::ZERO;
                self.to_check.insert(index);
            }
        }
    }

    /// An entry was confirmed, after this gap. If it is a part, the whole may be live now.
    pub(super) fn handle_part_confirmed(&mut self, index: usize, gap: Option<Gap>, now: Timestamp) {
        let Some(part) = &self.entries[index] else { return };
        let (live, Some(whole)) = (part.live, part.reach.whole()) else { return };
        if let Some(entry) = &mut self.entries[whole] {
            entry.live = live;
        }
        self.begin_gap(whole, gap);
        self.tell_whole(whole, now);
    }

    /// A connection was lost. Where a primary was left over it and had not confirmed that, events
    /// from before it ceased to be one may be lost too. `plan` tells the gap.
    pub(super) fn lose_what_leaves(
        &mut self,
        connection: &Connection,
        since: Timestamp,
        cause: GapCause,
    ) {
        if self.wholes.is_empty() {
            return;
        }
        let later = connection.to_unsubscribe.iter().map(|(kind, _, name)| (*kind, name));
        for (kind, name) in connection.pending_commands.unsubscribing().chain(later) {
            self.visit();
            let whole = self.names[kind as usize].get(name).copied();
            if let Some(whole) = whole.filter(|whole| self.wholes.contains(whole)) {
                let from = Arc::clone(&connection.endpoint);
                self.begin_gap(whole, Some(Gap { since, cause, from }));
                self.to_check.insert(whole);
            }
        }
    }

    /// Tells a gap that began while all parts were live.
    pub(super) fn tell_gap(&mut self, whole: usize, now: Timestamp) {
        if self.entries[whole].as_ref().is_some_and(|entry| entry.gap.is_some()) {
            self.tell_whole(whole, now);
        }
    }

    /// Begins a gap of an entry with parts; one that has begun may have begun earlier.
    fn begin_gap(&mut self, whole: usize, gap: Option<Gap>) {
        let (Some(gap), Some(entry)) = (gap, &mut self.entries[whole]) else { return };
        let since = gap.since;
        let begun = entry.gap.get_or_insert(gap);
        begun.since = begun.since.min(since);
    }

    /// Tells the readers of an entry with parts what they do not know yet, if all parts are live.
    fn tell_whole(&mut self, whole: usize, now: Timestamp) {
        let at = self.confirmed(whole).and_then(|id| self.connections.get(&id));
        let (Some(at), Some(entry)) = (at, &mut self.entries[whole]) else { return };
        let gap = entry.gap.take();
        for reader in &mut entry.readers {
            reader.was_refused = false;
            let channel = entry.channel.clone();
            if !std::mem::replace(&mut reader.was_subscribed, true) {
                let endpoint = Arc::clone(&at.endpoint);
                self.updates.push((reader.id, Update::Subscribed { channel, endpoint }));
            } else if let Some(Gap { since, cause, .. }) = gap {
                let duration = now.since(since);
                self.updates.push((reader.id, Update::Gap { channel, cause, duration }));
            }
        }
    }
}
