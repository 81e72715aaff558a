//! Commands on hashes.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=hash>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `HSET key field value [field value ...]`; its reply:
/// [`hset`](crate::commands::HashCommands::hset).
pub fn hset(
    key: impl ToArg,
    fields: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
) -> Command {
    Command::start(const { EncodedName::of("HSET") }).key(key).each_pair(fields)
}

/// `HSETNX key field value`; its reply: [`hsetnx`](crate::commands::HashCommands::hsetnx).
pub fn hsetnx(key: impl ToArg, field: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HSETNX") }).key(key).arg(field).arg(value)
}

/// `HGET key field`; its reply: [`hget`](crate::commands::HashCommands::hget).
pub fn hget(key: impl ToArg, field: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HGET") }).key(key).arg(field)
}

/// `HMGET key field [field ...]`; its reply: [`hmget`](crate::commands::HashCommands::hmget).
pub fn hmget(key: impl ToArg, fields: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("HMGET") }).key(key).each_arg(&fields)
}

/// `HGETALL key`; its reply: [`hgetall`](crate::commands::HashCommands::hgetall).
pub fn hgetall(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HGETALL") }).key(key)
}

/// `HKEYS key`; its reply: [`hkeys`](crate::commands::HashCommands::hkeys).
pub fn hkeys(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HKEYS") }).key(key)
}

/// `HVALS key`; its reply: [`hvals`](crate::commands::HashCommands::hvals).
pub fn hvals(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HVALS") }).key(key)
}

/// `HDEL key field [field ...]`; its reply: [`hdel`](crate::commands::HashCommands::hdel).
pub fn hdel(key: impl ToArg, fields: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("HDEL") }).key(key).each_arg(&fields)
}

/// `HEXISTS key field`; its reply: [`hexists`](crate::commands::HashCommands::hexists).
pub fn hexists(key: impl ToArg, field: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HEXISTS") }).key(key).arg(field)
}

/// `HLEN key`; its reply: [`hlen`](crate::commands::HashCommands::hlen).
pub fn hlen(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HLEN") }).key(key)
}

/// `HSTRLEN key field`; its reply: [`hstrlen`](crate::commands::HashCommands::hstrlen).
pub fn hstrlen(key: impl ToArg, field: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HSTRLEN") }).key(key).arg(field)
}

/// `HINCRBY key field increment`; its reply: [`hincrby`](crate::commands::HashCommands::hincrby).
pub fn hincrby(key: impl ToArg, field: impl ToArg, increment: i64) -> Command {
    Command::start(const { EncodedName::of("HINCRBY") }).key(key).arg(field).arg(increment)
}

/// `HINCRBYFLOAT key field increment`; its reply:
/// [`hincrbyfloat`](crate::commands::HashCommands::hincrbyfloat).
pub fn hincrbyfloat(key: impl ToArg, field: impl ToArg, increment: f64) -> Command {
    Command::start(const { EncodedName::of("HINCRBYFLOAT") }).key(key).arg(field).arg(increment)
}

/// `HRANDFIELD key count`; its reply: [`hrandfield`](crate::commands::HashCommands::hrandfield).
pub fn hrandfield(key: impl ToArg, count: i64) -> Command {
    Command::start(const { EncodedName::of("HRANDFIELD") }).key(key).arg(count)
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`; its reply:
/// [`hscan`](crate::commands::HashCommands::hscan).
pub fn hscan(key: impl ToArg, cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("HSCAN") }).key(key).arg(cursor).options(options)
}
