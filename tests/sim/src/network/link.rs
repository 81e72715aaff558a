//! The wires: how long a message takes between two hosts, and whether it arrives at all.
//!
//! Partitions have a direction, because real ones do: a firewall that drops one direction gives a
//! half-open connection. Clients' connections and the servers' own bus use the same wires.

use crate::ids::HostId;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Latency, bandwidth and partitions between hosts.
#[derive(Debug)]
pub(crate) struct Links {
    /// Time that every message takes in one direction.
    pub(crate) latency: Duration,
    /// Upper bound of the random time added to each message.
    pub(crate) jitter: Duration,
    /// Bytes per second of one connection in one direction; 0 for no limit.
    pub(crate) bytes_per_second: u64,
    /// Hosts whose replies to clients take longer, as those of an overloaded server do.
    slow: BTreeMap<HostId, Duration>,
    /// (from, to) pairs between which nothing passes.
    blocked: BTreeSet<(HostId, HostId)>,
}

impl Links {
    /// A round trip of one millisecond, and no faults.
    pub(crate) fn new() -> Self {
        Self {
            latency: Duration::from_micros(500),
            jitter: Duration::ZERO,
            bytes_per_second: 0,
            slow: BTreeMap::new(),
            blocked: BTreeSet::new(),
        }
    }

    /// How long the next message takes, in one direction.
    pub(crate) fn delay(&self, rng: &mut Rng) -> Duration {
        if self.jitter.is_zero() {
            self.latency
        } else {
            self.latency.saturating_add(rng.duration(self.jitter))
        }
    }

    /// How long `bytes` occupy the wire.
    pub(crate) fn transfer(&self, bytes: usize) -> Duration {
        match (bytes as u64).saturating_mul(1_000_000_000).checked_div(self.bytes_per_second) {
            Some(nanos) => Duration::from_nanos(nanos),
            None => Duration::ZERO,
        }
    }

    /// The extra time of a reply of `host`.
    pub(crate) fn slowness(&self, host: HostId) -> Duration {
        self.slow.get(&host).copied().unwrap_or(Duration::ZERO)
    }

    /// Delays every reply of `host` by `by`; zero ends the delay.
    pub(crate) fn slow_down(&mut self, host: HostId, by: Duration) {
        if by.is_zero() {
            self.slow.remove(&host);
        } else {
            self.slow.insert(host, by);
        }
    }

    /// Whether messages from `from` to `to` are blocked now.
    pub(crate) fn blocks(&self, from: HostId, to: HostId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(from, to))
    }

    /// From now on nothing that `from` sends reaches `to`.
    pub(crate) fn block(&mut self, from: HostId, to: HostId) {
        self.blocked.insert((from, to));
    }

    /// Ends [`Links::block`].
    pub(crate) fn unblock(&mut self, from: HostId, to: HostId) {
        self.blocked.remove(&(from, to));
    }

    /// Ends every partition.
    pub(crate) fn mend(&mut self) {
        self.blocked.clear();
    }

    /// Ends every partition and every slowness.
    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
        self.slow.clear();
    }
}
