//! Consumers of a stream's group, in virtual time: handlings that take shorter and longer than the
//! time after which others take an entry over.
//!
//! **Invariants**: while no consumer dies, each entry is handed out once; if some die, at least
//! once, and all are acknowledged in the end.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use futures::future::{Either, join_all, select};
use load::MS;
use slotcar::{Client, StreamConsumer, Value, cmd};
use slotcar_sim::Sim;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

/// When others take an entry over.
const CLAIM_AFTER: Duration = Duration::from_secs(1);

/// A small generator, so that each seed is another history.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % limit
    }
}

/// What happened so far.
#[derive(Default)]
struct Record {
    /// How often each entry was handed out.
    handed_out: BTreeMap<String, u32>,
    /// How many entries are acknowledged.
    acknowledged: usize,
}

/// How the handlings of a test are.
#[derive(Clone, Copy)]
struct Habits {
    /// The longest handling.
    longest: Duration,
    /// Whether consumers die.
    die: bool,
}

async fn add(sim: &Sim, client: &Client, count: usize, chance: &mut Chance) {
    for number in 0..count {
        let add = cmd("XADD").key("s").arg("*").arg("n").arg(number);
        let _: String = client.send(add).await.unwrap();
        if chance.below(8) == 0 {
            sim.advance(MS * u32::try_from(chance.below(400)).unwrap()).await;
        }
    }
}

/// One worker: consumes until all entries are acknowledged.
async fn work(
    sim: &Sim,
    client: &Client,
    name: &str,
    total: usize,
    habits: Habits,
    (record, mut chance): (&RefCell<Record>, Chance),
) {
    let begin = |life: u32| -> StreamConsumer {
        client.consume("s", "g", &format!("{name}-{life}")).claim_after(CLAIM_AFTER)
    };
    let (mut life, mut consumer) = (0, begin(0));
    // Some workers are quick for a while, so that they read many entries at once.
    let mut quick = chance.below(30);
    while record.borrow().acknowledged < total {
        let entry = {
            let (next, pause) = (pin!(consumer.next()), pin!(sim.advance(MS * 300)));
            match select(next, pause).await {
                Either::Left((entry, _)) => entry.unwrap(),
                // Given up, as in a `select!` of an application.
                Either::Right(_) => continue,
            }
        };
        *record.borrow_mut().handed_out.entry(entry.id.clone()).or_default() += 1;
        let longest = u64::try_from(habits.longest.as_millis()).unwrap();
        let time = if quick > 0 { 0 } else { chance.below(longest) };
        quick = quick.saturating_sub(1);
        if quick == 0 && chance.below(15) == 0 {
            quick = chance.below(40);
        }
        if habits.die && chance.below(10) == 0 {
            sim.advance(MS * u32::try_from(time / 2).unwrap()).await;
            life += 1;
            consumer = begin(life);
            continue;
        }
        let handling = sim.advance(Duration::from_millis(time));
        if Duration::from_millis(time) >= CLAIM_AFTER {
            consumer.hold(&entry.id, handling).await;
        } else {
            handling.await;
        }
        if consumer.ack(&entry.id).await.unwrap() {
            record.borrow_mut().acknowledged += 1;
        }
    }
}

/// Several workers and as many entries, with latency and jitter.
fn run(seed: u64, habits: Habits) -> BTreeMap<String, u32> {
    Sim::standalone().seed(seed).jitter(MS).time_limit(Duration::from_secs(3600)).run(
        |sim| async move {
            let client = sim.client(sim.config()).await.unwrap();
            let mut chance = Chance(seed);
            let workers = 2 + chance.below(4);
            let total = usize::try_from(30 + chance.below(60)).unwrap();
            let record = RefCell::new(Record::default());
            let names: Vec<String> = (0..workers).map(|n| format!("w{n}")).collect();
            let each = names.iter().zip(1..).map(|(name, n)| {
                let chance = Chance(seed.wrapping_mul(1000).wrapping_add(n));
                work(&sim, &client, name, total, habits, (&record, chance))
            });
            let mut adding = Chance(seed + 1);
            futures::join!(join_all(each), add(&sim, &client, total, &mut adding));
            let pending: Value = client.send(cmd("XPENDING").key("s").arg("g")).await.unwrap();
            assert_eq!(pending.as_slice().unwrap()[0].as_i64(), Some(0), "seed {seed}");
            let record = record.into_inner();
            assert_eq!(record.handed_out.len(), total, "seed {seed}: none is lost");
            record.handed_out
        },
    )
}

#[test]
fn an_entry_is_handed_out_once_while_nobody_dies() {
    for seed in 0..30 {
        for longest in [CLAIM_AFTER / 10, CLAIM_AFTER, CLAIM_AFTER * 3] {
            let handed_out = run(seed, Habits { longest, die: false });
            let twice: Vec<_> = handed_out.iter().filter(|(_, times)| **times > 1).collect();
            assert!(twice.is_empty(), "seed {seed}, up to {longest:?}: {twice:?}");
        }
    }
}

#[test]
fn what_dead_consumers_had_is_handed_out_again() {
    for seed in 0..30 {
        run(seed, Habits { longest: CLAIM_AFTER, die: true });
    }
}
