//! Commands on hashes.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=hash>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `HSET key field value [field value ...]`; its reply: [`Client::hset`](crate::Client::hset).
pub fn hset(
    key: impl ToArg,
    fields: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
) -> Command {
    Command::start(const { EncodedName::of("HSET") }).key(key).each_pair(fields)
}

/// `HSETNX key field value`; its reply: [`Client::hsetnx`](crate::Client::hsetnx).
pub fn hsetnx(key: impl ToArg, field: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HSETNX") }).key(key).arg(field).arg(value)
}

/// `HGET key field`; its reply: [`Client::hget`](crate::Client::hget).
pub fn hget(key: impl ToArg, field: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HGET") }).key(key).arg(field)
}

/// `HMGET key field [field ...]`; its reply: [`Client::hmget`](crate::Client::hmget).
pub fn hmget(key: impl ToArg, fields: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("HMGET") }).key(key).each_arg(&fields)
}

/// `HGETALL key`; its reply: [`Client::hgetall`](crate::Client::hgetall).
pub fn hgetall(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HGETALL") }).key(key)
}

/// `HKEYS key`; its reply: [`Client::hkeys`](crate::Client::hkeys).
pub fn hkeys(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HKEYS") }).key(key)
}

/// `HVALS key`; its reply: [`Client::hvals`](crate::Client::hvals).
pub fn hvals(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HVALS") }).key(key)
}

/// `HDEL key field [field ...]`; its reply: [`Client::hdel`](crate::Client::hdel).
pub fn hdel(key: impl ToArg, fields: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("HDEL") }).key(key).each_arg(&fields)
}

/// `HEXISTS key field`; its reply: [`Client::hexists`](crate::Client::hexists).
pub fn hexists(key: impl ToArg, field: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HEXISTS") }).key(key).arg(field)
}

/// `HLEN key`; its reply: [`Client::hlen`](crate::Client::hlen).
pub fn hlen(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HLEN") }).key(key)
}

/// `HSTRLEN key field`; its reply: [`Client::hstrlen`](crate::Client::hstrlen).
pub fn hstrlen(key: impl ToArg, field: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("HSTRLEN") }).key(key).arg(field)
}

/// `HINCRBY key field increment`; its reply: [`Client::hincrby`](crate::Client::hincrby).
pub fn hincrby(key: impl ToArg, field: impl ToArg, increment: i64) -> Command {
    Command::start(const { EncodedName::of("HINCRBY") }).key(key).arg(field).arg(increment)
}

/// `HINCRBYFLOAT key field increment`; its reply:
/// [`Client::hincrbyfloat`](crate::Client::hincrbyfloat).
pub fn hincrbyfloat(key: impl ToArg, field: impl ToArg, increment: f64) -> Command {
    Command::start(const { EncodedName::of("HINCRBYFLOAT") }).key(key).arg(field).arg(increment)
}

/// `HRANDFIELD key count`; its reply: [`Client::hrandfield`](crate::Client::hrandfield).
pub fn hrandfield(key: impl ToArg, count: i64) -> Command {
    Command::start(const { EncodedName::of("HRANDFIELD") }).key(key).arg(count)
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`; its reply:
/// [`Client::hscan`](crate::Client::hscan).
pub fn hscan(key: impl ToArg, cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("HSCAN") }).key(key).arg(cursor).options(options)
}
