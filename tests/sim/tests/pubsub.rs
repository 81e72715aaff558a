//! Subscriptions in simulated deployments, with and without background tasks: named scenarios, and
//! faults drawn from a seed.
//!
//! Invariants of every run: the numbers of one publisher come in order. A number that a server
//! reported as sent to the subscriber is missing only where the stream reports a gap.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use futures::future::{Either, join, select};
use slotcar::config::{SubscriptionConnection, WhenLagging};
use slotcar::prelude::*;
use slotcar::{Client, Subscription, Update};
use slotcar_sim::check::Deployment;
use slotcar_sim::{Faults, Rng, Sim};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use updates::{MS, both, client, next, next_sorted, update_text};

mod updates;

#[test]
fn one_server() {
    both(Sim::standalone, |sim, background| async move {
        let client = client(&sim, background, sim.config());
        let mut all = client.subscribe(["a", "b"]).await.unwrap();
        all.psubscribe("c*");
        all.ready().await.unwrap();
        assert_eq!(next_sorted(&mut all, 3).await, ["+a", "+b", "+c*"]);
        for number in 0..50 {
            client.publish("a", number).await.unwrap();
        }
        client.publish("cat", "meow").await.unwrap();
        for number in 0..50 {
            assert_eq!(next(&mut all).await, format!("a={number}"));
        }
        assert_eq!(next(&mut all).await, "cat=meow");
        sim.reset_connections("a");
        assert_eq!(next_sorted(&mut all, 3).await, ["gap a", "gap b", "gap c*"]);
        client.publish("b", 1).await.unwrap();
        assert_eq!(next(&mut all).await, "b=1");
    });
}

/// One call is polled once and never again; messages come all the same.
#[test]
fn a_parked_call_holds_no_message_back() {
    both(Sim::standalone, |sim, background| async move {
        let client = client(&sim, background, sim.config());
        let other = sim.client(sim.config()).await.unwrap();
        let mut all = client.subscribe("a").await.unwrap();
        assert_eq!(next(&mut all).await, "+a");
        let mut parked = pin!(async { client.get::<Option<String>>("k").await });
        assert!(futures::poll!(parked.as_mut()).is_pending());
        for number in 0..10 {
            other.publish("a", number).await.unwrap();
            assert_eq!(next(&mut all).await, format!("a={number}"));
        }
    });
}

#[test]
fn a_slot_moves_below_an_idle_subscriber() {
    both(
        || Sim::cluster(3, 1),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            let mut all = client.ssubscribe(["foo", "{foo}2"]).await.unwrap();
            next_sorted(&mut all, 2).await;
            let slot = Sim::slot_of("foo");
            let (from, began) = (sim.owner_of(slot), sim.now());
            let to = if from == "a" { "b" } else { "a" };
            sim.move_slot(slot, to);
            let reported = next_sorted(&mut all, 4).await;
            assert_eq!(reported, ["gap foo", "gap {foo}2", "moved foo", "moved {foo}2"]);
            let took = sim.now().since(began);
            assert!(took < MS * 20, "{took:?}");
            assert_eq!(client.spublish("foo", "hi").await.unwrap(), 1);
            assert_eq!(next(&mut all).await, "foo=hi");
            assert!(sim.shard_channels(&from).is_empty());
        },
    );
}

/// S47: a failover with the old primary alive as a replica.
#[test]
fn s47_a_failover_with_the_old_primary_alive() {
    both(
        || Sim::cluster(3, 1).seed(47),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            let publisher = sim.client(sim.config()).await.unwrap();
            let mut all = client.ssubscribe("foo").await.unwrap();
            assert_eq!(next(&mut all).await, "+foo");
            let old = sim.owner_of(Sim::slot_of("foo"));
            let done = Rc::new(Cell::new(false));
            let publish = {
                let (sim, done, old) = (sim.clone(), Rc::clone(&done), old.clone());
                async move {
                    let mut sent = Sent::default();
                    for number in 0..2000_u64 {
                        if number == 500 {
                            sim.failover(&format!("{old}1"));
                        }
                        sent.note(number, publisher.spublish("foo", number).await.ok());
                        sim.advance(MS * 2).await;
                    }
                    done.set(true);
                    sent
                }
            };
            let (sent, stream) = join(publish, read_until(&sim, &mut all, &done)).await;
            sent.judge(&stream, 47);
            let lost = sent.missing(&stream);
            println!("background: {background}; {} lost, {:?}", lost.len(), marks(&stream));
            assert!(lost.len() <= 5, "what one round trip holds: {lost:?}");
            assert!(stream.iter().filter(|w| w.starts_with("gap")).count() <= 1);
            assert!(sim.is_primary(&format!("{old}1")));
        },
    );
}

/// S48: a publisher that does not stop, and a reader that sleeps.
#[test]
fn s48_a_reader_that_sleeps_for_ten_seconds() {
    const COUNT: u64 = 100_000;
    for policy in [WhenLagging::DropOldest, WhenLagging::DropNewest] {
        Sim::standalone().run(|sim| async move {
            let client = client(&sim, true, sim.config());
            let all = client.subscribe("a").bytes_max(1 << 20).when_lagging(policy);
            let mut all = all.await.unwrap();
            assert_eq!(next(&mut all).await, "+a");
            let publish = async {
                for part in 0..COUNT / 100 {
                    let mut pipeline = client.pipeline();
                    for number in 0..100 {
                        pipeline.push(slotcar::command::publish("a", part * 100 + number));
                    }
                    let _: Vec<u64> = pipeline.run().await.unwrap();
                    sim.advance(MS * 10).await;
                }
            };
            join(publish, sim.advance(MS * 10_000)).await;
            sim.advance(MS * 100).await;
            let stand = all.backlog();
            assert_eq!(stand.received, COUNT);
            assert!(stand.bytes <= 1 << 20, "{stand:?}");
            let (mut expected, mut lost) = (0, 0);
            while expected < COUNT {
                match all.try_next().expect("all of it is here") {
                    Update::Message(message) => {
                        assert_eq!(message.text().unwrap(), expected.to_string());
                        expected += 1;
                    }
                    Update::Lagged(count) => {
                        expected += count;
                        lost += count;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(lost, all.backlog().dropped);
            assert_eq!(all.backlog().delivered + lost, COUNT);
            assert!(lost > 0, "{policy:?}");
        });
    }
}

/// S49: unsubscribe while disconnected, and subscribe again at once.
#[test]
fn s49_what_was_removed_while_disconnected_stays_removed() {
    both(
        || Sim::cluster(3, 1).seed(49),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            let mut all = client.ssubscribe(["foo", "{foo}2"]).await.unwrap();
            next_sorted(&mut all, 2).await;
            let owner = sim.owner_of(Sim::slot_of("foo"));
            sim.partition("client", &owner);
            sim.reset_connections(&owner);
            let _ = all.next_within(MS * 50).await;
            all.sunsubscribe(["foo", "{foo}2"]);
            all.ssubscribe(["{foo}2", "{foo}3"]);
            let _ = all.next_within(MS * 10).await;
            sim.mend("client", &owner);
            while !all.is_live() {
                let _ = all.next_within(MS * 10).await;
            }
            sim.advance(MS * 5).await;
            assert_eq!(sim.shard_channels(&owner), ["{foo}2", "{foo}3"]);
            all.sunsubscribe("{foo}2");
            all.ssubscribe("{foo}2");
            while !all.is_live() {
                let _ = all.next_within(MS * 10).await;
            }
            sim.advance(MS * 5).await;
            assert_eq!(sim.shard_channels(&owner), ["{foo}2", "{foo}3"]);
        },
    );
}

/// A primary hangs below an idle subscriber: the health check finds out.
#[test]
fn a_hung_primary_is_left_by_an_idle_subscriber() {
    both(
        || Sim::cluster(3, 1).seed(5),
        |sim, background| async move {
            let config = sim.config().probe_interval(MS * 1000).progress_timeout(MS * 1000);
            let client = client(&sim, background, config);
            let mut all = client.ssubscribe("foo").await.unwrap();
            assert_eq!(next(&mut all).await, "+foo");
            let owner = sim.owner_of(Sim::slot_of("foo"));
            sim.hang(&owner);
            let began = sim.now();
            assert_eq!(next(&mut all).await, "moved foo");
            assert_eq!(next(&mut all).await, "gap foo");
            let took = sim.now().since(began);
            println!("background: {background}; back after {took:?}");
            assert!(took < Duration::from_secs(6), "{took:?}");
        },
    );
}

#[test]
fn subscriptions_follow_a_service() {
    both(
        || Sim::sentinel(2, 3).seed(6),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            let mut all = client.subscribe("a").await.unwrap();
            assert_eq!(next(&mut all).await, "+a");
            let old = sim.agreed_primary().unwrap();
            sim.kill(&old);
            assert_eq!(next(&mut all).await, "moved a");
            assert_eq!(next(&mut all).await, "gap a");
            client.with_timeout(Duration::from_secs(10)).publish("a", "hi").await.unwrap();
            assert_eq!(next(&mut all).await, "a=hi");
        },
    );
}

/// What was published, and what the servers reported about it.
#[derive(Default)]
struct Sent {
    /// Numbers that at least one subscriber was sent.
    seen: BTreeSet<u64>,
}

impl Sent {
    fn note(&mut self, number: u64, receivers: Option<u64>) {
        if receivers.is_some_and(|count| count > 0) {
            self.seen.insert(number);
        }
    }

    /// Numbers that were sent to a subscriber and did not come.
    fn missing(&self, stream: &[String]) -> Vec<u64> {
        let came: BTreeSet<u64> = stream.iter().filter_map(|text| number(text)).collect();
        self.seen.difference(&came).copied().collect()
    }

    /// The numbers are in order, and none is missing without a reported gap.
    fn judge(&self, stream: &[String], seed: u64) {
        let mut last: Option<u64> = None;
        let mut reported = false;
        for text in stream {
            let Some(number) = number(text) else {
                reported |= text.starts_with("gap");
                continue;
            };
            // A number without an acknowledgement may have been in flight, and may have come late.
            if !self.seen.contains(&number) {
                continue;
            }
            if let Some(last) = last
                && !reported
            {
                assert!(number > last, "seed {seed}: {number} after {last}");
                let missing: Vec<_> = self.seen.range(last + 1..number).collect();
                assert!(missing.is_empty(), "seed {seed}: {missing:?} before {number}, untold");
            }
            reported = false;
            last = Some(last.map_or(number, |last| last.max(number)));
        }
    }
}

/// The number in a message.
fn number(text: &str) -> Option<u64> {
    text.split_once('=')?.1.parse().ok()
}

/// All events of a stream except messages.
fn marks(stream: &[String]) -> Vec<&String> {
    stream.iter().filter(|text| number(text).is_none()).collect()
}

/// Reads until the publisher is done and no message came for a while.
async fn read_until(sim: &Sim, all: &mut Subscription, done: &Cell<bool>) -> Vec<String> {
    let mut stream = Vec::new();
    let mut idle = 0;
    while !done.get() || idle < 20 {
        match select(pin!(all.next()), pin!(sim.advance(MS * 10))).await {
            Either::Left((Some(update), _)) => {
                stream.push(update_text(&update));
                idle = 0;
            }
            Either::Left((None, _)) => panic!("the stream goes on"),
            Either::Right(_) => idle += 1,
        }
    }
    stream
}

/// Any deployment, any faults: the accounting holds, and afterwards all subscriptions work.
async fn any_faults(sim: Sim, seed: u64, deployment: Deployment) {
    let mut rng = Rng::new(seed);
    let faults = Faults::draw(seed, deployment);
    let config = sim.config().command_timeout(MS * 500).probe_interval(MS * 1000);
    let shared = SubscriptionConnection::Shared;
    let config = if rng.chance(400) { config.subscription_connection(shared) } else { config };
    let client = client(&sim, rng.chance(600), config);
    let publisher =
        Client::connect_lazy(sim.transport(), sim.config().command_timeout(MS * 300)).unwrap();
    let sharded = deployment == Deployment::Cluster || rng.chance(300);
    let channel = ["foo", "bar", "hi"][rng.index(3)];
    let start = if sharded { client.ssubscribe(channel) } else { client.subscribe(channel) };
    let start = if rng.chance(200) { start.own_connection() } else { start };
    let mut all = start.start().unwrap();
    let done = Cell::new(false);
    let sent = RefCell::new(Sent::default());
    let publish = async {
        let mut number = 0_u64;
        let end = sim.now().after(faults.span);
        while sim.now() < end {
            let receivers = if sharded {
                publisher.spublish(channel, number).await
            } else {
                publisher.publish(channel, number).await
            };
            // Classic messages in a cluster are counted where they are published, which may be
            // elsewhere; there are none here.
            sent.borrow_mut().note(number, receivers.ok());
            number += 1;
            sim.advance(MS * 5).await;
        }
        done.set(true);
    };
    let read = read_until(&sim, &mut all, &done);
    let (((), ()), mut stream) = join(join(publish, sim.suffer(&faults)), read).await;
    sim.recover();
    let limit = sim.now().after(Duration::from_secs(90));
    let client = publisher.with_timeout(Duration::from_secs(5));
    let last = 1_000_000;
    loop {
        assert!(sim.now() < limit, "seed {seed}: not subscribed again: {:?}", marks(&stream));
        let sending = if sharded {
            client.spublish(channel, last).await
        } else {
            client.publish(channel, last).await
        };
        let came =
            all.next_within(MS * 200).await.ok().flatten().map(|update| update_text(&update));
        let arrived = came.as_deref().and_then(number) == Some(last);
        stream.extend(came);
        if arrived && sending.is_ok() {
            break;
        }
    }
    sent.borrow_mut().note(last, Some(1));
    sent.borrow().judge(&stream, seed);
    let gaps = stream.iter().filter(|text| text.starts_with("gap")).count();
    let confirmed = stream.iter().filter(|text| text.starts_with('+')).count();
    assert_eq!(confirmed, 1, "seed {seed}: confirmed once, then by gaps ({gaps})");
    let stand = all.backlog();
    assert_eq!(stand.received, stand.delivered + stand.dropped + stand.messages as u64);
}

fn seeds(deployment: Deployment, build: impl Fn(u64) -> slotcar_sim::SimBuilder, count: u64) {
    let (from, count) = match std::env::var("SLOTCAR_PUBSUB_SEEDS") {
        Ok(range) => {
            let (from, count) = range.split_once('+').expect("FROM+COUNT");
            (from.parse().unwrap(), count.parse().unwrap())
        }
        Err(_) => (0, count),
    };
    for seed in from..from + count {
        build(seed).run(|sim| any_faults(sim, seed, deployment));
    }
}

#[test]
fn any_faults_on_one_server() {
    seeds(Deployment::Standalone, |seed| Sim::standalone().seed(seed), 300);
}

#[test]
fn any_faults_in_a_cluster() {
    seeds(Deployment::Cluster, |seed| Sim::cluster(3, 1).seed(seed), 200);
}

#[test]
fn any_faults_behind_sentinels() {
    seeds(Deployment::Sentinel, |seed| Sim::sentinel(2, 3).seed(seed), 100);
}
