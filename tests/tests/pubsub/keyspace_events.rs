//! Keyspace events of a cluster: every primary tells of its own keys, and a subscriber hears all of
//! them once, also after failovers and after slots have moved.
//!
//! Spec: "Redis keyspace notifications", "Events in a cluster".

use super::reader::{next, next_sorted, words};
use slotcar::command::cmd;
use slotcar::prelude::*;
use slotcar::{Client, Config, ReadFrom, Subscription};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Cluster, Failover, Server, Version};
use smol::block_on;
use std::collections::BTreeSet;

/// The oldest and the newest of both families.
fn versions() -> impl Iterator<Item = Version> {
    ["redis-7.0", "redis-8.0", "valkey-9.1"].into_iter().filter_map(Version::named)
}

fn cluster(version: &Version) -> Cluster {
    Cluster::of(version).config("notify-keyspace-events KEA").quick_failover().start()
}

fn client(cluster: &Cluster) -> Client {
    let config = Config::from_url(&cluster.url()).unwrap().command_timeout(BOUND);
    block_on(Client::connect(Smol::new(), config)).unwrap()
}

/// Keys of slots at the beginning, in the middle and at the end of each of three shards.
fn keys_of_all_shards() -> Vec<String> {
    [0, 100, 3000, 5460, 5461, 6001, 9000, 10922, 10923, 12000, 14000, 16383].map(key_in).into()
}

/// Sets keys and reads until the event of each has come. Nothing else may come.
#[track_caller]
fn each_once(client: &Client, all: &mut Subscription, keys: &[String]) {
    let mut expected = BTreeSet::new();
    for key in keys {
        block_on(client.set(key, "v")).unwrap();
        expected.insert(format!("__keyevent@0__:set={key}"));
    }
    while !expected.is_empty() {
        let came = words(&next(all));
        assert!(expected.remove(&came), "{came} is not expected, or comes twice");
    }
    // What comes twice is sent by two nodes: an event of each shard, behind which nothing waits.
    for slot in [1, 6002, 12001] {
        block_on(client.set(key_in(slot), "last")).unwrap();
    }
    let last = next_sorted(all, 3);
    let mut expected = [1, 6002, 12001].map(|slot| format!("__keyevent@0__:set={}", key_in(slot)));
    expected.sort();
    assert_eq!(last, expected);
}

#[test]
fn each_event_of_each_primary_comes_once() {
    for version in versions() {
        let cluster = cluster(&version);
        let client = client(&cluster);
        let name = version.name();
        let mut all = block_on(client.psubscribe("__keyevent@0__:*").into_future()).unwrap();
        assert_eq!(words(&next(&mut all)), "+__keyevent@0__:*", "{name}");
        each_once(&client, &mut all, &keys_of_all_shards());
        // A channel by its name, of an event and of a key, and a pattern for both families.
        for (pattern, channel) in [
            (false, "__keyevent@0__:set".to_owned()),
            (true, "__keyevent@*:set".to_owned()),
            (true, "__keyev*:set".to_owned()),
        ] {
            let start =
                if pattern { client.psubscribe(&channel) } else { client.subscribe(&channel) };
            let mut one = block_on(start.into_future()).unwrap();
            assert_eq!(words(&next(&mut one)), format!("+{channel}"), "{name}");
            each_once(&client, &mut one, &keys_of_all_shards());
        }
        let keys = keys_of_all_shards();
        let channels = keys.iter().map(|key| format!("__keyspace@0__:{key}"));
        let channels: Vec<String> = channels.collect();
        let mut by_key = block_on(client.subscribe(&channels).into_future()).unwrap();
        next_sorted(&mut by_key, keys.len());
        for key in &keys {
            block_on(client.set(key, "v")).unwrap();
        }
        let mut expected: Vec<String> =
            channels.iter().map(|channel| format!("{channel}=set")).collect();
        expected.sort();
        assert_eq!(next_sorted(&mut by_key, keys.len()), expected, "{name}");
    }
}

/// An ordinary message goes to every node, so its pattern must be at one.
#[test]
fn an_ordinary_message_comes_once_beside_keyspace_events() {
    let cluster = cluster(&Version::any());
    let client = client(&cluster);
    let mut all =
        block_on(client.psubscribe(["news*", "__keyevent@0__:set"]).into_future()).unwrap();
    next_sorted(&mut all, 2);
    for number in 0..5 {
        block_on(client.publish("news", number)).unwrap();
    }
    for number in 0..5 {
        assert_eq!(words(&next(&mut all)), format!("news={number}"));
    }
    each_once(&client, &mut all, &keys_of_all_shards());
}

/// A primary dies and its replica takes over, and another one is replaced while it lives on: a gap
/// each, and then every event once. The former primaries, now replicas, are not heard.
#[test]
fn a_failover_is_a_gap_and_then_every_event_comes_once() {
    for version in versions() {
        let cluster = cluster(&version);
        let client = client(&cluster);
        let pattern = "__keyevent@0__:*";
        let mut all = block_on(client.psubscribe(pattern).into_future()).unwrap();
        assert_eq!(words(&next(&mut all)), format!("+{pattern}"));
        let old = cluster.primary_of(100);
        cluster.node(old).kill();
        assert_eq!(words(&next(&mut all)), format!("gap {pattern}"), "{}", version.name());
        cluster.wait_for_new_primary(100, old);
        cluster.node(old).restart();
        cluster.wait_until_agreed();
        block_on(client.refresh()).unwrap();
        block_on(all.ready()).unwrap();
        each_once(&client, &mut all, &keys_of_all_shards());

        let graceful = cluster.replica_of(cluster.primary_of(6001));
        cluster.failover(graceful, Failover::Graceful);
        cluster.wait_until_agreed();
        block_on(client.refresh()).unwrap();
        assert_eq!(words(&next(&mut all)), format!("gap {pattern}"), "{}", version.name());
        each_once(&client, &mut all, &keys_of_all_shards());
    }
}

/// A node joins as a primary without slots, and gets one: a gap, and then every event once. When
/// the slot goes back, nothing is missing.
#[test]
fn a_new_primary_is_heard() {
    for version in versions() {
        let cluster = cluster(&version);
        let new = cluster.replica_of(cluster.primary_of(100));
        cluster.node(new).call(&["CLUSTER", "RESET"]).ok();
        let (ip, port) = (cluster.node(0).address().ip(), cluster.node(0).address().port());
        let known = if new == 0 { cluster.node(1).address() } else { (ip, port).into() };
        let (ip, port) = (known.ip().to_string(), known.port().to_string());
        cluster.node(new).call(&["CLUSTER", "MEET", &ip, &port]).ok();
        let id = cluster.id(new).to_owned();
        until_true("all nodes to see a primary without slots", || {
            (0..6).all(|node| {
                cluster.view(node).is_some_and(|lines| {
                    lines.len() == 6 && lines.iter().any(|line| line.id == id && line.is("master"))
                })
            })
        });
        let client = client(&cluster);
        let pattern = "__keyevent@0__:s?t";
        let mut all = block_on(client.psubscribe(pattern).into_future()).unwrap();
        assert_eq!(words(&next(&mut all)), format!("+{pattern}"));
        let from = cluster.primary_of(100);
        cluster.move_slot(100, new);
        block_on(client.refresh()).unwrap();
        assert_eq!(words(&next(&mut all)), format!("gap {pattern}"), "{}", version.name());
        each_once(&client, &mut all, &keys_of_all_shards());
        // Both are heard: a slot that goes from one to the other costs nothing. One stays, because
        // a node without any becomes a replica by itself.
        cluster.move_slot(101, new);
        cluster.move_slot(100, from);
        block_on(client.refresh()).unwrap();
        each_once(&client, &mut all, &keys_of_all_shards());
    }
}

/// A replica tells `del` of a key that expired. So under any policy the primaries are asked.
#[test]
fn replicas_are_not_asked_for_events() {
    for version in versions() {
        let cluster = cluster(&version);
        let client = client(&cluster).with_read_from(ReadFrom::Replica);
        let channels = ["__keyevent@0__:expired", "__keyevent@0__:del"];
        let mut all = block_on(client.subscribe(channels).into_future()).unwrap();
        next_sorted(&mut all, 2);
        let keys = keys_of_all_shards();
        for key in &keys {
            let set = cmd("PSETEX").key(key).arg(30).arg("v");
            block_on(client.send::<()>(set)).unwrap();
        }
        let mut expected: Vec<String> =
            keys.iter().map(|key| format!("__keyevent@0__:expired={key}")).collect();
        expected.sort();
        assert_eq!(next_sorted(&mut all, keys.len()), expected, "{}", version.name());
    }
}

/// The permission to subscribe is missing: it is said once, whatever the number of primaries.
#[test]
fn a_refusal_is_an_error_of_the_call() {
    let cluster = cluster(&Version::any());
    for node in cluster.nodes() {
        let rights = ["ACL", "SETUSER", "deaf", "on", "nopass", "~*", "+@all", "resetchannels"];
        node.call(&rights).ok();
    }
    let config = Config::from_url(&cluster.url()).unwrap().username("deaf").password("any");
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let error = block_on(client.psubscribe("__keyevent@0__:*").into_future()).unwrap_err();
    assert!(error.to_string().contains("NOPERM"), "{error}");
}

/// Without slots, one server tells of all keys, as ever.
#[test]
fn one_server_tells_of_all_keys() {
    let server = Server::of(&Version::any()).config("notify-keyspace-events KEA").start();
    let config = Config::from_url(&server.url()).unwrap();
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let mut all = block_on(client.psubscribe("__key*__:*").into_future()).unwrap();
    assert_eq!(words(&next(&mut all)), "+__key*__:*");
    block_on(client.set("k", "v")).unwrap();
    assert_eq!(next_sorted(&mut all, 2), ["__keyevent@0__:set=k", "__keyspace@0__:k=set"]);
}
