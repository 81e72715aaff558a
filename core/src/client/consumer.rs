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
//! Invariant: every entry is delivered at least once. Limit: `COUNT` entries are held at a time.
//! Spec: <https://redis.io/docs/latest/develop/data-types/streams/>, "Consumer groups".

use super::client::Client;
use crate::command::{Command, ToArg, cmd};
use crate::error::Error;
use crate::resp::{Blob, ErrorClass, Value};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How many entries one command asks for.
const COUNT: usize = 100;
/// How long a server waits for new entries before it answers.
const BLOCK: Duration = Duration::from_secs(2);

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
/// Made by [`Client::consume`]. Every entry is delivered at least once. It is delivered again, here
/// or to another consumer, when it was not acknowledged in time: handling an entry twice must do no
/// harm.
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
            resume: Some("0".to_owned()),
            last: "0".to_owned(),
            claim_at: Timestamp::ZERO,
            cursor: "0-0".to_owned(),
        }
    }
}

impl StreamConsumer {
    /// How long an entry may stay unacknowledged at another consumer before this one takes it over.
    /// Default: 60 s. Choose it longer than the handling of an entry takes.
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
    /// been assigned to this consumer and did not arrive.
    ///
    /// Dropping the future loses no entry: a later call returns it.
    pub async fn next(&mut self) -> Result<StreamEntry, Error> {
        loop {
            if let Some(entry) = self.held.pop_front() {
                return Ok(entry);
            }
            if let Err(error) = self.fetch().await {
                if error.server_error().is_some_and(|e| e.class() == ErrorClass::UnknownGroup) {
                    self.create_group().await?;
                    continue;
                }
                return Err(error);
            }
        }
    }

    /// Acknowledges an entry: it is not delivered again. Returns false if it was acknowledged
    /// before.
    ///
    /// # Errors
    /// Those of any command. An acknowledgement may be repeated.
    ///
    /// Dropped before its end, the entry may or may not be acknowledged.
    pub async fn ack(&self, id: &str) -> Result<bool, Error> {
        let ack = cmd("XACK").key(&self.stream[..]).arg(self.group.as_str()).arg(id);
        Ok(self.client.send::<u64>(ack).await? > 0)
    }

    /// Sends one command and keeps the entries that it returns.
    async fn fetch(&mut self) -> Result<(), Error> {
        let now = self.client.shared.env.now();
        if let Some(from) = self.resume.clone() {
            let reply: Value = self.client.send(self.read(&from, None)).await?;
            let list = list_of_stream(&reply);
            self.resume = list.and_then(last_id);
            self.held.extend(list.map(entries).unwrap_or_default());
            return Ok(());
        }
        if now >= self.claim_at {
            let idle = u64::try_from(self.claim_after.as_millis()).unwrap_or(u64::MAX);
            let claim = cmd("XAUTOCLAIM").key(&self.stream[..]).arg(self.group.as_str());
            let claim = claim.arg(self.name.as_str()).arg(idle).arg(self.cursor.as_str());
            let reply: Value = self.client.send(claim.arg("COUNT").arg(COUNT)).await?;
            let parts = reply.as_slice().unwrap_or_default();
            self.cursor = parts.first().and_then(Value::as_str).unwrap_or("0-0").to_owned();
            if self.cursor == "0-0" {
                self.claim_at = now.after(self.claim_after / 2);
            }
            self.held.extend(parts.get(1).map(entries).unwrap_or_default());
            if !self.held.is_empty() {
                return Ok(());
            }
        }
        // Until this reply has arrived, the server may have assigned entries that are not known
        // here.
        self.resume = Some(self.last.clone());
        let wait = BLOCK.min(self.claim_after.max(Duration::from_millis(1)));
        // A server that hangs sends as little as one that waits for entries: hence a timeout.
        let patient = self.client.with_timeout(wait + self.client.command_timeout());
        let reply: Value = patient.send(self.read(">", Some(wait))).await?;
        self.resume = None;
        let list = list_of_stream(&reply);
        if let Some(last) = list.and_then(last_id) {
            self.last = last;
        }
        self.held.extend(list.map(entries).unwrap_or_default());
        Ok(())
    }

    fn read(&self, from: &str, block: Option<Duration>) -> Command {
        let read = cmd("XREADGROUP").arg("GROUP").arg(self.group.as_str()).arg(self.name.as_str());
        let mut read = read.arg("COUNT").arg(COUNT);
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
