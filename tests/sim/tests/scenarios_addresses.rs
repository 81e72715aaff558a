//! Named scenarios: how nodes announce their addresses, and what redirects may contain.
//!
//! S08 (names and addresses in turn), S09 (one name, two ports), S10 (empty endpoints), S12
//! (announced addresses and the address map), S13 (redirects that make no sense). S23 (maps that
//! make no sense) and the tables of S10 and S13 are with the parsers, in
//! `core/src/topology/*/tests.rs` and `tests/fuzz`: a simulated server sends none of these.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use load::{Load, MS, SECOND, keys_of};
use slotcar::Endpoint;
use slotcar::prelude::*;
use slotcar_sim::{Matching, PreferredEndpoint, Sim};
use std::net::SocketAddr;

/// S08: nodes are announced by address, then by name, then by address again. No new connection is
/// made and no call fails.
#[test]
fn s08_names_and_addresses_in_turn() {
    Sim::cluster(3, 1).hostnames(true).seed(8).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        let keys = keys_of(0..=16383, 30);
        Load::run(&sim, &client, &keys, MS * 100).await;
        let accepted = |sim: &Sim| sim.servers().iter().map(|s| sim.accepted(s)).sum::<u64>();
        let before = accepted(&sim);
        let flipping = async {
            for preferred in [PreferredEndpoint::Hostname, PreferredEndpoint::Ip] {
                sim.set_endpoints(preferred);
                client.refresh().await.unwrap();
                sim.advance(SECOND).await;
            }
        };
        let (load, ()) = futures::join!(Load::run(&sim, &client, &keys, SECOND * 2), flipping);
        let dialled = accepted(&sim) - before;
        println!("S08: {} calls, {} failed, {dialled} new connections", load.done(), load.failed);
        assert_eq!(load.failed, 0);
        assert_eq!(dialled, 0);
    });
}

/// S09: a primary and its replica share one name and differ in port.
#[test]
fn s09_one_name_two_ports() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let sim = Sim::cluster(3, 1)
        .endpoints(PreferredEndpoint::Hostname)
        .listening("a", at("10.0.0.1:7000"))
        .listening("a1", at("10.0.0.1:7001"))
        .seed(9)
        .start();
    sim.run(|sim| async move {
        for server in ["a", "a1"] {
            sim.set_hostname(server, Some("shard.sim"));
        }
        sim.set_name("shard.sim", &["a"]);
        let client = sim.client(sim.config()).await.unwrap();
        client.set("bar", "v").await.unwrap();
        let topology = client.topology();
        let slot = Sim::slot_of("bar");
        let home = topology
            .shards
            .iter()
            .find(|shard| shard.slots.iter().any(|r| r.slots().any(|s| s.number() == slot)));
        let home = home.unwrap();
        assert_eq!(home.primary.endpoint, Some(Endpoint::tcp("shard.sim", 7000)));
        assert_eq!(home.replicas[0].endpoint, Some(Endpoint::tcp("shard.sim", 7001)));
        let before = sim.calls("a", "get");
        for _ in 0..10 {
            client.get::<String>("bar").await.unwrap();
        }
        assert_eq!(sim.calls("a", "get") - before, 10);
        assert_eq!(sim.calls("a1", "get"), 0);
        sim.advance(MS * 10).await;
        sim.kill("a");
        let patient = client.with_timeout(SECOND * 20);
        // The first call may have reached the old primary without a reply; it is not sent again.
        while patient.set("bar", "w").await.is_err() {}
        assert_eq!(sim.peek("a1", "bar").as_deref(), Some(&b"w"[..]));
    });
}

/// S10: nodes announce an empty endpoint, or `?`.
#[test]
fn s10_empty_endpoints() {
    let replica = "10.0.0.2:6380".parse().unwrap();
    let sim = Sim::cluster(1, 1).endpoints(PreferredEndpoint::Unknown).listening("a1", replica);
    sim.seed(10).run(|sim| async move {
        // The one primary is the node that was asked.
        let config = sim.config().endpoints([Endpoint::tcp("a.sim", 6379)]);
        let client = sim.client(config).await.unwrap();
        client.set("bar", "v").await.unwrap();
        let known = client.topology().shards[0].primary.endpoint.clone();
        assert_eq!(known, Some(Endpoint::tcp("a.sim", 6379)));
    });
    Sim::cluster(3, 1).endpoints(PreferredEndpoint::Hostname).seed(11).run(|sim| async move {
        // `?` where a node has no name: it is never dialled, and the others are.
        sim.set_hostname("a1", None);
        let client = sim.client(sim.config()).await.unwrap();
        for key in ["foo", "bar", "hi"] {
            client.set(key, "v").await.unwrap();
        }
        let shards = client.topology().shards;
        let nodes = shards.iter().flat_map(|s| s.replicas.iter().chain([&s.primary]));
        let named: Vec<Endpoint> = nodes.filter_map(|node| node.endpoint.clone()).collect();
        assert!(!named.iter().any(|e| e.to_string().contains('?')), "{named:?}");
    });
}

/// S12: a MOVED and an ASK name announced addresses that only the address map makes reachable.
#[test]
fn s12_redirects_pass_the_address_map() {
    Sim::cluster(3, 0).seed(12).run(|sim| async move {
        let mut config = sim.config();
        for (index, server) in ["a", "b", "c"].into_iter().enumerate() {
            let outside = SocketAddr::from(([203, 0, 113, index as u8 + 1], 7000));
            sim.announce(server, outside);
            let announced = Endpoint::tcp(&outside.ip().to_string(), outside.port());
            config.address_map.insert(announced, sim.endpoint(server));
        }
        let client = sim.client(config).await.unwrap();
        client.set("bar", "v").await.unwrap();
        let slot = Sim::slot_of("bar");
        // ASK first: the key has moved, the slot has not.
        sim.begin_move(slot, "b");
        assert_eq!(sim.move_keys(slot, "b", usize::MAX), 1);
        let before = client.metrics().redirects;
        assert_eq!(client.get::<String>("bar").await.unwrap(), "v");
        assert_eq!(client.metrics().redirects - before, 1);
        sim.finish_move(slot, "b");
        assert_eq!(client.get::<String>("bar").await.unwrap(), "v");
        assert_eq!(client.metrics().redirects - before, 2);
    });
}

/// S13: redirects that make no sense. None of them panics, hangs, or changes the map.
#[test]
fn s13_redirects_that_make_no_sense() {
    let texts = [
        "MOVED 99999 10.0.1.1:6379",
        "MOVED -1 10.0.1.1:6379",
        "MOVED 5061 10.0.1.1:0",
        "MOVED 5061 10.0.1.1:99999",
        "MOVED 5061",
        "MOVED",
        "ASK 16384 10.0.1.1:6379",
        "ASK",
    ];
    Sim::cluster(3, 1).seed(13).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        client.set("bar", "v").await.unwrap();
        let client = client.with_timeout(SECOND * 3);
        for text in texts {
            sim.refuse("a", Matching::Data, text, 1);
            // An error that reports it, or the value after another attempt; both are right.
            let told = client.get::<String>("bar").await;
            println!("S13: {text:<28} {told:?}");
            assert!(told.is_err() || told.is_ok_and(|value| value == "v"));
            sim.heal();
            assert_eq!(client.get::<String>("bar").await.unwrap(), "v", "after {text}");
        }
    });
}

/// S13, the harder half: a correct redirect to an address without a server. Most of the nodes have
/// newer information.
#[test]
fn s13_a_redirect_to_nowhere() {
    Sim::cluster(3, 1).seed(13).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        client.set("bar", "v").await.unwrap();
        // An IPv6 address without brackets: the port is after the last colon.
        sim.refuse("a", Matching::Data, "MOVED 5061 fd00::1:6379", 1);
        let start = sim.now();
        let value: String = client.with_timeout(SECOND * 10).get("bar").await.unwrap();
        let took = sim.now().since(start);
        println!("S13: back from nowhere after {took:?}");
        assert_eq!(value, "v");
        assert!(took <= SECOND, "{took:?}");
    });
}
