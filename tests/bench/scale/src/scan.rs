//! A scan of two shards whose slots lie between each other: each key is looked for among the ranges
//! of slots that are done.

use crate::host::Host;
use crate::section::section;
use crate::server::{SCANNED, SLOTS, Servers};
use crate::subscriptions::client;
use slotcar_core::command::ScanOptions;
use slotcar_core::config::Deployment;

/// Scans while so many ranges of slots are done after the first shard.
pub(crate) fn run(size: usize) {
    let host = Host::new(Servers::cluster(2));
    host.servers(|servers| {
        let apart = u16::try_from(size).ok().filter(|size| *size <= SLOTS / 4);
        // Every other slot of the first shard's half belongs to the second shard.
        (0..apart.expect("a half has no more")).for_each(|at| servers.move_slot(2 * at + 1, 1));
    });
    let client = client(&host, Deployment::Cluster);
    let mut keys = client.scan_all::<String>(ScanOptions::new());
    // Both shards return the same keys, of which each is one shard's.
    let found = section("scan", 2 * SCANNED as u64, || {
        let mut found = 0;
        while let Some(key) = host.finish(keys.next()) {
            key.expect("the servers answer");
            found += 1;
        }
        found
    });
    assert!(found >= SCANNED, "each key is one shard's: {found}");
}
