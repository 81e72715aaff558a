//! Commands on sets.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=set>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `SADD key member [member ...]`; its reply: [`Client::sadd`](crate::Client::sadd).
pub fn sadd(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SADD") }).key(key).each_arg(&members)
}

/// `SREM key member [member ...]`; its reply: [`Client::srem`](crate::Client::srem).
pub fn srem(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SREM") }).key(key).each_arg(&members)
}

/// `SMEMBERS key`; its reply: [`Client::smembers`](crate::Client::smembers).
pub fn smembers(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SMEMBERS") }).key(key)
}

/// `SISMEMBER key member`; its reply: [`Client::sismember`](crate::Client::sismember).
pub fn sismember(key: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SISMEMBER") }).key(key).arg(member)
}

/// `SMISMEMBER key member [member ...]`; its reply:
/// [`Client::smismember`](crate::Client::smismember).
pub fn smismember(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SMISMEMBER") }).key(key).each_arg(&members)
}

/// `SCARD key`; its reply: [`Client::scard`](crate::Client::scard).
pub fn scard(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SCARD") }).key(key)
}

/// `SPOP key`; its reply: [`Client::spop`](crate::Client::spop).
pub fn spop(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SPOP") }).key(key)
}

/// `SPOP key count`; its reply: [`Client::spop_many`](crate::Client::spop_many).
pub fn spop_many(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("SPOP") }).key(key).arg(count)
}

/// `SRANDMEMBER key`; its reply: [`Client::srandmember`](crate::Client::srandmember).
pub fn srandmember(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SRANDMEMBER") }).key(key)
}

/// `SRANDMEMBER key count`; its reply:
/// [`Client::srandmember_many`](crate::Client::srandmember_many).
pub fn srandmember_many(key: impl ToArg, count: i64) -> Command {
    Command::start(const { EncodedName::of("SRANDMEMBER") }).key(key).arg(count)
}

/// `SMOVE source destination member`; its reply: [`Client::smove`](crate::Client::smove).
pub fn smove(source: impl ToArg, destination: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SMOVE") }).key(source).key(destination).arg(member)
}

/// `SINTER key [key ...]`; its reply: [`Client::sinter`](crate::Client::sinter).
pub fn sinter(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SINTER") }).each_key(&keys)
}

/// `SINTERSTORE destination key [key ...]`; its reply:
/// [`Client::sinterstore`](crate::Client::sinterstore).
pub fn sinterstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SINTERSTORE") }).key(destination).each_key(&keys)
}

/// `SUNION key [key ...]`; its reply: [`Client::sunion`](crate::Client::sunion).
pub fn sunion(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SUNION") }).each_key(&keys)
}

/// `SUNIONSTORE destination key [key ...]`; its reply:
/// [`Client::sunionstore`](crate::Client::sunionstore).
pub fn sunionstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SUNIONSTORE") }).key(destination).each_key(&keys)
}

/// `SDIFF key [key ...]`; its reply: [`Client::sdiff`](crate::Client::sdiff).
pub fn sdiff(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SDIFF") }).each_key(&keys)
}

/// `SDIFFSTORE destination key [key ...]`; its reply:
/// [`Client::sdiffstore`](crate::Client::sdiffstore).
pub fn sdiffstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SDIFFSTORE") }).key(destination).each_key(&keys)
}

/// `SINTERCARD numkeys key [key ...]`; its reply:
/// [`Client::sintercard`](crate::Client::sintercard).
pub fn sintercard(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SINTERCARD") }).counted_keys(&keys)
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`; its reply:
/// [`Client::sscan`](crate::Client::sscan).
pub fn sscan(key: impl ToArg, cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("SSCAN") }).key(key).arg(cursor).options(options)
}
