//! Commands on keys of any type.
//!
//! Spec: command pages of the "generic" group.

use super::scan::glob;
use crate::resp::Reply;
use crate::server::arguments::{Options, int_or, int32, is};
use crate::server::command::Keys::{None as NoKeys, Range};
use crate::server::command::{FAST, M, NO_SUCH_KEY, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::{Entry, Store};
use crate::server::value::{Value, parse_int};
use bytes::Bytes;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("copy", -3, W | M, Range(1, 2, 1), copy).since(6, 2),
    Spec::data("dbsize", 1, R | FAST, NoKeys, dbsize),
    Spec::data("del", -2, W, Range(1, -1, 1), del),
    Spec::data("exists", -2, R | FAST, Range(1, -1, 1), exists),
    Spec::data("flushall", -1, W, NoKeys, |s, a| flush(s, a, true)),
    Spec::data("flushdb", -1, W, NoKeys, |s, a| flush(s, a, false)),
    Spec::data("keys", 2, R, NoKeys, keys),
    Spec::data("move", 3, W | FAST, Range(1, 1, 1), move_key),
    Spec::container("object"),
    Spec::data("object|encoding", 3, R, Range(2, 2, 1), encoding),
    Spec::data("object|freq", 3, R, Range(2, 2, 1), freq),
    Spec::data("object|idletime", 3, R, Range(2, 2, 1), idle_time),
    Spec::data("object|refcount", 3, R, Range(2, 2, 1), ref_count),
    Spec::data("randomkey", 1, R, NoKeys, random_key),
    Spec::data("rename", 3, W, Range(1, 2, 1), rename),
    Spec::data("renamenx", 3, W | FAST, Range(1, 2, 1), renamenx),
    Spec::data("swapdb", 3, W | FAST, NoKeys, swapdb),
    Spec::data("touch", -2, R | FAST, Range(1, -1, 1), exists),
    Spec::data("type", 2, R | FAST, Range(1, 1, 1), type_of),
    Spec::data("unlink", -2, W | FAST, Range(1, -1, 1), del),
];

fn del(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let count = arguments[1..].iter().filter(|key| store.delete(key).is_some()).count();
    Ok(Reply::count(count))
}

fn exists(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(arguments[1..].iter().filter(|key| store.exists(key)).count()))
}

fn type_of(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let name = store.value(&arguments[1]).map_or("none", |v| v.type_name());
    Ok(Reply::Status(name.into()))
}

fn keys(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let matching = store.keys().filter(|(key, _)| glob(&arguments[1], key));
    Ok(Reply::bulks(matching.map(|(key, _)| key.clone())))
}

fn dbsize(store: &mut Store<'_>, _arguments: &[Bytes]) -> Outcome {
    let db = store.db;
    Ok(Reply::count(store.keyspace.databases[db].entries.len()))
}

fn random_key(store: &mut Store<'_>, _arguments: &[Bytes]) -> Outcome {
    let count = store.keys().count();
    let index = store.rng.index(count);
    Ok(Reply::maybe(store.keys().nth(index).map(|(key, _)| key.clone())))
}

fn flush(store: &mut Store<'_>, arguments: &[Bytes], all: bool) -> Outcome {
    match &arguments[1..] {
        [] => {}
        [mode] if is(mode, "ASYNC") || is(mode, "SYNC") => {}
        _ => return Err(SYNTAX),
    }
    let chosen = if all { 0..store.keyspace.databases.len() } else { store.db..store.db + 1 };
    for db in chosen {
        let database = &mut store.keyspace.databases[db];
        let gone = std::mem::take(database);
        store.changes.touched.extend(gone.entries.into_keys().map(|key| (db, key)));
    }
    store.changes.flushed.push(if all { None } else { Some(store.db) });
    store.changes.dirty += 1;
    Ok(Reply::OK)
}

fn rename(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (from, to) = (&arguments[1], &arguments[2]);
    let entry = store.entry(from).cloned().ok_or(NO_SUCH_KEY)?;
    if from != to {
        store.delete(from);
        store.put(to, entry.value, entry.expires_at);
    }
    Ok(Reply::OK)
}

fn renamenx(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    if !store.exists(&arguments[1]) {
        return Err(NO_SUCH_KEY);
    }
    if store.exists(&arguments[2]) {
        return Ok(Reply::Int(0));
    }
    rename(store, arguments)?;
    Ok(Reply::Int(1))
}

/// The number of an existing database.
fn database(store: &Store<'_>, number: i64) -> Result<usize, Stop> {
    match usize::try_from(number) {
        Ok(db) if db < store.keyspace.databases.len() => Ok(db),
        _ => Err(fail("ERR DB index is out of range")),
    }
}

fn copy(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut options = Options::new(&arguments[3..]);
    let (mut db, mut replace) = (store.db, false);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "REPLACE") => replace = true,
            o if is(o, "DB") => {
                db = database(store, int32(options.value()?)?)?;
            }
            _ => return Err(SYNTAX),
        }
    }
    if db == store.db && arguments[1] == arguments[2] {
        return Err(fail("ERR source and destination objects are the same"));
    }
    let Some(entry) = store.entry(&arguments[1]).cloned() else { return Ok(Reply::Int(0)) };
    let copied = store.in_database(db, |s| place(s, &arguments[2], entry, replace));
    Ok(Reply::flag(copied))
}

fn move_key(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let db = database(store, int32(&arguments[2])?)?;
    if db == store.db {
        return Err(fail("ERR source and destination objects are the same"));
    }
    let Some(entry) = store.entry(&arguments[1]).cloned() else { return Ok(Reply::Int(0)) };
    let moved = store.in_database(db, |s| place(s, &arguments[1], entry, false));
    if moved {
        store.delete(&arguments[1]);
    }
    Ok(Reply::flag(moved))
}

fn place(store: &mut Store<'_>, key: &Bytes, entry: Entry, replace: bool) -> bool {
    let free = replace || !store.exists(key);
    if free {
        store.put(key, entry.value, entry.expires_at);
    }
    free
}

fn swapdb(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let number = |argument: &Bytes, text: &'static str| {
        int_or(argument, text).and_then(|number| match i32::try_from(number) {
            Ok(_) => Ok(number),
            Err(_) => Err(fail(text)),
        })
    };
    let a = number(&arguments[1], "ERR invalid first DB index")?;
    let b = number(&arguments[2], "ERR invalid second DB index")?;
    let (a, b) = (database(store, a)?, database(store, b)?);
    store.keyspace.databases.swap(a, b);
    for (db, other) in [(a, b), (b, a)] {
        for which in [db, other] {
            let keys = store.keyspace.databases[which].entries.keys();
            store.changes.touched.extend(keys.map(|key| (db, key.clone())));
        }
    }
    store.changes.dirty += 1;
    Ok(Reply::OK)
}

fn encoding(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let encoding = store.entry(&arguments[2]).map(|e| e.form.unwrap_or(e.value.encoding()));
    Ok(encoding.map_or(Reply::Null, Reply::text))
}

/// What a server says of a value that all keys share.
const REFERENCES_SHARED: i64 = i32::MAX as i64;

/// Whether a server has one value for all keys that hold this.
fn is_shared(text: &[u8]) -> bool {
    parse_int(text).is_some_and(|number| (0..10_000).contains(&number))
}

fn ref_count(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let count = |entry: &Entry| match &entry.value {
        Value::Str(text) if entry.form.is_none() && is_shared(text) => {
            Reply::Int(REFERENCES_SHARED)
        }
        _ => Reply::Int(1),
    };
    Ok(store.entry(&arguments[2]).map_or(Reply::Null, count))
}

fn idle_time(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let idle =
        |entry: &Entry| Reply::Int((store.now_ms.saturating_sub(entry.used_at) / 1000) as i64);
    Ok(store.entry(&arguments[2]).map_or(Reply::Null, idle))
}

fn freq(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    if !store.exists(&arguments[2]) {
        return Ok(Reply::Null);
    }
    Err(fail(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    ))
}

/// A count that must not be negative, as several commands take it.
pub(crate) fn count_option(argument: &Bytes) -> Result<usize, Stop> {
    let count = parse_int(argument).and_then(|count| usize::try_from(count).ok());
    count.ok_or(fail("ERR value is out of range, must be positive"))
}
