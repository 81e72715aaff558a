//! The part of the reconciler that hears: confirmations, drops, refusals, and what follows from
//! each for the channel and its readers.
//!
//! Called by `driver/hub.rs`.

use super::{EAGER_MAX, Entry, Gap, Reconciler, SessionId};
use crate::endpoint::Endpoint;
use crate::resp::ServerError;
use crate::routing::error_policy::{CallAction, ErrorOrigin, reply_policy};
use crate::subscription::kind::ChannelKind;
use crate::subscription::session::{Named, NotDone};
use crate::subscription::update::{GapCause, Update};
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

impl Reconciler {
    /// A channel's confirmation came.
    pub(crate) fn handle_subscribed(
        &mut self,
        id: SessionId,
        kind: ChannelKind,
        name: &[u8],
        now: Timestamp,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(serial) = session.outstanding.handle_subscribed(kind, name) else { return };
        let Some(index) = self.names[kind as usize].get(name).copied() else { return };
        let Some(entry) = &mut self.entries[index] else { return };
        if entry.serial != serial || entry.pending != Some(id) {
            return;
        }
        let at = Arc::clone(&session.endpoint);
        entry.pending = None;
        (entry.failures, entry.not_before, entry.refused) = (0, Timestamp::ZERO, None);
        let old = entry.live.replace(id);
        let old_endpoint = old.and_then(|id| self.sessions.get(&id)).map(|s| &s.endpoint);
        let doubt = entry.doubt.take().zip(old_endpoint).map(|(since, from)| Gap {
            since,
            cause: GapCause::OwnerChanged,
            from: Arc::clone(from),
        });
        let gap = entry.gap.take().or(doubt);
        let from = gap.as_ref().map(|gap| &gap.from).or(old_endpoint).filter(|from| **from != at);
        for reader in &mut entry.readers {
            reader.refused = false;
            let channel = || entry.channel.clone();
            if !std::mem::replace(&mut reader.told, true) {
                let subscribed = Update::Subscribed { channel: channel(), at: Arc::clone(&at) };
                self.told.push((reader.id, subscribed));
                continue;
            }
            if let Some(from) = from {
                let (from, to) = (Arc::clone(from), Arc::clone(&at));
                self.told.push((reader.id, Update::Moved { channel: channel(), from, to }));
            }
            if let Some(Gap { since, cause, .. }) = gap {
                let since = now.since(since);
                self.told.push((reader.id, Update::Gap { channel: channel(), cause, since }));
            }
        }
        if let Some(old) = old {
            self.leaving.push((old, kind, entry.slot, entry.channel.name.clone()));
        }
        // The owner may have changed again meanwhile.
        self.dirty.insert(index);
    }

    /// The server says that a channel is not subscribed to any more.
    pub(crate) fn handle_unsubscribed(
        &mut self,
        id: SessionId,
        kind: ChannelKind,
        name: &[u8],
        now: Timestamp,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.outstanding.handle_unsubscribed(kind, name) {
            return;
        }
        let Some(index) = self.names[kind as usize].get(name).copied() else { return };
        let Some(entry) = &mut self.entries[index] else { return };
        if entry.live == Some(id) {
            entry.interrupt(now, GapCause::SlotMoved, &session.endpoint);
            entry.dropped = now;
            self.dirty.insert(index);
        }
    }

    /// A command failed.
    pub(crate) fn handle_error(&mut self, id: SessionId, error: &ServerError, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(failed) = session.outstanding.handle_error() {
            self.retry(id, failed, Some(error), now);
        }
    }

    /// The reply to a marker came.
    pub(crate) fn handle_marker(&mut self, id: SessionId, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for failed in session.outstanding.handle_marker() {
            self.retry(id, failed, None, now);
        }
    }

    fn retry(
        &mut self,
        id: SessionId,
        failed: NotDone,
        error: Option<&ServerError>,
        now: Timestamp,
    ) {
        let call = error.map(|error| reply_policy(error, ErrorOrigin::Server).call);
        let moved = call == Some(CallAction::FollowRedirect);
        // The server has nothing against the channel.
        let passing =
            matches!(call, None | Some(CallAction::FollowRedirect | CallAction::RetryAfterPause));
        for Named { name, serial } in failed.names {
            let Some(index) = self.names[failed.kind as usize].get(&name).copied() else {
                continue;
            };
            let Some(entry) = &mut self.entries[index] else { continue };
            if entry.serial != serial || entry.pending != Some(id) {
                continue;
            }
            entry.pending = None;
            entry.failures = entry.failures.saturating_add(1);
            let splits = !passing && failed.shared;
            entry.alone |= splits;
            let at_once = (splits || moved) && entry.failures <= EAGER_MAX;
            let pause = if at_once { Duration::ZERO } else { pause(self.pauses, entry.failures) };
            let pause = pause / 2 + self.rng.jitter(pause / 2);
            entry.not_before = now.after(pause);
            self.dirty.insert(index);
            if let Some(error) = error.filter(|_| !passing && !splits) {
                entry.refused = Some(error.clone());
                for reader in entry.readers.iter_mut().filter(|reader| !reader.refused) {
                    reader.refused = true;
                    let (channel, error) = (entry.channel.clone(), error.clone());
                    self.told.push((reader.id, Update::Refused { channel, error }));
                }
            }
        }
    }
}

impl Entry {
    /// It is not live any more.
    pub(super) fn interrupt(&mut self, since: Timestamp, cause: GapCause, from: &Arc<Endpoint>) {
        self.live = None;
        let since = self.doubt.take().map_or(since, |doubt| doubt.min(since));
        let gap = || Gap { since, cause, from: Arc::clone(from) };
        self.gap.get_or_insert_with(gap);
    }
}

/// The longest pause after so many failures.
fn pause((base, cap): (Duration, Duration), failures: u32) -> Duration {
    base.saturating_mul(1 << failures.min(20)).min(cap)
}
