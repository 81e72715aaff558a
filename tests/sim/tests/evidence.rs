//! Sources of one standing that disagree: sentinels of one epoch, nodes of one epoch, addresses
//! that are remembered and dead. The one that answers and proves its role wins, and what nobody can
//! reach is given up.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use load::{MS, SECOND, keys_of};
use slotcar::prelude::*;
use slotcar::{Client, Endpoint, Value, cmd};
use slotcar_sim::Sim;
use std::time::Duration;

/// A sentinel believes this from now on, and hears nothing that could teach it better.
fn cut_off(sim: &Sim, sentinel: &str, primary: &str, epoch: u64) {
    for server in sim.servers() {
        if server != sentinel {
            sim.partition(&server, sentinel);
        }
    }
    for other in sim.sentinels() {
        if other != sentinel {
            sim.partition_one_way(sentinel, &other);
        }
    }
    sim.mislead(sentinel, primary, epoch);
}

/// Waits until a write gets through; how long that took.
async fn until_written(sim: &Sim, client: &Client, limit: Duration) -> Duration {
    let start = sim.now();
    let hasty = client.with_timeout(SECOND);
    loop {
        if hasty.set("k", "v").await.is_ok() {
            return sim.now().since(start);
        }
        let took = sim.now().since(start);
        assert!(took < limit, "no write got through for {took:?}");
        sim.advance(MS * 10).await;
    }
}

/// Writes for a while; every write gets through.
async fn write_on(sim: &Sim, client: &Client, span: Duration) {
    let end = sim.now().after(span);
    while sim.now() < end {
        client.set("k", "v").await.unwrap();
        sim.advance(MS * 100).await;
    }
}

/// Most sentinels name a server that is dead, one names the primary, all in the same epoch; for new
/// clients and for one that knew the dead one as the primary.
#[test]
fn a_living_primary_beats_the_votes_for_a_dead_one() {
    for (seed, dead) in [(1, "a"), (2, "a1"), (3, "a2")] {
        Sim::sentinel(2, 3).seed(seed).run(|sim| async move {
            let primary = sim.agreed_primary().unwrap();
            // Two servers that are not the primary at the end: one of them is dead.
            if dead == primary {
                let known = sim.client(sim.config()).await.unwrap();
                known.set("k", "v").await.unwrap();
                sim.kill(dead);
                while sim.agreed_primary().is_none_or(|now| now == dead) {
                    sim.advance(MS * 10).await;
                }
                let epoch = sim.config_epoch("s1");
                for sentinel in ["s2", "s3"] {
                    cut_off(&sim, sentinel, dead, epoch);
                }
                until_written(&sim, &known, SECOND * 10).await;
            } else {
                sim.kill(dead);
                let epoch = sim.config_epoch("s1");
                for sentinel in ["s2", "s3"] {
                    cut_off(&sim, sentinel, dead, epoch);
                }
            }
            let client = Client::connect_lazy(sim.transport(), sim.config()).unwrap();
            let took = until_written(&sim, &client, SECOND * 10).await;
            println!("{dead} is dead: {took:?}");
            write_on(&sim, &client, SECOND * 30).await;
            assert!(sim.is_primary(&sim.believed_by("s1")));
        });
    }
}

/// The only sentinel that can be reached is cut off from the others and names a dead server, in the
/// epoch that is known: the primary that works stays.
#[test]
fn a_sentinel_that_is_cut_off_takes_no_working_primary_away() {
    Sim::sentinel(1, 3).seed(4).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        client.set("k", "v").await.unwrap();
        let primary = sim.agreed_primary().unwrap();
        let other = if primary == "a" { "a1" } else { "a" };
        let epoch = sim.config_epoch("s1");
        sim.kill(other);
        cut_off(&sim, "s1", other, epoch);
        for sentinel in ["s2", "s3"] {
            sim.kill(sentinel);
        }
        client.refresh().await.unwrap();
        write_on(&sim, &client, SECOND * 60).await;
    });
}

/// A cut off sentinel has the latest epoch, and its primary refuses, or swallows, every dial.
/// Without a limit the client would wait for that one, although another primary serves everybody
/// else.
#[test]
fn a_dead_primary_of_a_later_epoch_is_given_up() {
    for (seed, refuses) in [(5, true), (6, false)] {
        Sim::sentinel(2, 3).seed(seed).run(|sim| async move {
            let primary = sim.agreed_primary().unwrap();
            let dead = if primary == "a" { "a1" } else { "a" };
            if refuses {
                sim.kill(dead);
            } else {
                sim.power_off(dead);
            }
            let epoch = sim.config_epoch("s1") + 5;
            cut_off(&sim, "s1", dead, epoch);
            let client = Client::connect_lazy(sim.transport(), sim.config()).unwrap();
            let took = until_written(&sim, &client, SECOND * 30).await;
            println!("refuses: {refuses}, given up after {took:?}");
            write_on(&sim, &client, SECOND * 60).await;
        });
    }
}

/// Both claim to be the primary, in one epoch: the one that the replicas follow is.
#[test]
fn of_two_primaries_the_one_with_replicas_is_taken() {
    for seed in 6..9 {
        Sim::sentinel(2, 3).seed(seed).run(|sim| async move {
            let primary = sim.agreed_primary().unwrap();
            let epoch = sim.config_epoch("s1");
            let loner = if primary == "a" { "a1" } else { "a" };
            for sentinel in ["s2", "s3"] {
                cut_off(&sim, sentinel, loner, epoch);
            }
            // No sentinel that could correct it reaches it.
            for sentinel in ["s1", "s2", "s3"] {
                sim.partition_one_way(sentinel, loner);
            }
            let direct = slotcar::Config::default().endpoints([sim.endpoint(loner)]);
            let direct = Client::connect(sim.transport(), direct).await.unwrap();
            direct.send::<()>(cmd("REPLICAOF").arg("NO").arg("ONE")).await.unwrap();
            let client = Client::connect_lazy(sim.transport(), sim.config()).unwrap();
            until_written(&sim, &client, SECOND * 10).await;
            write_on(&sim, &client, SECOND * 20).await;
            assert_eq!(sim.peek(&primary, "k").as_deref(), Some(&b"v"[..]));
            let role: Value = direct.send(cmd("ROLE")).await.unwrap();
            assert_eq!(role.as_slice().unwrap()[0].as_str(), Some("master"), "it claims to be one");
        });
    }
}

/// Every address that the client remembers is dead, refuses, or takes connections and answers
/// nothing; the configured name leads to the cluster at its new addresses.
#[test]
fn configured_names_are_asked_when_all_that_is_remembered_is_dead() {
    for (seed, shards) in [(10, 3), (11, 20)] {
        Sim::cluster(shards, 1).seed(seed).time_limit(SECOND * 3600).run(|sim| async move {
            let keys = keys_of(0..=16383, 8);
            let first = sim.client(sim.config()).await.unwrap();
            for key in &keys {
                first.set(key, 1).await.unwrap();
            }
            // Known by numeric addresses only, as a stored topology has them.
            let stored = first.topology();
            sim.readdress_all([10, 9, 0]);
            let name = sim.servers()[0].clone();
            let config = sim.config().endpoints([Endpoint::tcp(&format!("{name}.sim"), 6379)]);
            let client = Client::with_topology(sim.transport(), config, &stored).unwrap();
            let start = sim.now();
            let hasty = client.with_timeout(SECOND * 2);
            for key in &keys {
                while hasty.get::<Option<u32>>(key).await.is_err() {
                    let took = sim.now().since(start);
                    assert!(took < SECOND * 20, "{shards} shards: nothing after {took:?}");
                }
            }
            println!("{shards} shards: all answer after {:?}", sim.now().since(start));
        });
    }
}
