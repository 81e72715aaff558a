//! Unions, intersections and differences of sorted sets; plain sets count as sorted sets with
//! scores of 1.
//!
//! Spec: command pages of ZUNION, ZINTER, ZDIFF and similar ones.

use super::sets::limit_option;
use crate::resp::Reply;
use crate::server::arguments::{Options, float_or, int, is};
use crate::server::command::Keys::{Counted, FirstAndCounted};
use crate::server::command::{
    M, NOT_AN_INTEGER, Outcome, R, SYNTAX, Spec, Stop, W, WRONG_TYPE, fail, fail_with,
};
use crate::server::keyspace::Store;
use crate::server::value::{Sorted, Value, parse_int};
use bytes::Bytes;
use std::collections::BTreeMap;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("zdiff", -3, R, Counted(1), |s, a| read(s, a, Kind::Difference)).since(6, 2),
    Spec::data("zdiffstore", -4, W | M, FirstAndCounted(2), |s, a| save(s, a, Kind::Difference))
        .since(6, 2),
    Spec::data("zinter", -3, R, Counted(1), |s, a| read(s, a, Kind::Intersection)).since(6, 2),
    Spec::data("zintercard", -3, R, Counted(1), zintercard).since(7, 0),
    Spec::data("zinterstore", -4, W | M, FirstAndCounted(2), |s, a| save(s, a, Kind::Intersection)),
    Spec::data("zunion", -3, R, Counted(1), |s, a| read(s, a, Kind::Union)).since(6, 2),
    Spec::data("zunionstore", -4, W | M, FirstAndCounted(2), |s, a| save(s, a, Kind::Union)),
];

/// How sets are combined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Members of any.
    Union,
    /// Members of all.
    Intersection,
    /// Members of the first and no other.
    Difference,
}

impl Kind {
    fn command(self, stores: bool) -> &'static str {
        match (self, stores) {
            (Self::Union, false) => "zunion",
            (Self::Union, true) => "zunionstore",
            (Self::Intersection, false) => "zinter",
            (Self::Intersection, true) => "zinterstore",
            (Self::Difference, false) => "zdiff",
            (Self::Difference, true) => "zdiffstore",
        }
    }
}

/// How scores are combined.
#[derive(Clone, Copy)]
enum Aggregate {
    /// The sum; of opposite infinities, zero.
    Sum,
    /// The lesser.
    Min,
    /// The greater.
    Max,
}

impl Aggregate {
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum if (a + b).is_nan() => 0.0,
            Self::Sum => a + b,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// The operands and options of an operation.
struct Query<'a> {
    /// The sets.
    keys: &'a [Bytes],
    /// A factor per set.
    weights: Vec<f64>,
    /// How scores are combined.
    aggregate: Aggregate,
    /// Reply with scores.
    with_scores: bool,
}

impl<'a> Query<'a> {
    fn parse(
        store: &Store<'_>,
        arguments: &'a [Bytes],
        kind: Kind,
        stores: bool,
    ) -> Result<Self, Stop> {
        let count = parse_int(&arguments[0]).ok_or(NOT_AN_INTEGER)?;
        if count < 1 {
            let name = kind.command(stores);
            return Err(fail_with(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let mut options = Options::new(&arguments[1..]);
        let keys = options.many(count as usize)?;
        check_types(store, keys)?;
        let mut query = Self {
            keys,
            weights: vec![1.0; keys.len()],
            aggregate: Aggregate::Sum,
            with_scores: false,
        };
        while let Some(option) = options.next() {
            match option {
                o if is(o, "WEIGHTS") && kind != Kind::Difference => {
                    let given = options.many(query.weights.len())?;
                    for (weight, given) in query.weights.iter_mut().zip(given) {
                        let error = fail("ERR weight value is not a float");
                        *weight = float_or(given, error)?;
                    }
                }
                o if is(o, "AGGREGATE") && kind != Kind::Difference => {
                    query.aggregate = match options.value()? {
                        word if is(word, "SUM") => Aggregate::Sum,
                        word if is(word, "MIN") => Aggregate::Min,
                        word if is(word, "MAX") => Aggregate::Max,
                        _ => return Err(SYNTAX),
                    }
                }
                o if is(o, "WITHSCORES") && !stores => query.with_scores = true,
                _ => return Err(SYNTAX),
            }
        }
        Ok(query)
    }

    fn run(&self, store: &Store<'_>, kind: Kind) -> Result<Sorted, Stop> {
        let mut inputs = Vec::with_capacity(self.keys.len());
        for (key, weight) in self.keys.iter().zip(&self.weights) {
            inputs.push(scores(store, key, *weight)?);
        }
        let mut inputs = inputs.into_iter();
        let mut result = inputs.next().unwrap_or_default();
        for input in inputs {
            match kind {
                Kind::Union => {
                    for (member, score) in input {
                        let aggregate = |old: &mut f64| *old = self.aggregate.apply(*old, score);
                        result.entry(member).and_modify(aggregate).or_insert(score);
                    }
                }
                Kind::Intersection => result.retain(|member, score| {
                    let other = input.get(member);
                    *score = other.map_or(*score, |other| self.aggregate.apply(*score, *other));
                    other.is_some()
                }),
                Kind::Difference => result.retain(|member, _| !input.contains_key(member)),
            }
        }
        let mut sorted = Sorted::default();
        for (member, score) in result {
            sorted.insert(member, score);
        }
        Ok(sorted)
    }
}

/// Refuses keys that hold neither a set nor a sorted set.
fn check_types(store: &Store<'_>, keys: &[Bytes]) -> Result<(), Stop> {
    let fits =
        |key: &Bytes| matches!(store.value(key), None | Some(Value::Sorted(_) | Value::Set(_)));
    if keys.iter().all(fits) { Ok(()) } else { Err(WRONG_TYPE) }
}

fn scores(store: &Store<'_>, key: &Bytes, weight: f64) -> Result<BTreeMap<Bytes, f64>, Stop> {
    let weighted = |score: f64| if (score * weight).is_nan() { 0.0 } else { score * weight };
    match store.value(key) {
        None => Ok(BTreeMap::new()),
        Some(Value::Sorted(sorted)) => {
            Ok(sorted.iter().map(|(member, score)| (member.clone(), weighted(score))).collect())
        }
        Some(Value::Set(set)) => {
            Ok(set.iter().map(|member| (member.clone(), weighted(1.0))).collect())
        }
        Some(_) => Err(WRONG_TYPE),
    }
}

fn read(store: &mut Store<'_>, arguments: &[Bytes], kind: Kind) -> Outcome {
    let query = Query::parse(store, &arguments[1..], kind, false)?;
    let sorted = query.run(store, kind)?;
    let members = sorted.iter().map(|(member, score)| (member.clone(), score));
    Ok(if query.with_scores {
        Reply::Pairs(members.map(|(m, s)| (Reply::Bulk(m), Reply::Double(s))).collect())
    } else {
        Reply::bulks(members.map(|(member, _)| member))
    })
}

fn save(store: &mut Store<'_>, arguments: &[Bytes], kind: Kind) -> Outcome {
    let sorted = Query::parse(store, &arguments[2..], kind, true)?.run(store, kind)?;
    let len = sorted.len();
    store.put_collection(&arguments[1], sorted);
    Ok(Reply::count(len))
}

fn zintercard(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let count = int(&arguments[1])?;
    if count < 1 {
        return Err(fail("ERR at least 1 input key is needed for 'zintercard' command"));
    }
    let rest = &arguments[2..];
    if count as usize > rest.len() {
        return Err(SYNTAX);
    }
    let (keys, options) = rest.split_at(count as usize);
    check_types(store, keys)?;
    let limit = limit_option(options)?;
    let weights = vec![1.0; keys.len()];
    let query = Query { keys, weights, aggregate: Aggregate::Sum, with_scores: false };
    let len = query.run(store, Kind::Intersection)?.len();
    Ok(Reply::count(if limit == 0 { len } else { len.min(limit) }))
}
