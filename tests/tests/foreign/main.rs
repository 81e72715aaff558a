//! Servers older than any package, and one that is no Redis: each connects, reads, writes, follows
//! a MOVED and subscribes, alone, in a cluster and behind sentinels, with courtesies and without.
//!
//! **Invariant**: what such a server refuses, in its own words, costs what `docs/courtesies.md`
//! says and nothing else.

mod peer;

use peer::{KINDS, Kind, Servers};
use slotcar::command::{get, set};
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorKind, ReadFrom, Update};
use slotcar_tcp::Smol;
use slotcar_tests::patience::retrying as config;
use slotcar_tests::polling::run;
use slotcar_tests::real::cluster::key_in;

/// Each kind, with courtesies and without.
fn on_each(test: impl Fn(Kind, bool)) {
    for kind in KINDS {
        for courtesies in [true, false] {
            test(kind, courtesies);
        }
    }
}

fn connect(config: Config, what: &str) -> Client {
    let client = run(Client::connect(Smol::new(), config));
    client.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// Keys in both halves, alone and in a pipeline; what is absent; a message.
async fn reads_writes_and_subscribes(client: &Client, what: &str) {
    for slot in [0, 8191, 8192, 16383] {
        let key = key_in(slot);
        client.set(&key, slot).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(client.get::<u16>(&key).await.expect(what), slot, "{what}");
    }
    let [a, b] = [key_in(100), key_in(9000)];
    let pipeline = client.pipeline().add(set(&a, 1)).add(set(&b, 2)).add(get(&b)).add(get(&a));
    let ((), (), two, one): ((), (), u8, u8) = pipeline.run().await.expect(what);
    assert_eq!((one, two), (1, 2), "{what}");
    assert_eq!(client.get::<Option<String>>("absent").await.expect(what), None, "{what}");
    assert_eq!(client.incr("n").await.expect(what), 1, "{what}");
    let mut messages = client.subscribe(["a", "b"]).await.expect(what);
    let mut found = Vec::new();
    while found.len() < 2 {
        match messages.next().await.expect(what) {
            Update::Message(message) => {
                assert_eq!(message.payload(), b"hi", "{what}");
                found.push(String::from_utf8_lossy(message.channel()).into_owned());
            }
            gap @ Update::Gap { .. } => panic!("{what}: {gap:?}"),
            _ => {}
        }
    }
    found.sort();
    assert_eq!(found, ["a", "b"], "{what}");
}

/// What was written before.
async fn reads_again(client: &Client, what: &str) {
    for slot in [0, 8191, 8192, 16383] {
        assert_eq!(client.get::<u16>(key_in(slot)).await.expect(what), slot, "{what}");
    }
    assert_eq!(client.metrics().dials_failed, 0, "{what}");
}

#[test]
fn a_server_of_its_own() {
    on_each(|kind, courtesies| {
        let what = format!("{kind:?}, courtesies={courtesies}");
        let servers = Servers::alone(kind, None);
        let config = config(&servers.scripts[0].url()).courtesies(courtesies).database(2);
        let config = if courtesies { config.client_name("me") } else { config };
        let client = connect(config, &what);
        run(reads_writes_and_subscribes(&client, &what));
        assert_eq!(client.metrics().dials_failed, 0, "{what}: it hangs up on nothing");
    });
}

/// Passwords are older than users: AUTH has one argument, and its refusal no code.
#[test]
fn a_server_with_a_password() {
    on_each(|kind, courtesies| {
        // Kvrocks has none of these words.
        if kind == Kind::Kvrocks {
            return;
        }
        let what = format!("{kind:?}, courtesies={courtesies}");
        let servers = Servers::alone(kind, Some("right"));
        let config = config(&servers.scripts[0].url()).courtesies(courtesies);
        let client = connect(config.clone().password("right"), &what);
        run(reads_writes_and_subscribes(&client, &what));
        let wrong = config.clone().password("wrong");
        let error = run(Client::connect(Smol::new(), wrong)).expect_err(&what);
        assert_eq!(error.kind(), ErrorKind::Handshake, "{what}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("AUTH was refused") && text.contains("invalid password"), "{text}");
        let user = config.username("me").password("right");
        let error = run(Client::connect(Smol::new(), user)).expect_err(&what);
        let text = error.to_string();
        assert!(text.contains("wrong number of arguments for 'auth' command"), "{text}");
    });
}

#[test]
fn a_cluster() {
    on_each(|kind, courtesies| {
        let what = format!("{kind:?}, courtesies={courtesies}");
        let servers = Servers::cluster(kind);
        let url = servers.scripts[0].url().replacen("redis://", "redis-cluster://", 1);
        let config = config(&url).courtesies(courtesies);
        let client = connect(config.clone(), &what);
        run(reads_writes_and_subscribes(&client, &what));
        let topology = client.topology();
        let shards = topology.shards.iter().map(|shard| {
            let replicas: Vec<_> = shard.replicas.iter().map(|node| node.id.as_str()).collect();
            (shard.primary.id.as_str().to_owned(), replicas.concat(), shard.epoch)
        });
        let id = |node: usize| servers.world.id(node);
        let expected = [(id(0), id(2), Some(1)), (id(1), String::new(), Some(2))];
        assert_eq!(shards.collect::<Vec<_>>(), expected, "{what}");
        assert_eq!(client.metrics().entries_left_out, 0, "{what}");
        // The slot has moved: the redirect is followed, and the map follows.
        let before = client.metrics().redirects;
        servers.world.move_slot(100, 1);
        let key = key_in(100);
        assert_eq!(run(client.get::<u8>(&key)).expect(&what), 1);
        assert_eq!(run(client.get::<u8>(&key)).expect(&what), 1);
        assert_eq!(client.metrics().redirects, before + 1, "{what}");
        run(client.refresh()).expect(&what);
        let topology = client.topology();
        let owner = topology.shards.iter().find(|shard| shard.primary.id.as_str() == id(1));
        let count: u16 = owner.expect("it is there").slots.iter().map(|range| range.count()).sum();
        assert_eq!(count, 8193, "{what}");
        // Another client reads at the replica.
        let client = connect(config.read_from(ReadFrom::PreferReplica), &what);
        let before = servers.count(2, "GET");
        assert_eq!(run(client.get::<u16>(key_in(0))).expect(&what), 0);
        assert_eq!(servers.count(2, "GET"), before + 1, "{what}");
        assert!(servers.count(2, "READONLY") > 0, "{what}");
    });
}

/// Of a cluster without node ids, a node is known by its address where NODES is not told either.
#[test]
fn a_cluster_that_does_not_tell_ids_at_all() {
    for kind in [Kind::Redis30, Kind::Redis32] {
        let what = format!("{kind:?}");
        let servers = Servers::cluster(kind);
        servers.world.hide_nodes();
        let url = servers.scripts[0].url().replacen("redis://", "redis-cluster://", 1);
        let client = connect(config(&url), &what);
        run(reads_writes_and_subscribes(&client, &what));
        let topology = client.topology();
        let first = &topology.shards[0].primary;
        assert!(first.id.is_provisional(), "{what}: {first:?}");
        servers.world.move_slot(100, 1);
        assert_eq!(run(client.get::<u8>(key_in(100))).expect(&what), 1);
        run(client.refresh()).expect(&what);
        run(reads_again(&client, &what));
    }
}

#[test]
fn behind_sentinels() {
    on_each(|kind, courtesies| {
        // Kvrocks has no sentinels of its own.
        if kind == Kind::Kvrocks {
            return;
        }
        let what = format!("{kind:?}, courtesies={courtesies}");
        let servers = Servers::sentinel(kind);
        let url = format!("redis-sentinel://{}/0?service=mymaster", servers.scripts[1].address());
        let client = connect(config(&url).courtesies(courtesies), &what);
        run(reads_writes_and_subscribes(&client, &what));
        assert_eq!(client.topology().shards[0].replicas.len(), 0, "{what}");
    });
}
