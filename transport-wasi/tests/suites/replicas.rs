//! Reads from replicas: where they go by the servers' counters, and what a dead replica costs.
//!
//! The twin of the native suite `reads`, whose load runs in a thread.

use crate::real::cluster::key_in;
use crate::real::wait::{BOUND, until_true};
use crate::real::{Cluster, Sentinels, Server, Version};
use crate::{block_on, pause};
use slotcar::config::Among;
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorDetail, ReadFrom};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Reads per policy.
const READS: u64 = 300;

async fn connect(url: &str) -> Client {
    let config = Config::from_url(url).expect("a good URL");
    let config = config.command_timeout(Duration::from_secs(2));
    slotcar::connect_with(config).await.expect("connect")
}

fn gets(servers: &[&Server]) -> u64 {
    servers.iter().map(|server| server.command_calls().get("get").copied().unwrap_or(0)).sum()
}

/// Writes a key to each shard and waits until every replica has it.
async fn fill(client: &Client, cluster: &Cluster) -> [String; 3] {
    let keys = [100, 8000, 14000].map(key_in);
    for (shard, key) in keys.iter().enumerate() {
        client.set(key, key).await.expect("set");
        let has_it = || {
            let mut conn = cluster.node(shard + 3).conn().expect("the replica answers");
            conn.call(&["READONLY"]).expect("the replica answers");
            conn.call(&["GET", key]).expect("the replica answers").text() == *key
        };
        until_true("the replica to have the key", has_it);
    }
    keys
}

#[test]
fn reads_go_where_the_policy_says_on_every_version() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).start();
        let nodes: Vec<&Server> = cluster.nodes().iter().collect();
        let (primaries, replicas) = nodes.split_at(3);
        block_on(async {
            let client = connect(&cluster.url()).await;
            let keys = fill(&client, &cluster).await;
            let table = [
                (ReadFrom::Primary, false),
                (ReadFrom::Replica, true),
                (ReadFrom::PreferReplica, true),
                (ReadFrom::RoundRobin(Among::Replicas), true),
                (ReadFrom::Nearest(Among::Replicas), true),
                (ReadFrom::LeastLoaded(Among::Replicas), true),
            ];
            for (policy, at_replicas) in table {
                let reader = client.with_read_from(policy.clone());
                let before = (gets(primaries), gets(replicas));
                for number in 0..READS {
                    let key = &keys[number as usize % 3];
                    assert_eq!(reader.get::<String>(key).await.expect("get"), *key);
                }
                let took = (gets(primaries) - before.0, gets(replicas) - before.1);
                let expected = if at_replicas { (0, READS) } else { (READS, 0) };
                assert_eq!(took, expected, "{version}, {policy:?}: of primaries, of replicas");
            }
        });
    }
}

/// A client that starts with the topology of an earlier one knows the replicas: no read is
/// redirected to a primary.
#[test]
fn a_cold_start_reads_from_replicas_at_once() {
    let cluster = Cluster::of(&Version::any()).start();
    let nodes: Vec<&Server> = cluster.nodes().iter().collect();
    let (primaries, replicas) = nodes.split_at(3);
    block_on(async {
        let client = connect(&cluster.url()).await;
        let keys = fill(&client, &cluster).await;
        let known = client.topology();
        let config = Config::from_url(&cluster.url()).expect("a good URL");
        let before = (gets(primaries), gets(replicas));
        for key in &keys {
            let cold = Client::with_topology(crate::Smol::new(), config.clone(), &known);
            let reader = cold.expect("a good snapshot").with_read_from(ReadFrom::Replica);
            assert_eq!(reader.get::<String>(key).await.expect("get"), *key);
        }
        let took = (gets(primaries) - before.0, gets(replicas) - before.1);
        assert_eq!(took, (0, 3), "of primaries, of replicas");
    });
}

/// Reads do not fail when a replica dies.
#[test]
fn a_dead_replica_costs_no_read() {
    let cluster = Cluster::of(&Version::any()).start();
    block_on(async {
        let client = connect(&cluster.url()).await;
        let keys = fill(&client, &cluster).await;
        let reader = client.with_read_from(ReadFrom::PreferReplica);
        let (reads, done) = (Cell::new(0_u64), Cell::new(false));
        let load = async {
            while !done.get() {
                for key in &keys {
                    assert_eq!(reader.get::<String>(key).await.expect("get"), *key);
                }
                reads.set(reads.get() + 1);
                pause(Duration::from_millis(1)).await;
            }
        };
        let faults = async {
            pause(Duration::from_millis(50)).await;
            cluster.node(3).kill();
            let (killed, before) = (Instant::now(), reads.get());
            while reads.get() < before + 100 {
                assert!(killed.elapsed() < BOUND, "the reads stand still");
                pause(Duration::from_millis(10)).await;
            }
            done.set(true);
        };
        futures::future::join(load, faults).await;
    });
}

#[test]
fn a_strict_policy_without_a_replica_is_an_error() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    block_on(async {
        let client = connect(&cluster.url()).await;
        let reader = client.with_read_from(ReadFrom::Replica);
        let error = reader.get::<Option<String>>(key_in(100)).await.expect_err("there is none");
        assert!(matches!(error.details(), Some(ErrorDetail::NoReplica { .. })), "{error:?}");
        let preferring = client.with_read_from(ReadFrom::PreferReplica);
        assert_eq!(preferring.get::<Option<String>>(key_in(100)).await.expect("get"), None);
    });
}

#[test]
fn a_service_is_read_from_its_replicas() {
    let sentinels = Sentinels::of(&Version::any()).start();
    block_on(async {
        let client = connect(&sentinels.url()).await;
        client.set("key", "value").await.expect("set");
        let primary = sentinels.primary().expect("a primary");
        let (mut replicas, mut primaries) = (Vec::new(), Vec::new());
        for (index, server) in sentinels.servers().iter().enumerate() {
            let list = if index == primary { &mut primaries } else { &mut replicas };
            list.push(server);
            until_true("the key to be there", || server.call(&["GET", "key"]).text() == "value");
        }
        let reader = client.with_read_from(ReadFrom::Replica);
        let before = (gets(&primaries), gets(&replicas));
        for _ in 0..READS {
            assert_eq!(reader.get::<String>("key").await.expect("get"), "value");
        }
        let took = (gets(&primaries) - before.0, gets(&replicas) - before.1);
        assert_eq!(took, (0, READS), "of the primary, of replicas");
    });
}
