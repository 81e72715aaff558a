//! Servers that send nothing: busy, suspended, cut off, replaced. What calls end with, and when, in
//! virtual time.
//!
//! RTT is 1 ms. The progress timeout is 2 s, the command timeout 5 s.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use futures::future::join_all;
use futures::join;
use slotcar::prelude::*;
use slotcar::{Client, Command, Config, Delivery, Error, ErrorKind, Event, Value, cmd};
use slotcar_sim::Sim;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Clients with background tasks and without.
async fn clients(sim: &Sim, config: Config) -> [Client; 2] {
    let with = Client::connect(sim.transport(), config.clone()).await.unwrap();
    let without = Client::connect(sim.transport().without_background(), config).await.unwrap();
    [with, without]
}

async fn timed<T>(sim: &Sim, call: impl Future<Output = T>) -> (T, Duration) {
    let began = sim.now();
    let result = call.await;
    (result, sim.now().since(began))
}

fn pop(time: f64) -> Command {
    cmd("BLPOP").key("q").arg(time)
}

#[test]
fn a_stall_within_the_timeout_fails_nothing() {
    for stall in [SECOND, SECOND * 2, MS * 2500, SECOND * 4] {
        Sim::standalone().seed(1).run(|sim| async move {
            for (which, client) in clients(&sim, sim.config()).await.iter().enumerate() {
                client.set("k", "v").await.unwrap();
                let before = (sim.calls("a", "get"), sim.calls("a", "incr"));
                sim.hang("a");
                sim.later(stall, |sim| sim.restart("a"));
                let writes = join_all((0..20).map(|i| client.incr(format!("{which} {i}"))));
                let reads =
                    join_all((0..20).map(|i| client.get::<Option<u64>>(format!("none {i}"))));
                // These come while nothing answers.
                let later = async {
                    sim.advance(stall - MS * 100).await;
                    join_all((0..20).map(|i| client.incr(format!("later {which} {i}")))).await
                };
                let (writes, reads, later) = join!(writes, reads, later);
                assert!(writes.iter().chain(&later).all(|n| *n.as_ref().unwrap() == 1));
                assert!(reads.iter().all(Result::is_ok), "{stall:?}: {reads:?}");
                let after = (sim.calls("a", "get"), sim.calls("a", "incr"));
                assert_eq!((after.0 - before.0, after.1 - before.1), (20, 40), "{stall:?}");
            }
        });
    }
}

#[test]
fn a_given_timeout_is_kept() {
    Sim::standalone().seed(2).run(|sim| async move {
        for client in clients(&sim, sim.config()).await {
            client.get::<Value>("k").await.unwrap();
            sim.hang("a");
            sim.later(SECOND * 25, |sim| sim.restart("a"));
            let patient = client.with_timeout(SECOND * 30);
            let (patient, hasty) =
                join!(timed(&sim, patient.incr("n")), timed(&sim, client.incr("n")));
            assert!(patient.1 >= SECOND * 25, "{patient:?}");
            patient.0.unwrap();
            let error = hasty.0.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Unknown));
            assert_eq!(hasty.1, SECOND * 5);
        }
    });
}

/// A write that was reported as failed does not undo a later one that was acknowledged.
#[test]
fn what_was_given_up_does_not_run_late() {
    for seed in 0..60 {
        Sim::standalone().seed(seed).run(|sim| async move {
            for client in clients(&sim, sim.config()).await {
                client.set("k", "first").await.unwrap();
                sim.partition("client", "a");
                let old = client.with_timeout(SECOND * 3).set("k", "old").await.unwrap_err();
                assert_eq!(old.delivery(), Delivery::Unknown, "{old}");
                let (new, ()) = join!(client.set("k", "new"), async {
                    sim.advance(SECOND).await;
                    sim.mend("client", "a");
                });
                new.unwrap();
                sim.advance(SECOND * 10).await;
                assert_eq!(sim.peek("a", "k").as_deref(), Some(&b"new"[..]), "seed {seed}");
            }
        });
    }
}

fn check_blocked(error: &Error) {
    let kinds = [ErrorKind::Timeout, ErrorKind::Connect];
    assert!(kinds.contains(&error.kind()), "{error}");
    assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
}

#[test]
fn blocking_calls_end_when_the_server_hangs_or_vanishes() {
    for fault in [Sim::hang, Sim::power_off] {
        Sim::standalone().seed(4).run(|sim| async move {
            for client in clients(&sim, sim.config()).await {
                client.get::<Value>("k").await.unwrap();
                let block = cmd("XREAD").arg("BLOCK").arg(1000).arg("STREAMS").key("s").arg("$");
                let calls = [(pop(1.0), SECOND * 6), (block, SECOND * 6), (pop(0.0), SECOND * 7)];
                sim.later(MS * 100, move |sim| fault(sim, "a"));
                let ends = join_all(calls.map(|(command, limit)| {
                    let (client, sim) = (client.clone(), &sim);
                    async move {
                        let (result, took) = timed(sim, client.send::<Value>(command)).await;
                        check_blocked(&result.unwrap_err());
                        assert!(took <= limit + MS * 200, "{took:?} of {limit:?}");
                    }
                }));
                ends.await;
                sim.restart("a");
            }
        });
    }
}

/// While its server works, a call without an end may wait for hours.
#[test]
fn a_blocking_call_waits_while_its_server_works() {
    Sim::standalone().seed(5).run(|sim| async move {
        for client in clients(&sim, sim.config()).await {
            let popped = client.send::<(String, String)>(pop(0.0));
            let push = async {
                sim.advance(SECOND * 3600).await;
                // A stall that a command would survive.
                sim.hang("a");
                sim.advance(SECOND * 4).await;
                sim.restart("a");
                sim.advance(SECOND * 60).await;
                client.send::<Value>(cmd("RPUSH").key("q").arg("late")).await.unwrap();
            };
            let (popped, ()) = join!(popped, push);
            assert_eq!(popped.unwrap().1, "late");
        }
    });
}

/// A failover while a call is blocked: at a primary that hangs it ends; at one that hands over and
/// lives on, the call goes on at the new primary.
#[test]
fn blocking_calls_follow_a_failover_or_end() {
    for cluster in [true, false] {
        for hangs in [true, false] {
            let builder = if cluster { Sim::cluster(3, 1) } else { Sim::sentinel(1, 3) };
            builder.node_timeout(SECOND).seed(6).run(|sim| async move {
                let client = sim.client(sim.config()).await.unwrap();
                let slot = Sim::slot_of("q");
                let owner = |sim: &Sim| match cluster {
                    true => sim.owner_of(slot),
                    false => sim.agreed_primary().unwrap_or_default(),
                };
                client.send::<Value>(cmd("RPUSH").key("other{q}").arg(1)).await.unwrap();
                let old = owner(&sim);
                let fault = async {
                    sim.advance(SECOND).await;
                    if hangs {
                        sim.hang(&old);
                    } else if cluster {
                        sim.failover(&format!("{old}1"));
                    } else {
                        sim.sentinel_failover(&sim.sentinels()[0]);
                    }
                    sim.advance(SECOND * 40).await;
                    assert_ne!(owner(&sim), old);
                    let push = cmd("RPUSH").key("q").arg("late");
                    client.with_timeout(SECOND * 20).send::<Value>(push).await.unwrap();
                };
                let blocked = timed(&sim, client.send::<(String, String)>(pop(0.0)));
                let ((popped, took), ()) = join!(blocked, fault);
                println!("cluster {cluster}, hangs {hangs}: {took:?}, {popped:?}");
                match popped {
                    Err(error) => {
                        check_blocked(&error);
                        assert!(hangs && took < SECOND * 30, "{took:?}: {error}");
                    }
                    Ok(popped) => assert!(!hangs && popped.1 == "late", "{popped:?}"),
                }
            });
        }
    }
}

/// A read that waits at a primary that hangs is answered by the one that takes its place.
#[test]
fn what_waits_at_a_replaced_primary_is_freed_by_the_failover() {
    Sim::cluster(3, 1).node_timeout(SECOND).seed(7).run(|sim| async move {
        for client in clients(&sim, sim.config()).await {
            let patient = client.with_timeout(SECOND * 60);
            client.set("k", 1).await.unwrap();
            let old = sim.owner_of(Sim::slot_of("k"));
            sim.advance(SECOND).await;
            sim.hang(&old);
            let (read, write) =
                join!(timed(&sim, patient.get::<u64>("k")), timed(&sim, patient.incr("k")));
            println!("read {:?}, write {:?}", read.1, write.1);
            assert_eq!(read.0.unwrap(), 1);
            assert_eq!(write.0.unwrap_err().delivery(), Delivery::Unknown);
            assert!(read.1 < SECOND * 8 && write.1 < SECOND * 8, "{:?} {:?}", read.1, write.1);
            sim.restart(&old);
            sim.advance(SECOND * 20).await;
        }
    });
}

/// The events of a silence that ends well: the node is lost at most once, and then back.
#[test]
fn a_silence_that_ends_is_told_as_such() {
    Sim::standalone().seed(8).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        let mut events = client.events();
        sim.hang("a");
        sim.later(SECOND * 6, |sim| sim.restart("a"));
        client.with_timeout(SECOND * 10).incr("n").await.unwrap();
        let dials = client.metrics().dials;
        client.close();
        let mut lost = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::NodeLost { .. } => lost += 1,
                Event::NodeBack { .. } => lost -= 1,
                _ => {}
            }
        }
        assert_eq!(lost, 0);
        assert!(dials < 10, "{dials}");
    });
}
