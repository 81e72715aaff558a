//! Consumer groups: creating them, reading through them, acknowledging.
//!
//! Spec: command pages of XGROUP, XREADGROUP, XACK.

use super::stream::{Consumer, Group, Id, Pending, Stream};
use super::streams::{ReadRequest, entry, streams_reply};
use crate::resp::Reply;
use crate::server::arguments::{Options, is};
use crate::server::command::Keys::{After, Range};
use crate::server::command::{
    BLOCKING, FAST, M, MOVABLE, Outcome, SYNTAX, Spec, Stop, W, fail, fail_with, wrong_subcommand,
};
use crate::server::keyspace::Store;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);
const SUB_KEY: crate::server::command::Keys = Range(2, 2, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("xack", -4, W | FAST, KEY, xack),
    Spec::container("xgroup"),
    Spec::data("xgroup|create", -5, W | M, SUB_KEY, create),
    Spec::data("xgroup|createconsumer", 5, W | M, SUB_KEY, create_consumer).since(6, 2),
    Spec::data("xgroup|delconsumer", 5, W, SUB_KEY, delete_consumer),
    Spec::data("xgroup|destroy", 4, W, SUB_KEY, destroy),
    Spec::data("xgroup|setid", -5, W, SUB_KEY, set_id),
    Spec::data("xreadgroup", -7, W | BLOCKING | MOVABLE, After("STREAMS"), xreadgroup),
];

const NO_STREAM: Stop = fail(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The error when a key or its group does not exist.
fn no_group(group: &Bytes, key: &Bytes) -> Stop {
    let (group, key) = (String::from_utf8_lossy(group), String::from_utf8_lossy(key));
    fail_with(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// A stream that must exist, to change.
fn stream<'s>(store: &'s mut Store<'_>, key: &Bytes) -> Result<&'s mut Stream, Stop> {
    store.edit::<Stream>(key)?.ok_or(NO_STREAM)
}

/// The greatest number of arguments, with options that are given twice.
const CREATE_ARGUMENTS_MAX: usize = 8;
const SETID_ARGUMENTS_MAX: usize = 7;

/// The options of XGROUP CREATE and SETID.
struct GroupOptions {
    /// `MKSTREAM`.
    make: bool,
    /// `ENTRIESREAD`; `None` when the number is not known.
    entries_read: Option<u64>,
}

impl GroupOptions {
    fn parse(arguments: &[Bytes], creates: bool) -> Result<Self, Stop> {
        let mut parsed = Self { make: false, entries_read: None };
        let mut options = Options::new(&arguments[5..]);
        while let Some(option) = options.next() {
            match option {
                o if creates && is(o, "MKSTREAM") => parsed.make = true,
                o if is(o, "ENTRIESREAD") && !options.is_empty() => {
                    parsed.entries_read = match options.int()? {
                        count if count >= 0 => Some(count as u64),
                        -1 => None,
                        _ => return Err(fail("ERR value for ENTRIESREAD must be positive or -1")),
                    }
                }
                _ => return Err(wrong_subcommand(arguments, "XGROUP")),
            }
        }
        Ok(parsed)
    }
}

fn create(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, name, id) = (&arguments[2], &arguments[3], &arguments[4]);
    let GroupOptions { make, entries_read } = GroupOptions::parse(arguments, true)?;
    let existing = store.get::<Stream>(key)?;
    if existing.is_none() && !make {
        return Err(NO_STREAM);
    }
    if arguments.len() > CREATE_ARGUMENTS_MAX {
        return Err(wrong_subcommand(arguments, "XGROUP"));
    }
    let last_delivered = match existing {
        Some(stream) => stream.reader_id(id)?,
        None => Stream::default().reader_id(id)?,
    };
    if existing.is_some_and(|stream| stream.groups.contains_key(name)) {
        return Err(fail("BUSYGROUP Consumer Group name already exists"));
    }
    let stream = store.edit_or_create::<Stream>(key)?;
    let group = Group { last_delivered, entries_read, ..Group::default() };
    stream.groups.insert(name.clone(), group);
    store.changed::<Stream>(key);
    Ok(Reply::OK)
}

fn set_id(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, name) = (&arguments[2], &arguments[3]);
    let GroupOptions { entries_read, .. } = GroupOptions::parse(arguments, false)?;
    let stream = stream(store, key)?;
    let last_id = stream.last_id;
    let group = stream.groups.get_mut(name).ok_or_else(|| no_group(name, key))?;
    if arguments.len() > SETID_ARGUMENTS_MAX {
        return Err(wrong_subcommand(arguments, "XGROUP"));
    }
    group.last_delivered = match arguments[4].as_ref() {
        b"$" => last_id,
        id => Id::parse_loosely(id, 0)?,
    };
    group.entries_read = entries_read;
    store.changed::<Stream>(key);
    Ok(Reply::OK)
}

fn destroy(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let gone = stream(store, &arguments[2])?.groups.remove(&arguments[3]).is_some();
    if gone {
        store.changed::<Stream>(&arguments[2]);
    }
    Ok(Reply::flag(gone))
}

fn create_consumer(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, name) = (&arguments[2], &arguments[3]);
    let now_ms = store.now_ms;
    let group = stream(store, key)?.groups.get_mut(name).ok_or_else(|| no_group(name, key))?;
    let new = !group.consumers.contains_key(&arguments[4]);
    if new {
        group.consumer(&arguments[4], now_ms);
        store.changed::<Stream>(key);
    }
    Ok(Reply::flag(new))
}

fn delete_consumer(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, name, consumer) = (&arguments[2], &arguments[3], &arguments[4]);
    let group = stream(store, key)?.groups.get_mut(name).ok_or_else(|| no_group(name, key))?;
    let pending = group.pending_of(consumer);
    group.pending.retain(|_, p| p.consumer != *consumer);
    if group.consumers.remove(consumer).is_some() {
        store.changed::<Stream>(key);
    }
    Ok(Reply::count(pending))
}

fn xack(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(stream) = store.edit::<Stream>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let Some(group) = stream.groups.get_mut(&arguments[2]) else { return Ok(Reply::Int(0)) };
    let mut ids = Vec::new();
    for text in &arguments[3..] {
        ids.push(Id::parse(text, 0)?);
    }
    let count = ids.iter().filter(|id| group.pending.remove(id).is_some()).count();
    if count > 0 {
        store.changed::<Stream>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn xreadgroup(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = ReadRequest::parse(&mut Options::new(&arguments[1..]), true)?;
    let Some((name, consumer)) = request.group else { return Err(SYNTAX) };
    for (key, id) in request.keys.iter().zip(request.ids) {
        let known = store.get::<Stream>(key)?.is_some_and(|s| s.groups.contains_key(name));
        if !known {
            let (key, name) = (String::from_utf8_lossy(key), String::from_utf8_lossy(name));
            return Err(fail_with(format!(
                "NOGROUP No such key '{key}' or consumer group '{name}' in XREADGROUP with GROUP \
                 option"
            )));
        }
        match id.as_ref() {
            b">" => {}
            b"$" | b"+" => {
                let sign = String::from_utf8_lossy(id);
                return Err(fail_with(format!(
                    "ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to \
                     read the history of this consumer by specifying a proper ID, or use the > ID \
                     to get new messages. The {sign} ID would just return an empty result set."
                )));
            }
            id => {
                Id::parse(id, 0)?;
            }
        }
    }
    let mut found = Vec::new();
    for (key, id) in request.keys.iter().zip(request.ids) {
        // The greatest id means the same to a server.
        let new = id.as_ref() == b">" || Id::parse(id, 0) == Ok(Id::MAX);
        let entries = if new {
            deliver(store, key, name, consumer, &request)?
        } else {
            Some(history(store, key, (name, consumer), Id::parse(id, 0)?, request.count)?)
        };
        if let Some(entries) = entries {
            found.push((Reply::Bulk(key.clone()), Reply::Array(entries)));
        }
    }
    if found.is_empty() { request.nothing(arguments, None) } else { Ok(streams_reply(found)) }
}

/// New entries for a consumer; `None` when there are none.
fn deliver(
    store: &mut Store<'_>,
    key: &Bytes,
    name: &Bytes,
    consumer: &Bytes,
    request: &ReadRequest<'_>,
) -> Result<Option<Vec<Reply>>, Stop> {
    let now_ms = store.now_ms;
    let Some(stream) = store.edit::<Stream>(key)? else { return Ok(None) };
    let counters = stream.counters();
    let Stream { entries, groups, .. } = stream;
    let Some(group) = groups.get_mut(name) else { return Ok(None) };
    let made = !group.consumers.contains_key(consumer);
    group.consumer(consumer, now_ms);
    let new: Vec<(Id, Reply)> = group
        .last_delivered
        .next()
        .into_iter()
        .flat_map(|start| entries.range(start..))
        .take(request.count)
        .map(|(id, fields)| (*id, entry(*id, fields)))
        .collect();
    new.iter().for_each(|(id, _)| group.advance(*id, counters));
    if !new.is_empty() && !request.no_ack {
        let Consumer { active_at, .. } = group.consumer(consumer, now_ms);
        *active_at = Some(now_ms);
    }
    if !request.no_ack {
        for (id, _) in &new {
            let pending =
                Pending { consumer: consumer.clone(), delivered_at: now_ms, deliveries: 1 };
            group.pending.insert(*id, pending);
        }
    }
    if made || !new.is_empty() {
        store.changed::<Stream>(key);
    }
    let replies: Vec<Reply> = new.into_iter().map(|(_, reply)| reply).collect();
    Ok(if replies.is_empty() { None } else { Some(replies) })
}

/// Entries that were delivered to a consumer and not acknowledged.
fn history(
    store: &mut Store<'_>,
    key: &Bytes,
    (name, consumer): (&Bytes, &Bytes),
    after: Id,
    count: usize,
) -> Result<Vec<Reply>, Stop> {
    let now_ms = store.now_ms;
    let Some(stream) = store.edit::<Stream>(key)? else { return Ok(Vec::new()) };
    let Stream { entries, groups, .. } = stream;
    let Some(group) = groups.get_mut(name) else { return Ok(Vec::new()) };
    let made = !group.consumers.contains_key(consumer);
    group.consumer(consumer, now_ms);
    let mut replies = Vec::new();
    if let Some(start) = after.next() {
        let own = group.pending.range_mut(start..).filter(|(_, p)| p.consumer == *consumer);
        for (id, pending) in own.take(count) {
            replies.push(match entries.get(id) {
                Some(fields) => {
                    pending.delivered_at = now_ms;
                    pending.deliveries += 1;
                    entry(*id, fields)
                }
                None => Reply::Array(vec![Reply::Bulk(id.bytes()), Reply::NullArray]),
            });
        }
    }
    if made || !replies.is_empty() {
        store.changed::<Stream>(key);
    }
    Ok(replies)
}
