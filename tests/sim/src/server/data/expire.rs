//! Times to live.
//!
//! A replica applies these commands with its primary's clock, so relative times need no rewriting.
//!
//! Spec: command pages of EXPIRE, TTL and similar ones.

use crate::resp::Reply;
use crate::server::arguments::{int, is};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, Outcome, R, Spec, Stop, W, fail, fail_with};
use crate::server::keyspace::Store;
use bytes::Bytes;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("expire", -3, W | FAST, Range(1, 1, 1), |s, a| expire(s, a, 1000, true, "expire")),
    Spec::data("expireat", -3, W | FAST, Range(1, 1, 1), |s, a| {
        expire(s, a, 1000, false, "expireat")
    }),
    Spec::data("expiretime", 2, R | FAST, Range(1, 1, 1), |s, a| left(s, a, 1000, false))
        .since(7, 0),
    Spec::data("persist", 2, W | FAST, Range(1, 1, 1), persist),
    Spec::data("pexpire", -3, W | FAST, Range(1, 1, 1), |s, a| expire(s, a, 1, true, "pexpire")),
    Spec::data("pexpireat", -3, W | FAST, Range(1, 1, 1), |s, a| {
        expire(s, a, 1, false, "pexpireat")
    }),
    Spec::data("pexpiretime", 2, R | FAST, Range(1, 1, 1), |s, a| left(s, a, 1, false)).since(7, 0),
    Spec::data("pttl", 2, R | FAST, Range(1, 1, 1), |s, a| left(s, a, 1, true)),
    Spec::data("ttl", 2, R | FAST, Range(1, 1, 1), |s, a| left(s, a, 1000, true)),
];

/// The error for an invalid time.
pub(crate) fn clock_error(command: &str) -> Stop {
    fail_with(format!("ERR invalid expire time in '{command}' command"))
}

/// A time given in `unit` milliseconds after `base`, as Unix milliseconds; one before the epoch is
/// the epoch.
pub(crate) fn absolute(value: i64, unit: i64, base: u64, command: &str) -> Result<u64, Stop> {
    let base = i64::try_from(base).unwrap_or(i64::MAX);
    let at = value.checked_mul(unit).and_then(|ms| ms.checked_add(base));
    at.map(|at| u64::try_from(at).unwrap_or(0)).ok_or_else(|| clock_error(command))
}

/// Conditions of the EXPIRE family.
#[derive(Default)]
struct Condition {
    /// Only when there is no time to live.
    only_without: bool,
    /// Only when there is one.
    only_with: bool,
    /// Only when the new one is later.
    only_later: bool,
    /// Only when the new one is earlier.
    only_earlier: bool,
}

impl Condition {
    fn parse(options: &[Bytes]) -> Result<Self, Stop> {
        let mut condition = Self::default();
        for option in options {
            match option {
                o if is(o, "NX") => condition.only_without = true,
                o if is(o, "XX") => condition.only_with = true,
                o if is(o, "GT") => condition.only_later = true,
                o if is(o, "LT") => condition.only_earlier = true,
                o => {
                    let text = String::from_utf8_lossy(o);
                    return Err(fail_with(format!("ERR Unsupported option {text}")));
                }
            }
        }
        let Self { only_without, only_with, only_later, only_earlier } = condition;
        if only_without && (only_with || only_later || only_earlier) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(fail(text));
        }
        if only_later && only_earlier {
            return Err(fail("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether a change from `old` to `new` is wanted; a key without a time to live never expires.
    fn allows(&self, old: Option<u64>, new: u64) -> bool {
        !(self.only_without && old.is_some()
            || self.only_with && old.is_none()
            || self.only_later && old.is_none_or(|old| new <= old)
            || self.only_earlier && old.is_some_and(|old| new >= old))
    }
}

fn expire(
    store: &mut Store<'_>,
    arguments: &[Bytes],
    unit: i64,
    relative: bool,
    command: &str,
) -> Outcome {
    let condition = Condition::parse(&arguments[3..])?;
    let value = int(&arguments[2])?;
    let base = if relative { store.now_ms } else { 0 };
    let at = absolute(value, unit, base, command)?;
    let Some(entry) = store.entry(&arguments[1]) else { return Ok(Reply::Int(0)) };
    if !condition.allows(entry.expires_at, at) {
        return Ok(Reply::Int(0));
    }
    store.expire(&arguments[1], Some(at));
    Ok(Reply::Int(1))
}

fn persist(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let had = store.entry(&arguments[1]).is_some_and(|e| e.expires_at.is_some());
    if had {
        store.expire(&arguments[1], None);
    }
    Ok(Reply::flag(had))
}

/// TTL and EXPIRETIME: the time left, or the time of expiry.
fn left(store: &mut Store<'_>, arguments: &[Bytes], unit: u64, relative: bool) -> Outcome {
    let Some(entry) = store.entry(&arguments[1]) else { return Ok(Reply::Int(-2)) };
    let Some(at) = entry.expires_at else { return Ok(Reply::Int(-1)) };
    let ms = if relative { at - store.now_ms } else { at };
    // A relative time is rounded to the nearest second, as TTL does.
    let value = if relative && unit > 1 { (ms + unit / 2) / unit } else { ms / unit };
    Ok(Reply::Int(value as i64))
}
