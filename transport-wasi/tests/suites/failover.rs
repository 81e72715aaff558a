//! A primary dies while the component runs: of a cluster, and of a service behind sentinels.
//!
//! There is no background task: the calls notice it, refresh the topology and follow.

use crate::block_on;
use crate::load::Load;
use crate::real::cluster::{key_in, slot_of};
use crate::real::wait::BOUND;
use crate::real::{Cluster, Sentinels, Version};
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery};
use std::time::{Duration, Instant};

/// Each call has a timeout of one second.
async fn connect(url: &str) -> Client {
    let config = Config::from_url(url).expect("a good URL");
    let config = config.command_timeout(Duration::from_secs(1));
    slotcar::connect_with(config).await.expect("connect")
}

/// The node that took over a slot from `old`, according to the nodes that are up.
fn successor(cluster: &Cluster, slot: u16, old: usize) -> Option<usize> {
    let mut others = (0..cluster.nodes().len()).filter(|index| *index != old);
    others.find(|index| {
        let lines = cluster.view(*index).unwrap_or_default();
        lines.iter().any(|line| line.is("myself") && line.is("master") && line.owns(slot))
    })
}

#[test]
fn a_killed_primary_of_a_cluster_is_replaced() {
    let options = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    let cluster = options.quick_failover().start();
    block_on(async {
        let client = connect(&cluster.url()).await;
        let keys = [100, 5000, 8000, 14000].map(key_in);
        let seen = Load::beside(&client, &keys, async |load| {
            cluster.node(0).kill();
            load.until("a new primary", || successor(&cluster, 100, 0)).await;
            let promoted = Instant::now();
            load.until_well().await;
            println!("every slot answers {:?} after the promotion", promoted.elapsed());
        })
        .await;
        for (key, seen) in seen {
            let hit = slot_of(&key) <= 5460;
            assert!(hit || seen.errors.is_empty(), "another shard sees it: {:?}", seen.errors);
        }
    });
}

#[test]
fn a_killed_primary_behind_sentinels_is_followed() {
    let sentinels = Sentinels::of(&Version::any()).start();
    block_on(async {
        let client = connect(&sentinels.url()).await;
        let old = sentinels.primary().expect("a primary");
        Load::beside(&client, &["count".to_owned()], async |load| {
            sentinels.server(old).kill();
            load.until("a new primary", || sentinels.primary().filter(|new| *new != old)).await;
            let promoted = Instant::now();
            load.until_well().await;
            println!("the service answers {:?} after the promotion", promoted.elapsed());
        })
        .await;
    });
}

#[test]
fn writes_leave_a_demoted_primary_that_is_alive() {
    let sentinels = Sentinels::of(&Version::any()).start();
    block_on(async {
        let client = connect(&sentinels.url()).await;
        let old = sentinels.primary().expect("a primary");
        client.set("count", 0).await.expect("set");
        let new = sentinels.failover();
        assert_ne!(old, new);
        // The old primary still accepts writes, which will be lost. The client refreshes when its
        // interval has passed, at the latest.
        let began = Instant::now();
        loop {
            // The old primary closes its connections when it becomes a replica: a call in flight
            // may have run or not.
            if let Err(error) = client.incr("count").await {
                assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
            }
            let there = sentinels.server(new).call(&["GET", "count"]).text();
            if there.parse::<i64>().is_ok_and(|count| count > 0) {
                break;
            }
            assert!(began.elapsed() < BOUND, "still at the old primary");
            crate::pause(Duration::from_millis(20)).await;
        }
        println!("followed after {:?}", began.elapsed());
    });
}
