//! Many channels, and a service behind sentinels.
//!
//! Times are printed; the bounds are for a busy machine.

use super::reader::{next, words};
use slotcar::{Client, Subscription, Update};
use slotcar_tcp::Smol;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Sentinels, Version};
use smol::block_on;
use std::time::Instant;

const COUNT: usize = 10_000;

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How often a node ran a command.
fn calls(cluster: &Cluster, node: usize, command: &str) -> usize {
    let stats = cluster.node(node).call(&["INFO", "commandstats"]).text();
    let prefix = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

fn read(all: &mut Subscription, count: usize, what: impl Fn(&Update) -> bool) {
    let mut seen = 0;
    while seen < count {
        seen += usize::from(what(&next(all)));
    }
}

#[test]
fn ten_thousand_channels_follow_a_failover() {
    let cluster = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    let cluster = cluster.quick_failover().start();
    let config = slotcar_tests::patient(&cluster.url());
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let names: Vec<String> = (0..COUNT).map(|n| format!("channel:{n}")).collect();
    let slots = |of: &dyn Fn(u16) -> bool| {
        let slots = names.iter().map(|n| slotcar_tests::real::cluster::slot_of(n));
        slots.filter(|slot| of(*slot)).collect::<std::collections::BTreeSet<_>>().len()
    };
    let before = resident();
    let began = Instant::now();
    let mut all = client.ssubscribe(&names).start().unwrap();
    read(&mut all, COUNT, |update| matches!(update, Update::Subscribed { .. }));
    println!("{COUNT} channels after {:?}", began.elapsed());
    let grown = resident().saturating_sub(before);
    println!("{grown} KiB more, {} bytes for each", grown * 1024 / COUNT as u64);
    let old = cluster.primary_of(100);
    let primaries = cluster.primaries();
    let sent: usize = primaries.iter().map(|node| calls(&cluster, *node, "ssubscribe")).sum();
    assert_eq!(sent, slots(&|_| true), "one command for each slot");
    let own = |slot: u16| slot <= 5460;
    let moved = names.iter().filter(|n| own(slotcar_tests::real::cluster::slot_of(n)));
    let moved = moved.count();
    let new = cluster.replica_of(old);
    cluster.node(old).kill();
    until_true("a promotion", || cluster.node(new).call(&["ROLE"]).items()[0].text() == "master");
    let promoted = Instant::now();
    read(&mut all, moved, |update| matches!(update, Update::Gap { .. }));
    println!("{moved} channels are back {:?} after the promotion", promoted.elapsed());
    let sent = calls(&cluster, new, "ssubscribe");
    println!("{sent} commands for {} slots", slots(&own));
    assert_eq!(sent, slots(&own), "one command for each slot");
    assert!(all.is_live());
}

#[test]
fn a_subscription_follows_a_service() {
    // From the old primary, which is still up, to the new one: messages published there before are
    // lost.
    for protocol in [slotcar::config::Protocol::Resp3, slotcar::config::Protocol::Resp2] {
        let sentinels = Sentinels::of(&Version::any()).start();
        let config = slotcar_tests::patient(&sentinels.url()).protocol(protocol);
        let client = block_on(Client::connect(Smol::new(), config)).unwrap();
        let mut all = block_on(client.subscribe("a").into_future()).unwrap();
        assert_eq!(words(&next(&mut all)), "+a");
        let began = Instant::now();
        let new = sentinels.failover();
        let named = began.elapsed();
        let mut seen = vec![words(&next(&mut all))];
        while seen.last().is_none_or(|last| last != "gap a") {
            seen.push(words(&next(&mut all)));
        }
        println!("named after {named:?}, subscribed again after {:?}: {seen:?}", began.elapsed());
        until_true("the new primary to have the subscriber", || {
            sentinels.server(new).call(&["PUBLISH", "a", "hi"]).integer() == Some(1)
        });
        let mut last = words(&next(&mut all));
        while last != "a=hi" {
            assert!(last == "gap a" || last == "moved a", "{last}");
            last = words(&next(&mut all));
        }
    }
}

/// The password changes: open connections stay; a new one waits until its password is right again.
#[test]
fn a_password_that_was_changed_back_is_all_it_takes() {
    let cluster = Cluster::of(&Version::any()).replicas(0).password("old").start();
    let config = slotcar_tests::patient(&cluster.url());
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let mut all = block_on(client.ssubscribe("a").into_future()).unwrap();
    assert_eq!(words(&next(&mut all)), "+a");
    cluster.set_password(Some("new"));
    for node in cluster.nodes() {
        node.call(&["CLIENT", "KILL", "TYPE", "pubsub"]).ok();
    }
    until_true("the cut to be noticed", || !all.is_live());
    cluster.set_password(Some("old"));
    assert_eq!(words(&next(&mut all)), "gap a");
}
