//! The client's methods for lists.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, End, Side, ToArg, ToArgs};
use crate::resp::FromReply;
use std::time::Duration;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait ListCommands: Execute {
    /// `LPUSH key element [element ...]`: the length after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lpush/>
    fn lpush(self, key: impl ToArg, values: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::lpush(key, values))
    }

    /// `RPUSH key element [element ...]`: the length after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rpush/>
    fn rpush(self, key: impl ToArg, values: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::rpush(key, values))
    }

    /// `LPUSHX key element [element ...]`: the length after it, 0 if there is no such list, which
    /// then stays so.
    ///
    /// Since 2.2.0. <https://redis.io/commands/lpushx/>
    fn lpushx(self, key: impl ToArg, values: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::lpushx(key, values))
    }

    /// `RPUSHX key element [element ...]`: the length after it, 0 if there is no such list, which
    /// then stays so.
    ///
    /// Since 2.2.0. <https://redis.io/commands/rpushx/>
    fn rpushx(self, key: impl ToArg, values: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::rpushx(key, values))
    }

    /// `LPOP key`: the first element, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lpop/>
    fn lpop<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::lpop(key))
    }

    /// `RPOP key`: the last element, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rpop/>
    fn rpop<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::rpop(key))
    }

    /// `LPOP key count`: up to `count` elements, null if there is no such list; needs server
    /// version 6.2.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lpop/>
    fn lpop_many<T: FromReply>(self, key: impl ToArg, count: u64) -> Self::Output<T> {
        self.execute(command::lpop_many(key, count))
    }

    /// `RPOP key count`: up to `count` elements, null if there is no such list; needs server
    /// version 6.2.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rpop/>
    fn rpop_many<T: FromReply>(self, key: impl ToArg, count: u64) -> Self::Output<T> {
        self.execute(command::rpop_many(key, count))
    }

    /// `LRANGE key start stop`: the elements from `start` to `stop`, both included; negative counts
    /// from the end.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lrange/>
    fn lrange<T: FromReply>(self, key: impl ToArg, start: i64, stop: i64) -> Self::Output<T> {
        self.execute(command::lrange(key, start, stop))
    }

    /// `LLEN key`: the length.
    ///
    /// Since 1.0.0. <https://redis.io/commands/llen/>
    fn llen(self, key: impl ToArg) -> Self::Output<u64> {
        self.execute(command::llen(key))
    }

    /// `LINDEX key index`: the element, null if there is none; negative counts from the end.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lindex/>
    fn lindex<T: FromReply>(self, key: impl ToArg, index: i64) -> Self::Output<T> {
        self.execute(command::lindex(key, index))
    }

    /// `LPOS key element`: the index of its first occurrence, null if there is none.
    ///
    /// Since 6.0.6. <https://redis.io/commands/lpos/>
    fn lpos(self, key: impl ToArg, value: impl ToArg) -> Self::Output<Option<u64>> {
        self.execute(command::lpos(key, value))
    }

    /// `LSET key index element`: OK; an error if there is no such element.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lset/>
    fn lset(self, key: impl ToArg, index: i64, value: impl ToArg) -> Self::Output<()> {
        self.execute(command::lset(key, index, value))
    }

    /// `LINSERT key BEFORE|AFTER pivot element`: the length after it, -1 without the pivot, 0
    /// without the list.
    ///
    /// Since 2.2.0. <https://redis.io/commands/linsert/>
    fn linsert(
        self,
        key: impl ToArg,
        side: Side,
        pivot: impl ToArg,
        value: impl ToArg,
    ) -> Self::Output<i64> {
        self.execute(command::linsert(key, side, pivot, value))
    }

    /// `LTRIM key start stop`: OK; what lies outside is removed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/ltrim/>
    fn ltrim(self, key: impl ToArg, start: i64, stop: i64) -> Self::Output<()> {
        self.execute(command::ltrim(key, start, stop))
    }

    /// `LREM key count element`: how many were removed: the first `count`, the last if it is
    /// negative, all if it is 0.
    ///
    /// Since 1.0.0. <https://redis.io/commands/lrem/>
    fn lrem(self, key: impl ToArg, count: i64, value: impl ToArg) -> Self::Output<u64> {
        self.execute(command::lrem(key, count, value))
    }

    /// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`: the element that was moved, null if there
    /// was none.
    ///
    /// Since 6.2.0. <https://redis.io/commands/lmove/>
    fn lmove<T: FromReply>(
        self,
        source: impl ToArg,
        destination: impl ToArg,
        from: End,
        to: End,
    ) -> Self::Output<T> {
        self.execute(command::lmove(source, destination, from, to))
    }

    /// `BLPOP key [key ...] timeout`: the key and its first element, null after `timeout`; 0 waits
    /// without limit.
    ///
    /// Since 2.0.0. <https://redis.io/commands/blpop/>
    fn blpop<T: FromReply>(self, keys: impl ToArgs, timeout: Duration) -> Self::Output<T> {
        self.execute(command::blpop(keys, timeout))
    }

    /// `BRPOP key [key ...] timeout`: the key and its last element, null after `timeout`; 0 waits
    /// without limit.
    ///
    /// Since 2.0.0. <https://redis.io/commands/brpop/>
    fn brpop<T: FromReply>(self, keys: impl ToArgs, timeout: Duration) -> Self::Output<T> {
        self.execute(command::brpop(keys, timeout))
    }

    /// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`: the element that was moved, null
    /// after `timeout`; 0 waits without limit.
    ///
    /// Since 6.2.0. <https://redis.io/commands/blmove/>
    fn blmove<T: FromReply>(
        self,
        source: impl ToArg,
        destination: impl ToArg,
        from: End,
        to: End,
        timeout: Duration,
    ) -> Self::Output<T> {
        self.execute(command::blmove(source, destination, from, to, timeout))
    }
}

impl<E: Execute> ListCommands for E {}
