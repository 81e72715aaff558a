//! `XINFO`: the state of streams and their groups.
//!
//! Spec: command page of XINFO.

use super::stream::{Group, Id, Stream};
use super::streams::entry;
use crate::resp::Reply;
use crate::server::arguments::{int, is};
use crate::server::command::Keys::Range;
use crate::server::command::{NO_SUCH_KEY, Outcome, R, Spec, Stop, fail_with, wrong_subcommand};
use crate::server::keyspace::Store;
use bytes::Bytes;

const SUB_KEY: crate::server::command::Keys = Range(2, 2, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::container("xinfo"),
    Spec::data("xinfo|consumers", 4, R, SUB_KEY, consumers),
    Spec::data("xinfo|groups", 3, R, SUB_KEY, groups),
    Spec::data("xinfo|stream", -3, R, SUB_KEY, info),
];

fn stream<'s>(store: &'s Store<'_>, key: &Bytes) -> Result<&'s Stream, Stop> {
    store.get::<Stream>(key)?.ok_or(NO_SUCH_KEY)
}

/// Entries that `FULL` shows of each kind, where `COUNT` says nothing.
const FULL_COUNT: usize = 10;

fn id(id: Id) -> Reply {
    Reply::Bulk(id.bytes())
}

fn number(value: u64) -> Reply {
    Reply::Int(value as i64)
}

fn map<const N: usize>(pairs: [(&'static str, Reply); N]) -> Reply {
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::text(name), value)).collect())
}

fn lag(stream: &Stream, group: &Group) -> Reply {
    stream.counters().lag(group).map_or(Reply::Null, number)
}

fn info(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let stream = stream(store, &arguments[2])?;
    let (full, count) = match &arguments[3..] {
        [] => (false, 0),
        [full] if is(full, "FULL") => (true, FULL_COUNT),
        [full, word, count] if is(full, "FULL") && is(word, "COUNT") => {
            (true, usize::try_from(int(count)?).unwrap_or(FULL_COUNT))
        }
        _ => return Err(wrong_subcommand(arguments, "XINFO")),
    };
    let length = Reply::count(stream.entries.len());
    let first_id = stream.counters().first_id;
    let whole = |item: Option<(&Id, &Vec<Bytes>)>| {
        item.map_or(Reply::Null, |(id, fields)| entry(*id, fields))
    };
    if full {
        let limit = if count == 0 { usize::MAX } else { count };
        let entries = stream.entries.iter().take(limit).map(|(id, f)| entry(*id, f)).collect();
        let groups = stream.groups.iter().map(|(name, g)| full_group(stream, name, g, limit));
        return Ok(map([
            ("length", length),
            ("radix-tree-keys", Reply::Int(1)),
            ("radix-tree-nodes", Reply::Int(2)),
            ("last-generated-id", id(stream.last_id)),
            ("max-deleted-entry-id", id(stream.max_deleted)),
            ("entries-added", number(stream.added)),
            ("recorded-first-entry-id", id(first_id)),
            ("entries", Reply::Array(entries)),
            ("groups", Reply::Array(groups.collect())),
        ]));
    }
    Ok(map([
        ("length", length),
        ("radix-tree-keys", Reply::Int(1)),
        ("radix-tree-nodes", Reply::Int(2)),
        ("last-generated-id", id(stream.last_id)),
        ("max-deleted-entry-id", id(stream.max_deleted)),
        ("entries-added", number(stream.added)),
        ("recorded-first-entry-id", id(first_id)),
        ("groups", Reply::count(stream.groups.len())),
        ("first-entry", whole(stream.entries.first_key_value())),
        ("last-entry", whole(stream.entries.last_key_value())),
    ]))
}

fn full_group(stream: &Stream, name: &Bytes, group: &Group, limit: usize) -> Reply {
    let pending = group.pending.iter().take(limit).map(|(at, p)| {
        Reply::Array(vec![
            id(*at),
            Reply::Bulk(p.consumer.clone()),
            number(p.delivered_at),
            number(p.deliveries),
        ])
    });
    let consumers = group.consumers.iter().map(|(consumer, c)| {
        let own = group.pending.iter().filter(|(_, p)| p.consumer == *consumer).take(limit);
        let own = own.map(|(at, p)| {
            Reply::Array(vec![id(*at), number(p.delivered_at), number(p.deliveries)])
        });
        map([
            ("name", Reply::Bulk(consumer.clone())),
            ("seen-time", number(c.seen_at)),
            ("active-time", c.active_at.map_or(Reply::Int(-1), number)),
            ("pel-count", Reply::count(group.pending_of(consumer))),
            ("pending", Reply::Array(own.collect())),
        ])
    });
    map([
        ("name", Reply::Bulk(name.clone())),
        ("last-delivered-id", id(group.last_delivered)),
        ("entries-read", group.entries_read.map_or(Reply::Null, number)),
        ("lag", lag(stream, group)),
        ("pel-count", Reply::count(group.pending.len())),
        ("pending", Reply::Array(pending.collect())),
        ("consumers", Reply::Array(consumers.collect())),
    ])
}

fn groups(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let stream = stream(store, &arguments[2])?;
    let row = |(name, group): (&Bytes, &Group)| {
        map([
            ("name", Reply::Bulk(name.clone())),
            ("consumers", Reply::count(group.consumers.len())),
            ("pending", Reply::count(group.pending.len())),
            ("last-delivered-id", id(group.last_delivered)),
            ("entries-read", group.entries_read.map_or(Reply::Null, number)),
            ("lag", lag(stream, group)),
        ])
    };
    Ok(Reply::Array(stream.groups.iter().map(row).collect()))
}

fn consumers(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, name) = (&arguments[2], &arguments[3]);
    let now_ms = store.now_ms;
    let Some(group) = stream(store, key)?.groups.get(name) else {
        let (key, name) = (String::from_utf8_lossy(key), String::from_utf8_lossy(name));
        let text = format!("NOGROUP No such consumer group '{name}' for key name '{key}'");
        return Err(fail_with(text));
    };
    let row = |(consumer, c): (&Bytes, &super::stream::Consumer)| {
        let since = |at: u64| Reply::Int(now_ms.saturating_sub(at) as i64);
        map([
            ("name", Reply::Bulk(consumer.clone())),
            ("pending", Reply::count(group.pending_of(consumer))),
            ("idle", since(c.seen_at)),
            ("inactive", c.active_at.map_or(Reply::Int(-1), since)),
        ])
    };

    Ok(Reply::Array(group.consumers.iter().map(row).collect()))
}
