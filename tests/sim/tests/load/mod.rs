//! A load of callers in virtual time, and keys in given slots, for the named scenarios. Their
//! limits are about how long each call took.

#![allow(dead_code, reason = "each test file uses a part of it")]

use futures::future::join_all;
use slotcar::Client;
use slotcar::prelude::*;
use slotcar_sim::Sim;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A millisecond.
pub(crate) const MS: Duration = Duration::from_millis(1);
/// A second.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The result of a load.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// How long each successful call took.
    pub(crate) times: Vec<Duration>,
    /// Calls that failed.
    pub(crate) failed: usize,
}

impl Load {
    /// One caller per key. Each sends its next call as soon as it has a reply, for `span`.
    pub(crate) async fn run(sim: &Sim, client: &Client, keys: &[String], span: Duration) -> Self {
        let end = sim.now().after(span);
        let callers = keys.iter().map(|key| async move {
            let mut load = Self::default();
            while sim.now() < end {
                let start = sim.now();
                match client.get::<Option<String>>(key).await {
                    Ok(_) => load.times.push(sim.now().since(start)),
                    Err(_) => load.failed += 1,
                }
            }
            load
        });
        let mut total = Self::default();
        for load in join_all(callers).await {
            total.times.extend(load.times);
            total.failed += load.failed;
        }
        total
    }

    /// Successful calls.
    pub(crate) fn done(&self) -> usize {
        self.times.len()
    }
}

/// Keys in a range of slots, each in another slot as long as there are enough.
pub(crate) fn keys_of(slots: RangeInclusive<u16>, count: usize) -> Vec<String> {
    let keys = (0..).map(|number| format!("key:{number}"));
    keys.filter(|key| slots.contains(&Sim::slot_of(key))).take(count).collect()
}

/// The time that this many of a hundred calls did not exceed.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
}
