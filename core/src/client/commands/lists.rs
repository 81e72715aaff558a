//! The client's methods for lists.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, End, Side, ToArg, ToArgs};
use serde::de::DeserializeOwned;
use std::time::Duration;

impl Client {
    /// `LPUSH key element [element ...]`: the length after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lpush/>
    pub fn lpush(&self, key: impl ToArg, values: impl ToArgs) -> Call<'_, u64> {
        self.send(command::lpush(key, values))
    }

    /// `RPUSH key element [element ...]`: the length after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rpush/>
    pub fn rpush(&self, key: impl ToArg, values: impl ToArgs) -> Call<'_, u64> {
        self.send(command::rpush(key, values))
    }

    /// `LPUSHX key element [element ...]`: the length after it, 0 if there is no such list, which
    /// then stays so.
    ///
    /// Since 2.2.0. <https://redis.io/commands/lpushx/>
    pub fn lpushx(&self, key: impl ToArg, values: impl ToArgs) -> Call<'_, u64> {
        self.send(command::lpushx(key, values))
    }

    /// `RPUSHX key element [element ...]`: the length after it, 0 if there is no such list, which
    /// then stays so.
    ///
    /// Since 2.2.0. <https://redis.io/commands/rpushx/>
    pub fn rpushx(&self, key: impl ToArg, values: impl ToArgs) -> Call<'_, u64> {
        self.send(command::rpushx(key, values))
    }

    /// `LPOP key`: the first element, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lpop/>
    pub fn lpop<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::lpop(key))
    }

    /// `RPOP key`: the last element, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rpop/>
    pub fn rpop<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::rpop(key))
    }

    /// `LPOP key count`: up to `count` elements, null if there is no such list; needs server
    /// version 6.2.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lpop/>
    pub fn lpop_many<T: DeserializeOwned>(&self, key: impl ToArg, count: u64) -> Call<'_, T> {
        self.send(command::lpop_many(key, count))
    }

    /// `RPOP key count`: up to `count` elements, null if there is no such list; needs server
    /// version 6.2.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rpop/>
    pub fn rpop_many<T: DeserializeOwned>(&self, key: impl ToArg, count: u64) -> Call<'_, T> {
        self.send(command::rpop_many(key, count))
    }

    /// `LRANGE key start stop`: the elements from `start` to `stop`, both included; negative counts
    /// from the end.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lrange/>
    pub fn lrange<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        start: i64,
        stop: i64,
    ) -> Call<'_, T> {
        self.send(command::lrange(key, start, stop))
    }

    /// `LLEN key`: the length.
    ///
    /// Since 1.0.0. <https://redis.io/commands/llen/>
    pub fn llen(&self, key: impl ToArg) -> Call<'_, u64> {
        self.send(command::llen(key))
    }

    /// `LINDEX key index`: the element, null if there is none; negative counts from the end.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lindex/>
    pub fn lindex<T: DeserializeOwned>(&self, key: impl ToArg, index: i64) -> Call<'_, T> {
        self.send(command::lindex(key, index))
    }

    /// `LPOS key element`: the index of its first occurrence, null if there is none.
    ///
    /// Since 6.0.6. <https://redis.io/commands/lpos/>
    pub fn lpos(&self, key: impl ToArg, value: impl ToArg) -> Call<'_, Option<u64>> {
        self.send(command::lpos(key, value))
    }

    /// `LSET key index element`: OK; an error if there is no such element.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lset/>
    pub fn lset(&self, key: impl ToArg, index: i64, value: impl ToArg) -> Call<'_, ()> {
        self.send(command::lset(key, index, value))
    }

    /// `LINSERT key BEFORE|AFTER pivot element`: the length after it, -1 without the pivot, 0
    /// without the list.
    ///
    /// Since 2.2.0. <https://redis.io/commands/linsert/>
    pub fn linsert(
        &self,
        key: impl ToArg,
        side: Side,
        pivot: impl ToArg,
        value: impl ToArg,
    ) -> Call<'_, i64> {
        self.send(command::linsert(key, side, pivot, value))
    }

    /// `LTRIM key start stop`: OK; what lies outside is removed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/ltrim/>
    pub fn ltrim(&self, key: impl ToArg, start: i64, stop: i64) -> Call<'_, ()> {
        self.send(command::ltrim(key, start, stop))
    }

    /// `LREM key count element`: how many were removed: the first `count`, the last if it is
    /// negative, all if it is 0.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lrem/>
    pub fn lrem(&self, key: impl ToArg, count: i64, value: impl ToArg) -> Call<'_, u64> {
        self.send(command::lrem(key, count, value))
    }

    /// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`: the element that was moved, null if there
    /// was none.
    ///
    /// Since 6.2.0. <https://redis.io/commands/lmove/>
    pub fn lmove<T: DeserializeOwned>(
        &self,
        source: impl ToArg,
        destination: impl ToArg,
        from: End,
        to: End,
    ) -> Call<'_, T> {
        self.send(command::lmove(source, destination, from, to))
    }

    /// `BLPOP key [key ...] timeout`: the key and its first element, null after `timeout`; 0 waits
    /// without limit.
    ///
    /// Since 2.0.0. <https://redis.io/commands/blpop/>
    pub fn blpop<T: DeserializeOwned>(&self, keys: impl ToArgs, timeout: Duration) -> Call<'_, T> {
        self.send(command::blpop(keys, timeout))
    }

    /// `BRPOP key [key ...] timeout`: the key and its last element, null after `timeout`; 0 waits
    /// without limit.
    ///
    /// Since 2.0.0. <https://redis.io/commands/brpop/>
    pub fn brpop<T: DeserializeOwned>(&self, keys: impl ToArgs, timeout: Duration) -> Call<'_, T> {
        self.send(command::brpop(keys, timeout))
    }

    /// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`: the element that was moved, null
    /// after `timeout`; 0 waits without limit.
    ///
    /// Since 6.2.0. <https://redis.io/commands/blmove/>
    pub fn blmove<T: DeserializeOwned>(
        &self,
        source: impl ToArg,
        destination: impl ToArg,
        from: End,
        to: End,
        timeout: Duration,
    ) -> Call<'_, T> {
        self.send(command::blmove(source, destination, from, to, timeout))
    }
}
