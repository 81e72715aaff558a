//! Moves between lists, and blocking list commands.
//!
//! A command that finds nothing returns the keys that it waits for, and is run again when one of
//! them changes. The blocking itself is in `server/blocking.rs`.
//!
//! Spec: command pages of BLPOP, LMOVE, LMPOP and similar ones.

use super::lists::End;
use crate::resp::Reply;
use crate::server::arguments::{Options, is, positive, timeout};
use crate::server::command::Keys::{Counted, Range};
use crate::server::command::{BLOCKING, M, Outcome, SYNTAX, Spec, Stop, W, Wait};
use crate::server::keyspace::Store;
use crate::server::value::List;
use bytes::Bytes;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("blmove", 6, W | M | BLOCKING, Range(1, 2, 1), blmove).since(6, 2),
    Spec::data("blmpop", -5, W | BLOCKING, Counted(2), blmpop).since(7, 0),
    Spec::data("blpop", -3, W | BLOCKING, Range(1, -2, 1), |s, a| bpop(s, a, End::Left)),
    Spec::data("brpop", -3, W | BLOCKING, Range(1, -2, 1), |s, a| bpop(s, a, End::Right)),
    Spec::data("brpoplpush", 4, W | M | BLOCKING, Range(1, 2, 1), brpoplpush),
    Spec::data("lmove", 5, W | M, Range(1, 2, 1), lmove).since(6, 2),
    Spec::data("lmpop", -4, W, Counted(1), lmpop).since(7, 0),
    Spec::data("rpoplpush", 3, W | M, Range(1, 2, 1), rpoplpush),
];

fn end(argument: &Bytes) -> Result<End, Stop> {
    match argument {
        word if is(word, "LEFT") => Ok(End::Left),
        word if is(word, "RIGHT") => Ok(End::Right),
        _ => Err(SYNTAX),
    }
}

/// The wait of a command that would take from `keys`.
pub(crate) fn wait_for(keys: &[Bytes], timeout_ms: Option<u64>, on_timeout: Reply) -> Stop {
    Stop::Block(Wait { keys: keys.to_vec(), timeout_ms, on_timeout, rewritten: None })
}

/// Moves one element; `None` when the source is empty.
fn shift(
    store: &mut Store<'_>,
    from: &Bytes,
    to: &Bytes,
    ends: (End, End),
) -> Result<Option<Bytes>, Stop> {
    if store.get::<List>(from)?.is_none() {
        return Ok(None);
    }
    store.get::<List>(to)?;
    let Some(value) = store.edit::<List>(from)?.and_then(|list| ends.0.pop(list)) else {
        return Ok(None);
    };
    if from != to {
        store.changed::<List>(from);
    }
    ends.1.push(store.edit_or_create::<List>(to)?, value.clone());
    store.changed::<List>(to);
    Ok(Some(value))
}

fn rpoplpush(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let ends = (End::Right, End::Left);
    Ok(Reply::maybe(shift(store, &arguments[1], &arguments[2], ends)?))
}

fn lmove(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let ends = (end(&arguments[3])?, end(&arguments[4])?);
    Ok(Reply::maybe(shift(store, &arguments[1], &arguments[2], ends)?))
}

fn bshift(store: &mut Store<'_>, arguments: &[Bytes], ends: (End, End), wait: &Bytes) -> Outcome {
    let timeout_ms = timeout(wait)?;
    match shift(store, &arguments[1], &arguments[2], ends)? {
        Some(value) => Ok(Reply::Bulk(value)),
        None => Err(wait_for(&arguments[1..2], timeout_ms, Reply::NullArray)),
    }
}

fn brpoplpush(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    bshift(store, arguments, (End::Right, End::Left), &arguments[3])
}

fn blmove(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let ends = (end(&arguments[3])?, end(&arguments[4])?);
    bshift(store, arguments, ends, &arguments[5])
}

fn bpop(store: &mut Store<'_>, arguments: &[Bytes], end: End) -> Outcome {
    let last = arguments.len() - 1;
    let timeout_ms = timeout(&arguments[last])?;
    for key in &arguments[1..last] {
        if let Some(value) = store.edit::<List>(key)?.and_then(|list| end.pop(list)) {
            store.changed::<List>(key);
            return Ok(Reply::bulks([key.clone(), value]));
        }
    }
    Err(wait_for(&arguments[1..last], timeout_ms, Reply::NullArray))
}

/// Reads `numkeys key ... LEFT|RIGHT [COUNT n]`.
fn pop_request(arguments: &[Bytes]) -> Result<(&[Bytes], End, usize), Stop> {
    let count = positive(&arguments[0], "ERR numkeys should be greater than 0")?;
    let mut options = Options::new(&arguments[1..]);
    let keys = options.many(count)?;
    let end = end(options.value()?)?;
    let mut wanted = 1;
    if options.take("COUNT") {
        wanted = positive(options.value()?, "ERR count should be greater than 0")?;
    }
    if options.is_empty() { Ok((keys, end, wanted)) } else { Err(SYNTAX) }
}

fn pop_many(store: &mut Store<'_>, request: (&[Bytes], End, usize)) -> Result<Option<Reply>, Stop> {
    let (keys, end, wanted) = request;
    for key in keys {
        let Some(list) = store.edit::<List>(key)? else { continue };
        let popped: Vec<Bytes> = std::iter::from_fn(|| end.pop(list)).take(wanted).collect();
        store.changed::<List>(key);
        return Ok(Some(Reply::Array(vec![Reply::Bulk(key.clone()), Reply::bulks(popped)])));
    }
    Ok(None)
}

fn lmpop(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = pop_request(&arguments[1..])?;
    Ok(pop_many(store, request)?.unwrap_or(Reply::NullArray))
}

fn blmpop(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = pop_request(&arguments[2..])?;
    let timeout_ms = timeout(&arguments[1])?;
    match pop_many(store, request)? {
        Some(reply) => Ok(reply),
        None => Err(wait_for(request.0, timeout_ms, Reply::NullArray)),
    }
}
