//! Moves slots between nodes, completely or half-way, and removes them from their owners.
//!
//! A slot that is half-way gives ASK and TRYAGAIN: `begin_move`, then `migrate_keys` for some keys.
//! Spec: cluster-spec, "Live resharding"; command pages CLUSTER SETSLOT, MIGRATE.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::{Cluster, NodeLine};
use crate::real::wait::until_true;
use crate::real::wire::Reply;

/// The number of slots of every cluster.
pub const SLOT_COUNT: u16 = 16384;

/// Nodes that do not know a new owner after this time are informed again.
const SETTLING: Duration = Duration::from_secs(2);
/// Keys per MIGRATE.
const MIGRATE_KEYS: &str = "200";

/// The slot of a key, hash tag respected.
///
/// Spec: cluster-spec, "Hash tags"; the bitwise CRC16 of XMODEM, not slotcar's.
pub fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    let mut crc = 0_u16;
    for byte in hashed.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % SLOT_COUNT
}

/// A key in a slot, always the same one; `key_in(slot) + suffix` stays in the slot.
pub fn key_in(slot: u16) -> String {
    let tags = (0..).map(|n: u32| format!("{{{n}}}"));
    tags.into_iter().find(|key| slot_of(key) == slot).expect("some number hashes to each slot")
}

impl Cluster {
    /// Moves a slot with its keys to another node; the nodes agree when this returns.
    #[track_caller]
    pub fn move_slot(&self, slot: u16, to: usize) {
        let from = self.primary_of(slot);
        self.begin_move(slot, to);
        while self.migrate_keys(slot, from, to) > 0 {}
        self.finish_move(slot, from, to);
    }

    /// Marks a slot as importing at `to` and as migrating at its primary: missing keys give ASK.
    #[track_caller]
    pub fn begin_move(&self, slot: u16, to: usize) {
        let from = self.primary_of(slot);
        let slot = slot.to_string();
        let set = |at: usize, state: &str, other: usize| {
            self.nodes[at].call(&["CLUSTER", "SETSLOT", &slot, state, &self.ids[other]]).ok();
        };
        set(to, "IMPORTING", from);
        set(from, "MIGRATING", to);
    }

    /// Migrates some keys of a moving slot; returns how many, 0 when none is left.
    #[track_caller]
    pub fn migrate_keys(&self, slot: u16, from: usize, to: usize) -> usize {
        let keys = &["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), MIGRATE_KEYS];
        let keys = self.nodes[from].call(keys).ok();
        let keys: Vec<String> = keys.items().iter().map(Reply::text).collect();
        self.migrate(&keys, from, to);
        keys.len()
    }

    /// Migrates named keys: with some of a slot's keys here and some there, MGET gives TRYAGAIN.
    #[track_caller]
    pub fn migrate<K: AsRef<str>>(&self, keys: &[K], from: usize, to: usize) {
        if keys.is_empty() {
            return;
        }
        let target = self.nodes[to].address();
        let (ip, port) = (target.ip().to_string(), target.port().to_string());
        let mut words = vec!["MIGRATE", &ip, &port, "", "0", "5000"];
        let password = self.nodes[to].password();
        if let Some(password) = &password {
            words.extend(["AUTH", password.as_str()]);
        }
        words.push("KEYS");
        words.extend(keys.iter().map(K::as_ref));
        self.nodes[from].call(&words).ok();
    }

    /// Makes `to` the owner of a slot everywhere, and waits until all nodes agree.
    #[track_caller]
    pub fn finish_move(&self, slot: u16, from: usize, to: usize) {
        self.settle_epochs();
        // The target first: it raises its epoch, so its claim wins where gossip arrives earlier.
        let others = (0..self.nodes.len()).filter(|i| *i != from && *i != to);
        for at in [to, from].into_iter().chain(others) {
            if self.myself(at).is_some_and(|me| me.is("master")) {
                self.set_owner(at, slot, to);
            }
        }
        self.settle_owner(slot, to);
    }

    /// Waits until all nodes that answer know the latest epoch.
    ///
    /// A target that does not know it takes its own for the latest and does not raise it. Then two
    /// owners claim the slot, and a third node may keep the wrong one.
    #[track_caller]
    fn settle_epochs(&self) {
        self.until_heard("all nodes to know the latest epoch", || {
            let mut known = (0..self.nodes.len()).filter_map(|at| {
                let info = self.ask(at, &["CLUSTER", "INFO"])?;
                info.lines()
                    .find_map(|l| l.strip_prefix("cluster_current_epoch:").map(str::to_owned))
            });
            let first = known.next();
            known.all(|epoch| Some(epoch) == first)
        });
    }

    /// Waits until all nodes agree, and informs those again that do not: a late message of the old
    /// owner may have overwritten the new one.
    #[track_caller]
    fn settle_owner(&self, slot: u16, owner: usize) {
        let mut told = Instant::now();
        until_true(&format!("all nodes to know the owner of {slot}"), || {
            let knows = |view: Vec<NodeLine>| {
                view.iter().any(|line| line.owns(slot) && line.id == self.ids[owner])
            };
            let is_astray = |at: &usize| self.view(*at).is_some_and(|view| !knows(view));
            let astray: Vec<usize> = (0..self.nodes.len()).filter(is_astray).collect();
            if told.elapsed() > SETTLING {
                told = Instant::now();
                for at in &astray {
                    let words = ["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &self.ids[owner]];
                    let _ = self.nodes[*at].try_call(&words);
                }
            }
            astray.is_empty()
        });
    }

    /// Ends a half-way move without moving: both nodes forget it. Keys stay where they are.
    #[track_caller]
    pub fn abandon_move(&self, slot: u16, from: usize, to: usize) {
        for at in [from, to] {
            self.nodes[at].call(&["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"]).ok();
        }
    }

    /// Moves a range of slots atomically, by the servers themselves (Valkey 9 and newer).
    #[track_caller]
    pub fn move_slots_atomically(&self, slots: RangeInclusive<u16>, to: usize) {
        let from = self.primary_of(*slots.start());
        let (first, last) = (slots.start().to_string(), slots.end().to_string());
        let words = ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", &first, &last, "NODE", &self.ids[to]];
        self.nodes[from].call(&words).ok();
        self.wait_until_owner(*slots.end(), to);
    }

    /// Removes slots from all nodes: the cluster reports them as uncovered.
    #[track_caller]
    pub fn open_hole(&self, slots: RangeInclusive<u16>) {
        let words: Vec<String> = slots.clone().map(|slot| slot.to_string()).collect();
        let words = [&["CLUSTER", "DELSLOTS"], &as_strs(&words)[..]].concat();
        // The owner's heartbeats give the slots back to a node that removed them first. So the
        // owner removes them first, and the others until none has them.
        let owner = self.primary_of(*slots.start());
        self.nodes[owner].call(&words).ok();
        until_true("every node to forget the slots", || {
            let mut known = false;
            for at in 0..self.nodes.len() {
                let Some(view) = self.view(at) else { continue };
                if view.iter().any(|l| slots.clone().any(|slot| l.owns(slot))) {
                    known = true;
                    // A node that knows only some of them refuses, so they go one by one.
                    for slot in slots.clone() {
                        let _ =
                            self.nodes[at].try_call(&["CLUSTER", "DELSLOTS", &slot.to_string()]);
                    }
                }
            }
            !known
        });
    }

    /// Gives uncovered slots to a node, and waits until all nodes know.
    #[track_caller]
    pub fn fill_hole(&self, slots: RangeInclusive<u16>, to: usize) {
        let words: Vec<String> = slots.clone().map(|slot| slot.to_string()).collect();
        self.nodes[to].call(&[&["CLUSTER", "ADDSLOTS"], &as_strs(&words)[..]].concat()).ok();
        self.wait_until_owner(*slots.end(), to);
    }

    /// Waits until every node that answers says that `owner` has a slot.
    #[track_caller]
    pub fn wait_until_owner(&self, slot: u16, owner: usize) {
        self.until_heard(&format!("all nodes to know the owner of {slot}"), || {
            let mut views = (0..self.nodes.len()).filter_map(|i| self.view(i));
            views.all(|view| view.iter().any(|l| l.owns(slot) && l.id == self.ids[owner]))
        });
    }

    fn set_owner(&self, at: usize, slot: u16, owner: usize) {
        let words = ["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &self.ids[owner]];
        self.nodes[at].call(&words).ok();
    }
}

fn as_strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The examples of the cluster specification, and of CLUSTER KEYSLOT's page.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of("123456789"), 0x31C3);
        assert_eq!(slot_of("somekey"), 11058);
        assert_eq!(slot_of("foo{hash_tag}"), 2515);
        assert_eq!(slot_of("bar{hash_tag}"), 2515);
        assert_eq!(slot_of("{user1000}.following"), slot_of("user1000"));
        assert_eq!(slot_of("foo{{bar}}zap"), slot_of("{bar"));
        assert_ne!(slot_of("foo{}{bar}"), slot_of("bar"));
    }

    #[test]
    fn every_slot_has_a_key() {
        for slot in [0, 1, 8191, 16383] {
            assert_eq!(slot_of(&key_in(slot)), slot);
            assert_eq!(slot_of(&(key_in(slot) + ":more")), slot);
        }
    }
}
