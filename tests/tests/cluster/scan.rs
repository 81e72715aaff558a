//! Scans over real clusters of every version, while slots move.
//!
//! **Invariant**: a key that exists during the whole scan is returned, also if its slot moves.

use futures::TryStreamExt;
use slotcar::command::ScanOptions;
use slotcar::prelude::*;
use slotcar::{Client, ScanCursor};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Cluster, Failover, Version};
use std::collections::BTreeSet;

async fn connect(cluster: &Cluster) -> Client {
    let config = slotcar_tests::patient(&cluster.url());
    Client::connect(Smol::new(), config).await.expect("the cluster is up")
}

#[test]
fn every_version_is_scanned_whole_while_slots_move() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            let keys: Vec<String> = (0..1000).map(|n| format!("user:{n}")).collect();
            client.mset(keys.iter().map(|key| (key, 1))).await.unwrap();
            client.mset((0..100).map(|n| (format!("other:{n}"), 1))).await.unwrap();
            let options = ScanOptions::new().matching("user:*").count(50);
            let mut scan = client.scan_all::<String>(options);
            let (mut found, mut taken) = (BTreeSet::new(), 0);
            while let Some(key) = scan.try_next().await.unwrap() {
                taken += 1;
                if taken % 100 == 0 && taken <= 1000 {
                    let slot = slotcar::Slot::of(keys[taken % 997].as_bytes()).number();
                    cluster.move_slot(slot, (cluster.primary_of(slot) + 1) % 3);
                    scan = client.scan_from(scan.cursor(), options);
                }
                found.insert(key);
            }
            println!("{version}: {} keys in {taken}", found.len());
            assert_eq!(found, keys.iter().cloned().collect(), "{version}");
            assert!(scan.cursor().is_finished());
        });
    }
}

#[test]
fn a_scan_goes_on_at_the_replica_that_took_over() {
    let cluster = Cluster::of(&Version::any()).quick_failover().start();
    smol::block_on(async {
        let client = connect(&cluster).await;
        let keys: BTreeSet<String> = (0..2000).map(|n| format!("key:{n}")).collect();
        client.mset(keys.iter().map(|key| (key, 1))).await.unwrap();
        cluster.wait_until_agreed();
        let options = ScanOptions::new().count(20);
        let mut scan = client.scan_all::<String>(options);
        let mut found = BTreeSet::new();
        for _ in 0..100 {
            found.extend(scan.try_next().await.unwrap());
        }
        cluster.failover(3, Failover::Graceful);
        for _ in 0..100 {
            found.extend(scan.try_next().await.unwrap());
        }
        cluster.node(1).kill();
        cluster.wait_for_new_primary(6000, 1);
        let cursor: ScanCursor = scan.cursor();
        drop(scan);
        let other = connect(&cluster).await;
        found.extend(
            other.scan_from::<String>(cursor, options).try_collect::<Vec<_>>().await.unwrap(),
        );
        assert_eq!(found, keys);
    });
}
