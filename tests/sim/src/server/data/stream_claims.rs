//! Pending entries of groups: reading them, and moving them to other consumers.
//!
//! Spec: command pages of XPENDING, XCLAIM, XAUTOCLAIM.

use super::stream::{Group, Id, Pending, Stream, range_bound, range_bounds};
use super::streams::entry;
use crate::resp::Reply;
use crate::server::arguments::{Options, int, int_or, is};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, Outcome, R, SYNTAX, Spec, Stop, W, fail, fail_with};
use crate::server::keyspace::Store;
use bytes::Bytes;
use std::collections::BTreeMap;

const KEY: crate::server::command::Keys = Range(1, 1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("xautoclaim", -6, W | FAST, KEY, xautoclaim).since(6, 2),
    Spec::data("xclaim", -6, W | FAST, KEY, xclaim),
    Spec::data("xpending", -3, R, KEY, xpending),
];

fn no_group(key: &Bytes, group: &Bytes) -> Stop {
    let (group, key) = (String::from_utf8_lossy(group), String::from_utf8_lossy(key));
    fail_with(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

fn group<'s>(store: &'s Store<'_>, key: &Bytes, name: &Bytes) -> Result<&'s Group, Stop> {
    let stream = store.get::<Stream>(key)?;
    stream.and_then(|s| s.groups.get(name)).ok_or_else(|| no_group(key, name))
}

fn xpending(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let now_ms = store.now_ms;
    if arguments.len() == 3 {
        return Ok(summary(group(store, &arguments[1], &arguments[2])?));
    }
    if !(6..=9).contains(&arguments.len()) {
        return Err(SYNTAX);
    }
    let mut options = Options::new(&arguments[3..]);
    let mut idle = 0;
    if options.take("IDLE") {
        idle = options.int()?.max(0) as u64;
    }
    // What stands behind the consumer is not looked at.
    let [start, end, count, rest @ ..] = options.rest() else { return Err(SYNTAX) };
    let count = usize::try_from(int(count)?).unwrap_or(0);
    let (start, end) = range_bounds(start, end)?;
    let group = group(store, &arguments[1], &arguments[2])?;
    if start > end {
        return Ok(Reply::Array(Vec::new()));
    }
    let wanted = group.pending.range(start..=end).filter(|(_, p)| {
        now_ms.saturating_sub(p.delivered_at) >= idle
            && rest.first().is_none_or(|consumer| p.consumer == *consumer)
    });
    let row = |(id, p): (&Id, &Pending)| {
        Reply::Array(vec![
            Reply::Bulk(id.bytes()),
            Reply::Bulk(p.consumer.clone()),
            Reply::Int(now_ms.saturating_sub(p.delivered_at) as i64),
            Reply::Int(p.deliveries as i64),
        ])
    };
    Ok(Reply::Array(wanted.take(count).map(row).collect()))
}

fn summary(group: &Group) -> Reply {
    let mut per_consumer: BTreeMap<&Bytes, usize> = BTreeMap::new();
    for pending in group.pending.values() {
        *per_consumer.entry(&pending.consumer).or_default() += 1;
    }
    let bound = |id: Option<&Id>| id.map_or(Reply::Null, |id| Reply::Bulk(id.bytes()));
    let rows: Vec<Reply> = per_consumer
        .into_iter()
        .map(|(name, count)| {
            Reply::Array(vec![Reply::Bulk(name.clone()), Reply::string(count.to_string())])
        })
        .collect();
    Reply::Array(vec![
        Reply::count(group.pending.len()),
        bound(group.pending.keys().next()),
        bound(group.pending.keys().next_back()),
        if rows.is_empty() { Reply::NullArray } else { Reply::Array(rows) },
    ])
}

/// What XCLAIM does to an entry.
struct Claim {
    /// Only entries that were not delivered for this long, in milliseconds.
    min_idle: u64,
    /// The time of delivery to set, in Unix milliseconds.
    delivered_at: u64,
    /// The delivery count to set.
    deliveries: Option<u64>,
    /// Also entries that are not pending.
    force: bool,
    /// Reply with ids alone, and count no delivery.
    just_id: bool,
    /// The last delivered id of the group, if greater than the present one.
    last_id: Option<Id>,
}

impl Claim {
    fn parse(options: &mut Options<'_>, min_idle: u64, now_ms: u64) -> Result<Self, Stop> {
        let mut claim = Self {
            min_idle,
            delivered_at: now_ms,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: None,
        };
        while let Some(option) = options.next() {
            let has_value = !options.is_empty();
            match option {
                o if is(o, "IDLE") && has_value => {
                    let text = "ERR Invalid IDLE option argument for XCLAIM";
                    let idle = int_or(options.value()?, text)?;
                    claim.delivered_at = delivered_at((now_ms as i64).wrapping_sub(idle), now_ms);
                }
                o if is(o, "TIME") && has_value => {
                    let text = "ERR Invalid TIME option argument for XCLAIM";
                    let time = int_or(options.value()?, text)?;
                    claim.delivered_at = delivered_at(time, now_ms);
                }
                o if is(o, "RETRYCOUNT") && has_value => {
                    let text = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
                    claim.deliveries = u64::try_from(int_or(options.value()?, text)?).ok();
                }
                o if is(o, "FORCE") => claim.force = true,
                o if is(o, "JUSTID") => claim.just_id = true,
                o if is(o, "LASTID") && has_value => {
                    claim.last_id = Some(Id::parse(options.value()?, 0)?)
                }
                o => {
                    let text = String::from_utf8_lossy(o);
                    return Err(fail_with(format!("ERR Unrecognized XCLAIM option '{text}'")));
                }
            }
        }
        Ok(claim)
    }

    /// Moves an entry to `consumer`; returns whether it did.
    fn take(&self, group: &mut Group, id: Id, consumer: &Bytes, now_ms: u64) -> bool {
        let known = group.pending.get(&id);
        if known.is_none() && !self.force {
            return false;
        }
        if known.is_some_and(|p| now_ms.saturating_sub(p.delivered_at) < self.min_idle) {
            return false;
        }
        let before = known.map_or(1, |p| p.deliveries);
        let counted = before + u64::from(!self.just_id);
        let pending = Pending {
            consumer: consumer.clone(),
            delivered_at: self.delivered_at,
            deliveries: self.deliveries.unwrap_or(counted),
        };
        group.pending.insert(id, pending);
        true
    }
}

/// A time of delivery; a server takes the present for one that cannot be.
fn delivered_at(time: i64, now_ms: u64) -> u64 {
    u64::try_from(time).ok().filter(|time| *time <= now_ms).unwrap_or(now_ms)
}

/// The minimal idle time that XCLAIM and XAUTOCLAIM take.
fn min_idle(argument: &Bytes, command: &str) -> Result<u64, Stop> {
    let invalid = || fail_with(format!("ERR Invalid min-idle-time argument for {command}"));
    crate::server::value::parse_int(argument).map(|idle| idle.max(0) as u64).ok_or_else(invalid)
}

fn xclaim(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let now_ms = store.now_ms;
    let (key, name, consumer) = (&arguments[1], &arguments[2], &arguments[3]);
    group(store, key, name)?;
    let idle = min_idle(&arguments[4], "XCLAIM")?;
    // What is no id is an option.
    let is_id = |a: &&Bytes| Id::parse(a, 0).is_ok();
    let ids_end = 5 + arguments[5..].iter().take_while(is_id).count();
    let mut ids = Vec::new();
    for text in &arguments[5..ids_end] {
        ids.push(Id::parse(text, 0)?);
    }
    let claim = Claim::parse(&mut Options::new(&arguments[ids_end..]), idle, now_ms)?;
    let Some(stream) = store.edit::<Stream>(key)? else { return Ok(Reply::Array(Vec::new())) };
    let Stream { entries, groups, .. } = stream;
    let Some(group) = groups.get_mut(name) else { return Ok(Reply::Array(Vec::new())) };
    group.last_delivered = group.last_delivered.max(claim.last_id.unwrap_or(Id::MIN));
    group.consumer(consumer, now_ms);
    let mut replies = Vec::new();
    for id in ids {
        let Some(fields) = entries.get(&id) else {
            group.pending.remove(&id);
            continue;
        };
        if claim.take(group, id, consumer, now_ms) {
            replies.push(if claim.just_id { Reply::Bulk(id.bytes()) } else { entry(id, fields) });
        }
    }
    if !replies.is_empty() {
        group.consumer(consumer, now_ms).active_at = Some(now_ms);
    }
    store.changed::<Stream>(key);
    Ok(Reply::Array(replies))
}

/// What XAUTOCLAIM says of every count that it does not take.
const COUNT_TOO_SMALL: &str = "ERR COUNT must be > 0";
/// A server has a buffer of this many ids, of 16 bytes each.
const CLAIM_COUNT_MAX: i64 = i64::MAX / 16;

fn xautoclaim(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let now_ms = store.now_ms;
    let (key, name, consumer) = (&arguments[1], &arguments[2], &arguments[3]);
    let idle = min_idle(&arguments[4], "XAUTOCLAIM")?;
    let start = range_bound(&arguments[5], true)?;
    let mut count = 100;
    let mut just_id = false;
    let mut options = Options::new(&arguments[6..]);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "COUNT") && !options.is_empty() => {
                count = match int_or(options.value()?, COUNT_TOO_SMALL)? {
                    count @ 1..=CLAIM_COUNT_MAX => count as usize,
                    _ => return Err(fail(COUNT_TOO_SMALL)),
                };
            }
            o if is(o, "JUSTID") => just_id = true,
            _ => return Err(SYNTAX),
        }
    }
    group(store, key, name)?;
    let claim = Claim {
        min_idle: idle,
        delivered_at: now_ms,
        deliveries: None,
        force: false,
        just_id,
        last_id: None,
    };
    let Some(stream) = store.edit::<Stream>(key)? else { return Err(no_group(key, name)) };
    let Stream { entries, groups, .. } = stream;
    let Some(group) = groups.get_mut(name) else { return Err(no_group(key, name)) };
    group.consumer(consumer, now_ms);
    // At most ten times the wanted number of entries is visited, so that a call is bounded.
    let looked_at: Vec<Id> =
        group.pending.range(start..).map(|(id, _)| *id).take(count.saturating_mul(10)).collect();
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    let mut next = None;
    for id in looked_at {
        if claimed.len() + deleted.len() == count {
            next = Some(id);
            break;
        }
        next = id.next();
        match entries.get(&id) {
            None => {
                group.pending.remove(&id);
                deleted.push(id.bytes());
            }
            Some(fields) if claim.take(group, id, consumer, now_ms) => {
                claimed.push(if just_id { Reply::Bulk(id.bytes()) } else { entry(id, fields) });
            }
            Some(_) => {}
        }
    }
    let cursor = next.and_then(|next| group.pending.range(next..).next());
    let cursor = cursor.map_or(Id::MIN, |(id, _)| *id);
    if !claimed.is_empty() {
        group.consumer(consumer, now_ms).active_at = Some(now_ms);
    }
    store.changed::<Stream>(key);
    Ok(Reply::Array(vec![
        Reply::Bulk(cursor.bytes()),
        Reply::Array(claimed),
        Reply::bulks(deleted),
    ]))
}
