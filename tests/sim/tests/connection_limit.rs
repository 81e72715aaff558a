//! A limit of connections for the whole client: everything is served within it, one after the
//! other, or says why not.

use futures::FutureExt;
use futures::future::{join, join_all};
use slotcar::command::ScanOptions;
use slotcar::prelude::*;
use slotcar::{Client, Config, Error, ErrorDetail, ErrorKind, cmd};
use slotcar_sim::{Sim, SimTransport};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A client that may have `max` connections, with and without background tasks.
fn each_host(sim: &Sim, max: u32) -> Vec<(SimTransport, Client)> {
    let config = || sim.config().connections_max(max);
    each_host_with(sim, config)
}

fn each_host_with(sim: &Sim, config: impl Fn() -> Config) -> Vec<(SimTransport, Client)> {
    let hosts = [sim.transport_of("one"), sim.transport_of("two").without_background()];
    let client = |host: SimTransport| {
        let client = Client::connect_lazy(host.clone(), config()).expect("the configuration fits");
        (host, client)
    };
    hosts.map(client).into()
}

/// A key in the slots of each shard of a cluster of six.
fn keys(sim: &Sim) -> Vec<String> {
    let key = |server: &str| {
        let owned = |key: &String| sim.owner_of(Sim::slot_of(key)) == server;
        (0..).map(|n| format!("key:{n}")).find(owned).expect("each shard has keys")
    };
    ["a", "b", "c", "d", "e", "f"].map(key).into()
}

/// Whether the error names the limit and its value.
fn names_limit(error: &Error, max: u64) -> bool {
    let limit = ErrorDetail::Limit { name: "connections_max", max };
    error.kind() == ErrorKind::Timeout
        && error.details() == Some(&limit)
        && error.to_string().contains("connections_max")
}

#[test]
fn one_connection_serves_a_cluster_of_six() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        for (host, client) in each_host(&sim, 1) {
            for round in 0..3 {
                for key in &keys {
                    client.set(key, round).await.expect("one after the other");
                }
            }
            let at_once = keys.iter().map(|key| client.get::<u32>(key).into_future());
            for value in join_all(at_once).await {
                assert_eq!(value.expect("each in its turn"), 2);
            }
            let all: Vec<u32> = client.mget(&keys).await.expect("one node after the other");
            assert_eq!(all, [2; 6]);
            let mut pipeline = client.pipeline();
            keys.iter().for_each(|key| pipeline.push(cmd("INCR").key(key)));
            let replies = pipeline.run_each().await.expect("one node after the other");
            assert!(replies.iter().all(Result::is_ok));
            for key in &keys {
                let mut transaction = client.transaction();
                transaction.push(cmd("INCR").key(key));
                transaction.push(cmd("INCR").key(key));
                let (_, last) = transaction.run::<(u32, u32)>().await.expect("it needs one");
                assert_eq!(last, 5);
            }
            assert_eq!(client.dbsize().await.expect("one node after the other"), 6);
            let mut found = client.scan_all::<String>(ScanOptions::default());
            let mut count = 0;
            while let Some(key) = found.next().await {
                key.expect("one node after the other");
                count += 1;
            }
            assert_eq!(count, 6);
            assert_eq!(host.usage().sockets_max, 1);
        }
    });
}

/// The one that was not used for the longest time, not the oldest one.
#[test]
fn the_longest_idle_connection_is_closed() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        for host in [sim.transport_of("one"), sim.transport_of("two").without_background()] {
            let config = sim.config().connections_max(3);
            let client = Client::connect_lazy(host.clone(), config).expect("the limit fits");
            let name = |n: usize| ["a", "b", "c", "d", "e", "f"][n];
            let open = || (0..6).filter(|n| sim.connections(name(*n)) > 0).collect::<Vec<_>>();
            // After them, no connection is left that the first refresh has opened.
            for n in [3, 4, 5, 0, 1, 2, 0, 2] {
                let _: Option<u32> = client.get(&keys[n]).await.expect("it is there");
                sim.advance(60 * MS).await;
            }
            assert_eq!(open(), [0, 1, 2]);
            for (next, expected) in [(3, [0, 2, 3]), (4, [2, 3, 4]), (0, [0, 3, 4])] {
                let _: Option<u32> = client.get(&keys[next]).await.expect("it is there");
                sim.advance(60 * MS).await;
                assert_eq!(open(), expected);
            }
            assert_eq!(host.usage().sockets_max, 3);
            client.close();
            sim.advance(SECOND).await;
        }
    });
}

/// A node that is never idle gives its connection up in turn.
#[test]
fn a_busy_connection_makes_room() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        for (host, client) in each_host(&sim, 1) {
            let busy = async {
                let calls = (0..8).map(|_| async {
                    for _ in 0..40 {
                        let _: Option<u32> = client.get(&keys[0]).await.expect("it is there");
                    }
                });
                join_all(calls).await;
            };
            let other = async {
                for _ in 0..5 {
                    let quick = client.with_timeout(SECOND);
                    let _: Option<u32> = quick.get(&keys[1]).await.expect("it has its turn");
                }
            };
            join(busy, other).await;
            assert_eq!(host.usage().sockets_max, 1);
        }
    });
}

#[test]
fn what_is_held_keeps_its_connection_and_who_waits_is_told() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        for (host, client) in each_host(&sim, 1) {
            let quick = client.with_timeout(500 * MS);
            let blocked = client.blpop::<Option<(String, String)>>(&keys[0], 2 * SECOND);
            let other = async {
                sim.advance(50 * MS).await;
                let error = quick.get::<Option<u32>>(&keys[1]).await.expect_err("no room");
                assert!(names_limit(&error, 1), "{error}");
                let error = quick.blpop::<Option<(String, String)>>(&keys[1], MS).await;
                let error = error.expect_err("no room");
                assert!(names_limit(&error, 1), "{error}");
                // Who has more time gets the place of the blocking command.
                let _: Option<u32> = client.get(&keys[1]).await.expect("room");
            };
            let (popped, ()) = join(blocked, other).await;
            assert_eq!(popped.expect("it waited to its end"), None);

            let watch = client.watch([&keys[0]]).await.expect("there is room");
            let error = quick.get::<Option<u32>>(&keys[1]).await.expect_err("no room");
            assert!(names_limit(&error, 1), "{error}");
            let _: Option<u32> =
                watch.send(cmd("GET").key(&keys[0])).await.expect("its own connection");
            drop(watch);
            let _: Option<u32> = quick.get(&keys[1]).await.expect("room");
            assert_eq!(host.usage().sockets_max, 1);
        }
    });
}

/// Beside a blocking command, one other connection serves all nodes.
#[test]
fn a_blocking_command_leaves_the_rest() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        for (host, client) in each_host(&sim, 2) {
            let blocked = client.blpop::<Option<(String, String)>>("list", 3 * SECOND);
            let others = async {
                for _ in 0..3 {
                    let _: Vec<Option<u32>> = client.mget(&keys).await.expect("in turn");
                }
                client.rpush("list", "x").await.expect("in turn");
            };
            let (popped, ()) = join(blocked, others).await;
            assert_eq!(popped.expect("it was served"), Some(("list".into(), "x".into())));
            assert_eq!(host.usage().sockets_max, 2);
        }
    });
}

#[test]
fn subscriptions_of_more_shards_than_connections_say_so() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        for (host, client) in each_host(&sim, 2) {
            let two = client.ssubscribe(&keys[..2]).await.expect("there is room for two");
            drop(two);
            let patient = client.with_timeout(3 * SECOND);
            let error = patient.ssubscribe(&keys[..3]).await.expect_err("no room for three");
            assert_eq!(error.kind(), ErrorKind::Timeout);
            let text = format!("{error:#}");
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            assert!(cause.is_some_and(|cause| cause.contains("connections_max")), "{text}");
            // What it had has gone, or makes room.
            let _: Option<u32> = client.get(&keys[4]).await.expect("room");
            assert_eq!(host.usage().sockets_max, 2);
        }
    });
}

/// A dial whose callers have all gone holds no place, and a dead server one for no longer than a
/// dial may take.
#[test]
fn who_goes_away_leaves_the_place() {
    Sim::cluster(6, 0).run(|sim| async move {
        let keys = keys(&sim);
        let config = || sim.config().connections_max(1).connect_timeout(SECOND);
        for (host, client) in each_host_with(&sim, config) {
            client.set(&keys[0], 1).await.expect("it is there");
            // Nothing answers there, so that the dial is under way for long.
            sim.partition(if host.usage().tasks > 0 { "one" } else { "two" }, "b");
            for key in &keys[2..] {
                let gone = client.with_timeout(50 * MS).get::<Option<u32>>(&keys[1]).await;
                assert!(gone.is_err());
                let mut dropped = Box::pin(client.get::<Option<u32>>(&keys[1]).into_future());
                assert!((&mut dropped).now_or_never().is_none());
                drop(dropped);
                let _: Option<u32> = client.get(key).await.expect("the place of the dial");
            }
            assert_eq!(host.usage().sockets_max, 1);
        }
    });
}

/// Sentinels, the primary and a blocking command have one after the other.
#[test]
fn sentinels_count_too() {
    Sim::sentinel(2, 3).run(|sim| async move {
        for (host, client) in each_host(&sim, 1) {
            client.set("k", "v").await.expect("sentinels first, then the primary");
            sim.advance(15 * SECOND).await;
            assert_eq!(client.get::<String>("k").await.expect("still"), "v");
            client.refresh().await.expect("the sentinels have their turn");
            assert_eq!(client.get::<String>("k").await.expect("still"), "v");
            assert_eq!(host.usage().sockets_max, 1);
        }
    });
}
