//! The client of a cluster at its start, during a scan, and while nodes leave and join. Time is
//! virtual, so round trips can be counted.

use futures::StreamExt;
use slotcar::command::ScanOptions;
use slotcar::prelude::*;
use slotcar::{Client, Event, ScanCursor, Topology};
use slotcar_sim::Sim;
use std::collections::BTreeSet;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Round trips of 1 ms; name lookups take no time.
fn cluster(sim: &Sim) -> slotcar::Config {
    sim.lookup_delay(Duration::ZERO);
    sim.config()
}

/// Connections that any node has accepted.
fn accepted(sim: &Sim) -> u64 {
    sim.servers().iter().map(|server| sim.accepted(server)).sum()
}

/// How often any node was asked for the topology.
fn asked(sim: &Sim) -> u64 {
    let calls = |server: &String| {
        let words = ["cluster", "cluster|shards", "cluster|slots", "cluster|nodes"];
        words.iter().map(|word| sim.calls(server, word)).sum::<u64>()
    };
    sim.servers().iter().map(calls).sum()
}

/// A key in a slot of the given server.
fn key_of(sim: &Sim, server: &str) -> String {
    let keys = (0..).map(|n| format!("key:{n}"));
    let mut own = keys.filter(|key| sim.owner_of(Sim::slot_of(key)) == server);
    own.next().expect("every server owns a third of all keys")
}

#[test]
fn a_cold_start_costs_two_round_trips_at_the_seed_and_five_elsewhere() {
    // Elsewhere the node says who it is before it gets the command.
    for (owner, trips, connections) in [("a", 2, 1), ("b", 5, 2)] {
        Sim::cluster(3, 1).latency(MS / 2).run(|sim| async move {
            let config = cluster(&sim);
            let key = key_of(&sim, owner);
            let (began, before) = (sim.now(), accepted(&sim));
            let client = Client::connect_lazy(sim.transport(), config).unwrap();
            client.get::<Option<String>>(&key).await.unwrap();
            let took = sim.now().since(began);
            println!("owner {owner}: {took:?}, {} connections", accepted(&sim) - before);
            assert!(took < MS * trips + MS / 2, "owner {owner}: {took:?}");
            assert_eq!(accepted(&sim) - before, connections, "owner {owner}");
        });
    }
}

#[test]
fn a_client_that_connects_first_needs_five_round_trips_at_most() {
    Sim::cluster(3, 1).latency(MS / 2).run(|sim| async move {
        let config = cluster(&sim);
        let key = key_of(&sim, "c");
        let (began, before) = (sim.now(), accepted(&sim));
        let client = sim.client(config).await.unwrap();
        client.get::<Option<String>>(&key).await.unwrap();
        let took = sim.now().since(began);
        assert!(took < MS * 5 + MS / 2, "{took:?}");
        assert_eq!(accepted(&sim) - before, 2);
    });
}

#[test]
fn a_start_from_a_topology_asks_for_none() {
    Sim::cluster(3, 1).latency(MS / 2).run(|sim| async move {
        let config = cluster(&sim);
        let topology: Topology = sim.client(config.clone()).await.unwrap().topology();
        let key = key_of(&sim, "b");
        sim.advance(MS * 100).await;
        let (began, before, looks) = (sim.now(), accepted(&sim), asked(&sim));
        let client = Client::with_topology(sim.transport(), config, &topology).unwrap();
        client.get::<Option<String>>(&key).await.unwrap();
        let took = sim.now().since(began);
        assert!(took < MS * 3 + MS / 2, "a dial, the handshake and a command: {took:?}");
        assert_eq!((accepted(&sim) - before, asked(&sim) - looks), (1, 0));
        assert_eq!(client.topology().shards, topology.shards);
        // Later changes are learned from redirects.
        sim.move_slot(Sim::slot_of(&key), "c");
        client.get::<Option<String>>(&key).await.unwrap();
        assert!(client.metrics().redirects == 1);
    });
}

#[test]
fn lost_and_found_nodes_are_reported_once() {
    Sim::cluster(3, 0).full_coverage(false).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        let key = key_of(&sim, "b");
        client.set(&key, 1).await.unwrap();
        let mut events = client.events();
        sim.kill("b");
        let quick = client.with_timeout(MS * 500);
        for _ in 0..5 {
            quick.get::<u32>(&key).await.unwrap_err();
        }
        sim.restart("b");
        client.get::<Option<u32>>(&key).await.unwrap();
        client.close();
        let (mut lost, mut back) = (0, 0);
        while let Some(event) = events.next().await {
            lost += u32::from(matches!(event, Event::NodeLost { .. }));
            back += u32::from(matches!(event, Event::NodeBack { .. }));
        }
        assert_eq!((lost, back), (1, 1));
    });
}

/// Numbers that differ from seed to seed.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Slots move during one scan: key by key, in several steps, or at once while a primary hands over
/// to its replica, or dies. (A move by steps does not survive the failover of its source.)
fn disturb(sim: &Sim, state: &mut u64, keys: &[String]) {
    let mut time = Duration::ZERO;
    let kind = draw(state, 3);
    let who = ["a", "b", "c"][draw(state, 3) as usize];
    let dies = |server: &str| kind == 2 && server == who;
    let keys: Vec<_> = keys.iter().filter(|key| !dies(&sim.owner_of(Sim::slot_of(key)))).collect();
    for _ in 0..12 {
        time += MS * (1 + draw(state, 12)) as u32;
        let slot = Sim::slot_of(keys[draw(state, keys.len() as u64) as usize]);
        let to = ["a", "b", "c"][draw(state, 3) as usize];
        let (some, rest) = (draw(state, 3) as usize, MS * draw(state, 60) as u32);
        if dies(to) {
            continue;
        }
        sim.later(time, move |sim| {
            let from = sim.owner_of(slot);
            if !sim.is_primary(to) || !sim.is_primary(&from) || from == to {
                return;
            }
            if kind > 0 {
                return sim.move_slot(slot, to);
            }
            sim.begin_move(slot, to);
            sim.move_keys(slot, to, some);
            sim.later(rest, move |sim| {
                while sim.move_keys(slot, to, 10) > 0 {}
                sim.finish_move(slot, to);
            });
        });
    }
    match kind {
        1 => sim.later(MS * draw(state, 80) as u32, move |sim| sim.failover(&format!("{who}1"))),
        2 => sim.later(MS * draw(state, 80) as u32, move |sim| sim.kill(who)),
        _ => {}
    }
}

#[test]
fn a_scan_returns_every_key_that_was_there_throughout() {
    for seed in 0..300 {
        Sim::cluster(3, 1).seed(seed).run(|sim| async move {
            let client = sim.client(sim.config()).await.unwrap();
            let keys: Vec<String> = (0..150).map(|n| format!("k{n}")).collect();
            client.mset(keys.iter().map(|key| (key, 1))).await.unwrap();
            sim.advance(MS * 50).await;
            let mut state = seed;
            disturb(&sim, &mut state, &keys);
            let mut found = BTreeSet::new();
            let options = ScanOptions::new().count(5);
            let mut scan = client.scan_all::<String>(options);
            let mut taken = 0;
            while let Some(key) = scan.next().await {
                found.insert(key.unwrap());
                taken += 1;
                // From time to time another process runs.
                if draw(&mut state, 40) == 0 {
                    let text = serde_json::to_string(&scan.cursor()).unwrap();
                    let cursor: ScanCursor = serde_json::from_str(&text).unwrap();
                    scan = client.scan_from(cursor, options);
                }
                assert!(taken < 50_000, "seed {seed}: the scan does not end");
            }
            let missing: Vec<_> = keys.iter().filter(|key| !found.contains(*key)).collect();
            assert!(missing.is_empty(), "seed {seed}: {missing:?} of {taken}");
            assert!(scan.cursor().is_finished());
        });
    }
}

#[test]
fn one_keys_elements_and_one_servers_keys_are_streams_too() {
    let sim = |sim: Sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        let pairs: Vec<(String, u32)> = (0..300).map(|n| (format!("f{n}"), n)).collect();
        for (field, value) in &pairs {
            client.hset("hash", [(field, value)]).await.unwrap();
            client.sadd("set", field).await.unwrap();
            client.zadd("sorted", [(f64::from(*value), field)]).await.unwrap();
            client.set(format!("other:{field}"), value).await.unwrap();
        }
        let options = ScanOptions::new().count(20);
        let hash = client.hscan_all::<String, u32>("hash", options);
        let hash: BTreeSet<_> = hash.map(Result::unwrap).collect().await;
        assert_eq!(hash, pairs.iter().cloned().collect());
        let set: BTreeSet<String> =
            client.sscan_all("set", options).map(Result::unwrap).collect().await;
        assert_eq!(set.len(), 300);
        let sorted = client.zscan_all::<String>("sorted", options);
        let sum: f64 = sorted.map(|pair| pair.unwrap().1).collect::<Vec<_>>().await.iter().sum();
        assert!((sum - 44850.0).abs() < 0.5, "{sum}");
        let keys: BTreeSet<String> =
            client.scan_all(options.matching("other:*")).map(Result::unwrap).collect().await;
        assert_eq!(keys.len(), 300);
    };
    Sim::standalone().run(sim);
    Sim::cluster(3, 0).run(sim);
}
