//! The part of the channel table that says which channels the next plan checks.
//!
//! Invariant: each channel is where its node is, or the next plan checks it, or it waits: for a
//! connection (`waiting`), or for a time (`check_later`).

use super::{ChannelTable, IMMEDIATE_RETRIES_MAX, WaitKey};
use crate::time::Timestamp;
use crate::topology::slot::Slot;
use std::time::Duration;

/// How long a channel with many failures waits at most after a change of owners.
const OWNER_CHANGE_PAUSE: Duration = Duration::from_millis(50);

impl ChannelTable {
    /// Lets the next plan check every channel that does not wait for a retry.
    pub(crate) fn recheck_all(&mut self) {
        let waits = |index: &usize| {
            let entry = self.entries[*index].as_ref();
            entry.is_some_and(|entry| !self.check_later.contains(&(entry.not_before, *index)))
        };
        self.to_check.extend((0..self.entries.len()).filter(waits));
    }

    /// Lets the next plan check every channel, also those that wait for a retry: slots may have new
    /// owners. `owners_known_at`: when the owners were last known to be the old ones.
    pub(crate) fn handle_owner_change(&mut self, now: Timestamp, owners_known_at: Timestamp) {
        self.owners_known_at = owners_known_at;
        for (_, index) in std::mem::take(&mut self.check_later) {
            self.check_soon(index, now);
        }
        self.recheck_all();
    }

    /// The same, where only these slots may have new owners. A channel that is not sharded has no
    /// owner.
    pub(crate) fn handle_owner_change_of(
        &mut self,
        slots: impl Iterator<Item = Slot>,
        now: Timestamp,
        owners_known_at: Timestamp,
    ) {
        self.owners_known_at = owners_known_at;
        for slot in slots {
            let own = self.by_slot.range((slot, 0)..=(slot, usize::MAX));
            let own: Vec<usize> = own.map(|(_, index)| *index).collect();
            for index in own {
                let entry = self.entries[index].as_ref();
                let waits = entry.map(|entry| (entry.not_before, index));
                if waits.is_some_and(|waits| self.check_later.remove(&waits)) {
                    self.check_soon(index, now);
                } else {
                    self.to_check.insert(index);
                }
            }
        }
    }

    /// Lets the next plan check a channel that waits for a retry, unless it has failed often.
    fn check_soon(&mut self, index: usize, now: Timestamp) {
        self.visit();
        let Some(entry) = &mut self.entries[index] else { return };
        // Without a pause, two nodes that redirect to each other would be asked in a loop.
        let immediate = entry.failures <= IMMEDIATE_RETRIES_MAX;
        let pause = now.after(OWNER_CHANGE_PAUSE);
        entry.not_before = if immediate { now } else { entry.not_before.min(pause) };
        self.to_check.insert(index);
    }

    /// Lets the next plan check the channels that wait for this.
    pub(crate) fn recheck_waiting(&mut self, key: WaitKey) {
        let own = self.waiting.range((key, 0)..=(key, usize::MAX));
        self.to_check.extend(own.map(|(_, index)| *index));
    }

    /// Lets the next plan check all channels that wait for a connection.
    pub(crate) fn recheck_all_waiting(&mut self) {
        self.to_check.extend(self.waiting.iter().map(|(_, index)| *index));
    }

    /// Whether a channel waits for this.
    pub(crate) fn is_awaited(&self, key: WaitKey) -> bool {
        self.waiting.range((key, 0)..=(key, usize::MAX)).next().is_some()
    }
}
