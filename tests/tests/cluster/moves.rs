//! Slots that move under load, completely and half-way, with callers that cancel.
//!
//! **Invariant**: no caller gets an error, and no command runs twice.

use super::load::{Load, SLOTS};
use slotcar::command::{cmd, get, incr, set};
use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Version};
use smol::future::poll_once;
use std::time::{Duration, Instant};

fn config(cluster: &Cluster) -> Config {
    Config::from_url(&cluster.url())
        .expect("a cluster has a good URL")
        .command_timeout(Duration::from_secs(1))
}

/// Each of the nine slots of the load moves twice.
const MOVES: u64 = 18;

#[test]
fn loaded_slots_are_resharded_without_an_error() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    let load = Load::start(config(&cluster));
    let client = load.client.clone();
    smol::block_on(async {
        for slot in SLOTS {
            let key = key_in(slot);
            let mut pipeline = client.pipeline();
            (0..300).for_each(|n| pipeline.push(set(format!("{key}:{n}"), n)));
            pipeline.run::<Vec<()>>().await.unwrap();
        }
    });
    let before = client.metrics();
    for round in 1..3 {
        for (at, slot) in SLOTS.into_iter().enumerate() {
            let to = (at / 3 + round) % 3;
            if cluster.primary_of(slot) != to {
                cluster.move_slot(slot, to);
            }
        }
    }
    load.wait_until_recovered(Instant::now());
    let after = client.metrics();
    let record = load.stop();
    let redirects = after.redirects - before.redirects;
    println!(
        "{MOVES} moves of loaded slots: worst call {:?}, {redirects} redirects, {} refreshes",
        record.worst(|_| true),
        after.refreshes - before.refreshes
    );
    // One at least for each move, and more where the load ran while the keys were on their way.
    assert!(redirects > MOVES, "the load did not run during the moves: {redirects} redirects");
    let errors = record.errors(|_| true);
    assert!(errors.is_empty(), "{} errors; one of them: {:?}", errors.len(), errors[0]);
    assert!(record.worst(|_| true) < Duration::from_secs(1));
    record.assert_counted_once(&client);
}

/// Some keys of a slot have moved and some have not: the old owner replies ASK for those that have.
/// Only refused commands are sent again, each behind an ASKING of its own.
#[test]
fn a_pipeline_over_a_slot_on_the_move_runs_every_command_once() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&cluster)).await.unwrap();
        let tag = key_in(100);
        let keys: Vec<String> = (0..40).map(|n| format!("{tag}:{n}")).collect();
        let others = [6000, 12000].map(key_in);
        client.mset(keys.iter().map(|key| (key, 0))).await.unwrap();
        client.mset(others.iter().map(|key| (key, 0))).await.unwrap();
        cluster.begin_move(100, 1);
        cluster.migrate(&keys[..20], 0, 1);
        for round in 1..=5 {
            let mut pipeline = client.pipeline();
            for (key, other) in keys.iter().zip(others.iter().cycle()) {
                pipeline.push(incr(key));
                pipeline.push(incr(other));
            }
            let values: Vec<i64> = pipeline.run().await.unwrap();
            for (at, value) in values.iter().step_by(2).enumerate() {
                assert_eq!(*value, round, "{}", keys[at]);
            }
        }
        let values: Vec<i64> = client.mget(&others).await.unwrap();
        assert_eq!(values, [100, 100]);
        // Keys on both sides: TRYAGAIN until the move is over, and no error then.
        let both = [&keys[0], &keys[30]];
        // The move is finished while the call is not polled, however long that takes.
        let patient = client.with_timeout(Duration::from_secs(20));
        let mut calm = Box::pin(patient.mget::<Vec<i64>>(both));
        let waits = poll_once(&mut calm).await.is_none();
        assert!(waits, "it is on its way");
        cluster.migrate(&keys[20..], 0, 1);
        cluster.finish_move(100, 0, 1);
        assert_eq!(calm.await.unwrap(), [5, 5]);
    });
}

/// A caller that cancels between ASKING and its command leaves no ASKING to the next command.
#[test]
fn callers_that_cancel_during_a_move_harm_no_other() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&cluster)).await.unwrap();
        let tag = key_in(100);
        let key = |n: usize| format!("{tag}:{n}");
        client.mset((0..50).map(|n| (key(n), n))).await.unwrap();
        cluster.begin_move(100, 2);
        cluster.migrate(&(0..25).map(key).collect::<Vec<_>>(), 0, 2);
        for round in 0..200 {
            let mut gone: Vec<_> =
                (0..10).map(|n| Some(Box::pin(client.send::<i64>(get(key(n)))))).collect();
            let mut pipeline = client.pipeline();
            (0..10).for_each(|n| pipeline.push(get(key(n * 5))));
            let batch = Box::pin(pipeline.run::<Vec<i64>>());
            let mut batch = Some(batch);
            for _ in 0..round % 5 {
                for call in &mut gone {
                    if let Some(running) = call
                        && poll_once(running).await.is_some()
                    {
                        *call = None;
                    }
                }
                if let Some(running) = &mut batch
                    && poll_once(running).await.is_some()
                {
                    batch = None;
                }
                smol::future::yield_now().await;
            }
            drop((gone, batch));
            for n in [round % 50, (round * 7 + 3) % 50] {
                assert_eq!(client.get::<usize>(key(n)).await.unwrap(), n);
            }
        }
        // This key has not moved: behind an ASKING that was left over it would be missing.
        let other = cmd("EXISTS").arg(key(49));
        assert_eq!(client.send::<u64>(other).await.unwrap(), 1);
        cluster.migrate(&(25..50).map(key).collect::<Vec<_>>(), 0, 2);
        cluster.finish_move(100, 0, 2);
        assert_eq!(client.get::<usize>(key(49)).await.unwrap(), 49);
    });
}
