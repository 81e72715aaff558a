//! For applications that must not lose a message: consumers of a stream. Also scripts that are
//! routed by their keys.
//!
//! **Invariant**: an acknowledged entry never comes again; all others come at least once.

use slotcar::prelude::*;
use slotcar::{Client, Script, StreamConsumer};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Cluster, Server, Version};
use smol::block_on;
use std::collections::BTreeSet;
use std::time::Duration;

fn connected(url: &str) -> Client {
    block_on(Client::connect(Smol::new(), slotcar_tests::patient(url))).unwrap()
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

fn pending(server: &Server) -> Vec<slotcar_tests::real::Reply> {
    server.call(&["XPENDING", "s", "g", "-", "+", "1000"]).items().to_vec()
}

/// One consumer is at its first entry for long: the other one gets all that it has not begun.
#[test]
fn a_slow_consumer_keeps_nothing_from_others() {
    for version in versions() {
        let server = Server::start(&version);
        let client = connected(&server.url());
        add(&client, 40);
        let mut slow = client.consume("s", "g", "slow");
        let (first, number) = next(&mut slow);
        let mut quick = client.consume("s", "g", "quick");
        let mut seen = BTreeSet::from([number]);
        while seen.len() < 40 {
            let (id, number) = next(&mut quick);
            block_on(quick.ack(&id)).unwrap();
            assert!(seen.insert(number), "{version}: {number} came twice");
        }
        assert!(block_on(slow.ack(&first)).unwrap(), "{version}");
        assert!(pending(&server).is_empty(), "{version}");
    }
}

/// Two consumers, and handlings that take a part of the time after which others take over: together
/// much longer, so that all that was read ahead is idle meanwhile.
#[test]
fn each_entry_is_handled_once_while_nobody_dies() {
    let server = Server::start(&Version::any());
    let client = connected(&server.url());
    add(&client, 40);
    let work = |name: &'static str| {
        let client = client.clone();
        async move {
            let mut consumer = client.consume("s", "g", name).claim_after(Duration::from_secs(5));
            let mut handled = Vec::new();
            loop {
                let next =
                    smol::future::or(async { Some(consumer.next().await.unwrap()) }, async {
                        // Nothing comes any more once all is acknowledged; what is cut off comes
                        // again.
                        smol::Timer::after(Duration::from_secs(1)).await;
                        None
                    });
                let Some(entry) = next.await else {
                    let left: slotcar::Value =
                        client.send(slotcar::cmd("XPENDING").key("s").arg("g")).await.unwrap();
                    if left.as_slice().unwrap()[0].as_i64() == Some(0) {
                        return handled;
                    }
                    continue;
                };
                smol::Timer::after(Duration::from_millis(400)).await;
                assert!(consumer.ack(&entry.id).await.unwrap(), "{} was handled twice", entry.id);
                handled.push(entry.id);
            }
        }
    };
    let (one, other) = (smol::spawn(work("one")), smol::spawn(work("other")));
    let (one, other) = block_on(async { (one.await, other.await) });
    println!("{} and {} entries", one.len(), other.len());
    let all: BTreeSet<&String> = one.iter().chain(&other).collect();
    assert_eq!((all.len(), one.len() + other.len()), (40, 40));
}

/// What was read ahead and went to another consumer meanwhile is not handed out here.
#[test]
fn what_went_to_another_consumer_is_not_handed_out() {
    for version in versions() {
        let server = Server::start(&version);
        let client = connected(&server.url());
        add(&client, 20);
        let idle = Duration::from_millis(800);
        let mut first = client.consume("s", "g", "first").claim_after(idle);
        let mut seen = BTreeSet::new();
        // It reads more at once each time, and holds some.
        while pending(&server).len() < 3 {
            let (id, number) = next(&mut first);
            seen.insert(number);
            block_on(first.ack(&id)).unwrap();
            assert!(seen.len() < 20, "{version}: it never reads ahead");
        }
        let is_idle = |entry: &slotcar_tests::real::Reply| {
            entry.items()[2].integer().is_some_and(|idle| idle >= 1100)
        };
        slotcar_tests::real::until("what it holds to be idle", || {
            pending(&server).iter().all(is_idle).then_some(())
        });
        let mut second = client.consume("s", "g", "second").claim_after(idle);
        while seen.len() < 20 {
            let (id, number) = next(&mut second);
            block_on(second.ack(&id)).unwrap();
            assert!(seen.insert(number), "{version}: {number} came twice");
        }
        let late: String =
            block_on(client.send(slotcar::cmd("XADD").key("s").arg("*").arg("n").arg(77))).unwrap();
        assert_eq!(next(&mut first), (late, 77), "{version}: nothing that the other one has had");
    }
}

#[test]
fn an_entry_is_held_for_as_long_as_its_handling_takes() {
    let server = Server::start(&Version::any());
    let client = connected(&server.url());
    add(&client, 1);
    let idle = Duration::from_secs(2);
    let mut slow = client.consume("s", "g", "slow").claim_after(idle);
    let mut other = client.consume("s", "g", "other").claim_after(idle);
    let (id, _) = next(&mut slow);
    let theirs = block_on(async {
        let handling = async {
            let stolen = async { Some(other.next().await.unwrap().id) };
            let handled = async {
                smol::Timer::after(idle * 3).await;
                None
            };
            smol::future::or(stolen, handled).await
        };
        slow.hold(&id, handling).await
    });
    assert_eq!(theirs, None, "it was taken over");
    assert!(block_on(slow.ack(&id)).unwrap());
}

#[test]
fn a_consumer_that_is_closed_gives_back_what_it_has_read() {
    for version in versions() {
        let server = Server::start(&version);
        let client = connected(&server.url());
        add(&client, 50);
        let mut leaving = client.consume("s", "g", "leaving");
        let mut seen = BTreeSet::new();
        while pending(&server).len() < 5 {
            let (id, number) = next(&mut leaving);
            seen.insert(number);
            block_on(leaving.ack(&id)).unwrap();
            assert!(seen.len() < 50, "{version}: it never reads ahead");
        }
        block_on(leaving.close()).unwrap();
        // A minute has not passed: these would be its own still.
        let mut staying = client.consume("s", "g", "staying");
        while seen.len() < 50 {
            let (id, number) = next(&mut staying);
            block_on(staying.ack(&id)).unwrap();
            assert!(seen.insert(number), "{version}: {number} came twice");
        }
    }
}

#[test]
fn a_group_that_is_destroyed_is_told_and_then_made_anew() {
    for version in versions() {
        let server = Server::start(&version);
        let client = connected(&server.url());
        let lose: [&[&str]; 2] = [&["XGROUP", "DESTROY", "s", "g"], &["DEL", "s"]];
        for lose in lose {
            add(&client, 3);
            let mut consumer = client.consume("s", "g", "ada").from_now();
            server.call(&["XGROUP", "CREATE", "s", "g", "0"]);
            let (id, _) = next(&mut consumer);
            block_on(consumer.ack(&id)).unwrap();
            server.call(lose).ok();
            let error = loop {
                match block_on(consumer.next()) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), slotcar::ErrorKind::Server, "{version}: {error}");
            assert_eq!(error.server_error().map(|e| e.code()), Some("NOGROUP"), "{version}");
            let text = error.to_string();
            assert!(text.contains("group \"g\"") && text.contains("stream \"s\""), "{text}");
            // It begins as a new one does: with what is added from now on.
            let reader = smol::spawn(async move { consumer.next().await.map(|entry| entry.id) });
            slotcar_tests::real::until("the group to be made", || {
                let groups = server.call(&["XINFO", "GROUPS", "s"]);
                (!groups.items().is_empty()).then_some(())
            });
            let add = slotcar::cmd("XADD").key("s").arg("*").arg("n").arg(1);
            let added: String = block_on(client.send(add)).unwrap();
            assert_eq!(block_on(reader).unwrap(), added, "{version}");
            server.call(&["DEL", "s"]).ok();
        }
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

/// What a server knows goes with its process.
#[test]
fn a_script_is_taught_anew_to_a_server_that_was_restarted() {
    let server = Server::start(&Version::any());
    let client = connected(&server.url());
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    for expected in [1, 2] {
        let sum: i64 = block_on(client.run_script(&script, "k", None::<&str>)).unwrap();
        assert_eq!(sum, expected);
    }
    server.restart();
    let sum: i64 = block_on(client.run_script(&script, "k", None::<&str>)).unwrap();
    assert_eq!(sum, 1, "it ran once, on an empty server");
}

/// A script may say what a server says that does not know it: it has run all the same.
#[test]
fn a_script_that_says_noscript_itself_runs_once() {
    for version in Version::all() {
        let server = Server::start(&version);
        let client = connected(&server.url());
        let script = Script::new(
            "redis.call('INCR', KEYS[1]) return redis.error_reply('NOSCRIPT of my own')",
        );
        for expected in [1, 2] {
            let error = block_on(client.run_script::<i64>(&script, "k", None::<&str>)).unwrap_err();
            assert_eq!(error.server_error().map(|e| e.code()), Some("NOSCRIPT"), "{version}");
            assert_eq!(block_on(client.get::<i64>("k")).unwrap(), expected, "{version}");
        }
    }
}
