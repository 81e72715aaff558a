//! The part of the channel table that makes plans: which connection is asked for which channel, in
//! which commands.
//!
//! Invariants: the names of one command are of one kind and, where there are slots, of one slot if
//! they are sharded; every write ends with a marker.

use super::{
    ChannelCommand, ChannelEntry, ChannelTable, ChannelWrite, Connection, ConnectionId, Placement,
    PlacementQuery, Plan,
};
use crate::subscription::kind::{Channel, ChannelKind};
use crate::subscription::pending_commands::RequestedChannel;
use crate::subscription::reach::Reach;
use crate::time::Timestamp;
use crate::topology::slot::Slot;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What the names of one command have in common.
type Group = (ChannelKind, Option<Slot>);

/// The group of a channel.
fn group(has_slots: bool, kind: ChannelKind, slot: Slot) -> Group {
    (kind, (has_slots && kind == ChannelKind::Sharded).then_some(slot))
}

impl ChannelTable {
    /// Returns the commands to send now. `target` chooses the connection for a channel.
    pub(crate) fn plan<P: Into<Placement>>(
        &mut self,
        now: Timestamp,
        mut target: impl FnMut(PlacementQuery) -> P,
    ) -> Plan {
        while let Some((at, index)) = self.check_later.first().copied()
            && at <= now
        {
            self.check_later.remove(&(at, index));
            self.to_check.insert(index);
        }
        let mut asked: BTreeMap<ConnectionId, Vec<usize>> = BTreeMap::new();
        for index in std::mem::take(&mut self.to_check) {
            self.visit();
            let Some(entry) = &mut self.entries[index] else { continue };
            let primary = match entry.reach {
                Reach::OneNode => None,
                Reach::OnePrimary { primary, .. } => Some(primary),
                // Its parts are asked for.
                Reach::EveryPrimary { .. } => {
                    self.tell_gap(index, now);
                    continue;
                }
            };
            if let Some(key) = entry.waits_for.take() {
                self.waiting.remove(&(key, index));
            }
            if entry.not_before > now {
                self.check_later.insert((entry.not_before, index));
                continue;
            }
            let live = entry.live;
            let current = entry.pending.or(live);
            let kind = entry.channel.kind;
            let query = PlacementQuery { kind, slot: entry.slot, current, primary };
            let id = match target(query).into() {
                Placement::At(id) if self.connections.contains_key(&id) => id,
                elsewhere => {
                    let key = if let Placement::Later(key) = elsewhere { key } else { 0 };
                    entry.waits_for = Some(key);
                    self.waiting.insert((key, index));
                    continue;
                }
            };
            if entry.pending == Some(id) || (live == Some(id) && entry.pending.is_none()) {
                continue;
            }
            if let Some(other_id) = entry.pending.take()
                && let Some(other) = self.connections.get_mut(&other_id)
            {
                let Channel { kind, name } = entry.channel.clone();
                other.leave(index, kind, entry.slot, name);
                self.leaving.push(other_id);
            }
            if live != Some(id) {
                let owned = entry.channel.kind == ChannelKind::Sharded || !self.has_slots;
                // If the old owner dropped the channel since then, the gap is known exactly.
                let was_told = entry
                    .dropped
                    .is_some_and(|(by, at)| live == Some(by) && at > self.owners_known_at);
                if live.is_some() && owned && !was_told {
                    entry.owner_changed_after.get_or_insert(self.owners_known_at);
                }
                entry.pending = Some(id);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.channels.insert(index);
                    connection.note_use(id, &mut self.use_changes);
                }
                asked.entry(id).or_default().push(index);
            }
        }
        self.write(asked)
    }

    /// When a plan may have new commands without any change before.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.check_later.first().map(|(at, _)| *at)
    }

    /// Makes the writes of each connection: one of commands that unsubscribe, one of those that
    /// subscribe. So the marker between them keeps apart their replies: a server that drops a
    /// channel by itself confirms an unsubscribe command early, and then refuses it.
    fn write(&mut self, mut asked: BTreeMap<ConnectionId, Vec<usize>>) -> Plan {
        let mut plan = Plan::new();
        let slots = self.has_slots;
        for id in std::mem::take(&mut self.leaving) {
            asked.entry(id).or_default();
        }
        for (id, asked) in asked {
            self.visit();
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let entries = asked.iter().filter_map(|index| self.entries[*index].as_ref());
            let writes = [connection.leaving(slots), connection.asking(slots, entries)];
            let writes: Vec<ChannelWrite> =
                writes.into_iter().filter(|write| !write.is_empty()).collect();
            connection.note_use(id, &mut self.use_changes);
            if !writes.is_empty() {
                plan.insert(id, writes);
            }
        }
        plan
    }

    /// A marker was written without other commands, to test whether the server answers.
    pub(crate) fn probe(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pending_commands.end_write();
        }
    }
}

impl Connection {
    /// The commands that unsubscribe: one for each slot of sharded channels, one for each other
    /// kind.
    fn leaving(&mut self, has_slots: bool) -> ChannelWrite {
        let mut groups: BTreeMap<Group, Vec<Bytes>> = BTreeMap::new();
        for (kind, slot, name) in self.to_unsubscribe.drain(..) {
            groups.entry(group(has_slots, kind, slot)).or_default().push(name);
        }
        let mut write = ChannelWrite::new();
        for ((kind, _), names) in groups {
            self.pending_commands.unsubscribe(kind, names.clone());
            write.push(ChannelCommand { subscribe: false, kind, names });
        }
        if !write.is_empty() {
            self.pending_commands.end_write();
        }
        write
    }

    /// The commands that subscribe, in the same groups; a channel that is `alone` has its own.
    fn asking<'e>(
        &mut self,
        has_slots: bool,
        entries: impl Iterator<Item = &'e ChannelEntry>,
    ) -> ChannelWrite {
        let mut groups: BTreeMap<(Group, u64), Vec<RequestedChannel>> = BTreeMap::new();
        for entry in entries {
            let (name, serial) = (entry.channel.name.clone(), entry.serial);
            let alone = if entry.alone { serial } else { 0 };
            let group = (group(has_slots, entry.channel.kind, entry.slot), alone);
            groups.entry(group).or_default().push(RequestedChannel { name, serial });
        }
        let mut write = ChannelWrite::new();
        for (((kind, _), _), named) in groups {
            let names = named.iter().map(|named| named.name.clone()).collect();
            self.pending_commands.subscribe(kind, named);
            write.push(ChannelCommand { subscribe: true, kind, names });
        }
        if !write.is_empty() {
            self.pending_commands.end_write();
        }
        write
    }
}
