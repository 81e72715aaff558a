//! The client's methods for sorted sets.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ScanOptions, ToArg, ToArgs, ZaddOptions, ZrangeOptions};
use crate::resp::FromReply;
use std::time::Duration;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait SortedSetCommands: Execute {
    /// `ZADD key score member [score member ...]`: how many are new.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zadd/>
    fn zadd(
        self,
        key: impl ToArg,
        members: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self::Output<u64> {
        self.execute(command::zadd(key, members))
    }

    /// `ZADD key [NX|XX] [GT|LT] [CH] score member [score member ...]`: how many are new, or with
    /// CH how many changed.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zadd/>
    fn zadd_with(
        self,
        key: impl ToArg,
        options: ZaddOptions,
        members: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self::Output<u64> {
        self.execute(command::zadd_with(key, options, members))
    }

    /// `ZREM key member [member ...]`: how many existed.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrem/>
    fn zrem(self, key: impl ToArg, members: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::zrem(key, members))
    }

    /// `ZSCORE key member`: the score, null if it is no member.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zscore/>
    fn zscore(self, key: impl ToArg, member: impl ToArg) -> Self::Output<Option<f64>> {
        self.execute(command::zscore(key, member))
    }

    /// `ZMSCORE key member [member ...]`: for each the score, null if it is no member.
    ///
    /// Since 6.2.0. <https://redis.io/commands/zmscore/>
    fn zmscore(self, key: impl ToArg, members: impl ToArgs) -> Self::Output<Vec<Option<f64>>> {
        self.execute(command::zmscore(key, members))
    }

    /// `ZINCRBY key increment member`: the score after it.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zincrby/>
    fn zincrby(self, key: impl ToArg, increment: f64, member: impl ToArg) -> Self::Output<f64> {
        self.execute(command::zincrby(key, increment, member))
    }

    /// `ZCARD key`: how many members there are.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zcard/>
    fn zcard(self, key: impl ToArg) -> Self::Output<u64> {
        self.execute(command::zcard(key))
    }

    /// `ZCOUNT key min max`: how many scores lie between; `"(1"` excludes 1, `"-inf"` and `"+inf"`
    /// are open ends.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zcount/>
    fn zcount(self, key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Self::Output<u64> {
        self.execute(command::zcount(key, min, max))
    }

    /// `ZLEXCOUNT key min max`: how many members lie between; `"[a"` includes a, `"(a"` excludes
    /// it, `"-"` and `"+"` are open ends.
    ///
    /// Since 2.8.9. <https://redis.io/commands/zlexcount/>
    fn zlexcount(self, key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Self::Output<u64> {
        self.execute(command::zlexcount(key, min, max))
    }

    /// `ZRANK key member`: its place from the lowest score, beginning at 0; null if it is no
    /// member.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zrank/>
    fn zrank(self, key: impl ToArg, member: impl ToArg) -> Self::Output<Option<u64>> {
        self.execute(command::zrank(key, member))
    }

    /// `ZREVRANK key member`: its place from the highest score, beginning at 0; null if it is no
    /// member.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zrevrank/>
    fn zrevrank(self, key: impl ToArg, member: impl ToArg) -> Self::Output<Option<u64>> {
        self.execute(command::zrevrank(key, member))
    }

    /// `ZRANGE key start stop`: the members from one place to another, both included; negative
    /// counts from the end.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrange/>
    fn zrange<T: FromReply>(self, key: impl ToArg, start: i64, stop: i64) -> Self::Output<T> {
        self.execute(command::zrange(key, start, stop))
    }

    /// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`: the members
    /// in the range, as pairs if scores are asked for; all but WITHSCORES needs server version 6.2.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrange/>
    fn zrange_with<T: FromReply>(
        self,
        key: impl ToArg,
        min: impl ToArg,
        max: impl ToArg,
        options: ZrangeOptions,
    ) -> Self::Output<T> {
        self.execute(command::zrange_with(key, min, max, options))
    }

    /// `ZREVRANGE key start stop`: the members from one place to another, the highest score first.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrevrange/>
    fn zrevrange<T: FromReply>(self, key: impl ToArg, start: i64, stop: i64) -> Self::Output<T> {
        self.execute(command::zrevrange(key, start, stop))
    }

    /// `ZRANGEBYSCORE key min max`: the members whose score lies between; `"(1"` excludes 1,
    /// `"-inf"` and `"+inf"` are open ends.
    ///
    /// Since 1.0.5. <https://redis.io/commands/zrangebyscore/>
    fn zrangebyscore<T: FromReply>(
        self,
        key: impl ToArg,
        min: impl ToArg,
        max: impl ToArg,
    ) -> Self::Output<T> {
        self.execute(command::zrangebyscore(key, min, max))
    }

    /// `ZRANDMEMBER key count`: `count` random members; a negative count may return one twice.
    ///
    /// Since 6.2.0. <https://redis.io/commands/zrandmember/>
    fn zrandmember<T: FromReply>(self, key: impl ToArg, count: i64) -> Self::Output<T> {
        self.execute(command::zrandmember(key, count))
    }

    /// `ZPOPMIN key count`: up to `count` members with the lowest scores, which are removed, as
    /// pairs with their scores.
    ///
    /// Since 5.0.0. <https://redis.io/commands/zpopmin/>
    fn zpopmin<T: FromReply>(self, key: impl ToArg, count: u64) -> Self::Output<T> {
        self.execute(command::zpopmin(key, count))
    }

    /// `ZPOPMAX key count`: up to `count` members with the highest scores, which are removed, as
    /// pairs with their scores.
    ///
    /// Since 5.0.0. <https://redis.io/commands/zpopmax/>
    fn zpopmax<T: FromReply>(self, key: impl ToArg, count: u64) -> Self::Output<T> {
        self.execute(command::zpopmax(key, count))
    }

    /// `BZPOPMIN key [key ...] timeout`: key, member and score of the lowest, which is removed;
    /// null after `timeout`; 0 waits without limit.
    ///
    /// Since 5.0.0. <https://redis.io/commands/bzpopmin/>
    fn bzpopmin<T: FromReply>(self, keys: impl ToArgs, timeout: Duration) -> Self::Output<T> {
        self.execute(command::bzpopmin(keys, timeout))
    }

    /// `BZPOPMAX key [key ...] timeout`: key, member and score of the highest, which is removed;
    /// null after `timeout`; 0 waits without limit.
    ///
    /// Since 5.0.0. <https://redis.io/commands/bzpopmax/>
    fn bzpopmax<T: FromReply>(self, keys: impl ToArgs, timeout: Duration) -> Self::Output<T> {
        self.execute(command::bzpopmax(keys, timeout))
    }

    /// `ZREMRANGEBYRANK key start stop`: how many were removed.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zremrangebyrank/>
    fn zremrangebyrank(self, key: impl ToArg, start: i64, stop: i64) -> Self::Output<u64> {
        self.execute(command::zremrangebyrank(key, start, stop))
    }

    /// `ZREMRANGEBYSCORE key min max`: how many were removed.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zremrangebyscore/>
    fn zremrangebyscore(
        self,
        key: impl ToArg,
        min: impl ToArg,
        max: impl ToArg,
    ) -> Self::Output<u64> {
        self.execute(command::zremrangebyscore(key, min, max))
    }

    /// `ZINTERSTORE destination numkeys key [key ...]`: how many members the destination has now:
    /// those in all sets, their scores added up.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zinterstore/>
    fn zinterstore(self, destination: impl ToArg, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::zinterstore(destination, keys))
    }

    /// `ZUNIONSTORE destination numkeys key [key ...]`: how many members the destination has now:
    /// those in any set, their scores added up.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zunionstore/>
    fn zunionstore(self, destination: impl ToArg, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::zunionstore(destination, keys))
    }

    /// `ZSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end, and some
    /// members with scores; start with 0.
    ///
    /// Since 2.8.0. <https://redis.io/commands/zscan/>
    fn zscan<T: FromReply>(
        self,
        key: impl ToArg,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Self::Output<(u64, T)> {
        self.execute(command::zscan(key, cursor, options))
    }
}

impl<E: Execute> SortedSetCommands for E {}
