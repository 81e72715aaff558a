//! Channels with a publisher and a subscriber each: which messages arrived, and which are missing.
//!
//! Messages have growing numbers. A message counts when the server has confirmed that it was
//! published; it must arrive, or a gap must cover it. A gap covers a message that was published
//! while it lasted, and one that is newer than all that arrived before the gap.
//!
//! A channel without a shard is published at every node: what the servers lose between each other
//! is not the client's, but the subscriber's own node has it.

use crate::counter::Finding;
use crate::tally::Tally;
use slotcar::prelude::*;
use slotcar::{ChannelKind, Client, Error, Target, Update, cmd};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(20);
/// The subscriber looks so often whether it is to stop.
const TICK: Duration = Duration::from_millis(200);
/// The clocks of a publisher, of the client and of a subscriber that waits for the processor are
/// so far apart.
const SLACK: Duration = Duration::from_secs(1);
/// A missing message that a gap covers is counted after this time, and forgotten.
const LATE: Duration = Duration::from_secs(60);

/// One channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// Its name.
    name: String,
    /// Whether it belongs to a shard.
    sharded: bool,
    /// What is known of its messages.
    books: Arc<Mutex<Books>>,
}

/// What is known of a channel's messages.
#[derive(Debug, Default)]
struct Books {
    /// Messages that were sent and did not arrive yet.
    missing: BTreeMap<u64, Sent>,
    /// The highest number that arrived.
    newest: u64,
    /// Begin and end of each gap.
    gaps: Vec<(Instant, Instant)>,
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// When it was sent.
    began: Instant,
    /// When the server confirmed it.
    confirmed: Option<Instant>,
    /// A gap came before anything newer.
    covered: bool,
}

impl Books {
    fn is_covered(&self, sent: &Sent) -> bool {
        let until = sent.confirmed.unwrap_or(sent.began);
        let during = |(begin, end): &(Instant, Instant)| sent.began <= *end && until >= *begin;
        sent.covered || self.gaps.iter().any(during)
    }

    fn gap(&mut self, duration: Duration) {
        let now = Instant::now();
        self.gaps.push((now.checked_sub(duration + SLACK).unwrap_or(now), now + SLACK));
        let newest = self.newest;
        self.missing.range_mut(newest..).for_each(|(_, sent)| sent.covered = true);
    }

    /// Takes out what is missing for so long that it will not come.
    fn settle(&mut self, late: Duration) -> Vec<(u64, bool)> {
        let old: Vec<u64> = self
            .missing
            .iter()
            .filter(|(_, sent)| sent.confirmed.is_some_and(|at| at.elapsed() >= late))
            .map(|(number, _)| *number)
            .collect();
        let taken = old.into_iter().filter_map(|number| {
            let sent = self.missing.remove(&number)?;
            Some((number, self.is_covered(&sent)))
        });
        taken.collect()
    }
}

impl Channel {
    pub(crate) fn new(name: String, sharded: bool) -> Channel {
        Channel { name, sharded, books: Arc::default() }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes until it is stopped.
    pub(crate) async fn publish(self, client: Client, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let sent = Sent { began: Instant::now(), confirmed: None, covered: false };
            self.books().missing.insert(number, sent);
            let text = format!("{} {number}", self.name);
            let result = if self.sharded {
                let call = client.spublish(&self.name, &text);
                tally.count("SPUBLISH", call).await.map(drop)
            } else {
                tally.count("PUBLISH at every node", everywhere(&client, &self.name, &text)).await
            };
            self.published(number, result, &tally);
            smol::Timer::after(PAUSE).await;
        }
    }

    /// Notes how the publishing of a message ended.
    fn published(&self, number: u64, result: Result<(), Error>, tally: &Tally) {
        let mut books = self.books();
        match result {
            Ok(()) => {
                if let Some(sent) = books.missing.get_mut(&number) {
                    sent.confirmed = Some(Instant::now());
                }
            }
            // It may have been published or not: it need not arrive.
            Err(error) => {
                books.missing.remove(&number);
                tally.error(&error);
            }
        }
    }

    /// Reads until it is stopped.
    pub(crate) async fn read(self, client: Client, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
        let subscribe = match self.sharded {
            true => client.ssubscribe(&self.name),
            false => client.subscribe(&self.name),
        };
        let mut subscription = subscribe.await.expect("the cluster is well yet");
        while !stop.load(Ordering::Relaxed) {
            match subscription.next_within(TICK).await {
                Ok(Some(update)) => self.take(update, &tally),
                Ok(None) => {
                    tally.finding(Finding::Wrong, || "a subscription ended".to_owned());
                    return;
                }
                Err(_) => self.count_missing(&tally, LATE),
            }
        }
    }

    fn take(&self, update: Update, tally: &Tally) {
        match update {
            Update::Message(message) => {
                let text = message.text().unwrap_or_default();
                let rest = text.strip_prefix(&self.name).map(|rest| rest.trim_start().parse());
                let (Some(Ok(number)), true) = (rest, message.kind() != ChannelKind::Pattern)
                else {
                    let about = || format!("a message on {}: {text:?}", self.name);
                    return tally.finding(Finding::Wrong, about);
                };
                tally.counts().messages += 1;
                let mut books = self.books();
                books.missing.remove(&number);
                books.newest = books.newest.max(number);
            }
            Update::Gap { duration, .. } => {
                tally.counts().gaps += 1;
                self.books().gap(duration);
            }
            Update::Lagged(count) => {
                tally.finding(Finding::Wrong, || format!("{}: lagged by {count}", self.name));
            }
            Update::Refused { error, .. } => println!("{}: refused: {error}", self.name),
            _ => {}
        }
    }

    /// Whether a message that must arrive, or be told as missing, is still on its way.
    pub(crate) fn waits(&self) -> bool {
        let books = self.books();
        books.missing.values().any(|sent| sent.confirmed.is_some() && !books.is_covered(sent))
    }

    /// Counts what is missing for as long as `late`.
    pub(crate) fn count_missing(&self, tally: &Tally, late: Duration) {
        let settled = self.books().settle(late);
        let mut counts = tally.counts();
        for (number, covered) in settled {
            if covered {
                counts.told += 1;
            } else {
                counts.untold += 1;
                let name = &self.name;
                counts.note(format!("{name}: message {number} is missing, and no gap says so"));
            }
        }
    }
}

/// Publishes at every node, in whatever order.
async fn everywhere(client: &Client, name: &str, text: &str) -> Result<(), Error> {
    let publish = cmd("PUBLISH").arg(name).arg(text);
    for reply in client.send_each(Target::AllNodes, publish).await? {
        reply.result?;
    }
    Ok(())
}
