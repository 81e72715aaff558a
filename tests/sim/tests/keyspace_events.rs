//! Keyspace events in simulated clusters: each primary tells of its own keys, and a subscriber
//! hears all of them, whatever moves.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use futures::future::{Either, join, select};
use slotcar::command::cmd;
use slotcar::config::SubscriptionConnection;
use slotcar::prelude::*;
use slotcar::{Client, Subscription, Update};
use slotcar_sim::check::Deployment;
use slotcar_sim::{Faults, Rng, Sim};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;
use updates::{MS, both, client, next, next_sorted, update_text};

mod updates;

/// Lets every server tell of keys.
async fn tell_of_keys(client: &Client) {
    let set = cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg("KEA");
    client.send::<()>(set).await.unwrap();
}

fn key(number: u64) -> String {
    format!("k{number}")
}

/// Sets keys, and reads until the event of each has come. Fails on any event that comes twice, and
/// on anything else.
async fn each_once(client: &Client, all: &mut Subscription, numbers: std::ops::Range<u64>) {
    let mut expected = BTreeSet::new();
    for number in numbers {
        client.set(key(number), "v").await.unwrap();
        expected.insert(format!("__keyevent@0__:set={}", key(number)));
    }
    while !expected.is_empty() {
        let came = next(all).await;
        assert!(expected.remove(&came), "{came} is not expected, or comes twice");
    }
}

/// Nothing more comes for a while.
async fn nothing_more(all: &mut Subscription) {
    if let Ok(Some(update)) = all.next_within(Duration::from_secs(1)).await {
        panic!("it comes once: {}", update_text(&update));
    }
}

#[test]
fn events_come_once_from_every_primary() {
    both(
        || Sim::cluster(3, 1),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            tell_of_keys(&client).await;
            let mut all = client.psubscribe("__keyevent@0__:*").await.unwrap();
            assert_eq!(next(&mut all).await, "+__keyevent@0__:*");
            each_once(&client, &mut all, 0..60).await;
            nothing_more(&mut all).await;
            all.punsubscribe("__keyevent@0__:*");
            assert_eq!(next(&mut all).await, "-__keyevent@0__:*");
            // A name needs no more of its own: the key may be anywhere.
            all.subscribe(["__keyspace@0__:k1", "__keyspace@0__:k2", "__keyspace@0__:k3"]);
            next_sorted(&mut all, 3).await;
            for number in 0..10 {
                client.set(key(number), "v").await.unwrap();
            }
            let came = next_sorted(&mut all, 3).await;
            assert_eq!(came, [1, 2, 3].map(|n| format!("__keyspace@0__:k{n}=set")));
            nothing_more(&mut all).await;
        },
    );
}

/// The primary dies, its replica takes over: one gap, then every event again.
#[test]
fn a_failover_is_one_gap() {
    both(
        || Sim::cluster(3, 1).seed(11),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            tell_of_keys(&client).await;
            let mut all = client.psubscribe("__key*__:*").await.unwrap();
            assert_eq!(next(&mut all).await, "+__key*__:*");
            sim.kill("a");
            assert_eq!(next(&mut all).await, "gap __key*__:*");
            assert!(sim.is_primary("a1"));
            sim.restart("a");
            sim.advance(Duration::from_secs(20)).await;
            all.psubscribe("__keyevent@*");
            all.punsubscribe("__key*__:*");
            next_sorted(&mut all, 2).await;
            each_once(&client, &mut all, 0..60).await;
            nothing_more(&mut all).await;
        },
    );
}

/// The old primary lives on as a replica and would tell of its shard a second time.
#[test]
fn a_former_primary_is_left() {
    both(
        || Sim::cluster(3, 1).seed(12),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            tell_of_keys(&client).await;
            let mut all = client.psubscribe("__keyevent@0__:*").await.unwrap();
            assert_eq!(next(&mut all).await, "+__keyevent@0__:*");
            for shard in ["a", "b"] {
                sim.failover(&format!("{shard}1"));
                while !sim.is_primary(&format!("{shard}1")) {
                    sim.advance(MS * 10).await;
                }
                client.refresh().await.unwrap();
                assert_eq!(next(&mut all).await, "gap __keyevent@0__:*");
            }
            each_once(&client, &mut all, 0..60).await;
            nothing_more(&mut all).await;
        },
    );
}

/// A slot moves between primaries that are both subscribed to, key by key: nothing is missing.
#[test]
fn a_moving_slot_loses_no_event() {
    both(
        || Sim::cluster(3, 1).seed(13),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            tell_of_keys(&client).await;
            let mut all = client.psubscribe("__keyevent@0__:incr").await.unwrap();
            assert_eq!(next(&mut all).await, "+__keyevent@0__:incr");
            let slot = Sim::slot_of("foo");
            let from = sim.owner_of(slot);
            let to = if from == "a" { "b" } else { "a" };
            let done = Cell::new(false);
            let write = async {
                let mut count = 0;
                while !done.get() {
                    client.incr("foo").await.unwrap();
                    count += 1;
                    sim.advance(MS * 3).await;
                }
                count
            };
            let move_it = async {
                sim.advance(MS * 20).await;
                sim.migrate_slot(slot, to, MS * 20).await;
                sim.advance(MS * 50).await;
                done.set(true);
            };
            let (count, ()) = join(write, move_it).await;
            for _ in 0..count {
                assert_eq!(next(&mut all).await, "__keyevent@0__:incr=foo");
            }
            nothing_more(&mut all).await;
        },
    );
}

/// What the stream said, and when.
#[derive(Default)]
struct Heard {
    /// How often the event of each number came.
    came: BTreeMap<u64, u32>,
    /// When gaps were told.
    gaps: Vec<Duration>,
    /// Whatever else came.
    others: Vec<String>,
}

impl Heard {
    fn note(&mut self, sim: &Sim, update: &Update) {
        let text = update_text(update);
        match text.strip_prefix("__keyevent@0__:set=k").and_then(|number| number.parse().ok()) {
            Some(number) => *self.came.entry(number).or_default() += 1,
            None if text.starts_with("gap") => self.gaps.push(sim.now().since_epoch()),
            None => self.others.push(text),
        }
    }
}

/// Writes keys until the event of each of a round comes, and comes once: the end of all faults.
async fn hear_each_once(
    sim: &Sim,
    client: &Client,
    all: &mut Subscription,
    heard: &mut Heard,
    first: u64,
    seed: u64,
) {
    let limit = sim.now().after(Duration::from_secs(120));
    let patient = client.with_timeout(Duration::from_secs(5));
    let mut from = first;
    loop {
        let last: Vec<_> = heard.came.range(from.saturating_sub(20)..).collect();
        let live = all.is_live();
        let in_time = sim.now() < limit;
        assert!(in_time, "seed {seed}: not each event comes once; live: {live}, {last:?}");
        let numbers = from..from + 20;
        from = numbers.end;
        for number in numbers.clone() {
            let _ = patient.set(key(number), "v").await;
        }
        while let Ok(Some(update)) = all.next_within(MS * 300).await {
            heard.note(sim, &update);
        }
        if all.is_live() && numbers.clone().all(|n| heard.came.get(&n) == Some(&1)) {
            return;
        }
        sim.advance(Duration::from_secs(1)).await;
    }
}

/// Any faults: an event of an acknowledged write comes, or a gap is told after it; afterwards each
/// comes once again.
async fn any_faults(sim: Sim, seed: u64) {
    let mut rng = Rng::new(seed);
    let faults = Faults::draw(seed, Deployment::Cluster);
    let config = sim.config().command_timeout(MS * 500).probe_interval(MS * 1000);
    let shared = SubscriptionConnection::Shared;
    let config = if rng.chance(400) { config.subscription_connection(shared) } else { config };
    let client = client(&sim, rng.chance(600), config);
    tell_of_keys(&client.with_timeout(Duration::from_secs(5))).await;
    let start = if rng.chance(500) {
        client.psubscribe("__keyevent@0__:s*")
    } else {
        client.subscribe("__keyevent@0__:set")
    };
    let start = if rng.chance(200) { start.own_connection() } else { start };
    let mut all = start.await.unwrap();
    let acknowledged = RefCell::new(BTreeMap::new());
    let done = Cell::new(false);
    let write = async {
        let end = sim.now().after(faults.span);
        let mut number = 0;
        while sim.now() < end {
            // The event happens at some time from now on; the acknowledgement may be later.
            let sent = sim.now().since_epoch();
            if client.set(key(number), "v").await.is_ok() {
                acknowledged.borrow_mut().insert(number, sent);
            }
            number += 1;
            sim.advance(MS * 5).await;
        }
        done.set(true);
        number
    };
    let mut heard = Heard::default();
    let read = async {
        while !done.get() {
            if let Either::Left((update, _)) =
                select(pin!(all.next()), pin!(sim.advance(MS * 10))).await
            {
                heard.note(&sim, &update.expect("the stream goes on"));
            }
        }
    };
    let ((first, ()), ()) = join(join(write, sim.suffer(&faults)), read).await;
    sim.recover();
    hear_each_once(&sim, &client, &mut all, &mut heard, first, seed).await;
    let last_gap = heard.gaps.last().copied().unwrap_or_default();
    for (number, sent) in acknowledged.into_inner() {
        let is_told = heard.came.contains_key(&number) || last_gap >= sent;
        assert!(is_told, "seed {seed}: the event of {number} is missing, and no gap was told");
    }
    let confirmed = heard.others.iter().filter(|text| text.starts_with('+')).count();
    assert_eq!(confirmed, heard.others.len(), "seed {seed}: {:?}", heard.others);
    assert_eq!(confirmed, 1, "seed {seed}: confirmed once, then by gaps");
}

#[test]
fn any_faults_below_a_subscriber_to_keys() {
    let (from, count) = match std::env::var("SLOTCAR_PUBSUB_SEEDS") {
        Ok(range) => {
            let (from, count) = range.split_once('+').expect("FROM+COUNT");
            (from.parse().unwrap(), count.parse().unwrap())
        }
        Err(_) => (0, 100),
    };
    for seed in from..from + count {
        Sim::cluster(3, 1).seed(seed).run(|sim| any_faults(sim, seed));
    }
}
