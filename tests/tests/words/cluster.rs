//! The same in a cluster, where the server has redirects of its own: a script follows those, and
//! none that it makes up.

use super::{TEXTS, config, connect, is_an_answer, ran_once_on_every_way};
use slotcar::command::{eval, incr};
use slotcar::prelude::*;
use slotcar::{Delivery, Error, ErrorKind, Script};
use slotcar_tests::polling::run;
use slotcar_tests::real::cluster::{key_in, slot_of};
use slotcar_tests::real::{Cluster, Script as ScriptedServer, Version};

/// Two keys, and a counter in the first.
const COUNTS: &str = "redis.call('GET', KEYS[2]) return redis.call('INCR', KEYS[1])";

#[test]
fn a_script_in_a_cluster_runs_once_whatever_it_answers() {
    for name in ["redis-6.0", "valkey-9.1"] {
        let Some(version) = Version::named(name) else { continue };
        let cluster = Cluster::of(&version).replicas(0).start();
        run(async {
            let client = connect(config(&cluster.url())).await;
            for (serial, text) in TEXTS.into_iter().enumerate() {
                ran_once_on_every_way(&client, text, serial).await;
            }
            // What the server itself would say if it did not own the slot.
            for serial in 100..110 {
                let slot = slot_of(&serial.to_string());
                for node in cluster.nodes() {
                    for code in ["MOVED", "ASK"] {
                        let text = format!("{code} {slot} {}", node.address());
                        client.send::<()>(slotcar::cmd("FLUSHALL")).await.expect("idle nodes");
                        ran_once_on_every_way(&client, &text, serial).await;
                    }
                }
            }
            let metrics = client.metrics();
            assert_eq!((metrics.redirects, metrics.retries), (0, 0), "{name}");
        });
    }
}

/// Where a script says that its slot is at an address that no node has, nothing is dialled.
#[test]
fn a_script_leads_nobody_to_a_stranger() {
    let stranger = ScriptedServer::answering(|_| Some(b"+OK\r\n".to_vec()));
    let cluster = Cluster::of(&Version::any()).replicas(0).password("secret").start();
    run(async {
        let client = connect(config(&cluster.url())).await;
        for code in ["MOVED", "ASK"] {
            let text = format!("{code} {} {}", slot_of("k"), stranger.address());
            let body = "return redis.error_reply(ARGV[1])";
            is_an_answer(client.eval::<()>(body, "k", &*text).await, &text, code);
            let pipeline = client.pipeline().add(eval(body, "k", &*text));
            let mut results = pipeline.run_each().await.expect("it was sent");
            is_an_answer(results.swap_remove(0), &text, code);
        }
    });
    assert_eq!(stranger.accepted(), 0);
    assert!(stranger.commands().is_empty());
}

/// A slot moves, key by key, while scripts with two of its keys run on every way: each runs once,
/// and none fails.
#[test]
fn scripts_follow_a_slot_that_moves() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(version) = Version::named(name) else { continue };
        let cluster = Cluster::of(&version).replicas(0).start();
        let tag = key_in(100);
        let key = |n: usize| format!("{tag}:{n}");
        run(async {
            let client = connect(config(&cluster.url())).await;
            let script = Script::new(COUNTS);
            client.script_load(COUNTS).await.expect("idle nodes");
            client.mset((0..20).map(|n| (key(n), 0))).await.expect("idle nodes");
            let mut wanted = 0;
            let mut count = async || {
                for n in 0..20 {
                    // Where one of two keys has left, the server says TRYAGAIN; so not here.
                    let same = [key(n), key(n)];
                    let single: i64 = client.run_script(&script, &same[..], "x").await?;
                    let pipeline = client.pipeline().add(eval(COUNTS, &same[..], "x"));
                    let (other,) =
                        pipeline.add(incr("n")).run::<(i64, i64)>().await.map(|p| (p.0,))?;
                    assert_eq!((single, other), (wanted + 1, wanted + 2), "{name} {n}");
                }
                wanted += 2;
                Ok::<(), Error>(())
            };
            count().await.expect("nothing moves");
            for (from, to) in [(0, 1), (1, 2)] {
                cluster.begin_move(100, to);
                let keys: Vec<String> = (0..10).map(key).collect();
                cluster.migrate(&keys, from, to);
                count().await.expect("half of it is there");
                cluster.migrate_keys(100, from, to);
                cluster.finish_move(100, from, to);
                count().await.expect("all of it is there");
            }
            assert!(client.metrics().redirects > 0, "{name}: the scripts did not notice");
        });
    }
}

/// While some keys of a script are here and some there, the server refuses it with a text that a
/// script may have as well: it fails, and says what to do. In a transaction the server refuses it
/// before EXEC, and so it waits.
#[test]
fn a_script_waits_for_a_half_moved_slot_in_a_transaction_only() {
    let Some(version) = Version::named("valkey-9.1") else { return };
    let cluster = Cluster::of(&version).replicas(0).start();
    let tag = key_in(100);
    let keys = [format!("{tag}:1"), format!("{tag}:2")];
    run(async {
        let client = connect(config(&cluster.url())).await;
        client.mset(keys.iter().map(|key| (key, 0))).await.expect("idle nodes");
        cluster.begin_move(100, 1);
        cluster.migrate(&keys[1..], 0, 1);
        let error = client.eval::<i64>(COUNTS, &keys[..], "x").await.expect_err("it is half moved");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Answered));
        let text = error.to_string();
        assert!(text.contains("TRYAGAIN") && text.contains("in a transaction"), "{text}");
        let retries = client.metrics().retries;
        let transaction = client.transaction().add(eval(COUNTS, &keys[..], "x"));
        let script = transaction.run::<(i64,)>();
        let end = async {
            while client.metrics().retries < retries + 2 {
                smol::Timer::after(std::time::Duration::from_millis(1)).await;
            }
            cluster.migrate(&keys[..1], 0, 1);
            cluster.finish_move(100, 0, 1);
        };
        let (count, ()) = futures::future::join(script, end).await;
        assert_eq!(count.expect("the move has ended"), (1,));
    });
}

/// The deployment says that there is no cluster: a redirect is an answer, which names the way out.
#[test]
fn a_redirect_to_a_client_without_a_cluster_is_an_error() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    let url = format!("redis://{}", cluster.node(0).address());
    let key = key_in(16000);
    run(async {
        let client = connect(config(&url)).await;
        for result in [
            client.incr(&key).await,
            client.pipeline().add(incr(&key)).run::<(i64,)>().await.map(|(n,)| n),
            client.transaction().add(incr(&key)).run::<(i64,)>().await.map(|(n,)| n),
        ] {
            let error = result.expect_err("it is elsewhere");
            let seen = (error.kind(), error.delivery(), error.attempts());
            assert_eq!(seen, (ErrorKind::Server, Delivery::Refused, 1), "{error}");
            let text = error.to_string();
            assert!(text.contains("MOVED") && text.contains("as a cluster"), "{text}");
        }
        assert_eq!(client.metrics().redirects, 0);
    });
}
