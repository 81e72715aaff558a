//! Ranges of sorted sets, by rank, by score and by member.
//!
//! Spec: command pages of ZRANGE, ZCOUNT, ZREMRANGEBYSCORE and similar ones.

use crate::resp::Reply;
use crate::server::arguments::{Options, int, is, slice};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, M, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::Store;
use crate::server::value::Sorted;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("zcount", 4, R | FAST, KEY, |s, a| count(s, a, By::Score)),
    Spec::data("zlexcount", 4, R | FAST, KEY, |s, a| count(s, a, By::Name)),
    Spec::data("zrange", -4, R, KEY, zrange),
    Spec::data("zrangebylex", -4, R, KEY, |s, a| old_range(s, a, By::Name, false)),
    Spec::data("zrangebyscore", -4, R, KEY, |s, a| old_range(s, a, By::Score, false)),
    Spec::data("zrangestore", -5, W | M, Range(1, 2, 1), zrangestore).since(6, 2),
    Spec::data("zremrangebylex", 4, W, KEY, |s, a| remove(s, a, By::Name)),
    Spec::data("zremrangebyrank", 4, W, KEY, |s, a| remove(s, a, By::Rank)),
    Spec::data("zremrangebyscore", 4, W, KEY, |s, a| remove(s, a, By::Score)),
    Spec::data("zrevrange", -4, R, KEY, |s, a| old_range(s, a, By::Rank, true)),
    Spec::data("zrevrangebylex", -4, R, KEY, |s, a| old_range(s, a, By::Name, true)),
    Spec::data("zrevrangebyscore", -4, R, KEY, |s, a| old_range(s, a, By::Score, true)),
];

/// The unit of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Ranks.
    Rank,
    /// Scores.
    Score,
    /// Members, which makes sense when all scores are equal.
    Name,
}

/// One side of a range of members.
#[derive(Clone, PartialEq)]
enum NameBound {
    /// Before every member.
    First,
    /// After every member.
    Last,
    /// This member, included or not.
    At(Bytes, bool),
}

/// A range, lower side first.
enum Limits {
    /// Ranks, as given.
    Rank(i64, i64),
    /// Scores, and whether they are included.
    Score((f64, bool), (f64, bool)),
    /// Members.
    Name(NameBound, NameBound),
}

impl Limits {
    fn parse(by: By, low: &Bytes, high: &Bytes) -> Result<Self, Stop> {
        Ok(match by {
            By::Rank => Self::Rank(int(low)?, int(high)?),
            By::Score => Self::Score(score_bound(low)?, score_bound(high)?),
            By::Name => Self::Name(name_bound(low)?, name_bound(high)?),
        })
    }

    /// The members inside, lowest first.
    fn select(&self, sorted: &Sorted, reversed: bool) -> Vec<(Bytes, f64)> {
        let own = |(member, score): (&Bytes, f64)| (member.clone(), score);
        match self {
            Self::Rank(start, stop) => {
                let range = slice(*start, *stop, sorted.len());
                let range = if reversed {
                    sorted.len() - range.end..sorted.len() - range.start
                } else {
                    range
                };
                sorted.iter().skip(range.start).take(range.len()).map(own).collect()
            }
            Self::Score(low, high) => {
                let inside = |score: f64| {
                    (score > low.0 || low.1 && score == low.0)
                        && (score < high.0 || high.1 && score == high.0)
                };
                sorted.iter().filter(|(_, score)| inside(*score)).map(own).collect()
            }
            Self::Name(low, high) => {
                let after_low = |name: &Bytes| match low {
                    NameBound::First => true,
                    NameBound::Last => false,
                    NameBound::At(bound, included) => name > bound || *included && name == bound,
                };
                let before_high = |name: &Bytes| match high {
                    NameBound::First => false,
                    NameBound::Last => true,
                    NameBound::At(bound, included) => name < bound || *included && name == bound,
                };
                let inside = |name: &Bytes| after_low(name) && before_high(name);
                sorted.iter().filter(|(name, _)| inside(name)).map(own).collect()
            }
        }
    }
}

fn score_bound(text: &[u8]) -> Result<(f64, bool), Stop> {
    let (text, included) = match text {
        [b'(', rest @ ..] => (rest, false),
        _ => (text, true),
    };
    let value = std::str::from_utf8(text).ok().and_then(crate::resp::parse_bound);
    Ok((value.ok_or(fail("ERR min or max is not a float"))?, included))
}

fn name_bound(text: &Bytes) -> Result<NameBound, Stop> {
    match text.first() {
        Some(b'-') if text.len() == 1 => Ok(NameBound::First),
        Some(b'+') if text.len() == 1 => Ok(NameBound::Last),
        Some(b'[') => Ok(NameBound::At(text.slice(1..), true)),
        Some(b'(') => Ok(NameBound::At(text.slice(1..), false)),
        _ => Err(fail("ERR min or max not valid string range item")),
    }
}

/// The two numbers behind `LIMIT`.
fn page_option(options: &mut Options<'_>) -> Result<(i64, i64), Stop> {
    let numbers = options.many(2)?;
    Ok((int(&numbers[0])?, int(&numbers[1])?))
}

/// A whole range query.
struct Query {
    /// The members to return.
    limits: Limits,
    /// Highest first.
    reversed: bool,
    /// How many to skip, and how many to take then (negative: all).
    page: Option<(i64, i64)>,
    /// Reply with scores.
    with_scores: bool,
}

impl Query {
    fn run(&self, sorted: &Sorted) -> Vec<(Bytes, f64)> {
        let mut members = self.limits.select(sorted, self.reversed);
        if self.reversed {
            members.reverse();
        }
        if let Some((offset, count)) = self.page {
            let Ok(offset) = usize::try_from(offset) else { return Vec::new() };
            members.drain(..offset.min(members.len()));
            members.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        }
        members
    }

    /// The arguments of ZRANGE from the first bound on.
    fn parse(arguments: &[Bytes]) -> Result<Self, Stop> {
        let (mut by, mut reversed, mut page, mut with_scores) = (By::Rank, false, None, false);
        let mut options = Options::new(&arguments[2..]);
        while let Some(option) = options.next() {
            match option {
                o if is(o, "BYSCORE") && by == By::Rank => by = By::Score,
                o if is(o, "BYLEX") && by == By::Rank => by = By::Name,
                o if is(o, "REV") && !reversed => reversed = true,
                o if is(o, "WITHSCORES") => with_scores = true,
                o if is(o, "LIMIT") => page = Some(page_option(&mut options)?),
                _ => return Err(SYNTAX),
            }
        }
        if page.is_some() && by == By::Rank {
            return Err(fail(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(fail(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let swap = reversed && by != By::Rank;
        let (low, high) = if swap { (1, 0) } else { (0, 1) };
        let limits = Limits::parse(by, &arguments[low], &arguments[high])?;
        Ok(Self { limits, reversed, page, with_scores })
    }
}

fn answer(store: &Store<'_>, key: &Bytes, query: &Query) -> Outcome {
    let members = store.get::<Sorted>(key)?.map(|s| query.run(s)).unwrap_or_default();
    Ok(if query.with_scores {
        let pair = |(member, score)| (Reply::Bulk(member), Reply::Double(score));
        Reply::Pairs(members.into_iter().map(pair).collect())
    } else {
        Reply::bulks(members.into_iter().map(|(member, _)| member))
    })
}

fn zrange(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let query = Query::parse(&arguments[2..])?;
    answer(store, &arguments[1], &query)
}

fn zrangestore(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let query = Query::parse(&arguments[3..])?;
    if query.with_scores {
        return Err(SYNTAX);
    }
    let members = store.get::<Sorted>(&arguments[2])?.map(|s| query.run(s)).unwrap_or_default();
    let mut sorted = Sorted::default();
    for (member, score) in members {
        sorted.insert(member, score);
    }
    let len = sorted.len();
    store.put_collection(&arguments[1], sorted);
    Ok(Reply::count(len))
}

/// The commands that ZRANGE replaced.
fn old_range(store: &mut Store<'_>, arguments: &[Bytes], by: By, reversed: bool) -> Outcome {
    let (mut page, mut with_scores) = (None, false);
    let mut options = Options::new(&arguments[4..]);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "WITHSCORES") && by != By::Name => with_scores = true,
            o if is(o, "LIMIT") && by != By::Rank => page = Some(page_option(&mut options)?),
            _ => return Err(SYNTAX),
        }
    }
    let swap = reversed && by != By::Rank;
    let (low, high) = if swap { (3, 2) } else { (2, 3) };
    let limits = Limits::parse(by, &arguments[low], &arguments[high])?;
    let query = Query { limits, reversed, page, with_scores };
    answer(store, &arguments[1], &query)
}

fn count(store: &mut Store<'_>, arguments: &[Bytes], by: By) -> Outcome {
    let limits = Limits::parse(by, &arguments[2], &arguments[3])?;
    let sorted = store.get::<Sorted>(&arguments[1])?;
    Ok(Reply::count(sorted.map_or(0, |s| limits.select(s, false).len())))
}

fn remove(store: &mut Store<'_>, arguments: &[Bytes], by: By) -> Outcome {
    let limits = Limits::parse(by, &arguments[2], &arguments[3])?;
    let Some(sorted) = store.edit::<Sorted>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let doomed = limits.select(sorted, false);
    for (member, _) in &doomed {
        sorted.remove(member);
    }
    if !doomed.is_empty() {
        store.changed::<Sorted>(&arguments[1]);
    }
    Ok(Reply::count(doomed.len()))
}
