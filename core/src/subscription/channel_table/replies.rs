//! The part of the channel table that handles replies: confirmations, drops and refusals, and what
//! each means for the channel and its readers.
//!
//! Invariants: a reply to an earlier request for the same name changes nothing (`serial`). Behind a
//! gap comes no message from before it: what the old connection brings late is not delivered. After
//! more or fewer confirmations than were asked for, the caller gives the connection up: what it is
//! subscribed to is not known. Only servers' own drops of sharded channels come unasked.

use super::{ChannelEntry, ChannelTable, ConnectionId, Gap, IMMEDIATE_RETRIES_MAX, UnknownState};
use crate::endpoint::Endpoint;
use crate::resp::ServerError;
use crate::routing::error_policy::{CallAction, ErrorOrigin, reply_policy};
use crate::subscription::kind::ChannelKind;
use crate::subscription::pending_commands::{RequestedChannel, UnconfirmedChannels};
use crate::subscription::update::{GapCause, Update};
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

impl ChannelTable {
    /// A server confirmed a channel.
    pub(crate) fn handle_subscribed(
        &mut self,
        id: ConnectionId,
        kind: ChannelKind,
        name: &[u8],
        now: Timestamp,
    ) -> Result<(), UnknownState> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Some(serial) = connection.pending_commands.handle_subscribed(kind, name) else {
            return Err(UnknownState("a channel was confirmed that was not asked for"));
        };
        let endpoint = Arc::clone(&connection.endpoint);
        let Some(index) = self.asked(kind, name, id) else { return Ok(()) };
        let Some(entry) = &mut self.entries[index] else { return Ok(()) };
        if entry.serial != serial || entry.pending != Some(id) {
            return Ok(());
        }
        entry.pending = None;
        (entry.failures, entry.not_before) = (0, Timestamp::ZERO);
        self.refusals -= usize::from(entry.refused.take().is_some());
        let old = entry.live.replace(id);
        let old_endpoint = old.and_then(|id| self.connections.get(&id)).map(|one| &one.endpoint);
        let change = entry.owner_changed_after.take().zip(old_endpoint);
        let change_gap = change.map(|(since, from)| Gap {
            since,
            cause: GapCause::OwnerChanged,
            from: Arc::clone(from),
        });
        let gap = entry.gap.take().or(change_gap);
        // Without a gap, what the old one has sent is missing nowhere else.
        entry.only = gap.as_ref().map(|_| id);
        let from =
            gap.as_ref().map(|gap| &gap.from).or(old_endpoint).filter(|from| **from != endpoint);
        for reader in &mut entry.readers {
            reader.was_refused = false;
            let channel = || entry.channel.clone();
            if !std::mem::replace(&mut reader.was_subscribed, true) {
                let endpoint = Arc::clone(&endpoint);
                let subscribed = Update::Subscribed { channel: channel(), endpoint };
                self.updates.push((reader.id, subscribed));
                continue;
            }
            if let Some(from) = from {
                let (from, to) = (Arc::clone(from), Arc::clone(&endpoint));
                self.updates.push((reader.id, Update::Moved { channel: channel(), from, to }));
            }
            if let Some(Gap { since, cause, .. }) = gap {
                let duration = now.since(since);
                self.updates.push((reader.id, Update::Gap { channel: channel(), cause, duration }));
            }
        }
        if let Some(old_id) = old
            && let Some(old) = self.connections.get_mut(&old_id)
        {
            old.leave(index, kind, entry.slot, entry.channel.name.clone());
            self.leaving.push(old_id);
        }
        // The owner may have changed again since the request.
        self.to_check.insert(index);
        self.handle_part_confirmed(index, gap, now);
        Ok(())
    }

    /// A server ended the subscription to a channel: as asked, or because the slot of a sharded
    /// channel has moved.
    pub(crate) fn handle_unsubscribed(
        &mut self,
        id: ConnectionId,
        kind: ChannelKind,
        name: &[u8],
        now: Timestamp,
    ) -> Result<(), UnknownState> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if connection.pending_commands.handle_unsubscribed(kind, name) {
            return Ok(());
        }
        if kind != ChannelKind::Sharded {
            return Err(UnknownState("the end of a subscription was confirmed unasked"));
        }
        let Some(index) = self.names[kind as usize].get(name).copied() else { return Ok(()) };
        let Some(entry) = &mut self.entries[index] else { return Ok(()) };
        if entry.live == Some(id) {
            connection.channels.remove(&index);
            connection.note_use(id, &mut self.use_changes);
            entry.interrupt(now, GapCause::SlotMoved, &connection.endpoint);
            entry.dropped = Some((id, now));
            self.to_check.insert(index);
        }
        Ok(())
    }

    /// A server answered a command with an error.
    pub(crate) fn handle_error(
        &mut self,
        id: ConnectionId,
        error: &ServerError,
        now: Timestamp,
    ) -> Result<(), UnknownState> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Some(failed) = connection.pending_commands.handle_error() else { return Ok(()) };
        let is_whole = failed.names.len() == failed.count;
        self.retry(id, failed, Some(error), now);
        if is_whole { Ok(()) } else { Err(UnknownState("a command was confirmed and refused")) }
    }

    /// The reply to a marker came.
    pub(crate) fn handle_marker(
        &mut self,
        id: ConnectionId,
        now: Timestamp,
    ) -> Result<(), UnknownState> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let unanswered = connection.pending_commands.handle_marker();
        for failed in unanswered.channels {
            self.retry(id, failed, None, now);
        }
        if unanswered.any { Err(UnknownState("a command was not answered")) } else { Ok(()) }
    }

    /// Asks for the channels of a failed command again, later; tells readers of a refusal.
    fn retry(
        &mut self,
        id: ConnectionId,
        failed: UnconfirmedChannels,
        error: Option<&ServerError>,
        now: Timestamp,
    ) {
        let call = error.map(|error| reply_policy(error, ErrorOrigin::Server).call);
        let moved = call == Some(CallAction::FollowRedirect);
        // The server has nothing against the channel.
        let temporary =
            matches!(call, None | Some(CallAction::FollowRedirect | CallAction::RetryAfterPause));
        for RequestedChannel { name, serial } in failed.names {
            let Some(index) = self.asked(failed.kind, &name, id) else { continue };
            let Some(entry) = &mut self.entries[index] else { continue };
            if entry.serial != serial || entry.pending != Some(id) {
                continue;
            }
            entry.pending = None;
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.channels.remove(&index);
                connection.note_use(id, &mut self.use_changes);
            }
            entry.failures = entry.failures.saturating_add(1);
            let splits = !temporary && (failed.count > 1);
            entry.alone |= splits;
            let immediate = (splits || moved) && entry.failures <= IMMEDIATE_RETRIES_MAX;
            let pause = if immediate { Duration::ZERO } else { pause(self.pauses, entry.failures) };
            let pause = pause / 2 + self.rng.jitter(pause / 2);
            entry.not_before = now.after(pause);
            self.to_check.insert(index);
            if let Some(error) = error.filter(|_| !temporary && !splits) {
                self.refusals += usize::from(entry.refused.replace(error.clone()).is_none());
                let told = entry.reach.whole().unwrap_or(index);
                let Some(entry) = &mut self.entries[told] else { continue };
                for reader in entry.readers.iter_mut().filter(|reader| !reader.was_refused) {
                    reader.was_refused = true;
                    let (channel, error) = (entry.channel.clone(), error.clone());
                    self.updates.push((reader.id, Update::Refused { channel, error }));
                }
            }
        }
    }
}

impl ChannelEntry {
    /// Ends `live`, and begins a gap unless one has begun already.
    pub(super) fn interrupt(&mut self, since: Timestamp, cause: GapCause, from: &Arc<Endpoint>) {
        self.live = None;
        let since = self.owner_changed_after.take().map_or(since, |after| after.min(since));
        let gap = || Gap { since, cause, from: Arc::clone(from) };
        self.gap.get_or_insert_with(gap);
    }
}

/// The longest pause after so many failures in a row.
fn pause((base, cap): (Duration, Duration), failures: u32) -> Duration {
    base.saturating_mul(1 << failures.min(20)).min(cap)
}
