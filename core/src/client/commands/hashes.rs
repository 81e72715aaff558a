//! The client's methods for hashes.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ScanOptions, ToArg, ToArgs};
use crate::resp::FromReply;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait HashCommands: Execute {
    /// `HSET key field value [field value ...]`: how many fields are new. More than one field needs
    /// server version 4.0.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hset/>
    fn hset(
        self,
        key: impl ToArg,
        fields: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self::Output<u64> {
        self.execute(command::hset(key, fields))
    }

    /// `HSETNX key field value`: whether it was set, which it is only if there was no such field.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hsetnx/>
    fn hsetnx(self, key: impl ToArg, field: impl ToArg, value: impl ToArg) -> Self::Output<bool> {
        self.execute(command::hsetnx(key, field, value))
    }

    /// `HGET key field`: the value, null if there is none.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hget/>
    fn hget<T: FromReply>(self, key: impl ToArg, field: impl ToArg) -> Self::Output<T> {
        self.execute(command::hget(key, field))
    }

    /// `HMGET key field [field ...]`: the values in the order of the fields, null for each that is
    /// missing.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hmget/>
    fn hmget<T: FromReply>(self, key: impl ToArg, fields: impl ToArgs) -> Self::Output<T> {
        self.execute(command::hmget(key, fields))
    }

    /// `HGETALL key`: all fields and values, as a map or a struct; empty if there is no such key.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hgetall/>
    fn hgetall<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::hgetall(key))
    }

    /// `HKEYS key`: all fields.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hkeys/>
    fn hkeys<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::hkeys(key))
    }

    /// `HVALS key`: all values.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hvals/>
    fn hvals<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::hvals(key))
    }

    /// `HDEL key field [field ...]`: how many existed.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hdel/>
    fn hdel(self, key: impl ToArg, fields: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::hdel(key, fields))
    }

    /// `HEXISTS key field`: whether there is such a field.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hexists/>
    fn hexists(self, key: impl ToArg, field: impl ToArg) -> Self::Output<bool> {
        self.execute(command::hexists(key, field))
    }

    /// `HLEN key`: how many fields there are.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hlen/>
    fn hlen(self, key: impl ToArg) -> Self::Output<u64> {
        self.execute(command::hlen(key))
    }

    /// `HSTRLEN key field`: the value's length in bytes, 0 without one.
    ///
    /// Since 3.2.0. <https://redis.io/commands/hstrlen/>
    fn hstrlen(self, key: impl ToArg, field: impl ToArg) -> Self::Output<u64> {
        self.execute(command::hstrlen(key, field))
    }

    /// `HINCRBY key field increment`: the value after it.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hincrby/>
    fn hincrby(self, key: impl ToArg, field: impl ToArg, increment: i64) -> Self::Output<i64> {
        self.execute(command::hincrby(key, field, increment))
    }

    /// `HINCRBYFLOAT key field increment`: the value after it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/hincrbyfloat/>
    fn hincrbyfloat(self, key: impl ToArg, field: impl ToArg, increment: f64) -> Self::Output<f64> {
        self.execute(command::hincrbyfloat(key, field, increment))
    }

    /// `HRANDFIELD key count`: `count` random fields; a negative count may return one twice.
    ///
    /// Since 6.2.0. <https://redis.io/commands/hrandfield/>
    fn hrandfield<T: FromReply>(self, key: impl ToArg, count: i64) -> Self::Output<T> {
        self.execute(command::hrandfield(key, count))
    }

    /// `HSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end, and some
    /// fields with values; start with 0.
    ///
    /// Since 2.8.0. <https://redis.io/commands/hscan/>
    fn hscan<T: FromReply>(
        self,
        key: impl ToArg,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Self::Output<(u64, T)> {
        self.execute(command::hscan(key, cursor, options))
    }
}

impl<E: Execute> HashCommands for E {}
