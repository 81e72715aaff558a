//! Read policies with replicas that sentinels announce, and with replicas listed by hand.
//!
//! Such replicas need no READONLY: they serve every client.

use super::load::{Group, Load, connect, gets, keys};
use slotcar::config::Among;
use slotcar::prelude::*;
use slotcar::{Config, ReadFrom};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Sentinels, Server, Version};
use std::time::{Duration, Instant};

fn read(config: Config, count: usize) {
    let client = connect(config);
    smol::block_on(async {
        for key in keys().iter().cycle().take(count) {
            client.get::<Option<String>>(key).await.unwrap();
        }
    });
}

#[test]
fn replicas_listed_by_hand_are_read_from() {
    for version in Version::all() {
        let group = Group::start(&version, 2, "");
        read(group.config().read_from(ReadFrom::RoundRobin(Among::Replicas)), 1000);
        let counts: Vec<u64> = group.replicas.iter().map(gets).collect();
        assert_eq!((gets(&group.primary), counts), (0, vec![500, 500]), "{version}");
    }
}

#[test]
fn a_url_configures_replicas_and_policy() {
    let group = Group::start(&Version::any(), 2, "");
    let at: Vec<String> = group.replicas.iter().map(|r| r.address().to_string()).collect();
    let url = format!(
        "{}?replicas={}&read_from=replica&max_staleness=5s",
        group.primary.url(),
        at.join(",")
    );
    read(slotcar_tests::patient(&url), 200);
    assert_eq!(gets(&group.primary), 0);
}

#[test]
fn replicas_that_sentinels_announce_are_read_from_through_a_failover() {
    let sentinels = Sentinels::of(&Version::any()).start();
    let config = Config::from_url(&sentinels.url())
        .unwrap()
        .command_timeout(Duration::from_secs(5))
        .read_from(ReadFrom::RoundRobin(Among::Replicas));
    read(config.clone(), 1000);
    let primary = sentinels.primary().unwrap();
    let counts: Vec<u64> = (0..3).map(|index| gets(sentinels.server(index))).collect();
    println!("{counts:?} GETs, the primary is {primary}");
    for (index, count) in counts.iter().enumerate() {
        assert_eq!(*count, if index == primary { 0 } else { 500 });
    }
    let load = Load::start(connect(config), 16, keys());
    sentinels.failover();
    let new = sentinels.wait_until_settled();
    let began = Instant::now();
    let reads = |server: &Server| gets(server);
    until_true("reads to leave the new primary for the old one", || {
        let before = (reads(sentinels.server(new)), reads(sentinels.server(primary)));
        load.wait_for(500);
        reads(sentinels.server(new)) == before.0 && reads(sentinels.server(primary)) > before.1
    });
    let took = began.elapsed();
    let (done, worst, errors) = load.stop();
    println!("{done} reads, the longest {worst:?}; settled {took:?} after the sentinels");
    assert!(errors.is_empty(), "{errors:?}");
}
