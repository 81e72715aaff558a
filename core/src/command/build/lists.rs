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

/// `LPUSH key element [element ...]`; its reply: [`lpush`](crate::commands::ListCommands::lpush).
pub fn lpush(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("LPUSH") }).key(key).each_arg(&values)
}

/// `RPUSH key element [element ...]`; its reply: [`rpush`](crate::commands::ListCommands::rpush).
pub fn rpush(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("RPUSH") }).key(key).each_arg(&values)
}

/// `LPUSHX key element [element ...]`; its reply:
/// [`lpushx`](crate::commands::ListCommands::lpushx).
pub fn lpushx(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("LPUSHX") }).key(key).each_arg(&values)
}

/// `RPUSHX key element [element ...]`; its reply:
/// [`rpushx`](crate::commands::ListCommands::rpushx).
pub fn rpushx(key: impl ToArg, values: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("RPUSHX") }).key(key).each_arg(&values)
}

/// `LPOP key`; its reply: [`lpop`](crate::commands::ListCommands::lpop).
pub fn lpop(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LPOP") }).key(key)
}

/// `RPOP key`; its reply: [`rpop`](crate::commands::ListCommands::rpop).
pub fn rpop(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RPOP") }).key(key)
}

/// `LPOP key count`; its reply: [`lpop_many`](crate::commands::ListCommands::lpop_many).
pub fn lpop_many(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("LPOP") }).key(key).arg(count)
}

/// `RPOP key count`; its reply: [`rpop_many`](crate::commands::ListCommands::rpop_many).
pub fn rpop_many(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("RPOP") }).key(key).arg(count)
}

/// `LRANGE key start stop`; its reply: [`lrange`](crate::commands::ListCommands::lrange).
pub fn lrange(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("LRANGE") }).key(key).arg(start).arg(stop)
}

/// `LLEN key`; its reply: [`llen`](crate::commands::ListCommands::llen).
pub fn llen(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LLEN") }).key(key)
}

/// `LINDEX key index`; its reply: [`lindex`](crate::commands::ListCommands::lindex).
pub fn lindex(key: impl ToArg, index: i64) -> Command {
    Command::start(const { EncodedName::of("LINDEX") }).key(key).arg(index)
}

/// `LPOS key element`; its reply: [`lpos`](crate::commands::ListCommands::lpos).
pub fn lpos(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LPOS") }).key(key).arg(value)
}

/// `LSET key index element`; its reply: [`lset`](crate::commands::ListCommands::lset).
pub fn lset(key: impl ToArg, index: i64, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LSET") }).key(key).arg(index).arg(value)
}

/// `LINSERT key BEFORE|AFTER pivot element`; its reply:
/// [`linsert`](crate::commands::ListCommands::linsert).
pub fn linsert(key: impl ToArg, side: Side, pivot: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LINSERT") })
        .key(key)
        .arg(side.word())
        .arg(pivot)
        .arg(value)
}

/// `LTRIM key start stop`; its reply: [`ltrim`](crate::commands::ListCommands::ltrim).
pub fn ltrim(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("LTRIM") }).key(key).arg(start).arg(stop)
}

/// `LREM key count element`; its reply: [`lrem`](crate::commands::ListCommands::lrem).
pub fn lrem(key: impl ToArg, count: i64, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("LREM") }).key(key).arg(count).arg(value)
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`; its reply:
/// [`lmove`](crate::commands::ListCommands::lmove).
pub fn lmove(source: impl ToArg, destination: impl ToArg, from: End, to: End) -> Command {
    Command::start(const { EncodedName::of("LMOVE") })
        .key(source)
        .key(destination)
        .arg(from.word())
        .arg(to.word())
}

/// `BLPOP key [key ...] timeout`; its reply: [`blpop`](crate::commands::ListCommands::blpop).
pub fn blpop(keys: impl ToArgs, timeout: Duration) -> Command {
    Command::start(const { EncodedName::of("BLPOP") }).each_key(&keys).arg(seconds(timeout))
}

/// `BRPOP key [key ...] timeout`; its reply: [`brpop`](crate::commands::ListCommands::brpop).
pub fn brpop(keys: impl ToArgs, timeout: Duration) -> Command {
    Command::start(const { EncodedName::of("BRPOP") }).each_key(&keys).arg(seconds(timeout))
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`; its reply:
/// [`blmove`](crate::commands::ListCommands::blmove).
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
