//! Lists.
//!
//! Spec: command pages of the "list" group. Moves between lists and blocking commands are in
//! `list_moves`.

use super::keys::count_option;
use crate::resp::Reply;
use crate::server::arguments::{Options, int, is, position, signed_count, slice};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, M, NO_SUCH_KEY, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::Store;
use crate::server::value::List;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("lindex", 3, R, KEY, lindex),
    Spec::data("linsert", 5, W | M, KEY, linsert),
    Spec::data("llen", 2, R | FAST, KEY, llen),
    Spec::data("lpop", -2, W | FAST, KEY, |s, a| pop(s, a, End::Left)),
    Spec::data("lpos", -3, R, KEY, lpos).since(6, 0),
    Spec::data("lpush", -3, W | M | FAST, KEY, |s, a| push(s, a, End::Left, false)),
    Spec::data("lpushx", -3, W | M | FAST, KEY, |s, a| push(s, a, End::Left, true)),
    Spec::data("lrange", 4, R, KEY, lrange),
    Spec::data("lrem", 4, W, KEY, lrem),
    Spec::data("lset", 4, W | M, KEY, lset),
    Spec::data("ltrim", 4, W, KEY, ltrim),
    Spec::data("rpop", -2, W | FAST, KEY, |s, a| pop(s, a, End::Right)),
    Spec::data("rpush", -3, W | M | FAST, KEY, |s, a| push(s, a, End::Right, false)),
    Spec::data("rpushx", -3, W | M | FAST, KEY, |s, a| push(s, a, End::Right, true)),
];

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Where `LPUSH` adds.
    Left,
    /// Where `RPUSH` adds.
    Right,
}

impl End {
    pub(crate) fn push(self, list: &mut List, value: Bytes) {
        match self {
            Self::Left => list.push_front(value),
            Self::Right => list.push_back(value),
        }
    }

    pub(crate) fn pop(self, list: &mut List) -> Option<Bytes> {
        match self {
            Self::Left => list.pop_front(),
            Self::Right => list.pop_back(),
        }
    }
}

fn push(store: &mut Store<'_>, arguments: &[Bytes], end: End, only_existing: bool) -> Outcome {
    if only_existing && store.get::<List>(&arguments[1])?.is_none() {
        return Ok(Reply::Int(0));
    }
    let list = store.edit_or_create::<List>(&arguments[1])?;
    for value in &arguments[2..] {
        end.push(list, value.clone());
    }
    let len = list.len();
    store.changed::<List>(&arguments[1]);
    Ok(Reply::count(len))
}

fn pop(store: &mut Store<'_>, arguments: &[Bytes], end: End) -> Outcome {
    let count = match &arguments[2..] {
        [] => None,
        [count] => Some(count_option(count)?),
        _ => {
            let name = if end == End::Left { "lpop" } else { "rpop" };
            let text = format!("ERR wrong number of arguments for '{name}' command");
            return Err(crate::server::command::fail_with(text));
        }
    };
    let Some(list) = store.edit::<List>(&arguments[1])? else {
        return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null });
    };
    let wanted = count.unwrap_or(1);
    let popped: Vec<Bytes> = std::iter::from_fn(|| end.pop(list)).take(wanted).collect();
    if !popped.is_empty() {
        store.changed::<List>(&arguments[1]);
    }
    Ok(match count {
        Some(_) => Reply::bulks(popped),
        None => Reply::maybe(popped.into_iter().next()),
    })
}

fn llen(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(store.get::<List>(&arguments[1])?.map_or(0, List::len)))
}

fn lindex(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(list) = store.get::<List>(&arguments[1])? else { return Ok(Reply::Null) };
    let index = position(int(&arguments[2])?, list.len());
    let value = usize::try_from(index).ok().and_then(|index| list.get(index));
    Ok(Reply::maybe(value.cloned()))
}

fn lset(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let list = store.edit::<List>(&arguments[1])?.ok_or(NO_SUCH_KEY)?;
    // Servers read 64 bits and use the lower 32.
    let index = position(i64::from(int(&arguments[2])? as i32), list.len());
    let slot = usize::try_from(index).ok().and_then(|index| list.get_mut(index));
    *slot.ok_or(fail("ERR index out of range"))? = arguments[3].clone();
    store.changed::<List>(&arguments[1]);
    Ok(Reply::OK)
}

fn lrange(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (start, stop) = (int(&arguments[2])?, int(&arguments[3])?);
    let list = store.get::<List>(&arguments[1])?;
    let part = list.map(|list| list.range(slice(start, stop, list.len())).cloned());
    Ok(Reply::bulks(part.into_iter().flatten()))
}

fn ltrim(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (start, stop) = (int(&arguments[2])?, int(&arguments[3])?);
    if let Some(list) = store.edit::<List>(&arguments[1])? {
        let kept = slice(start, stop, list.len());
        list.truncate(kept.end);
        list.drain(..kept.start);
        store.changed::<List>(&arguments[1]);
    }
    Ok(Reply::OK)
}

fn linsert(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let after = match &arguments[2] {
        word if is(word, "BEFORE") => 0,
        word if is(word, "AFTER") => 1,
        _ => return Err(SYNTAX),
    };
    let Some(list) = store.edit::<List>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let Some(pivot) = list.iter().position(|value| *value == arguments[3]) else {
        return Ok(Reply::Int(-1));
    };
    list.insert(pivot + after, arguments[4].clone());
    let len = list.len();
    store.changed::<List>(&arguments[1]);
    Ok(Reply::count(len))
}

fn lrem(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let count = signed_count(&arguments[2])?;
    let Some(list) = store.edit::<List>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let matching = list.iter().enumerate().filter(|(_, value)| **value == arguments[3]);
    let mut doomed: Vec<usize> = if count < 0 {
        matching.rev().map(|(index, _)| index).take(limit).collect()
    } else {
        matching.map(|(index, _)| index).take(limit).collect()
    };
    doomed.sort_unstable();
    for index in doomed.iter().rev() {
        list.remove(*index);
    }
    if !doomed.is_empty() {
        store.changed::<List>(&arguments[1]);
    }
    Ok(Reply::count(doomed.len()))
}

const RANK_ZERO: Stop = fail(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
     negative to start from the end of the list",
);

fn lpos(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (mut rank, mut count, mut max_len) = (1, None, 0);
    let mut options = Options::new(&arguments[3..]);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "RANK") => {
                rank = signed_count(options.value()?)?;
                if rank == 0 {
                    return Err(RANK_ZERO);
                }
            }
            o if is(o, "COUNT") => {
                count = match int(options.value()?) {
                    Ok(count @ 0..) => Some(count as usize),
                    _ => return Err(fail("ERR COUNT can't be negative")),
                }
            }
            o if is(o, "MAXLEN") => {
                max_len = match int(options.value()?) {
                    Ok(len @ 0..) => len as usize,
                    _ => return Err(fail("ERR MAXLEN can't be negative")),
                }
            }
            _ => return Err(SYNTAX),
        }
    }
    let list = store.get::<List>(&arguments[1])?;
    let len = list.map_or(0, List::len);
    let looked_at = if max_len == 0 { len } else { max_len.min(len) };
    let at = |step: usize| if rank < 0 { len - 1 - step } else { step };
    let found: Vec<usize> = (0..looked_at)
        .map(at)
        .filter(|index| list.is_some_and(|list| list[*index] == arguments[2]))
        .skip(rank.unsigned_abs() as usize - 1)
        .take(match count {
            Some(0) => usize::MAX,
            Some(count) => count,
            None => 1,
        })
        .collect();
    Ok(match count {
        Some(_) => Reply::Array(found.into_iter().map(Reply::count).collect()),
        None => found.first().map_or(Reply::Null, |index| Reply::count(*index)),
    })
}
