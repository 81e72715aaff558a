//! One caller: it counts on keys of its own, by every way in which a command can be sent, and
//! judges each reply.
//!
//! Keys: two counters in one slot, for transactions, two in other slots, a text, and a list that is
//! popped. Every value names its key, so a reply of another command is noticed.

use crate::counter::{Counter, Finding, surely_not_run};
use crate::tally::Tally;
use slotcar::command::{echo, get, incr};
use slotcar::prelude::*;
use slotcar::{Client, Error, ReadFrom, cmd};
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::watched::next;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two calls of a worker.
const PAUSE: Duration = Duration::from_millis(2);
/// Unknown writes of a text that are remembered.
const UNKNOWN_MAX: usize = 1000;
/// Counters of a worker.
const COUNTERS: usize = 4;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Whose calls they are.
    client: Client,
    /// The same, but reads go to replicas.
    replicas: Client,
    /// Its number.
    number: u16,
    /// What was counted.
    counters: Vec<Counter>,
    /// What was written.
    text: Text,
    /// The list that is popped.
    list: String,
    /// Where findings go.
    tally: Arc<Tally>,
    /// Chooses the next call.
    random: u64,
}

/// A text that is overwritten with growing numbers.
#[derive(Debug)]
struct Text {
    /// Its key.
    key: String,
    /// The number of the last write.
    sent: u64,
    /// The number of the last acknowledged write.
    acknowledged: u64,
    /// Older writes of an unknown outcome.
    unknown: BTreeSet<u64>,
}

/// The slots of a worker: one for transactions, and two more.
pub(crate) fn slots(number: u16) -> [u16; 3] {
    // A prime distance, so that the workers' slots are in all shards.
    [0, 1, 2].map(|at| (number * 3 + at) * 1283 % 16384)
}

impl Worker {
    pub(crate) fn new(client: &Client, number: u16, tally: &Arc<Tally>, seed: u64) -> Worker {
        let [first, second, third] = slots(number);
        let keys = [(first, 'a'), (first, 'b'), (second, 'c'), (third, 'd')];
        let counter = |(at, (slot, letter)): (usize, (u16, char))| {
            let key = format!("{}:{number}:{letter}", key_in(slot));
            Counter::new(key, usize::from(number) * COUNTERS + at)
        };
        let key = format!("{}:{number}:text", key_in(second));
        Worker {
            client: client.clone(),
            replicas: client.with_read_from(ReadFrom::PreferReplica),
            number,
            counters: keys.into_iter().enumerate().map(counter).collect(),
            text: Text { key, sent: 0, acknowledged: 0, unknown: BTreeSet::new() },
            list: format!("{}:{number}:list", key_in(third)),
            tally: Arc::clone(tally),
            random: next(seed.wrapping_add(u64::from(number) * 7919) | 1),
        }
    }

    /// Calls until it is stopped; returns the counters.
    pub(crate) async fn run(mut self, stop: Arc<AtomicBool>) -> Vec<Counter> {
        for counter in &self.counters {
            self.client.set(&counter.key, counter.base).await.expect("the cluster is well yet");
        }
        while !stop.load(Ordering::Relaxed) {
            self.random = next(self.random);
            let at = usize::try_from(self.random >> 40).expect("24 bits") % COUNTERS;
            match self.random % 64 {
                0..=19 => self.increment(at).await,
                20..=27 => self.read(at).await,
                28..=35 => self.pipeline().await,
                36..=43 => self.transaction().await,
                44..=48 => self.read_all().await,
                49..=53 => self.read_replica(at).await,
                54..=62 => self.text().await,
                _ => self.pop().await,
            }
            smol::Timer::after(PAUSE).await;
        }
        self.counters
    }

    async fn increment(&mut self, at: usize) {
        let call = self.client.incr(&self.counters[at].key);
        let result = self.tally.count("INCR", call).await;
        self.incremented(at, &[result]);
    }

    async fn read(&mut self, at: usize) {
        let call = self.client.get::<Option<i64>>(&self.counters[at].key);
        match self.tally.count("GET", call).await {
            Ok(value) => self.has_read(at, value),
            Err(error) => self.tally.error(&error),
        }
    }

    /// Increments, reads and echoes over all slots, sent together.
    async fn pipeline(&mut self) {
        let keys: Vec<&String> = self.counters.iter().map(|counter| &counter.key).collect();
        let mark = format!("{}:{}", self.number, self.random);
        let pipeline = keys.iter().fold(self.client.pipeline(), |pipeline, key| {
            pipeline.add(incr(key)).add(echo(&mark)).add(incr(key)).add(get(key))
        });
        let results = match self.tally.count("pipeline", pipeline.run_each()).await {
            Ok(results) => results,
            Err(error) => return self.tally.error(&error),
        };
        let mut results = results.into_iter();
        let mut take = || results.next().expect("a result for each command");
        for at in 0..COUNTERS {
            let number = |result: Result<slotcar::Reply, Error>| result?.decode::<i64>();
            let (first, echoed, second, read) = (take(), take(), take(), take());
            self.incremented(at, &[number(first), number(second)]);
            match echoed.and_then(|reply| reply.decode::<String>()) {
                Ok(text) if text == mark => {}
                Ok(text) => self.found(Finding::Wrong, || format!("ECHO {mark}: {text}")),
                Err(error) => self.tally.error(&error),
            }
            // It may have been read before one of the increments that are on their way again.
            match read.and_then(|reply| reply.decode::<Option<i64>>()) {
                Ok(value) => self.has_read_stale(at, value),
                Err(error) => self.tally.error(&error),
            }
        }
    }

    /// Both counters of one slot.
    async fn transaction(&mut self) {
        let both = [&self.counters[0].key, &self.counters[1].key];
        let call = self.client.transaction().add(incr(both[0])).add(incr(both[1]));
        match self.tally.count("transaction", call.run::<(i64, i64)>()).await {
            Ok((first, second)) => {
                self.incremented(0, &[Ok(first)]);
                self.incremented(1, &[Ok(second)]);
            }
            Err(error) => {
                self.tally.error(&error);
                let unknown = i64::from(!surely_not_run(&error));
                self.counters[0].unknown += unknown;
                self.counters[1].unknown += unknown;
            }
        }
    }

    /// One command over all slots.
    async fn read_all(&mut self) {
        let keys: Vec<&String> = self.counters.iter().map(|counter| &counter.key).collect();
        let call = self.client.mget::<Vec<Option<i64>>>(keys);
        match self.tally.count("MGET", call).await {
            Ok(values) => {
                let values = values.into_iter().enumerate();
                values.for_each(|(at, value)| self.has_read(at, value));
            }
            Err(error) => self.tally.error(&error),
        }
    }

    async fn read_replica(&mut self, at: usize) {
        let call = self.replicas.get::<Option<i64>>(&self.counters[at].key);
        match self.tally.count("GET at a replica", call).await {
            Ok(value) => self.has_read_stale(at, value),
            Err(error) => self.tally.error(&error),
        }
    }

    /// Writes a text with the next number, and reads it.
    async fn text(&mut self) {
        self.text.sent += 1;
        let (key, number) = (self.text.key.clone(), self.text.sent);
        let set = self.client.set(&key, format!("{key} {number}"));
        match self.tally.count("SET", set).await {
            Ok(()) => self.text.acknowledged = number,
            Err(error) => {
                if !surely_not_run(&error) {
                    self.text.unknown.insert(number);
                }
                self.tally.error(&error);
            }
        }
        if self.text.unknown.len() > UNKNOWN_MAX {
            self.text.unknown.pop_first();
        }
        let read = self.client.get::<Option<String>>(&key);
        match self.tally.count("GET", read).await {
            Ok(value) => self.has_read_text(value.unwrap_or_default()),
            Err(error) => self.tally.error(&error),
        }
    }

    fn has_read_text(&mut self, value: String) {
        let text = &mut self.text;
        let about = format!("{} is {value:?}, {} was acknowledged", text.key, text.acknowledged);
        let number: Option<u64> = match value.strip_prefix(&text.key) {
            Some(rest) => rest.trim_start().parse().ok(),
            None => value.is_empty().then_some(0),
        };
        let finding = match number {
            Some(number) if number >= text.acknowledged && number <= text.sent => Finding::Fine,
            Some(number) if text.unknown.remove(&number) => {
                text.acknowledged = number;
                let mut counts = self.tally.counts();
                counts.overtaken += 1;
                println!("an old write ran after a newer one: {about}");
                return;
            }
            Some(number) if number < text.acknowledged => {
                text.acknowledged = number;
                Finding::Lost(1)
            }
            _ => Finding::Wrong,
        };
        self.found(finding, || about);
    }

    /// Pushes and pops; about every other time it waits at an empty list.
    async fn pop(&mut self) {
        let value = format!("{} {}", self.list, self.random);
        if (self.random >> 20).is_multiple_of(2) {
            let push = self.client.rpush(&self.list, [&value]);
            if let Err(error) = self.tally.count("RPUSH", push).await {
                self.tally.error(&error);
            }
        }
        let pop = self.client.send::<Option<(String, String)>>(cmd("BLPOP").key(&self.list).arg(1));
        match self.tally.count("BLPOP", pop).await {
            Ok(Some((list, value))) if list == self.list && value.starts_with(&list) => {}
            Ok(None) => {}
            Ok(Some(other)) => self.found(Finding::Wrong, || format!("BLPOP: {other:?}")),
            Err(error) => self.tally.error(&error),
        }
    }

    fn incremented(&mut self, at: usize, results: &[Result<i64, Error>]) {
        results.iter().filter_map(|result| result.as_ref().err()).for_each(|e| self.tally.error(e));
        let before = self.counters[at].clone();
        for finding in self.counters[at].incremented(results) {
            self.found(finding, || format!("INCR: {results:?} after {before:?}"));
        }
    }

    fn has_read(&mut self, at: usize, value: Option<i64>) {
        let before = self.counters[at].clone();
        let finding = self.counters[at].read(value.unwrap_or(before.base));
        self.found(finding, || format!("a read: {value:?} after {before:?}"));
    }

    /// A replica that loads its data may answer that there is none.
    fn has_read_stale(&self, at: usize, value: Option<i64>) {
        let counter = &self.counters[at];
        let finding = value.map_or(Finding::Fine, |value| counter.read_stale(value));
        self.found(finding, || format!("a read that may be old: {value:?}, {counter:?}"));
    }

    fn found(&self, finding: Finding, about: impl FnOnce() -> String) {
        self.tally.finding(finding, about);
    }
}
