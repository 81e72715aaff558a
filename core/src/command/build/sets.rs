//! Commands on sets.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=set>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `SADD key member [member ...]`; its reply: [`sadd`](crate::commands::SetCommands::sadd).
pub fn sadd(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SADD") }).key(key).each_arg(&members)
}

/// `SREM key member [member ...]`; its reply: [`srem`](crate::commands::SetCommands::srem).
pub fn srem(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SREM") }).key(key).each_arg(&members)
}

/// `SMEMBERS key`; its reply: [`smembers`](crate::commands::SetCommands::smembers).
pub fn smembers(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SMEMBERS") }).key(key)
}

/// `SISMEMBER key member`; its reply: [`sismember`](crate::commands::SetCommands::sismember).
pub fn sismember(key: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SISMEMBER") }).key(key).arg(member)
}

/// `SMISMEMBER key member [member ...]`; its reply:
/// [`smismember`](crate::commands::SetCommands::smismember).
pub fn smismember(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SMISMEMBER") }).key(key).each_arg(&members)
}

/// `SCARD key`; its reply: [`scard`](crate::commands::SetCommands::scard).
pub fn scard(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SCARD") }).key(key)
}

/// `SPOP key`; its reply: [`spop`](crate::commands::SetCommands::spop).
pub fn spop(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SPOP") }).key(key)
}

/// `SPOP key count`; its reply: [`spop_many`](crate::commands::SetCommands::spop_many).
pub fn spop_many(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("SPOP") }).key(key).arg(count)
}

/// `SRANDMEMBER key`; its reply: [`srandmember`](crate::commands::SetCommands::srandmember).
pub fn srandmember(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SRANDMEMBER") }).key(key)
}

/// `SRANDMEMBER key count`; its reply:
/// [`srandmember_many`](crate::commands::SetCommands::srandmember_many).
pub fn srandmember_many(key: impl ToArg, count: i64) -> Command {
    Command::start(const { EncodedName::of("SRANDMEMBER") }).key(key).arg(count)
}

/// `SMOVE source destination member`; its reply: [`smove`](crate::commands::SetCommands::smove).
pub fn smove(source: impl ToArg, destination: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SMOVE") }).key(source).key(destination).arg(member)
}

/// `SINTER key [key ...]`; its reply: [`sinter`](crate::commands::SetCommands::sinter).
pub fn sinter(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SINTER") }).each_key(&keys)
}

/// `SINTERSTORE destination key [key ...]`; its reply:
/// [`sinterstore`](crate::commands::SetCommands::sinterstore).
pub fn sinterstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SINTERSTORE") }).key(destination).each_key(&keys)
}

/// `SUNION key [key ...]`; its reply: [`sunion`](crate::commands::SetCommands::sunion).
pub fn sunion(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SUNION") }).each_key(&keys)
}

/// `SUNIONSTORE destination key [key ...]`; its reply:
/// [`sunionstore`](crate::commands::SetCommands::sunionstore).
pub fn sunionstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SUNIONSTORE") }).key(destination).each_key(&keys)
}

/// `SDIFF key [key ...]`; its reply: [`sdiff`](crate::commands::SetCommands::sdiff).
pub fn sdiff(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SDIFF") }).each_key(&keys)
}

/// `SDIFFSTORE destination key [key ...]`; its reply:
/// [`sdiffstore`](crate::commands::SetCommands::sdiffstore).
pub fn sdiffstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SDIFFSTORE") }).key(destination).each_key(&keys)
}

/// `SINTERCARD numkeys key [key ...]`; its reply:
/// [`sintercard`](crate::commands::SetCommands::sintercard).
pub fn sintercard(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("SINTERCARD") }).counted_keys(&keys)
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`; its reply:
/// [`sscan`](crate::commands::SetCommands::sscan).
pub fn sscan(key: impl ToArg, cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("SSCAN") }).key(key).arg(cursor).options(options)
}
