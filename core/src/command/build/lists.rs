//! Commands on lists.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=list>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::times::seconds;
use crate::command::{Command, EncodedName, ToArg, ToArgs};
use std::time::Duration;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end with the first element.
    Left,
    /// The end with the last element.
    Right,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::Right => "RIGHT",
        }
    }
}

/// Where LINSERT puts an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Behind the pivot.
    After,
    /// In front of the pivot.
    Before,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::After => "AFTER",
            Self::Before => "BEFORE",
        }
    }
}

/// `LPUSH key element [element ...]`; its reply: [`Client::lpush`](crate::Client::lpush).
pub fn lpush(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("LPUSH") }).key(key).each_arg(&values)
}

/// `RPUSH key element [element ...]`; its reply: [`Client::rpush`](crate::Client::rpush).
pub fn rpush(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("RPUSH") }).key(key).each_arg(&values)
}

/// `LPUSHX key element [element ...]`; its reply: [`Client::lpushx`](crate::Client::lpushx).
pub fn lpushx(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("LPUSHX") }).key(key).each_arg(&values)
}

/// `RPUSHX key element [element ...]`; its reply: [`Client::rpushx`](crate::Client::rpushx).
pub fn rpushx(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("RPUSHX") }).key(key).each_arg(&values)
}

/// `LPOP key`; its reply: [`Client::lpop`](crate::Client::lpop).
pub fn lpop(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LPOP") }).key(key)
}

/// `RPOP key`; its reply: [`Client::rpop`](crate::Client::rpop).
pub fn rpop(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RPOP") }).key(key)
}

/// `LPOP key count`; its reply: [`Client::lpop_many`](crate::Client::lpop_many).
pub fn lpop_many(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("LPOP") }).key(key).arg(count)
}

/// `RPOP key count`; its reply: [`Client::rpop_many`](crate::Client::rpop_many).
pub fn rpop_many(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("RPOP") }).key(key).arg(count)
}

/// `LRANGE key start stop`; its reply: [`Client::lrange`](crate::Client::lrange).
pub fn lrange(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("LRANGE") }).key(key).arg(start).arg(stop)
}

/// `LLEN key`; its reply: [`Client::llen`](crate::Client::llen).
pub fn llen(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LLEN") }).key(key)
}

/// `LINDEX key index`; its reply: [`Client::lindex`](crate::Client::lindex).
pub fn lindex(key: impl ToArg, index: i64) -> Command {
    Command::start(const { EncodedName::of("LINDEX") }).key(key).arg(index)
}

/// `LPOS key element`; its reply: [`Client::lpos`](crate::Client::lpos).
pub fn lpos(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LPOS") }).key(key).arg(value)
}

/// `LSET key index element`; its reply: [`Client::lset`](crate::Client::lset).
pub fn lset(key: impl ToArg, index: i64, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LSET") }).key(key).arg(index).arg(value)
}

/// `LINSERT key BEFORE|AFTER pivot element`; its reply:
/// [`Client::linsert`](crate::Client::linsert).
pub fn linsert(key: impl ToArg, side: Side, pivot: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LINSERT") })
        .key(key)
        .arg(side.word())
        .arg(pivot)
        .arg(value)
}

/// `LTRIM key start stop`; its reply: [`Client::ltrim`](crate::Client::ltrim).
pub fn ltrim(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("LTRIM") }).key(key).arg(start).arg(stop)
}

/// `LREM key count element`; its reply: [`Client::lrem`](crate::Client::lrem).
pub fn lrem(key: impl ToArg, count: i64, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LREM") }).key(key).arg(count).arg(value)
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`; its reply:
/// [`Client::lmove`](crate::Client::lmove).
pub fn lmove(source: impl ToArg, destination: impl ToArg, from: End, to: End) -> Command {
    Command::start(const { EncodedName::of("LMOVE") })
        .key(source)
        .key(destination)
        .arg(from.word())
        .arg(to.word())
}

/// `BLPOP key [key ...] timeout`; its reply: [`Client::blpop`](crate::Client::blpop).
pub fn blpop(keys: impl ToArgs, timeout: Duration) -> Command {
    Command::start(const { EncodedName::of("BLPOP") }).each_key(&keys).arg(seconds(timeout))
}

/// `BRPOP key [key ...] timeout`; its reply: [`Client::brpop`](crate::Client::brpop).
pub fn brpop(keys: impl ToArgs, timeout: Duration) -> Command {
    Command::start(const { EncodedName::of("BRPOP") }).each_key(&keys).arg(seconds(timeout))
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`; its reply:
/// [`Client::blmove`](crate::Client::blmove).
pub fn blmove(
    source: impl ToArg,
    destination: impl ToArg,
    from: End,
    to: End,
    timeout: Duration,
) -> Command {
    Command::start(const { EncodedName::of("BLMOVE") })
        .key(source)
        .key(destination)
        .arg(from.word())
        .arg(to.word())
        .arg(seconds(timeout))
}
