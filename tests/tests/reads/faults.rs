//! Replicas die, hang, slow down and come back, and no read fails.
//!
//! Each test breaks one thing under a load and reads from the servers' counters where reads went.

use super::load::{
    Group, Load, at, connect, connect_over, follow, gets, keys, shares, wait_until_in_sync,
};
use slotcar::config::Among;
use slotcar::prelude::*;
use slotcar::{Config, ReadFrom};
use slotcar_tcp::Smol;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Failover, Fault, Proxy, Server, Version};
use slotcar_tests::watched::Watched;
use std::time::{Duration, Instant};

fn config(cluster: &Cluster) -> Config {
    Config::from_url(&cluster.url()).unwrap().command_timeout(Duration::from_secs(5))
}

/// Waits until the share of one server is as wanted; how long that took.
fn wait_for_share(
    servers: &[&Server],
    load: &Load,
    of: usize,
    wanted: impl Fn(f64) -> bool,
) -> Duration {
    let began = Instant::now();
    until_true("a share to be as wanted", || {
        let shares = shares(servers, load, 200);
        wanted(shares[of])
    });
    began.elapsed()
}

#[test]
fn a_killed_replica_costs_no_error_and_gets_its_share_back() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    for policy in [
        ReadFrom::Replica,
        ReadFrom::RoundRobin(Among::Replicas),
        ReadFrom::LeastLoaded(Among::All),
        ReadFrom::Nearest(Among::All),
    ] {
        let client = connect(config(&cluster).read_from(policy.clone()));
        let load = Load::start(client, 32, keys());
        cluster.node(1).kill();
        load.wait_for(2000);
        cluster.node(1).restart();
        wait_until_in_sync(cluster.node(1));
        let back = Instant::now();
        let before = gets(cluster.node(1));
        until_true("the replica to be read from", || gets(cluster.node(1)) > before + 50);
        let took = back.elapsed();
        let (done, worst, errors) = load.stop();
        println!("{policy}: {done} reads, the longest {worst:?}; back {took:?} after it was ready");
        assert!(errors.is_empty(), "{policy}: {errors:?}");
        if policy != ReadFrom::Nearest(Among::All) {
            assert!(took < Duration::from_secs(8), "{policy}: {took:?}");
        }
    }
}

#[test]
fn a_slow_replica_is_left_and_taken_back() {
    let group = Group::start(&Version::any(), 2, "");
    let proxies: Vec<Proxy> = group.replicas.iter().map(|r| Proxy::to(r.address())).collect();
    let servers: Vec<&Server> = group.replicas.iter().collect();
    for policy in [ReadFrom::LeastLoaded(Among::Replicas), ReadFrom::Nearest(Among::Replicas)] {
        let replicas = proxies.iter().map(|proxy| at(proxy.address()));
        let config = group.config().replicas(replicas).read_from(policy.clone());
        let load = Load::start(connect(config), 32, keys());
        println!("{policy}: shares of equals {:?}", shares(&servers, &load, 2000));
        proxies[0].set(Fault::Delay(Duration::from_millis(25)));
        let left = wait_for_share(&servers, &load, 0, |share| share < 0.1);
        let settled = shares(&servers, &load, 2000);
        println!("{policy}: left after {left:?}; then {:.2} % go there", settled[0] * 100.0);
        assert!(settled[0] < 0.1, "{settled:?}");
        proxies[0].clear();
        let back = wait_for_share(&servers, &load, 0, |share| share > 0.2);
        let (_, worst, errors) = load.stop();
        println!("{policy}: back after {back:?}; the longest read {worst:?}");
        assert!(errors.is_empty(), "{errors:?}");
        assert!(left < Duration::from_secs(4) && back < Duration::from_secs(12));
    }
}

#[test]
fn a_hung_replica_blocks_no_read_for_longer_than_the_progress_timeout() {
    let group = Group::start(&Version::any(), 2, "");
    for policy in [ReadFrom::RoundRobin(Among::Replicas), ReadFrom::Replica] {
        let config = group.config().read_from(policy.clone());
        let load = Load::start(connect(config), 32, keys());
        group.replicas[0].pause();
        load.wait_for(5000);
        group.replicas[0].resume();
        let (done, worst, errors) = load.stop();
        println!("{policy}: {done} reads, the longest {worst:?}");
        assert!(errors.is_empty(), "{policy}: {errors:?}");
        assert!(worst < Duration::from_secs(4), "{worst:?}");
    }
}

#[test]
fn an_unreachable_replica_keeps_a_read_for_a_moment_only() {
    let group = Group::start(&Version::any(), 1, "");
    let proxy = Proxy::to(group.replicas[0].address());
    proxy.set(Fault::BlackHole);
    let replicas = [at(proxy.address()), at(group.replicas[0].address())];
    let config = group.config().replicas(replicas).read_from(ReadFrom::Replica);
    let client = connect(config).with_timeout(Duration::from_secs(4));
    smol::block_on(async {
        for _ in 0..20 {
            client.get::<Option<String>>("key").await.unwrap();
        }
    });
    assert_eq!((gets(&group.primary), gets(&group.replicas[0])), (0, 20));
}

#[test]
fn a_replica_without_its_primary_is_passed_by() {
    // One refuses to serve old data (MASTERDOWN), the other one only says that its link is down.
    for lines in ["replica-serve-stale-data no", "replica-serve-stale-data yes"] {
        let group = Group::start(&Version::any(), 2, lines);
        let upstream = Proxy::to(group.primary.address());
        follow(&group.replicas[0], upstream.address());
        wait_until_in_sync(&group.replicas[0]);
        let config = group.config().read_from(ReadFrom::RoundRobin(Among::Replicas));
        let load = Load::start(connect(config), 16, keys());
        upstream.set(Fault::Refuse);
        upstream.cut_now();
        let servers: Vec<&Server> = group.replicas.iter().collect();
        let left = wait_for_share(&servers, &load, 0, |share| share == 0.0);
        upstream.clear();
        wait_until_in_sync(&group.replicas[0]);
        let back = wait_for_share(&servers, &load, 0, |share| share > 0.4);
        let (_, _, errors) = load.stop();
        println!("{lines}: left after {left:?}, back {back:?} after it was in sync");
        assert!(errors.is_empty(), "{lines}: {errors:?}");
    }
}

#[test]
fn a_role_that_flips_without_a_disconnect_is_noticed() {
    let group = Group::start(&Version::any(), 2, "");
    let config = group.config().read_from(ReadFrom::RoundRobin(Among::Replicas));
    let load = Load::start(connect(config), 16, keys());
    group.replicas[0].call(&["REPLICAOF", "NO", "ONE"]).ok();
    let servers: Vec<&Server> = group.replicas.iter().collect();
    let left = wait_for_share(&servers, &load, 0, |share| share == 0.0);
    follow(&group.replicas[0], group.primary.address());
    wait_until_in_sync(&group.replicas[0]);
    let back = wait_for_share(&servers, &load, 0, |share| share > 0.4);
    let (_, _, errors) = load.stop();
    println!("left after {left:?}, back {back:?} after it was a replica again");
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn strict_reads_change_sides_with_a_failover() {
    let cluster = Cluster::of(&Version::any()).primaries(1).start();
    // Three nodes at least agree on anything; a cluster of two follows an order all the same.
    let client = connect(config(&cluster).read_from(ReadFrom::Replica));
    let load = Load::start(client.clone(), 16, keys());
    cluster.failover(1, Failover::Takeover);
    until_true("the old primary to be a replica", || cluster.node(0).role() == "slave");
    wait_until_in_sync(cluster.node(0));
    let servers = [cluster.node(0), cluster.node(1)];
    let took = wait_for_share(&servers, &load, 1, |share| share == 0.0);
    let (done, worst, errors) = load.stop();
    println!("{done} reads, the longest {worst:?}; all at the new replica after {took:?}");
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn a_host_without_a_background_reads_all_the_same() {
    let cluster = Cluster::of(&Version::any()).primaries(1).replicas(2).start();
    let transport = Watched::new(Smol::new()).without_background();
    let config = config(&cluster).read_from(ReadFrom::Replica);
    let client = connect_over(transport, config);
    let bounded = client.with_max_staleness(Duration::from_secs(5));
    let read = |count: usize| {
        smol::block_on(async {
            for n in 0..count {
                client.get::<Option<String>>("key").await.unwrap();
                if n % 10 == 0 {
                    bounded.get::<Option<String>>("key").await.unwrap();
                }
            }
        });
    };
    read(200);
    cluster.node(1).kill();
    read(200);
    cluster.node(1).restart();
    wait_until_in_sync(cluster.node(1));
    until_true("the replica to be read from again", || {
        read(50);
        gets(cluster.node(1)) > 10
    });
    assert_eq!(gets(cluster.node(0)), 0);
}
