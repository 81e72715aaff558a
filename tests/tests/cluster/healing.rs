//! Uncovered slots, incomplete clusters, and clusters that were replaced by others.
//!
//! Checks which error a caller gets, and what recovers without the caller.

use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorDetail, ErrorKind};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Proxy, Version};
use smol::future::{poll_once, zip};
use std::time::{Duration, Instant};

fn config(url: &str) -> Config {
    Config::from_url(url).expect("a good URL").command_timeout(Duration::from_secs(1))
}

#[test]
fn a_hole_is_named_and_fills_by_itself() {
    let cluster = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    let cluster = cluster.replicas(0).start();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&cluster.url())).await.unwrap();
        client.set(key_in(100), 1).await.unwrap();
        cluster.open_hole(90..=110);
        let began = Instant::now();
        let error = client.get::<Option<i64>>(key_in(100)).await.unwrap_err();
        println!("in a hole, with a deadline of 1 s: {error} after {:?}", began.elapsed());
        client.refresh().await.unwrap();
        assert_eq!(client.topology().coverage(), 16384, "the last owner is remembered");
        let error = client.get::<Option<i64>>(key_in(100)).await.unwrap_err();
        let Some(ErrorDetail::SlotUncovered { slot: 100, .. }) = error.details() else {
            panic!("{error:?}")
        };
        client.set(key_in(89), 1).await.unwrap();
        let fresh = Client::connect(Smol::new(), config(&cluster.url())).await.unwrap();
        assert_eq!(fresh.topology().coverage(), 16384 - 21);
        fresh.set(key_in(111), 1).await.unwrap();
        let error = fresh.get::<Option<i64>>(key_in(95)).await.unwrap_err();
        assert!(matches!(error.details(), Some(ErrorDetail::SlotUncovered { slot: 95, .. })));
        // A call that waits succeeds as soon as the slots are covered.
        let patient = fresh.with_timeout(Duration::from_secs(20));
        let mut waits = Box::pin(patient.get::<Option<i64>>(key_in(95)));
        assert!(poll_once(&mut waits).await.is_none(), "it waits");
        let filled = smol::unblock(move || {
            cluster.fill_hole(90..=110, 1);
            (Instant::now(), cluster)
        });
        let (value, (filled, _cluster)) = zip(waits, filled).await;
        assert_eq!(value.unwrap(), None);
        println!("filled: the waiting call ended {:?} later", filled.elapsed());
        assert_eq!(client.get::<Option<i64>>(key_in(100)).await.unwrap(), None);
    });
}

#[test]
fn a_cluster_that_was_replaced_behind_its_seeds_is_taken_for_what_it_is() {
    let old = Cluster::of(&Version::any()).replicas(0).start();
    let new = Cluster::of(&Version::any()).replicas(0).start();
    let seed = Proxy::to(old.node(0).address());
    smol::block_on(async {
        let url = format!("redis-cluster://{}", seed.address());
        let client = Client::connect(Smol::new(), config(&url)).await.unwrap();
        client.set(key_in(100), "old").await.unwrap();
        let before = client.topology();
        // While a known node is up, another cluster behind the seed is refused.
        seed.retarget(new.node(0).address());
        seed.cut_now();
        for _ in 0..5 {
            client.refresh().await.unwrap();
        }
        assert_eq!(client.topology().shards, before.shards);
        drop(old);
        let began = Instant::now();
        let patient = client.with_timeout(Duration::from_secs(20));
        assert_eq!(patient.get::<Option<String>>(key_in(100)).await.unwrap(), None);
        println!("replaced: the first reply after {:?}", began.elapsed());
        for slot in [100, 6000, 16000] {
            client.set(key_in(slot), slot).await.unwrap();
        }
        let ids: Vec<_> =
            client.topology().shards.iter().map(|s| s.primary.id.to_string()).collect();
        assert!(ids.iter().all(|id| new.index_of(id).is_some()), "{ids:?}");
    });
}

#[test]
fn a_node_without_a_slot_is_no_cluster_to_start_with() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    cluster.open_hole(0..=5460);
    cluster.open_hole(5461..=10921);
    cluster.open_hole(10922..=16383);
    smol::block_on(async {
        let error = Client::connect(Smol::new(), config(&cluster.url())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Topology, "{error:?}");
        println!("{error}");
    });
}

/// BLPOP without a timeout, at a node that has left the cluster: only `close` can end it.
#[test]
fn closing_ends_a_blocking_command_wherever_it_waits() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&cluster.url())).await.unwrap();
        let key = key_in(100);
        let mut waits = Box::pin(client.blpop::<Option<(String, String)>>([&key], Duration::ZERO));
        assert!(poll_once(&mut waits).await.is_none(), "it waits");
        let node = cluster.node(0);
        let blocked = || node.info("clients")["blocked_clients"] == "1";
        while !blocked() {
            drop(poll_once(&mut waits).await);
        }
        client.close();
        let error = waits.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    });
}
