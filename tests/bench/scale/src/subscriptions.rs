//! Subscriptions of one channel each, at one server or at many.
//!
//! One more stays throughout where the connection is to stay.

use crate::host::Host;
use crate::section::{counted, section};
use crate::server::Servers;
use slotcar_core::config::Deployment;
use slotcar_core::{Client, Config, Endpoint, Subscription, Update};

/// Operations of sections that do the same again and again.
const ROUNDS: usize = 300;

/// A client of a host.
pub(crate) fn client(host: &Host, deployment: Deployment) -> Client {
    let seed = Endpoint::tcp("n0", 7000);
    let mut config = Config::default();
    config.endpoints = vec![seed];
    config.deployment = deployment;
    host.finish(Client::connect(host.clone(), config)).expect("the servers answer")
}

/// Begins a subscription, and lets the servers confirm it.
fn subscribe(host: &Host, client: &Client, name: &str) -> Subscription {
    let made = counted(|| client.subscribe(name).start().expect("it is open"));
    host.run();
    made
}

/// So many subscriptions of a channel each.
pub(crate) fn run(size: usize) {
    let host = Host::new(Servers::standalone());
    let client = client(&host, Deployment::Standalone);
    let stays = subscribe(&host, &client, "stays");
    // Small sizes are run again and again, so that there is enough to count.
    let rounds = ROUNDS.div_ceil(size);
    let ops = (rounds * size) as u64;
    let names: Vec<String> = (0..size).map(|n| format!("c{n}")).collect();
    let mut all: Vec<Subscription> = Vec::new();
    section("subscribe", ops, || {
        for _ in 0..rounds {
            counted(|| all.clear());
            host.run();
            all.extend(names.iter().map(|name| subscribe(&host, &client, name)));
        }
    });
    for one in &mut all {
        assert!(matches!(one.try_next(), Some(Update::Subscribed { .. })), "it is confirmed");
    }
    let connection = host.servers(|servers| servers.last_subscribed);
    section("message", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let at = n * 7 % size;
            let name = &names[at];
            let len = name.len();
            let push = format!(">3\r\n$7\r\nmessage\r\n${len}\r\n{name}\r\n$2\r\nhi\r\n");
            host.send(connection, push.as_bytes());
            host.run();
            let update = counted(|| all[at].try_next());
            assert!(matches!(update, Some(Update::Message(_))), "it is delivered: {update:?}");
        }
    });
    // All at once, as a program does that ends a task with many.
    let half = all.split_off(size / 2);
    let (mut alone, mut together) = (all, half);
    let (left, right) = (alone.len().max(1) as u64, together.len() as u64);
    section("drop-one", left, || {
        while let Some(one) = alone.pop() {
            let mut one = Some(one);
            counted(|| drop(one.take()));
            host.run();
        }
    });
    section("drop-all", right, || {
        counted(|| together.clear());
        host.run();
    });
    // While there is no connection yet.
    drop(stays);
    drop(client);
    let host = Host::new(Servers::standalone());
    let client = self::client(&host, Deployment::Standalone);
    section("subscribe-unconnected", size as u64, || {
        let begin = |name: &String| counted(|| client.subscribe(name.as_str()).start());
        together.extend(names.iter().map(|name| begin(name).expect("it is open")));
        host.run();
    });
    assert!(together.iter().all(Subscription::is_live), "the servers confirm them");
}

/// One more sharded subscription where each of so many shards has one already.
pub(crate) fn run_sharded(size: usize) {
    let shards = u16::try_from(size).expect("a cluster has no more");
    let host = Host::new(Servers::cluster(shards));
    let client = client(&host, Deployment::Cluster);
    let slots = crate::shards::names_by_shard(&host, shards);
    let kept: Vec<Subscription> = slots
        .iter()
        .map(|(_, name)| {
            let made = client.ssubscribe(name.as_str()).start().expect("it is open");
            host.run();
            made
        })
        .collect();
    assert!(kept.iter().all(Subscription::is_live), "the servers confirm them");
    section("subscribe-and-drop", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let (_, name) = &slots[n * 7 % slots.len()];
            let name = format!("{{{name}}}other");
            let mut made = None;
            counted(|| made = Some(client.ssubscribe(name.as_str()).start()));
            host.run();
            counted(|| drop(made.take()));
            host.run();
        }
    });
    // A command finds out that a slot has moved, and its channel follows.
    section("moved", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let (slot, tag) = &slots[n * 7 % slots.len()];
            crate::shards::moved(&host, &client, *slot, tag);
        }
    });
    assert!(kept.iter().all(Subscription::is_live), "the channels have followed");
}
