//! A durable subscription: a consumer of a stream's group, for those who cannot lose a message.
//!
//! ```text
//! Resuming ──nothing of ours is left──► Reading ──an answer may be lost──► Resuming
//! ```
//!
//! The server keeps for each consumer what it was given and has not acknowledged. A consumer begins
//! with what it was given before, in an earlier life, and comes back to that whenever an answer may
//! have been lost on the way; then it takes what is new, and from time to time what others have
//! left lying. So every entry comes at least once. Limit: `COUNT` entries are held at a time.
//! Spec: <https://redis.io/docs/latest/develop/data-types/streams/>, "Consumer groups". Called by
//! users.

use super::client::Client;
use crate::command::{Command, ToArg, cmd};
use crate::error::Error;
use crate::resp::{Blob, ErrorClass, Value};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// Entries that are asked for at a time.
const COUNT: usize = 100;
/// How long the server is asked to wait for new ones.
const BLOCK: Duration = Duration::from_secs(2);

/// One entry of a stream.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its name, which ascends.
    pub id: String,
    /// Its fields, in order.
    pub fields: Vec<(Blob, Blob)>,
}

impl StreamEntry {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Blob> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }
}

/// Reads a stream as a member of a group, where every entry is somebody's until it is acknowledged.
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
///
/// An entry comes again, here or at another consumer, when it was not acknowledged in time: what is
/// done with it must bear being done twice.
#[must_use = "nothing is read before `next`"]
#[derive(Debug)]
pub struct StreamConsumer {
    /// Who reads.
    client: Client,
    /// The stream's key.
    stream: Vec<u8>,
    /// The group.
    group: String,
    /// Its name in the group.
    name: String,
    /// Entries of others are taken over after this long.
    claim_after: Duration,
    /// Where a group begins that is new.
    start: &'static str,
    /// Read and not given out yet.
    held: VecDeque<StreamEntry>,
    /// Entries of ours up to this one were given out; none while there is nothing to resume.
    resume: Option<String>,
    /// The greatest id that was ever read as new.
    last: String,
    /// When to look for what others left lying.
    claim_at: Timestamp,
    /// Where that look goes on.
    cursor: String,
}

impl Client {
    /// A consumer called `name` of a group of a stream. The group is made if there is none, and so
    /// is the stream; it begins with the stream's first entry.
    ///
    /// A name stands for one consumer at a time: after a restart, the same name goes on where the
    /// last life was interrupted.
    ///
    /// Servers since 6.2.
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
    /// Takes entries over that another consumer was given so long ago and has not acknowledged.
    /// Default: 60s; longer than handling one entry ever takes.
    pub fn claim_after(mut self, idle: Duration) -> Self {
        self.claim_after = idle;
        self
    }

    /// A group that is new begins with what is added from now on, not with the stream's first
    /// entry.
    pub fn from_now(mut self) -> Self {
        self.start = "$";
        self
    }

    /// The next entry, waiting for as long as there is none.
    ///
    /// # Errors
    /// Those of any command. Nothing is lost: the next call goes on, with what may have been given
    /// to us and not arrived.
    ///
    /// Dropped half-way, an entry that was on its way comes with a later call.
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

    /// Acknowledges an entry: it never comes again. False if it had been before.
    ///
    /// # Errors
    /// Those of any command; to acknowledge twice does no harm.
    pub async fn ack(&self, id: &str) -> Result<bool, Error> {
        let ack = cmd("XACK").key(&self.stream[..]).arg(self.group.as_str()).arg(id);
        Ok(self.client.send::<u64>(ack).await? > 0)
    }

    /// One question to the server; what it gave is held.
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
        // Until this answer has arrived, entries may be ours that we do not know of.
        self.resume = Some(self.last.clone());
        let wait = BLOCK.min(self.claim_after.max(Duration::from_millis(1)));
        // A server that hangs while it is to wait says as little as one that waits.
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
            // Another consumer was first.
            Err(error)
                if error.server_error().is_some_and(|e| e.class() == ErrorClass::GroupExists) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}

/// The entries of a reply that speaks of one stream: a map in RESP3, a list of pairs in RESP2.
fn list_of_stream(reply: &Value) -> Option<&Value> {
    match reply {
        Value::Map(pairs) => pairs.first().map(|(_, list)| list),
        other => other.as_slice().and_then(|s| s.first()?.as_slice()?.get(1)),
    }
}

/// The id of the last entry, whether it was deleted or not.
fn last_id(list: &Value) -> Option<String> {
    Some(list.as_slice()?.last()?.as_slice()?.first()?.as_str()?.to_owned())
}

/// Entries, without those that were deleted meanwhile: of such only the id is left.
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
