//! Sets.
//!
//! Spec: command pages of the "set" group.

use super::hashes::choose;
use super::keys::count_option;
use crate::resp::Reply;
use crate::server::arguments::{Options, is, positive, signed_count};
use crate::server::command::Keys::{Counted, Range};
use crate::server::command::{FAST, M, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::Store;
use crate::server::value::Set;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);
const ALL: crate::server::command::Keys = Range(1, -1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("sadd", -3, W | M | FAST, KEY, sadd),
    Spec::data("scard", 2, R | FAST, KEY, scard),
    Spec::data("sdiff", -2, R, ALL, |s, a| combine(s, a, difference)),
    Spec::data("sdiffstore", -3, W | M, ALL, |s, a| combine_store(s, a, difference)),
    Spec::data("sinter", -2, R, ALL, |s, a| combine(s, a, intersection)),
    Spec::data("sintercard", -3, R, Counted(1), sintercard).since(7, 0),
    Spec::data("sinterstore", -3, W | M, ALL, |s, a| combine_store(s, a, intersection)),
    Spec::data("sismember", 3, R | FAST, KEY, sismember),
    Spec::data("smembers", 2, R, KEY, smembers),
    Spec::data("smismember", -3, R | FAST, KEY, smismember).since(6, 2),
    Spec::data("smove", 4, W | FAST, Range(1, 2, 1), smove),
    Spec::data("spop", -2, W | FAST, KEY, spop),
    Spec::data("srandmember", -2, R, KEY, srandmember),
    Spec::data("srem", -3, W | FAST, KEY, srem),
    Spec::data("sunion", -2, R, ALL, |s, a| combine(s, a, union)),
    Spec::data("sunionstore", -3, W | M, ALL, |s, a| combine_store(s, a, union)),
];

fn sadd(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let set = store.edit_or_create::<Set>(&arguments[1])?;
    let count = arguments[2..].iter().filter(|member| set.insert((*member).clone())).count();
    if count > 0 {
        store.changed::<Set>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn srem(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(set) = store.edit::<Set>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let count = arguments[2..].iter().filter(|member| set.remove(*member)).count();
    if count > 0 {
        store.changed::<Set>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn scard(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(store.get::<Set>(&arguments[1])?.map_or(0, Set::len)))
}

fn sismember(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let set = store.get::<Set>(&arguments[1])?;
    Ok(Reply::flag(set.is_some_and(|set| set.contains(&arguments[2]))))
}

fn smismember(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let set = store.get::<Set>(&arguments[1])?;
    let is_member = |member| Reply::flag(set.is_some_and(|set| set.contains(member)));
    Ok(Reply::Array(arguments[2..].iter().map(is_member).collect()))
}

fn smembers(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let members = store.get::<Set>(&arguments[1])?.into_iter().flatten();
    Ok(Reply::Set(members.cloned().map(Reply::Bulk).collect()))
}

fn smove(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (from, to, member) = (&arguments[1], &arguments[2], &arguments[3]);
    let held = store.get::<Set>(from)?.is_some_and(|set| set.contains(member));
    if store.exists(from) {
        store.get::<Set>(to)?;
    }
    if held && from != to {
        if let Some(set) = store.edit::<Set>(from)? {
            set.remove(member);
        }
        store.changed::<Set>(from);
        store.edit_or_create::<Set>(to)?.insert(member.clone());
        store.changed::<Set>(to);
    }
    Ok(Reply::flag(held))
}

fn spop(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let count = match &arguments[2..] {
        [] => None,
        [count] => Some(count_option(count)?),
        _ => return Err(SYNTAX),
    };
    let mut rng = store.rng.clone();
    let Some(set) = store.edit::<Set>(&arguments[1])? else {
        return Ok(if count.is_some() { Reply::Set(Vec::new()) } else { Reply::Null });
    };
    let wanted = count.unwrap_or(1).min(set.len());
    let members: Vec<Bytes> = set.iter().cloned().collect();
    let mut popped = Vec::with_capacity(wanted);
    for index in choose(&mut rng, members.len(), wanted as i64)? {
        set.remove(&members[index]);
        popped.push(members[index].clone());
    }
    if !popped.is_empty() {
        store.changed::<Set>(&arguments[1]);
    }
    Ok(match count {
        Some(_) => Reply::Set(popped.into_iter().map(Reply::Bulk).collect()),
        None => Reply::maybe(popped.pop()),
    })
}

fn srandmember(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut rng = store.rng.clone();
    let count = match &arguments[2..] {
        [] => None,
        [count] => Some(signed_count(count)?),
        _ => return Err(SYNTAX),
    };
    let members: Vec<&Bytes> = store.get::<Set>(&arguments[1])?.into_iter().flatten().collect();
    let Some(count) = count else {
        return Ok(Reply::maybe(rng.pick(&members).map(|member| (*member).clone())));
    };
    let chosen = choose(&mut rng, members.len(), count)?;
    Ok(Reply::bulks(chosen.into_iter().map(|index| members[index].clone())))
}

/// Combines the sets of some keys; a missing key is an empty set.
type Combine = fn(Set, &Set) -> Set;

fn union(mut a: Set, b: &Set) -> Set {
    a.extend(b.iter().cloned());
    a
}

fn intersection(mut a: Set, b: &Set) -> Set {
    a.retain(|member| b.contains(member));
    a
}

fn difference(mut a: Set, b: &Set) -> Set {
    a.retain(|member| !b.contains(member));
    a
}

fn combined(store: &Store<'_>, keys: &[Bytes], with: Combine) -> Result<Set, Stop> {
    let mut result: Option<Set> = None;
    let empty = Set::new();
    for key in keys {
        let set = store.get::<Set>(key)?.unwrap_or(&empty);
        result = Some(match result {
            None => set.clone(),
            Some(so_far) => with(so_far, set),
        });
    }
    Ok(result.unwrap_or_default())
}

fn combine(store: &mut Store<'_>, arguments: &[Bytes], with: Combine) -> Outcome {
    let set = combined(store, &arguments[1..], with)?;
    Ok(Reply::Set(set.into_iter().map(Reply::Bulk).collect()))
}

fn combine_store(store: &mut Store<'_>, arguments: &[Bytes], with: Combine) -> Outcome {
    let set = combined(store, &arguments[2..], with)?;
    let len = set.len();
    store.put_collection(&arguments[1], set);
    Ok(Reply::count(len))
}

/// The limit of SINTERCARD and ZINTERCARD, 0 without one; the last counts.
pub(crate) fn limit_option(options: &[Bytes]) -> Result<usize, Stop> {
    let mut limit = 0;
    let mut options = Options::new(options);
    while let Some(option) = options.next() {
        if !is(option, "LIMIT") || options.is_empty() {
            return Err(SYNTAX);
        }
        limit = match options.int() {
            Ok(limit @ 0..) => limit as usize,
            _ => return Err(fail("ERR LIMIT can't be negative")),
        };
    }
    Ok(limit)
}

fn sintercard(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let count = positive(&arguments[1], "ERR numkeys should be greater than 0")?;
    let rest = &arguments[2..];
    if count > rest.len() {
        return Err(fail("ERR Number of keys can't be greater than number of args"));
    }
    let limit = limit_option(&rest[count..])?;
    let len = combined(store, &rest[..count], intersection)?.len();
    Ok(Reply::count(if limit == 0 { len } else { len.min(limit) }))
}
