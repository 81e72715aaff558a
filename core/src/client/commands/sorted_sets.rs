//! The client's methods for sorted sets.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ScanOptions, ToArg, ToArgs, ZaddOptions, ZrangeOptions};
use serde::de::DeserializeOwned;
use std::time::Duration;

impl Client {
    /// `ZADD key score member [score member ...]`: how many are new.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zadd/>
    pub fn zadd(
        &self,
        key: impl ToArg,
        members: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Call<'_, u64> {
        self.send(command::zadd(key, members))
    }

    /// `ZADD key [NX|XX] [GT|LT] [CH] score member [score member ...]`: how many are new, or with
    /// CH how many changed.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zadd/>
    pub fn zadd_with(
        &self,
        key: impl ToArg,
        options: ZaddOptions,
        members: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Call<'_, u64> {
        self.send(command::zadd_with(key, options, members))
    }

    /// `ZREM key member [member ...]`: how many existed.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrem/>
    pub fn zrem(&self, key: impl ToArg, members: impl ToArgs) -> Call<'_, u64> {
        self.send(command::zrem(key, members))
    }

    /// `ZSCORE key member`: the score, null if it is no member.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zscore/>
    pub fn zscore(&self, key: impl ToArg, member: impl ToArg) -> Call<'_, Option<f64>> {
        self.send(command::zscore(key, member))
    }

    /// `ZMSCORE key member [member ...]`: for each the score, null if it is no member.
    ///
    /// Since 6.2.0. <https://redis.io/commands/zmscore/>
    pub fn zmscore(&self, key: impl ToArg, members: impl ToArgs) -> Call<'_, Vec<Option<f64>>> {
        self.send(command::zmscore(key, members))
    }

    /// `ZINCRBY key increment member`: the score after it.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zincrby/>
    pub fn zincrby(&self, key: impl ToArg, increment: f64, member: impl ToArg) -> Call<'_, f64> {
        self.send(command::zincrby(key, increment, member))
    }

    /// `ZCARD key`: how many members there are.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zcard/>
    pub fn zcard(&self, key: impl ToArg) -> Call<'_, u64> {
        self.send(command::zcard(key))
    }

    /// `ZCOUNT key min max`: how many scores lie between; `"(1"` excludes 1, `"-inf"` and `"+inf"`
    /// are open ends.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zcount/>
    pub fn zcount(&self, key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Call<'_, u64> {
        self.send(command::zcount(key, min, max))
    }

    /// `ZLEXCOUNT key min max`: how many members lie between; `"[a"` includes a, `"(a"` excludes
    /// it, `"-"` and `"+"` are open ends.
    ///
    /// Since 2.8.9. <https://redis.io/commands/zlexcount/>
    pub fn zlexcount(&self, key: impl ToArg, min: impl ToArg, max: impl ToArg) -> Call<'_, u64> {
        self.send(command::zlexcount(key, min, max))
    }

    /// `ZRANK key member`: its place from the lowest score, beginning at 0; null if it is no
    /// member.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zrank/>
    pub fn zrank(&self, key: impl ToArg, member: impl ToArg) -> Call<'_, Option<u64>> {
        self.send(command::zrank(key, member))
    }

    /// `ZREVRANK key member`: its place from the highest score, beginning at 0; null if it is no
    /// member.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zrevrank/>
    pub fn zrevrank(&self, key: impl ToArg, member: impl ToArg) -> Call<'_, Option<u64>> {
        self.send(command::zrevrank(key, member))
    }

    /// `ZRANGE key start stop`: the members from one place to another, both included; negative
    /// counts from the end.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrange/>
    pub fn zrange<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        start: i64,
        stop: i64,
    ) -> Call<'_, T> {
        self.send(command::zrange(key, start, stop))
    }

    /// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`: the members
    /// in the range, as pairs if scores are asked for; all but WITHSCORES needs server version 6.2.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrange/>
    pub fn zrange_with<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        min: impl ToArg,
        max: impl ToArg,
        options: ZrangeOptions,
    ) -> Call<'_, T> {
        self.send(command::zrange_with(key, min, max, options))
    }

    /// `ZREVRANGE key start stop`: the members from one place to another, the highest score first.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zrevrange/>
    pub fn zrevrange<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        start: i64,
        stop: i64,
    ) -> Call<'_, T> {
        self.send(command::zrevrange(key, start, stop))
    }

    /// `ZRANGEBYSCORE key min max`: the members whose score lies between; `"(1"` excludes 1,
    /// `"-inf"` and `"+inf"` are open ends.
    ///
    /// Since 1.0.5. <https://redis.io/commands/zrangebyscore/>
    pub fn zrangebyscore<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        min: impl ToArg,
        max: impl ToArg,
    ) -> Call<'_, T> {
        self.send(command::zrangebyscore(key, min, max))
    }

    /// `ZRANDMEMBER key count`: `count` random members; a negative count may return one twice.
    ///
    /// Since 6.2.0. <https://redis.io/commands/zrandmember/>
    pub fn zrandmember<T: DeserializeOwned>(&self, key: impl ToArg, count: i64) -> Call<'_, T> {
        self.send(command::zrandmember(key, count))
    }

    /// `ZPOPMIN key count`: up to `count` members with the lowest scores, which are removed, as
    /// pairs with their scores.
    ///
    /// Since 5.0.0. <https://redis.io/commands/zpopmin/>
    pub fn zpopmin<T: DeserializeOwned>(&self, key: impl ToArg, count: u64) -> Call<'_, T> {
        self.send(command::zpopmin(key, count))
    }

    /// `ZPOPMAX key count`: up to `count` members with the highest scores, which are removed, as
    /// pairs with their scores.
    ///
    /// Since 5.0.0. <https://redis.io/commands/zpopmax/>
    pub fn zpopmax<T: DeserializeOwned>(&self, key: impl ToArg, count: u64) -> Call<'_, T> {
        self.send(command::zpopmax(key, count))
    }

    /// `BZPOPMIN key [key ...] timeout`: key, member and score of the lowest, which is removed;
    /// null after `timeout`; 0 waits without limit.
    ///
    /// Since 5.0.0. <https://redis.io/commands/bzpopmin/>
    pub fn bzpopmin<T: DeserializeOwned>(
        &self,
        keys: impl ToArgs,
        timeout: Duration,
    ) -> Call<'_, T> {
        self.send(command::bzpopmin(keys, timeout))
    }

    /// `BZPOPMAX key [key ...] timeout`: key, member and score of the highest, which is removed;
    /// null after `timeout`; 0 waits without limit.
    ///
    /// Since 5.0.0. <https://redis.io/commands/bzpopmax/>
    pub fn bzpopmax<T: DeserializeOwned>(
        &self,
        keys: impl ToArgs,
        timeout: Duration,
    ) -> Call<'_, T> {
        self.send(command::bzpopmax(keys, timeout))
    }

    /// `ZREMRANGEBYRANK key start stop`: how many were removed.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zremrangebyrank/>
    pub fn zremrangebyrank(&self, key: impl ToArg, start: i64, stop: i64) -> Call<'_, u64> {
        self.send(command::zremrangebyrank(key, start, stop))
    }

    /// `ZREMRANGEBYSCORE key min max`: how many were removed.
    ///
    /// Since 1.2.0. <https://redis.io/commands/zremrangebyscore/>
    pub fn zremrangebyscore(
        &self,
        key: impl ToArg,
        min: impl ToArg,
        max: impl ToArg,
    ) -> Call<'_, u64> {
        self.send(command::zremrangebyscore(key, min, max))
    }

    /// `ZINTERSTORE destination numkeys key [key ...]`: how many members the destination has now:
    /// those in all sets, their scores added up.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zinterstore/>
    pub fn zinterstore(&self, destination: impl ToArg, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::zinterstore(destination, keys))
    }

    /// `ZUNIONSTORE destination numkeys key [key ...]`: how many members the destination has now:
    /// those in any set, their scores added up.
    ///
    /// Since 2.0.0. <https://redis.io/commands/zunionstore/>
    pub fn zunionstore(&self, destination: impl ToArg, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::zunionstore(destination, keys))
    }

    /// `ZSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end, and some
    /// members with scores; start with 0.
    ///
    /// Since 2.8.0. <https://redis.io/commands/zscan/>
    pub fn zscan<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Call<'_, (u64, T)> {
        self.send(command::zscan(key, cursor, options))
    }
}
