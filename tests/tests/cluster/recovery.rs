//! Nodes die, hang, and restart on other addresses; the application is not restarted.
//!
//! A load that runs through every fault records what callers see.

use super::load::Load;
use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::proxy::Unreachable;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Failover, Proxy, Version};
use std::time::{Duration, Instant};

/// Each call has a timeout of one second.
fn config(cluster: &Cluster) -> Config {
    Config::from_url(&cluster.url())
        .expect("a cluster has a good URL")
        .command_timeout(Duration::from_secs(1))
}

/// Half a second is usual on an idle machine; a busy one gets more. The time is printed.
const SOON: Duration = Duration::from_secs(3);

/// Longer than servers try a graceful failover.
const HANDOVER: Duration = Duration::from_secs(10);

/// A shard that is down does not stop the other shards.
fn cluster() -> Cluster {
    let cluster = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    cluster.quick_failover().start()
}

#[test]
fn a_killed_primary_is_replaced() {
    let cluster = cluster();
    let load = Load::start(config(&cluster));
    cluster.node(0).kill();
    cluster.wait_for_new_primary(100, 0);
    let serving = Instant::now();
    load.wait_until_recovered(serving);
    let record = load.stop();
    for slot in [100, 2000, 5000] {
        let took = record.first_success(slot, serving);
        println!("slot {slot}: {took:?} after the promotion");
        assert!(took < SOON, "slot {slot}: {took:?}");
    }
    let others = record.errors(|slot| slot > 5460);
    assert!(others.is_empty(), "other shards see no error: {}", others[0]);
    println!("worst call of other shards: {:?}", record.worst(|slot| slot > 5460));
    for (slot, acknowledged, unknown) in &record.counts {
        println!("slot {slot}: {acknowledged} acknowledged, {unknown} unknown");
    }
}

/// Checks the time from `serving`, when the slots are served again, to the first success there.
#[track_caller]
fn assert_recovered(load: Load, slots: &[u16], serving: Instant, bound: Duration, what: &str) {
    load.wait_until_recovered(serving);
    let record = load.stop();
    let took = slots.iter().map(|slot| record.first_success(*slot, serving)).max();
    let took = took.expect("some slots are given");
    println!("{what}: {took:?}");
    assert!(took < bound, "{what}: {took:?}");
}

#[test]
fn the_only_seed_dies_and_is_not_needed() {
    let cluster = cluster();
    let url = cluster.url_of(0);
    let config = Config::from_url(&url).unwrap().command_timeout(Duration::from_secs(1));
    let load = Load::start(config);
    cluster.node(0).kill();
    cluster.wait_for_new_primary(100, 0);
    let what = "only seed killed, first success after the promotion";
    assert_recovered(load, &[100, 2000, 5000], Instant::now(), SOON, what);
}

#[test]
fn a_hung_primary_is_replaced_before_it_wakes() {
    let cluster = cluster();
    let load = Load::start(config(&cluster));
    cluster.node(0).pause();
    cluster.wait_for_new_primary(100, 0);
    let what = "primary hung, first success after the promotion";
    assert_recovered(load, &[100, 2000, 5000], Instant::now(), SOON, what);
    cluster.node(0).resume();
}

#[test]
fn all_nodes_move_behind_one_stable_name() {
    let cluster = cluster();
    let name = Proxy::to(cluster.node(0).address());
    let seed = name.address();
    let config = Config::from_url(&format!("redis-cluster://{seed}")).unwrap();
    let load = Load::start(config.command_timeout(Duration::from_secs(1)));
    cluster.restart_all_elsewhere();
    let serving = Instant::now();
    name.retarget(cluster.node(0).address());
    name.cut_now();
    let slots = super::load::SLOTS;
    assert_recovered(load, &slots, serving, SOON, "all addresses new, first success everywhere");
}

#[test]
fn all_nodes_restart_where_they_were() {
    let cluster = cluster();
    let load = Load::start(config(&cluster));
    cluster.restart_all();
    let slots = super::load::SLOTS;
    assert_recovered(load, &slots, Instant::now(), SOON, "all restarted, first success everywhere");
}

#[test]
fn dead_seeds_that_are_listed_first_cost_little() {
    let cluster = cluster();
    let dead: Vec<_> = (0..6).map(|_| Unreachable::open()).collect();
    let dead: Vec<String> = dead.iter().map(|host| host.address().to_string()).collect();
    let url = format!("redis-cluster://{},{}", dead.join(","), cluster.node(1).address());
    let began = Instant::now();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), Config::from_url(&url).unwrap()).await.unwrap();
        client.set(key_in(100), 1).await.unwrap();
    });
    let took = began.elapsed();
    println!("six dead seeds first: {took:?} to the first reply");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_rolling_restart_on_new_addresses_costs_no_error() {
    // A primary that hands over holds its replies back until its replica has caught up, which may
    // take 5 s on a busy machine.
    let cluster = Cluster::of(&Version::any()).start();
    let patient = config(&cluster).command_timeout(HANDOVER).progress_timeout(HANDOVER);
    let load = Load::start(patient);
    for index in 0..6 {
        if cluster.primaries().contains(&index) {
            cluster.failover(cluster.replica_of(index), Failover::Graceful);
            cluster.wait_until_agreed();
        }
        cluster.restart_elsewhere(index);
    }
    load.wait_until_recovered(Instant::now());
    let client = load.client.clone();
    let record = load.stop();
    println!(
        "rolling restart: {} commands, worst {:?}",
        record.ended.len(),
        record.worst(|_| true)
    );
    let errors = record.errors(|_| true);
    assert!(errors.is_empty(), "{} errors; one of them: {:?}", errors.len(), errors[0]);
    record.assert_counted_once(&client);
}

#[test]
fn a_shard_that_is_down_does_not_hurt_the_others() {
    let cluster = cluster();
    let load = Load::start(config(&cluster));
    cluster.node(3).kill();
    cluster.node(0).kill();
    let since = Instant::now();
    let before = load.client.metrics();
    until_true("three seconds of trouble", || since.elapsed() > Duration::from_secs(3));
    let after = load.client.metrics();
    let record = load.stop();
    let others = |slot| slot > 5460;
    let errors = record.errors(others);
    assert!(errors.is_empty(), "{}", errors[0]);
    println!("a shard down for 3 s: worst call of the others {:?}", record.worst(others));
    let (refreshes, dials) = (after.refreshes - before.refreshes, after.dials - before.dials);
    println!("and {refreshes} refreshes, {dials} dials");
    assert!(refreshes <= 15 && dials <= 60, "{refreshes} refreshes, {dials} dials");
}

#[test]
fn a_wrong_password_is_no_storm_of_connections() {
    let cluster = Cluster::of(&Version::any()).password("right").start();
    let load = Load::start(config(&cluster));
    let set = |password: &str| {
        for node in cluster.nodes() {
            node.set_password(Some(password));
            node.kill_clients("normal");
        }
    };
    let before = load.client.metrics().dials;
    set("wrong");
    let since = Instant::now();
    until_true("three seconds of a wrong password", || since.elapsed() > Duration::from_secs(3));
    set("right");
    let serving = Instant::now();
    let dials = load.client.metrics().dials - before;
    println!("wrong password for {:?}: {dials} connection attempts", serving - since);
    assert!(dials <= 150, "{dials}");
    let slots = super::load::SLOTS;
    assert_recovered(load, &slots, serving, Duration::from_secs(5), "right password again");
}

#[test]
fn connections_that_are_killed_ten_times_cost_no_idempotent_command() {
    let cluster = cluster();
    let load = Load::start(config(&cluster));
    for _ in 0..10 {
        for node in cluster.nodes() {
            let _ = node.kill_clients("normal");
        }
        load.wait_until_recovered(Instant::now());
    }
    let client = load.client.clone();
    let record = load.stop();
    let unknown: i64 = record.counts.iter().map(|(_, _, unknown)| unknown).sum();
    println!("killed ten times: {unknown} increments unknown, worst {:?}", record.worst(|_| true));
    record.assert_no_error();
    record.assert_counted_once(&client);
}
