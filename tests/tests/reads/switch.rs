//! The policy is changed while reads run.
//! Readers must see no error, connections must stay, and the next read goes by the new policy.

use super::load::{Load, connect, gets, keys};
use slotcar::config::Among;
use slotcar::prelude::*;
use slotcar::{Config, ReadFrom};
use slotcar_tests::real::{Cluster, Version};
use std::time::Duration;

#[test]
fn ten_switches_under_load_cost_no_error() {
    let cluster = Cluster::of(&Version::any()).start();
    let config = Config::from_url(&cluster.url()).unwrap();
    let client = connect(config.command_timeout(Duration::from_secs(5)));
    let load = Load::start(client.clone(), 64, keys());
    let policies = [
        ReadFrom::Replica,
        ReadFrom::RoundRobin(Among::All),
        ReadFrom::Primary,
        ReadFrom::LeastLoaded(Among::All),
        ReadFrom::Nearest(Among::Replicas),
    ];
    let mut dials = 0;
    for (turn, policy) in policies.iter().cycle().take(10).enumerate() {
        client.set_read_from(policy.clone());
        assert_eq!(client.read_from(), *policy);
        load.wait_for(500);
        let here = |range: std::ops::Range<usize>| -> u64 {
            range.map(|node| gets(cluster.node(node))).sum()
        };
        let before = (here(0..3), here(3..6));
        load.wait_for(500);
        let grown = (here(0..3) - before.0, here(3..6) - before.1);
        println!("{policy}: {grown:?} at primaries and replicas");
        match policy {
            ReadFrom::Primary => assert_eq!(grown.1, 0),
            ReadFrom::Replica | ReadFrom::Nearest(Among::Replicas) => assert_eq!(grown.0, 0),
            _ => assert!(grown.0 > 0 && grown.1 > 0, "{grown:?}"),
        }
        match turn {
            4 => dials = client.metrics().dials,
            _ if turn > 4 => assert_eq!(client.metrics().dials, dials, "no reconnect"),
            _ => {}
        }
    }
    let (done, worst, errors) = load.stop();
    println!("{done} reads, the longest {worst:?}");
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn a_view_keeps_its_own_policy() {
    let cluster = Cluster::of(&Version::any()).primaries(1).start();
    let client = connect(slotcar_tests::patient(&cluster.url()));
    let view = client.with_read_from(ReadFrom::Replica);
    client.set_read_from(ReadFrom::RoundRobin(Among::All));
    assert_eq!(view.read_from(), ReadFrom::Replica);
    assert_eq!(view.clone().with_timeout(Duration::from_secs(1)).read_from(), ReadFrom::Replica);
    let primary = view.with_read_from(ReadFrom::Primary);
    smol::block_on(async {
        for _ in 0..100 {
            view.get::<Option<String>>("key").await.unwrap();
            primary.get::<Option<String>>("key").await.unwrap();
        }
    });
    assert_eq!((gets(cluster.node(0)), gets(cluster.node(1))), (100, 100));
}
