//! Sorted sets: adding, removing, reading, popping.
//!
//! Spec: command pages of the "sorted-set" group. Ranges are in `sorted_ranges`, unions and
//! intersections in `sorted_algebra`.

use super::hashes::{check_pairs, choose};
use super::keys::count_option;
use super::list_moves::wait_for;
use crate::resp::Reply;
use crate::server::arguments::{Options, float, float_or, is, positive, signed_count, timeout};
use crate::server::command::Keys::{Counted, Range};
use crate::server::command::{
    BLOCKING, FAST, M, NOT_A_FLOAT, Outcome, R, SYNTAX, Spec, Stop, W, fail, fail_with,
};
use crate::server::dispatch::wrong_arity;
use crate::server::keyspace::Store;
use crate::server::value::Sorted;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("bzmpop", -5, W | BLOCKING, Counted(2), bzmpop).since(7, 0),
    Spec::data("bzpopmax", -3, W | FAST | BLOCKING, Range(1, -2, 1), |s, a| bpop(s, a, true)),
    Spec::data("bzpopmin", -3, W | FAST | BLOCKING, Range(1, -2, 1), |s, a| bpop(s, a, false)),
    Spec::data("zadd", -4, W | M | FAST, KEY, zadd),
    Spec::data("zcard", 2, R | FAST, KEY, zcard),
    Spec::data("zincrby", 4, W | M | FAST, KEY, zincrby),
    Spec::data("zmpop", -4, W, Counted(1), zmpop).since(7, 0),
    Spec::data("zmscore", -3, R | FAST, KEY, zmscore).since(6, 2),
    Spec::data("zpopmax", -2, W | FAST, KEY, |s, a| pop(s, a, true)),
    Spec::data("zpopmin", -2, W | FAST, KEY, |s, a| pop(s, a, false)),
    Spec::data("zrandmember", -2, R, KEY, zrandmember).since(6, 2),
    Spec::data("zrank", -3, R | FAST, KEY, |s, a| rank(s, a, false)),
    Spec::data("zrem", -3, W | FAST, KEY, zrem),
    Spec::data("zrevrank", -3, R | FAST, KEY, |s, a| rank(s, a, true)),
    Spec::data("zscore", 3, R | FAST, KEY, zscore),
];

/// Options of ZADD.
#[derive(Default)]
struct Conditions {
    /// Only new members.
    only_new: bool,
    /// Only existing members.
    only_old: bool,
    /// Only to a greater score.
    only_greater: bool,
    /// Only to a lesser score.
    only_less: bool,
    /// Count changed members too.
    count_changed: bool,
    /// Add to the score, and reply with it.
    increment: bool,
}

impl Conditions {
    fn parse<'a>(options: &mut Options<'a>) -> Result<(Self, &'a [Bytes]), Stop> {
        let mut c = Self::default();
        loop {
            let flag = match options.rest().first() {
                Some(o) if is(o, "NX") => &mut c.only_new,
                Some(o) if is(o, "XX") => &mut c.only_old,
                Some(o) if is(o, "GT") => &mut c.only_greater,
                Some(o) if is(o, "LT") => &mut c.only_less,
                Some(o) if is(o, "CH") => &mut c.count_changed,
                Some(o) if is(o, "INCR") => &mut c.increment,
                _ => break,
            };
            *flag = true;
            options.next();
        }
        let pairs = options.rest();
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(SYNTAX);
        }
        if c.only_new && c.only_old {
            return Err(fail("ERR XX and NX options at the same time are not compatible"));
        }
        if u8::from(c.only_greater) + u8::from(c.only_less) + u8::from(c.only_new) > 1 {
            return Err(fail("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if c.increment && pairs.len() > 2 {
            return Err(fail("ERR INCR option supports a single increment-element pair"));
        }
        Ok((c, pairs))
    }

    fn allow(&self, old: Option<f64>, new: f64) -> bool {
        match old {
            None => !self.only_old,
            Some(old) => {
                !(self.only_new || self.only_greater && new <= old || self.only_less && new >= old)
            }
        }
    }
}

fn zadd(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (conditions, pairs) = Conditions::parse(&mut Options::new(&arguments[2..]))?;
    let mut scored = Vec::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks_exact(2) {
        scored.push((float_or(&pair[0], NOT_A_FLOAT)?, &pair[1]));
    }
    let existing = store.get::<Sorted>(&arguments[1])?;
    if existing.is_none() && conditions.only_old {
        return Ok(if conditions.increment { Reply::Null } else { Reply::Int(0) });
    }
    let (mut added, mut changed, mut result) = (0, 0, Reply::Null);
    let sorted = store.edit_or_create::<Sorted>(&arguments[1])?;
    for (score, member) in scored {
        let old = sorted.score(member);
        let new = match old {
            Some(old) if conditions.increment => old + score,
            _ => score,
        };
        if new.is_nan() {
            return Err(fail("ERR resulting score is not a number (NaN)"));
        }
        if conditions.allow(old, new) {
            sorted.insert(member.clone(), new);
            added += usize::from(old.is_none());
            changed += usize::from(old.is_some_and(|old| old != new));
            result = Reply::Double(new);
        }
    }
    if added + changed > 0 {
        store.changed::<Sorted>(&arguments[1]);
    }
    Ok(match () {
        () if conditions.increment => result,
        () if conditions.count_changed => Reply::count(added + changed),
        () => Reply::count(added),
    })
}

fn zincrby(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let step = float(&arguments[2])?;
    let sorted = store.edit_or_create::<Sorted>(&arguments[1])?;
    let new = sorted.score(&arguments[3]).map_or(step, |old| old + step);
    if new.is_nan() {
        return Err(fail("ERR resulting score is not a number (NaN)"));
    }
    sorted.insert(arguments[3].clone(), new);
    store.changed::<Sorted>(&arguments[1]);
    Ok(Reply::Double(new))
}

fn zrem(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(sorted) = store.edit::<Sorted>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let count = arguments[2..].iter().filter(|member| sorted.remove(member).is_some()).count();
    if count > 0 {
        store.changed::<Sorted>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn zcard(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(store.get::<Sorted>(&arguments[1])?.map_or(0, Sorted::len)))
}

fn zscore(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let score = store.get::<Sorted>(&arguments[1])?.and_then(|s| s.score(&arguments[2]));
    Ok(score.map_or(Reply::Null, Reply::Double))
}

fn zmscore(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let sorted = store.get::<Sorted>(&arguments[1])?;
    let score =
        |member: &Bytes| sorted.and_then(|s| s.score(member)).map_or(Reply::Null, Reply::Double);
    Ok(Reply::Array(arguments[2..].iter().map(score).collect()))
}

fn rank(store: &mut Store<'_>, arguments: &[Bytes], reversed: bool) -> Outcome {
    let with_score = match &arguments[3..] {
        [] => false,
        [option] if is(option, "WITHSCORE") => true,
        [_] => return Err(SYNTAX),
        _ => {
            let name = if reversed { "zrevrank" } else { "zrank" };
            return Err(fail_with(wrong_arity(name)));
        }
    };
    let sorted = store.get::<Sorted>(&arguments[1])?;
    let found = sorted.and_then(|sorted| {
        let index = sorted.iter().position(|(member, _)| *member == arguments[2])?;
        let rank = if reversed { sorted.len() - 1 - index } else { index };
        Some((rank, sorted.score(&arguments[2])?))
    });
    Ok(match found {
        Some((rank, score)) if with_score => {
            Reply::Array(vec![Reply::count(rank), Reply::Double(score)])
        }
        Some((rank, _)) => Reply::count(rank),
        None if with_score => Reply::NullArray,
        None => Reply::Null,
    })
}

/// Removes up to `count` members from one end, the outermost first.
fn take(store: &mut Store<'_>, key: &Bytes, count: usize, highest: bool) -> Vec<(Bytes, f64)> {
    let Ok(Some(sorted)) = store.edit::<Sorted>(key) else { return Vec::new() };
    let next = |sorted: &mut Sorted| {
        let entry = if highest { sorted.order.pop_last() } else { sorted.order.pop_first() };
        entry.map(|(score, member)| (member, score.0))
    };
    let mut taken = Vec::new();
    while taken.len() < count
        && let Some((member, score)) = next(sorted)
    {
        sorted.scores.remove(&member);
        taken.push((member, score));
    }
    if !taken.is_empty() {
        store.changed::<Sorted>(key);
    }
    taken
}

fn pair((member, score): (Bytes, f64)) -> (Reply, Reply) {
    (Reply::Bulk(member), Reply::Double(score))
}

fn pop(store: &mut Store<'_>, arguments: &[Bytes], highest: bool) -> Outcome {
    let count = match &arguments[2..] {
        [] => None,
        [count] => Some(count_option(count)?),
        _ => return Err(SYNTAX),
    };
    store.get::<Sorted>(&arguments[1])?;
    let taken = take(store, &arguments[1], count.unwrap_or(1), highest);
    if count.is_some() {
        return Ok(Reply::Pairs(taken.into_iter().map(pair).collect()));
    }
    let flat = taken.into_iter().map(pair).flat_map(|(member, score)| [member, score]);
    Ok(Reply::Array(flat.collect()))
}

fn bpop(store: &mut Store<'_>, arguments: &[Bytes], highest: bool) -> Outcome {
    let last = arguments.len() - 1;
    let timeout_ms = timeout(&arguments[last])?;
    for key in &arguments[1..last] {
        store.get::<Sorted>(key)?;
        if let Some((member, score)) = take(store, key, 1, highest).pop() {
            return Ok(Reply::Array(vec![
                Reply::Bulk(key.clone()),
                Reply::Bulk(member),
                Reply::Double(score),
            ]));
        }
    }
    Err(wait_for(&arguments[1..last], timeout_ms, Reply::NullArray))
}

/// Reads `numkeys key ... MIN|MAX [COUNT n]`.
fn pop_request(arguments: &[Bytes]) -> Result<(&[Bytes], bool, usize), Stop> {
    let count = positive(&arguments[0], "ERR numkeys should be greater than 0")?;
    let mut options = Options::new(&arguments[1..]);
    let keys = options.many(count)?;
    let highest = match options.value()? {
        word if is(word, "MIN") => false,
        word if is(word, "MAX") => true,
        _ => return Err(SYNTAX),
    };
    let mut wanted = 1;
    if options.take("COUNT") {
        wanted = positive(options.value()?, "ERR count should be greater than 0")?;
    }
    if options.is_empty() { Ok((keys, highest, wanted)) } else { Err(SYNTAX) }
}

fn pop_many(
    store: &mut Store<'_>,
    (keys, highest, wanted): (&[Bytes], bool, usize),
) -> Result<Option<Reply>, Stop> {
    for key in keys {
        if store.get::<Sorted>(key)?.is_some() {
            let taken = take(store, key, wanted, highest);
            let pairs = taken.into_iter().map(|(member, score)| {
                Reply::Array(vec![Reply::Bulk(member), Reply::Double(score)])
            });
            let pairs = Reply::Array(pairs.collect());
            return Ok(Some(Reply::Array(vec![Reply::Bulk(key.clone()), pairs])));
        }
    }
    Ok(None)
}

fn zmpop(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = pop_request(&arguments[1..])?;
    Ok(pop_many(store, request)?.unwrap_or(Reply::NullArray))
}

fn bzmpop(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = pop_request(&arguments[2..])?;
    let timeout_ms = timeout(&arguments[1])?;
    match pop_many(store, request)? {
        Some(reply) => Ok(reply),
        None => Err(wait_for(request.0, timeout_ms, Reply::NullArray)),
    }
}

/// The members of a sorted set with their scores.
fn members<'s>(store: &'s Store<'_>, key: &Bytes) -> Result<Vec<(&'s Bytes, f64)>, Stop> {
    Ok(store.get::<Sorted>(key)?.map(|s| s.iter().collect()).unwrap_or_default())
}

fn zrandmember(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut rng = store.rng.clone();
    let Some(count) = arguments.get(2) else {
        let members = members(store, &arguments[1])?;
        return Ok(Reply::maybe(rng.pick(&members).map(|(member, _)| (*member).clone())));
    };
    let count = signed_count(count)?;
    let with_scores = match &arguments[3..] {
        [] => false,
        [option] if is(option, "WITHSCORES") => true,
        _ => return Err(SYNTAX),
    };
    check_pairs(count, with_scores)?;
    let members = members(store, &arguments[1])?;
    let chosen = choose(&mut rng, members.len(), count)?.into_iter().map(|index| members[index]);
    Ok(if with_scores {
        Reply::Pairs(chosen.map(|(member, score)| pair((member.clone(), score))).collect())
    } else {
        Reply::bulks(chosen.map(|(member, _)| member.clone()))
    })
}
