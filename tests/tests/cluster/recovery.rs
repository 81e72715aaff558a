//! Nodes die, hang, and come back elsewhere; nobody restarts the application.
//! What callers see is recorded by a load that runs through every fault.

use crate::load::Load;
use slotcar::Config;
use slotcar_tests::real::{Cluster, Version};
use std::time::{Duration, Instant};

/// Every call has one second, as an impatient application would have it.
fn config(cluster: &Cluster) -> Config {
    Config::from_url(&cluster.url())
        .expect("a cluster has a good URL")
        .command_timeout(Duration::from_secs(1))
}

/// Within half a second on a machine with nothing else to do; a busy one gets more, for a test is
/// no measurement. The figure is printed.
const SOON: Duration = Duration::from_secs(3);

/// One shard's trouble is its own.
fn cluster() -> Cluster {
    Cluster::of(&Version::any()).config("cluster-require-full-coverage no").start()
}

#[test]
fn a_killed_primary_is_replaced() {
    let cluster = cluster();
    let load = Load::start(config(&cluster));
    cluster.node(0).kill();
    cluster.wait_for_new_primary(100, 0);
    let serving = Instant::now();
    load.wait_until_well(serving, Duration::from_secs(10));
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
