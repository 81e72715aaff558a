//! For applications that must not lose a message: consumers of a stream. Also scripts that are
//! routed by their keys.
//!
//! **Invariant**: an acknowledged entry never comes again; all others come at least once.

use slotcar::{Client, Config, Script, StreamConsumer};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Cluster, Server, Version};
use smol::block_on;
use std::collections::BTreeSet;
use std::time::Duration;

fn connected(url: &str) -> Client {
    block_on(Client::connect(Smol::new(), Config::from_url(url).unwrap())).unwrap()
}

/// Servers with XAUTOCLAIM.
fn versions() -> impl Iterator<Item = Version> {
    Version::all().into_iter().filter(|version| version.since((6, 2), (7, 2)))
}

fn add(client: &Client, count: u64) {
    let mut pipeline = client.pipeline();
    (0..count).for_each(|n| pipeline.push(slotcar::cmd("XADD").key("s").arg("*").arg("n").arg(n)));
    let _: Vec<String> = block_on(pipeline.run()).unwrap();
}

fn next(consumer: &mut StreamConsumer) -> (String, u64) {
    let entry = block_on(consumer.next()).unwrap();
    let number = std::str::from_utf8(entry.get("n").unwrap()).unwrap().parse().unwrap();
    (entry.id, number)
}

#[test]
fn a_consumer_goes_on_where_it_was_interrupted() {
    for version in versions() {
        let server = Server::start(&version);
        let client = connected(&server.url());
        add(&client, 300);
        let mut first = client.consume("s", "g", "ada");
        for expected in 0..10 {
            let (id, number) = next(&mut first);
            assert_eq!(number, expected, "{version}");
            if number % 2 == 0 {
                assert!(block_on(first.ack(&id)).unwrap());
                assert!(!block_on(first.ack(&id)).unwrap());
            }
        }
        drop(first);
        // The same consumer after a restart: first what was not acknowledged, then what is new.
        let mut second = client.consume("s", "g", "ada");
        let expected = (1..10).step_by(2).chain(10..300);
        for expected in expected {
            let (id, number) = next(&mut second);
            assert_eq!(number, expected, "{version}");
            block_on(second.ack(&id)).unwrap();
        }
    }
}

#[test]
fn what_others_left_lying_is_taken_over() {
    let server = Server::start(&Version::any());
    let client = connected(&server.url());
    add(&client, 150);
    let mut dead = client.consume("s", "g", "dead");
    next(&mut dead);
    drop(dead);
    let mut live = client.consume("s", "g", "live").claim_after(Duration::from_millis(50));
    let mut seen = BTreeSet::new();
    while seen.len() < 150 {
        let (id, number) = next(&mut live);
        block_on(live.ack(&id)).unwrap();
        assert!(seen.insert(number), "each once, since each was acknowledged in time");
    }
}

/// Its connections are cut again and again.
#[test]
fn nothing_is_lost_when_answers_are() {
    let server = Server::start(&Version::any());
    let client = connected(&server.url());
    add(&client, 1000);
    let mut consumer = client.consume("s", "g", "ada");
    let mut seen = BTreeSet::new();
    let mut failures = 0;
    while seen.len() < 1000 {
        match block_on(consumer.next()) {
            Ok(entry) => {
                let text = std::str::from_utf8(entry.get("n").unwrap()).unwrap();
                seen.insert(text.parse::<u64>().unwrap());
                let _ = block_on(consumer.ack(&entry.id));
                if seen.len() % 90 == 0 {
                    server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
                }
            }
            Err(error) => {
                failures += 1;
                assert!(failures < 100, "{error}");
            }
        }
    }
    println!("{failures} answers were lost");
}

#[test]
fn a_script_goes_where_its_keys_are_and_is_taught_where_it_is_unknown() {
    let script = Script::new("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])}");
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        let client = connected(&cluster.url());
        for key in ["a", "b", "c", "d"] {
            for expected in [5, 10] {
                let (name, sum): (String, i64) =
                    block_on(client.run_script(&script, key, 5)).unwrap();
                assert_eq!((name.as_str(), sum), (key, expected), "{version}");
            }
        }
        let node = cluster.node(0);
        let digest = node.call(&["SCRIPT", "LOAD", script.source()]).text();
        assert_eq!(digest, script.digest());
        for node in cluster.nodes() {
            node.call(&["SCRIPT", "FLUSH"]).ok();
        }
        let (_, sum): (String, i64) = block_on(client.run_script(&script, "a", 1)).unwrap();
        assert_eq!(sum, 11);
    }
}
