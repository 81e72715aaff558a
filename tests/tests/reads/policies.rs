//! Read policies: where reads go, by the counters of a cluster's servers.
//!
//! Nodes are killed only where a policy says what happens then.

use super::load::{at, connect, gets, keys};
use futures::future::join_all;
use slotcar::config::{Among, Candidate, ReadPolicy};
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorDetail, ErrorKind, ReadFrom, command};
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Version};
use std::time::{Duration, Instant};

fn config(cluster: &Cluster) -> Config {
    Config::from_url(&cluster.url()).unwrap().command_timeout(Duration::from_secs(10))
}

/// So many GETs of these keys, most of them in pipelines.
fn read(client: &Client, keys: &[String], count: usize) {
    const PIPELINE: usize = 1000;
    let pipelines = count / PIPELINE * 9 / 10;
    smol::block_on(async {
        for turn in 0..pipelines {
            let mut pipeline = client.pipeline();
            for n in 0..PIPELINE {
                pipeline.push(command::get(&keys[(turn + n) % keys.len()]));
            }
            let values: Vec<Option<String>> = pipeline.run().await.unwrap();
            assert_eq!(values.len(), PIPELINE);
        }
        let left = count - pipelines * PIPELINE;
        let reader = |reader: usize| async move {
            for n in (reader..left).step_by(64) {
                client.get::<Option<String>>(&keys[n % keys.len()]).await.unwrap();
            }
        };
        join_all((0..64).map(reader)).await;
    });
}

#[test]
fn a_million_reads_touch_no_primary() {
    let cluster = Cluster::of(&Version::any()).start();
    let client = connect(config(&cluster).read_from(ReadFrom::Replica));
    let began = Instant::now();
    read(&client, &keys(), 1_000_000);
    let took = began.elapsed();
    let (primaries, replicas) = cluster.nodes().split_at(3);
    let counts: Vec<u64> = cluster.nodes().iter().map(gets).collect();
    println!("{counts:?} GETs by node, in {took:?}");
    assert_eq!(primaries.iter().map(gets).sum::<u64>(), 0, "{counts:?}");
    assert_eq!(replicas.iter().map(gets).sum::<u64>(), 1_000_000, "{counts:?}");
    assert_eq!(client.metrics().redirects, 0, "READONLY was said before");
}

#[test]
fn in_turn_is_in_turn_within_each_shard() {
    let cluster = Cluster::of(&Version::any()).primaries(3).replicas(2).start();
    let client = connect(config(&cluster).read_from(ReadFrom::RoundRobin(Among::Replicas)));
    read(&client, &keys(), 30_000);
    for primary in 0..3 {
        let counts: Vec<u64> =
            cluster.replicas_of(primary).into_iter().map(|r| gets(cluster.node(r))).collect();
        println!("shard {primary}: {counts:?}");
        let (a, b) = (counts[0] as f64, counts[1] as f64);
        assert!((a - b).abs() / (a + b) <= 0.05, "within 5 %: {counts:?}");
        assert_eq!(gets(cluster.node(primary)), 0);
    }
    // The policies that include the primary do so, and say it by name.
    client.set_read_from(ReadFrom::RoundRobin(Among::All));
    read(&client, &keys(), 30_000);
    let counts: Vec<u64> = (0..3).map(|primary| gets(cluster.node(primary))).collect();
    println!("of all: {counts:?} at the primaries");
    assert!(counts.iter().sum::<u64>().abs_diff(10_000) < 500, "a third: {counts:?}");
}

#[test]
fn every_policy_reads_and_writes_go_to_the_primary() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    let client = connect(config(&cluster));
    let mut policies = vec![ReadFrom::PreferReplica, ReadFrom::Replica, ReadFrom::Zone("x".into())];
    for among in [Among::Replicas, Among::All] {
        policies.push(ReadFrom::RoundRobin(among));
        policies.push(ReadFrom::Random(among));
        policies.push(ReadFrom::Nearest(among));
        policies.push(ReadFrom::LeastLoaded(among));
    }
    let primary = cluster.node(0);
    for policy in policies {
        let view = client.with_read_from(policy.clone());
        primary.reset_command_calls();
        smol::block_on(async {
            for n in 0..200 {
                view.set("key", n).await.unwrap();
                let _: Option<String> = view.get("key").await.unwrap();
            }
        });
        let calls = primary.command_calls();
        assert_eq!(calls["set"], 200, "{policy}");
        let here = calls.get("get").copied().unwrap_or_default();
        println!("{policy}: {here} of 200 at the primary");
        match policy.to_string().as_str() {
            // By latency, the primary may be left out: it serves the writes as well.
            "round_robin:all" | "random:all" => assert!(here > 10, "{policy}: {here}"),
            text if text.ends_with(":all") => {}
            _ => assert_eq!(here, 0, "{policy}"),
        }
    }
}

#[test]
fn split_and_spread_commands_follow_the_policy_too() {
    let cluster = Cluster::of(&Version::any()).start();
    let client = connect(config(&cluster));
    let names = keys();
    smol::block_on(async {
        let mut pipeline = client.pipeline();
        names.iter().for_each(|key| pipeline.push(command::set(key, key)));
        pipeline.run::<Vec<()>>().await.unwrap();
    });
    until_true("the replicas to have every key", || {
        let sizes = cluster.nodes()[3..].iter();
        sizes.map(|n| n.call(&["DBSIZE"]).integer().unwrap()).sum::<i64>() == 1000
    });
    cluster.nodes().iter().for_each(slotcar_tests::real::Server::reset_command_calls);
    let view = client.with_read_from(ReadFrom::Replica);
    smol::block_on(async {
        let values: Vec<String> = view.mget(&names).await.unwrap();
        assert_eq!(values, names);
        let size: u64 = view.send(slotcar::cmd("DBSIZE")).await.unwrap();
        assert_eq!(size, 1000);
        let each = view.mget_each::<String>(&names).await;
        assert!(each.iter().all(Result::is_ok));
    });
    for primary in &cluster.nodes()[..3] {
        let calls = primary.command_calls();
        let reads = ["mget", "get", "dbsize"].map(|name| calls.get(name).copied());
        assert_eq!(reads, [None; 3], "a primary was read from");
    }
}

#[test]
fn a_cursor_stays_at_one_node() {
    let cluster = Cluster::of(&Version::any()).primaries(1).start();
    let client = connect(config(&cluster));
    let scan = || slotcar::cmd("HSCAN").arg("hash").arg("0");
    smol::block_on(async {
        let strict = client.with_read_from(ReadFrom::Replica);
        let error = strict.send::<slotcar::Value>(scan()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        let prefers = client.with_read_from(ReadFrom::PreferReplica);
        prefers.send::<slotcar::Value>(scan()).await.unwrap();
    });
    assert_eq!(cluster.node(0).command_calls().get("hscan"), Some(&1));
}

#[test]
fn strict_means_never_the_primary() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    let client = connect(config(&cluster).read_from(ReadFrom::Replica));
    read(&client, &keys(), 1000);
    cluster.node(1).kill();
    cluster.node(2).kill();
    cluster.node(0).reset_command_calls();
    let key = key_in(100);
    let error = smol::block_on(async {
        let mut last = None;
        for _ in 0..20 {
            let began = Instant::now();
            last = Some(client.get::<Option<String>>(&key).await.unwrap_err());
            println!("{:?} after {:?}", last.as_ref().unwrap().to_string(), began.elapsed());
        }
        last.unwrap()
    });
    assert_eq!(error.kind(), ErrorKind::Topology);
    assert!(matches!(error.details(), Some(ErrorDetail::NoReplica { slot: 100 })), "{error:?}");
    for replica in [1, 2] {
        let address = cluster.node(replica).address().to_string();
        assert!(error.to_string().contains(&address), "names {address}: {error}");
    }
    assert_eq!(gets(cluster.node(0)), 0, "no read on the primary");
    // The same outage under a policy with a fallback, all of it and a fifth of it.
    let prefers = client.with_read_from(ReadFrom::PreferReplica);
    smol::block_on(async { prefers.get::<Option<String>>(&key).await }).unwrap();
}

#[test]
fn the_primary_takes_no_more_than_its_share() {
    let cluster = Cluster::of(&Version::any()).primaries(1).start();
    let config =
        config(&cluster).read_from(ReadFrom::PreferReplica).primary_fallback_percent_max(20);
    let client = connect(config);
    read(&client, &keys(), 1000);
    cluster.node(1).kill();
    cluster.node(0).reset_command_calls();
    let good = smol::block_on(async {
        let mut good = 0;
        for _ in 0..500 {
            match client.get::<Option<String>>("key").await {
                Ok(_) => good += 1,
                Err(error) => {
                    let detail = error.details();
                    assert!(matches!(detail, Some(ErrorDetail::NoReplica { .. })), "{error:?}");
                }
            }
        }
        good
    });
    println!("{good} of 500 reads fell back to the primary");
    assert!((90..=110).contains(&good), "a fifth: {good}");
    assert_eq!(gets(cluster.node(0)), good);
}

#[test]
fn a_zone_is_kept_and_its_last_replica_replaced_at_once() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    let zones = [(at(cluster.node(1).address()), "a"), (at(cluster.node(2).address()), "b")];
    let config = config(&cluster)
        .read_from(ReadFrom::Zone("a".into()))
        .zones(zones.map(|(endpoint, zone)| (endpoint, zone.to_owned())));
    let client = connect(config);
    read(&client, &keys(), 1000);
    let counts = [0, 1, 2].map(|node| gets(cluster.node(node)));
    assert_eq!(counts, [0, 1000, 0]);
    cluster.node(1).kill();
    let began = Instant::now();
    read(&client, &keys(), 1000);
    println!("1000 reads in {:?} after the local replica died", began.elapsed());
    assert!(gets(cluster.node(2)) >= 999);
    cluster.node(1).restart();
    until_true("the zone's replica to be used again", || {
        read(&client, &keys(), 100);
        gets(cluster.node(1)) > 0
    });
}

/// Reads where nothing is in flight from the highest port.
struct HighestPort;

impl ReadPolicy for HighestPort {
    fn name(&self) -> &'static str {
        "highest_port"
    }

    fn choose(&self, candidates: &[Candidate<'_>], _turn: u64) -> Option<usize> {
        let replicas = candidates.iter().enumerate().filter(|(_, c)| !c.is_primary);
        replicas.max_by_key(|(_, c)| c.endpoint.to_string()).map(|(index, _)| index)
    }
}

#[test]
fn an_application_can_choose_for_itself() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    let client = connect(config(&cluster).read_from(ReadFrom::custom(HighestPort)));
    read(&client, &keys(), 1000);
    let mut replicas = [1, 2].map(|node| cluster.node(node));
    replicas.sort_by_key(|node| node.address().to_string());
    assert_eq!((gets(replicas[0]), gets(replicas[1])), (0, 1000));
}

#[test]
fn a_choice_is_explained_without_being_made() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    let client = connect(config(&cluster));
    let key = key_in(100);
    let get = command::get(&key);
    let plain = client.explain(&get);
    assert_eq!((plain.slot, plain.policy.clone()), (Some(100), ReadFrom::Primary));
    assert_eq!(plain.chosen, Some(at(cluster.node(0).address())));
    let view = client.with_read_from(ReadFrom::Replica);
    let write = view.explain(&command::set(&key, 1));
    assert_eq!(write.chosen, Some(at(cluster.node(0).address())), "{write}");
    smol::block_on(async { view.get::<Option<String>>(&key).await }).unwrap();
    let counts = || [0, 1, 2].map(|node| gets(cluster.node(node)));
    let before = counts();
    let told = view.explain(&get);
    println!("{told}");
    assert_eq!(told, view.explain(&get).clone(), "nothing moved");
    assert_eq!(counts(), before, "nothing was sent");
    assert_eq!(told.nodes.len(), 3);
    assert!(told.nodes[0].is_primary && told.shard == Some(told.nodes[0].node.clone()));
    assert!(told.nodes.iter().any(|node| node.latency.is_some() && node.score.is_some()));
    cluster.node(1).kill();
    read(&view, &keys(), 1000);
    // When its quarantine is over, one read is due to go to the dead replica, whatever the time is.
    let alive = Some(at(cluster.node(2).address()));
    let mut told = view.explain(&get);
    until_true("a read that is no trial of the dead replica", || {
        read(&view, &keys(), 10);
        told = view.explain(&get);
        told.chosen == alive
    });
    println!("{told}");
    let dead = told.nodes.iter().find(|n| n.endpoint == at(cluster.node(1).address())).unwrap();
    assert!(dead.skipped.is_some() || dead.is_due, "{told}");
}
