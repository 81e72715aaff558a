//! Commands on sorted sets.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=sorted-set>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use super::sorted_set_options::{ZaddOptions, ZrangeOptions};
use super::times::seconds;
use crate::command::{Command, EncodedName, ToArg, ToArgs};
use std::time::Duration;

/// `ZADD key score member [score member ...]`; its reply:
/// [`zadd`](crate::commands::SortedSetCommands::zadd).
pub fn zadd(
    key: impl ToArg,
    members: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
) -> Command {
    Command::start(const { EncodedName::of("ZADD") }).key(key).each_pair(members)
}

/// `ZADD key [NX|XX] [GT|LT] [CH] score member [score member ...]`; its reply:
/// [`zadd_with`](crate::commands::SortedSetCommands::zadd_with).
pub fn zadd_with(
    key: impl ToArg,
    options: ZaddOptions,
    members: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
) -> Command {
    Command::start(const { EncodedName::of("ZADD") }).key(key).options(options).each_pair(members)
}

/// `ZREM key member [member ...]`; its reply: [`zrem`](crate::commands::SortedSetCommands::zrem).
pub fn zrem(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("ZREM") }).key(key).each_arg(&members)
}

/// `ZSCORE key member`; its reply: [`zscore`](crate::commands::SortedSetCommands::zscore).
pub fn zscore(key: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZSCORE") }).key(key).arg(member)
}

/// `ZMSCORE key member [member ...]`; its reply:
/// [`zmscore`](crate::commands::SortedSetCommands::zmscore).
pub fn zmscore(key: impl ToArg, members: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("ZMSCORE") }).key(key).each_arg(&members)
}

/// `ZINCRBY key increment member`; its reply:
/// [`zincrby`](crate::commands::SortedSetCommands::zincrby).
pub fn zincrby(key: impl ToArg, increment: f64, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZINCRBY") }).key(key).arg(increment).arg(member)
}

/// `ZCARD key`; its reply: [`zcard`](crate::commands::SortedSetCommands::zcard).
pub fn zcard(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZCARD") }).key(key)
}

/// `ZCOUNT key min max`; its reply: [`zcount`](crate::commands::SortedSetCommands::zcount).
pub fn zcount(key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZCOUNT") }).key(key).arg(min).arg(max)
}

/// `ZLEXCOUNT key min max`; its reply:
/// [`zlexcount`](crate::commands::SortedSetCommands::zlexcount).
pub fn zlexcount(key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZLEXCOUNT") }).key(key).arg(min).arg(max)
}

/// `ZRANK key member`; its reply: [`zrank`](crate::commands::SortedSetCommands::zrank).
pub fn zrank(key: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZRANK") }).key(key).arg(member)
}

/// `ZREVRANK key member`; its reply: [`zrevrank`](crate::commands::SortedSetCommands::zrevrank).
pub fn zrevrank(key: impl ToArg, member: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZREVRANK") }).key(key).arg(member)
}

/// `ZRANGE key start stop`; its reply: [`zrange`](crate::commands::SortedSetCommands::zrange).
pub fn zrange(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("ZRANGE") }).key(key).arg(start).arg(stop)
}

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`; its reply:
/// [`zrange_with`](crate::commands::SortedSetCommands::zrange_with).
pub fn zrange_with(
    key: impl ToArg,
    min: impl ToArg,
    max: impl ToArg,
    options: ZrangeOptions,
) -> Command {
    Command::start(const { EncodedName::of("ZRANGE") }).key(key).arg(min).arg(max).options(options)
}

/// `ZREVRANGE key start stop`; its reply:
/// [`zrevrange`](crate::commands::SortedSetCommands::zrevrange).
pub fn zrevrange(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("ZREVRANGE") }).key(key).arg(start).arg(stop)
}

/// `ZRANGEBYSCORE key min max`; its reply:
/// [`zrangebyscore`](crate::commands::SortedSetCommands::zrangebyscore).
pub fn zrangebyscore(key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZRANGEBYSCORE") }).key(key).arg(min).arg(max)
}

/// `ZRANDMEMBER key count`; its reply:
/// [`zrandmember`](crate::commands::SortedSetCommands::zrandmember).
pub fn zrandmember(key: impl ToArg, count: i64) -> Command {
    Command::start(const { EncodedName::of("ZRANDMEMBER") }).key(key).arg(count)
}

/// `ZPOPMIN key count`; its reply: [`zpopmin`](crate::commands::SortedSetCommands::zpopmin).
pub fn zpopmin(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("ZPOPMIN") }).key(key).arg(count)
}

/// `ZPOPMAX key count`; its reply: [`zpopmax`](crate::commands::SortedSetCommands::zpopmax).
pub fn zpopmax(key: impl ToArg, count: u64) -> Command {
    Command::start(const { EncodedName::of("ZPOPMAX") }).key(key).arg(count)
}

/// `BZPOPMIN key [key ...] timeout`; its reply:
/// [`bzpopmin`](crate::commands::SortedSetCommands::bzpopmin).
pub fn bzpopmin(keys: impl ToArgs, timeout: Duration) -> Command {
    Command::start(const { EncodedName::of("BZPOPMIN") }).each_key(&keys).arg(seconds(timeout))
}

/// `BZPOPMAX key [key ...] timeout`; its reply:
/// [`bzpopmax`](crate::commands::SortedSetCommands::bzpopmax).
pub fn bzpopmax(keys: impl ToArgs, timeout: Duration) -> Command {
    Command::start(const { EncodedName::of("BZPOPMAX") }).each_key(&keys).arg(seconds(timeout))
}

/// `ZREMRANGEBYRANK key start stop`; its reply:
/// [`zremrangebyrank`](crate::commands::SortedSetCommands::zremrangebyrank).
pub fn zremrangebyrank(key: impl ToArg, start: i64, stop: i64) -> Command {
    Command::start(const { EncodedName::of("ZREMRANGEBYRANK") }).key(key).arg(start).arg(stop)
}

/// `ZREMRANGEBYSCORE key min max`; its reply:
/// [`zremrangebyscore`](crate::commands::SortedSetCommands::zremrangebyscore).
pub fn zremrangebyscore(key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ZREMRANGEBYSCORE") }).key(key).arg(min).arg(max)
}

/// `ZINTERSTORE destination numkeys key [key ...]`; its reply:
/// [`zinterstore`](crate::commands::SortedSetCommands::zinterstore).
pub fn zinterstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("ZINTERSTORE") }).key(destination).counted_keys(&keys)
}

/// `ZUNIONSTORE destination numkeys key [key ...]`; its reply:
/// [`zunionstore`](crate::commands::SortedSetCommands::zunionstore).
pub fn zunionstore(destination: impl ToArg, keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("ZUNIONSTORE") }).key(destination).counted_keys(&keys)
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`; its reply:
/// [`zscan`](crate::commands::SortedSetCommands::zscan).
pub fn zscan(key: impl ToArg, cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("ZSCAN") }).key(key).arg(cursor).options(options)
}
