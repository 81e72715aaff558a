//! A consumer of a stream's group: a durable subscription, for readers that must not lose a
//! message.
//!
//! ```text
//! Resuming ──no entry of its own is left──► Reading ──a reply may be lost──► Resuming
//! ```
//!
//! The server remembers which entries it gave to each consumer until they are acknowledged. A
//! consumer begins with its own unacknowledged entries (Resuming), and does so again whenever a
//! reply may have been lost. Then it reads new entries, and from time to time claims entries that
//! other consumers have left.
//!
//! Other consumers claim an entry when it is idle for `claim_after` and a quarter of that. An entry
//! is handed out only while it is fresh: read at most an eighth of `claim_after` ago. So its
//! handling has at least `claim_after`, and nobody else gets it meanwhile. An entry that has waited
//! here for longer is asked for once more, which makes it fresh; if it went to another consumer,
//! the server does not return it. How many entries are read at once follows from how fast they are
//! handled.
//!
//! Invariants: every entry is delivered at least once; an entry that is acknowledged in time is
//! delivered once. Limit: `COUNT_MAX` entries are held at a time.
//! Spec: <https://redis.io/docs/latest/develop/data-types/streams/>, "Consumer groups";
//! <https://redis.io/commands/xreadgroup/>, "The history of a consumer".

use super::client::Client;
use crate::command::{Command, ToArg, cmd};
use crate::error::{Error, ErrorKind};
use crate::resp::{Blob, ErrorClass, Value};
use crate::time::Timestamp;
use futures::future::{Either, select};
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

/// The most entries that one command asks for.
const COUNT_MAX: usize = 100;
/// The least entries that are claimed at once, so that a long list is gone through in time.
const CLAIMS_MIN: usize = 10;
/// How long a server waits for new entries before it answers, at the most and at the least.
const BLOCK: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(100));

/// One entry of a stream.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its id. Ids ascend.
    pub id: String,
    /// Its fields and values, in the order in which they were added.
    pub fields: Vec<(Blob, Blob)>,
}

impl StreamEntry {
    /// The value of a field; of the first one, if the entry has several of that name.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Blob> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }
}

/// Reads a stream as a consumer of a group: each entry goes to one consumer of the group, and stays
/// assigned to it until it is acknowledged.
///
/// Made by [`Client::consume`]. Every entry is delivered at least once. While no consumer dies, it
/// is delivered once, if it is acknowledged within [`claim_after`](Self::claim_after); an entry
/// whose handling takes longer is kept by [`hold`](Self::hold). An entry that is not acknowledged
/// in time is delivered again, here or to another consumer: handling an entry twice must do no
/// harm.
///
/// Entries that were read and not returned stay assigned to a consumer that is dropped, until
/// others take them over after `claim_after`, or the same consumer comes back.
/// [`close`](Self::close) gives them back at once.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// let mut orders = client.consume("orders", "billing", "worker-1");
/// loop {
///     let entry = orders.next().await?;
///     println!("{}: {:?}", entry.id, entry.get("total"));
///     orders.ack(&entry.id).await?;
/// }
/// # }
/// ```
#[must_use = "nothing is read before `next`"]
#[derive(Debug)]
pub struct StreamConsumer {
    /// The client that sends the commands.
    client: Client,
    /// The stream's key.
    stream: Vec<u8>,
    /// The group's name.
    group: String,
    /// The consumer's name in the group.
    name: String,
    /// Entries of other consumers are claimed when they are idle for this long.
    claim_after: Duration,
    /// The id after which a new group begins.
    start: &'static str,
    /// Entries that were read and not returned yet.
    held: VecDeque<StreamEntry>,
    /// When the command was sent that read them.
    held_since: Timestamp,
    /// How many entries the next command asks for.
    count: usize,
    /// The server has answered about the group, so that it exists or did.
    has_group: bool,
    /// In state Resuming: its own entries up to this id were read again. `None` in state Reading.
    resume: Option<String>,
    /// The greatest id that was read as a new entry.
    last: String,
    /// When to claim idle entries of other consumers.
    claim_at: Timestamp,
    /// The cursor of XAUTOCLAIM.
    cursor: String,
}

impl Client {
    /// A consumer of a stream: the consumer `name` of the group `group`. Sends nothing before its
    /// first [`next`](StreamConsumer::next), which makes the stream and the group if they do not
    /// exist. A new group begins with the stream's first entry.
    ///
    /// Give each running consumer a name of its own. After a restart, a consumer with the same name
    /// begins with the entries that it had not acknowledged.
    ///
    /// Needs server version 6.2.
    pub fn consume(&self, stream: impl ToArg, group: &str, name: &str) -> StreamConsumer {
        let mut key = Vec::new();
        stream.with_bytes(|bytes| key = bytes.to_vec());
        StreamConsumer {
            client: self.clone(),
            stream: key,
            group: group.to_owned(),
            name: name.to_owned(),
            claim_after: Duration::from_secs(60),
            start: "0",
            held: VecDeque::new(),
            held_since: Timestamp::ZERO,
            count: 1,
            has_group: false,
            resume: Some("0".to_owned()),
            last: "0".to_owned(),
            claim_at: Timestamp::ZERO,
            cursor: "0-0".to_owned(),
        }
    }
}

impl StreamConsumer {
    /// How long an entry may stay unacknowledged before another consumer takes it over. Default:
    /// 60 s. It is taken over within half of that time more, if a consumer waits for entries.
    ///
    /// Choose it longer than the handling of an entry takes, and the same for all consumers of the
    /// group; [`hold`](Self::hold) is for an entry that takes longer.
    pub fn claim_after(mut self, idle: Duration) -> Self {
        self.claim_after = idle;
        self
    }

    /// Lets a new group begin with the entries that are added from now on. A group that exists
    /// keeps its position.
    pub fn from_now(mut self) -> Self {
        self.start = "$";
        self
    }

    /// Waits for the next entry, for as long as there is none.
    ///
    /// # Errors
    /// Those of any command. No entry is lost: the next call begins with the entries that may have
    /// been assigned to this consumer and did not arrive. `Server` when the group has ceased to
    /// exist (NOGROUP), because it was destroyed or its stream deleted: the next call makes both
    /// anew, and the group then begins as a new one does.
    ///
    /// Dropping the future loses no entry: a later call returns it.
    pub async fn next(&mut self) -> Result<StreamEntry, Error> {
        loop {
            let result = match self.next_held().await {
                Ok(Some(entry)) => return Ok(entry),
                Ok(None) => self.fetch().await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => self.has_group = true,
                Err(error)
                    if error
                        .server_error()
                        .is_some_and(|e| e.class() == ErrorClass::UnknownGroup) =>
                {
                    self.forget_place();
                    if std::mem::take(&mut self.has_group) {
                        return Err(self.group_lost(error));
                    }
                    self.create_group().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs the handling of an entry, and meanwhile keeps the entry from being taken over by other
    /// consumers, however long it takes.
    ///
    /// It tells the server four times within [`claim_after`](Self::claim_after) that the entry is
    /// in hand, each time that the returned future is polled for it: a handling that blocks its
    /// thread holds nothing. It stops when the entry has gone to another consumer all the same.
    ///
    /// Dropped before its end, the entry is held no longer.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// # async fn render(_: &slotcar::StreamEntry) {}
    /// let mut films = client.consume("films", "renderers", "worker-1");
    /// let film = films.next().await?;
    /// films.hold(&film.id, render(&film)).await;
    /// films.ack(&film.id).await?;
    /// # Ok(()) }
    /// ```
    /// use slotcar::prelude::*;
    pub async fn hold<F: Future>(&self, id: &str, handling: F) -> F::Output {
        match select(pin!(handling), pin!(self.keep(id))).await {
            Either::Left((output, _)) => output,
            Either::Right(((), handling)) => handling.await,
        }
    }

    /// Gives back the entries that were read and not returned, so that other consumers can claim
    /// them at once. Entries that were returned and not acknowledged stay as they are.
    ///
    /// # Errors
    /// Those of any command. The entries are then taken over after
    /// [`claim_after`](Self::claim_after), as those of a consumer that is dropped.
    pub async fn close(self) -> Result<(), Error> {
        // What has waited for long may be another consumer's by now, and is claimed anyway.
        if self.held.is_empty() || !self.is_fresh() {
            return Ok(());
        }
        let ids = self.held.iter().map(|entry| entry.id.as_str());
        let claim = self.about_group("XCLAIM").arg(self.name.as_str()).arg(0).args(ids);
        let claim = claim.arg("IDLE").arg(self.idle_min()).arg("JUSTID");
        self.client.send::<Value>(claim).await.map(drop)
    }

    /// Acknowledges an entry: it is not delivered again. Returns false if it was acknowledged
    /// before.
    ///
    /// # Errors
    /// Those of any command. An acknowledgement may be repeated.
    ///
    /// Dropped before its end, the entry may or may not be acknowledged.
    pub async fn ack(&self, id: &str) -> Result<bool, Error> {
        let ack = self.about_group("XACK").arg(id);
        Ok(self.client.send::<u64>(ack).await? > 0)
    }

    /// The next entry that was read and can still be handed out.
    async fn next_held(&mut self) -> Result<Option<StreamEntry>, Error> {
        while let Some(entry) = self.held.front() {
            if self.is_fresh() {
                return Ok(self.held.pop_front());
            }
            // They are handled slowly.
            self.count = 1;
            let before = id_before(&entry.id).unwrap_or_else(|| "0".to_owned());
            let again: Value = self.client.send(self.read(&before, 1, None)).await?;
            let again = list_of_stream(&again).map(entries).unwrap_or_default().pop();
            let ours = self.held.pop_front();
            // Otherwise it is another consumer's, or it was deleted.
            if let (Some(again), Some(ours)) = (again, ours)
                && again.id == ours.id
            {
                return Ok(Some(again));
            }
        }
        Ok(None)
    }

    /// Whether what is held is assigned to this consumer for long enough still.
    fn is_fresh(&self) -> bool {
        self.client.shared.env.now().since(self.held_since) <= self.claim_after / 8
    }

    /// When others take an entry over: its idle time in milliseconds.
    fn idle_min(&self) -> u64 {
        let idle = self.claim_after.saturating_add(self.claim_after / 4);
        u64::try_from(idle.as_millis()).unwrap_or(u64::MAX >> 1)
    }

    /// Sends one command and keeps the entries that it returns.
    async fn fetch(&mut self) -> Result<(), Error> {
        let now = self.client.shared.env.now();
        let count = self.count;
        if let Some(from) = self.resume.clone() {
            let reply: Value = self.client.send(self.read(&from, count, None)).await?;
            let list = list_of_stream(&reply);
            self.resume = list.and_then(last_id);
            self.note_last(self.resume.clone());
            self.keep_entries(list, now);
            return Ok(());
        }
        if now >= self.claim_at {
            let claim = self.about_group("XAUTOCLAIM").arg(self.name.as_str());
            let claim = claim.arg(self.idle_min()).arg(self.cursor.as_str());
            let claim = claim.arg("COUNT").arg(count.max(CLAIMS_MIN));
            let reply: Value = self.client.send(claim).await?;
            let parts = reply.as_slice().unwrap_or_default();
            self.cursor = parts.first().and_then(Value::as_str).unwrap_or("0-0").to_owned();
            if self.cursor == "0-0" {
                self.claim_at = now.after(self.claim_after / 2);
            }
            self.keep_entries(parts.get(1), now);
            if !self.held.is_empty() {
                return Ok(());
            }
        }
        // Until this reply has arrived, the server may have assigned entries that are not known
        // here.
        self.resume = Some(self.last.clone());
        let (most, least) = BLOCK;
        let wait = (self.claim_after / 16).clamp(least, most);
        // A server that hangs sends as little as one that waits for entries: hence a timeout.
        let patient = self.client.with_timeout(wait + self.client.command_timeout());
        let now = self.client.shared.env.now();
        let reply: Value = patient.send(self.read(">", count, Some(wait))).await?;
        self.resume = None;
        let list = list_of_stream(&reply);
        self.note_last(list.and_then(last_id));
        self.keep_entries(list, now);
        Ok(())
    }

    /// Keeps what a command has returned that was sent at `sent`. Where all that was asked for came
    /// and was handed out before it was old, the next command asks for more.
    fn keep_entries(&mut self, list: Option<&Value>, sent: Timestamp) {
        self.held_since = sent;
        self.held.extend(list.map(entries).unwrap_or_default());
        if self.held.len() >= self.count {
            self.count = (self.count * 2).min(COUNT_MAX);
        }
    }

    fn note_last(&mut self, id: Option<String>) {
        if let Some(id) = id.filter(|id| numbers(id) > numbers(&self.last)) {
            self.last = id;
        }
    }

    /// Holds an entry until it is another consumer's.
    async fn keep(&self, id: &str) {
        let env = &self.client.shared.env;
        let mut held_at = env.now();
        loop {
            let pause = env.sleep_until(env.now().after(self.claim_after / 4));
            if env.while_open(pause).await.is_none() {
                return std::future::pending().await;
            }
            let now = env.now();
            // The process was suspended, or the server was away: another consumer may have it.
            if now.since(held_at) > self.claim_after {
                let pending = self.about_group("XPENDING").arg(id).arg(id).arg(1);
                let pending = pending.arg(self.name.as_str());
                let pending: Result<Value, _> = self.client.send(pending).await;
                match pending.as_ref().map(Value::as_slice) {
                    Ok(Some([_, ..])) => {}
                    Ok(_) => return,
                    Err(_) => continue,
                }
            }
            let claim = self.about_group("XCLAIM").arg(self.name.as_str()).arg(0).arg(id);
            if self.client.send::<Value>(claim.arg("JUSTID")).await.is_ok() {
                held_at = now;
            }
        }
    }

    /// What is held is not assigned to anybody any more.
    fn forget_place(&mut self) {
        self.held.clear();
        self.resume = None;
        "0".clone_into(&mut self.last);
        "0-0".clone_into(&mut self.cursor);
    }

    fn group_lost(&self, error: Error) -> Error {
        let stream = String::from_utf8_lossy(&self.stream);
        let message = format!(
            "the group {:?} of the stream {stream:?} exists no more: it was destroyed, or the \
             stream was deleted; `next` makes both anew",
            self.group
        );
        let lost = Error::new(ErrorKind::Server, error.delivery(), message);
        let lost = match error.server_error().cloned() {
            Some(server) => lost.with_server_error(server),
            None => lost,
        };
        lost.with_cause(error)
    }

    /// A command about the group.
    fn about_group(&self, name: &str) -> Command {
        cmd(name).key(&self.stream[..]).arg(self.group.as_str())
    }

    fn read(&self, from: &str, count: usize, block: Option<Duration>) -> Command {
        let read = cmd("XREADGROUP").arg("GROUP").arg(self.group.as_str()).arg(self.name.as_str());
        let mut read = read.arg("COUNT").arg(count);
        if let Some(block) = block {
            read = read.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX));
        }
        read.arg("STREAMS").key(&self.stream[..]).arg(from)
    }

    async fn create_group(&self) -> Result<(), Error> {
        let create = cmd("XGROUP").arg("CREATE").key(&self.stream[..]).arg(self.group.as_str());
        match self.client.send::<()>(create.arg(self.start).arg("MKSTREAM")).await {
            // Another consumer has made the group in the meantime.
            Err(error)
                if error.server_error().is_some_and(|e| e.class() == ErrorClass::GroupExists) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}

/// The entries in a reply about one stream: a map in RESP3, a list of pairs in RESP2.
fn list_of_stream(reply: &Value) -> Option<&Value> {
    match reply {
        Value::Map(pairs) => pairs.first().map(|(_, list)| list),
        other => other.as_slice().and_then(|s| s.first()?.as_slice()?.get(1)),
    }
}

/// The two numbers of an id.
fn numbers(id: &str) -> Option<(u64, u64)> {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    Some((time.parse().ok()?, number.parse().ok()?))
}

/// The greatest id before this one.
fn id_before(id: &str) -> Option<String> {
    let (time, number) = match numbers(id)? {
        (time, 0) => (time.checked_sub(1)?, u64::MAX),
        (time, number) => (time, number - 1),
    };
    Some(format!("{time}-{number}"))
}

/// The id of the last entry, also of a deleted one.
fn last_id(list: &Value) -> Option<String> {
    Some(list.as_slice()?.last()?.as_slice()?.first()?.as_str()?.to_owned())
}

/// The entries, without deleted ones, of which only the id is left.
fn entries(list: &Value) -> Vec<StreamEntry> {
    let entry = |value: &Value| {
        let [id, fields] = value.as_slice()? else { return None };
        let (pairs, _) = fields.as_slice()?.as_chunks::<2>();
        let blob = |value: &Value| match value {
            Value::Blob(blob) => Some(blob.clone()),
            other => other.as_bytes().map(|bytes| Blob::from(bytes.to_vec())),
        };
        let fields = pairs.iter().filter_map(|[name, value]| Some((blob(name)?, blob(value)?)));
        Some(StreamEntry { id: id.as_str()?.to_owned(), fields: fields.collect() })
    };
    list.as_slice().unwrap_or_default().iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_before_another_is_the_greatest_below_it() {
        let table = [
            ("5-3", Some("5-2")),
            ("5-0", Some("4-18446744073709551615")),
            ("5", Some("4-18446744073709551615")),
            ("0-1", Some("0-0")),
            ("0-0", None),
            ("x", None),
        ];
        for (id, before) in table {
            assert_eq!(id_before(id).as_deref(), before, "{id}");
        }
        assert!(numbers("10-2") > numbers("9-3") && numbers("10-10") > numbers("10-9"));
    }
}
