//! Hashes.
//!
//! Spec: command pages of the "hash" group.

use super::strings::{check_step, float_sum};
use crate::resp::Reply;
use crate::server::arguments::{int, int_or, is, signed_count};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, M, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::Store;
use crate::server::value::Hash;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("hdel", -3, W | FAST, KEY, hdel),
    Spec::data("hexists", 3, R | FAST, KEY, hexists),
    Spec::data("hget", 3, R | FAST, KEY, hget),
    Spec::data("hgetall", 2, R, KEY, hgetall),
    Spec::data("hincrby", 4, W | M | FAST, KEY, hincrby),
    Spec::data("hincrbyfloat", 4, W | M | FAST, KEY, hincrbyfloat),
    Spec::data("hkeys", 2, R, KEY, hkeys),
    Spec::data("hlen", 2, R | FAST, KEY, hlen),
    Spec::data("hmget", -3, R | FAST, KEY, hmget),
    Spec::data("hmset", -4, W | M | FAST, KEY, |s, a| hset(s, a, true)),
    Spec::data("hrandfield", -2, R, KEY, hrandfield).since(6, 2),
    Spec::data("hset", -4, W | M | FAST, KEY, |s, a| hset(s, a, false)),
    Spec::data("hsetnx", 4, W | M | FAST, KEY, hsetnx),
    Spec::data("hstrlen", 3, R | FAST, KEY, hstrlen),
    Spec::data("hvals", 2, R, KEY, hvals),
];

fn hset(store: &mut Store<'_>, arguments: &[Bytes], plain: bool) -> Outcome {
    if !arguments.len().is_multiple_of(2) {
        let name = if plain { "hmset" } else { "hset" };
        let text = format!("ERR wrong number of arguments for '{name}' command");
        return Err(crate::server::command::fail_with(text));
    }
    let hash = store.edit_or_create::<Hash>(&arguments[1])?;
    let mut added = 0;
    for pair in arguments[2..].chunks_exact(2) {
        added += usize::from(hash.insert(pair[0].clone(), pair[1].clone()).is_none());
    }
    store.changed::<Hash>(&arguments[1]);
    Ok(if plain { Reply::OK } else { Reply::count(added) })
}

fn hsetnx(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let taken =
        store.get::<Hash>(&arguments[1])?.is_some_and(|hash| hash.contains_key(&arguments[2]));
    if !taken {
        let hash = store.edit_or_create::<Hash>(&arguments[1])?;
        hash.insert(arguments[2].clone(), arguments[3].clone());
        store.changed::<Hash>(&arguments[1]);
    }
    Ok(Reply::flag(!taken))
}

fn hget(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = store.get::<Hash>(&arguments[1])?;
    Ok(Reply::maybe(hash.and_then(|hash| hash.get(&arguments[2]).cloned())))
}

fn hmget(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = store.get::<Hash>(&arguments[1])?;
    let value = |field: &Bytes| Reply::maybe(hash.and_then(|hash| hash.get(field).cloned()));
    Ok(Reply::Array(arguments[2..].iter().map(value).collect()))
}

fn hgetall(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let pairs = store.get::<Hash>(&arguments[1])?.into_iter().flatten();
    Ok(Reply::Map(pairs.map(|(f, v)| (Reply::Bulk(f.clone()), Reply::Bulk(v.clone()))).collect()))
}

fn hkeys(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = store.get::<Hash>(&arguments[1])?;
    Ok(Reply::bulks(hash.into_iter().flat_map(|hash| hash.keys().cloned())))
}

fn hvals(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = store.get::<Hash>(&arguments[1])?;
    Ok(Reply::bulks(hash.into_iter().flat_map(|hash| hash.values().cloned())))
}

fn hlen(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(store.get::<Hash>(&arguments[1])?.map_or(0, Hash::len)))
}

fn hexists(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = store.get::<Hash>(&arguments[1])?;
    Ok(Reply::flag(hash.is_some_and(|hash| hash.contains_key(&arguments[2]))))
}

fn hstrlen(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let hash = store.get::<Hash>(&arguments[1])?;
    let value = hash.and_then(|hash| hash.get(&arguments[2]));
    Ok(Reply::count(value.map_or(0, Bytes::len)))
}

fn hdel(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(hash) = store.edit::<Hash>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let count = arguments[2..].iter().filter(|field| hash.remove(*field).is_some()).count();
    if count > 0 {
        store.changed::<Hash>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn hincrby(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let step = int(&arguments[3])?;
    let old = match store.get::<Hash>(&arguments[1])?.and_then(|hash| hash.get(&arguments[2])) {
        Some(text) => int_or(text, "ERR hash value is not an integer")?,
        None => 0,
    };
    let new = old.checked_add(step).ok_or(fail("ERR increment or decrement would overflow"))?;
    let hash = store.edit_or_create::<Hash>(&arguments[1])?;
    hash.insert(arguments[2].clone(), Bytes::from(new.to_string()));
    store.changed::<Hash>(&arguments[1]);
    Ok(Reply::Int(new))
}

const INFINITE_STEP: Stop = fail("ERR value is NaN or Infinity");

fn hincrbyfloat(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    check_step(&arguments[3], INFINITE_STEP)?;
    let old = store.get::<Hash>(&arguments[1])?.and_then(|hash| hash.get(&arguments[2]));
    let old = old.cloned().unwrap_or(Bytes::from_static(b"0"));
    let not_a_float = fail("ERR hash value is not a float");
    let sum = float_sum(&old, &arguments[3], not_a_float, INFINITE_STEP)?;
    let hash = store.edit_or_create::<Hash>(&arguments[1])?;
    hash.insert(arguments[2].clone(), sum.clone());
    store.changed::<Hash>(&arguments[1]);
    Ok(Reply::Bulk(sum))
}

fn hrandfield(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut rng = store.rng.clone();
    let Some(count) = arguments.get(2) else {
        let hash = store.get::<Hash>(&arguments[1])?;
        let field = hash.and_then(|hash| hash.keys().nth(rng.index(hash.len())));
        return Ok(Reply::maybe(field.cloned()));
    };
    let count = signed_count(count)?;
    let with_values = match &arguments[3..] {
        [] => false,
        [option] if is(option, "WITHVALUES") => true,
        _ => return Err(SYNTAX),
    };
    check_pairs(count, with_values)?;
    let hash = store.get::<Hash>(&arguments[1])?;
    let pairs: Vec<_> = hash.into_iter().flatten().collect();
    let chosen = choose(&mut rng, pairs.len(), count)?;
    let chosen = chosen.into_iter().map(|index| pairs[index]);
    Ok(if with_values {
        let bulk = |value: &Bytes| Reply::Bulk(value.clone());
        Reply::Pairs(chosen.map(|(field, value)| (bulk(field), bulk(value))).collect())
    } else {
        Reply::bulks(chosen.map(|(field, _)| field.clone()))
    })
}

/// Refuses a count of pairs whose double no server can count.
///
/// # Errors
///
/// What servers say of it.
pub(crate) fn check_pairs(count: i64, pairs: bool) -> Result<(), Stop> {
    if pairs && count.unsigned_abs() > (i64::MAX / 2) as u64 {
        return Err(fail("ERR value is out of range"));
    }
    Ok(())
}

/// Members that one request may get with repetition. A real server tries to send any number of
/// them, until it has no memory.
const REPEATED_MAX: u64 = 1 << 20;

/// Indices below `len`: up to `count` different ones, or `-count` with repetition.
///
/// # Errors
/// More than `REPEATED_MAX` with repetition.
pub(crate) fn choose(
    rng: &mut crate::rng::Rng,
    len: usize,
    count: i64,
) -> Result<Vec<usize>, Stop> {
    if count == i64::MIN {
        let text = "ERR value is out of range, value must between -9223372036854775807 and \
                    9223372036854775807";
        return Err(fail(text));
    }
    if len == 0 {
        return Ok(Vec::new());
    }
    if count < 0 {
        let count = count.unsigned_abs();
        if count > REPEATED_MAX {
            return Err(fail("ERR value is out of range"));
        }
        return Ok((0..count).map(|_| rng.index(len)).collect());
    }
    let mut all: Vec<usize> = (0..len).collect();
    let wanted = (count as usize).min(len);
    for i in 0..wanted {
        all.swap(i, i + rng.index(len - i));
    }
    all.truncate(wanted);
    Ok(all)
}
