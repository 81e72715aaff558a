//! The client's methods for hashes.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ScanOptions, ToArg, ToArgs};
use serde::de::DeserializeOwned;

impl Client {
    /// `HSET key field value [field value ...]`: how many fields are new. More than one field needs
    /// server version 4.0.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hset/>
    pub fn hset(
        &self,
        key: impl ToArg,
        fields: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Call<'_, u64> {
        self.send(command::hset(key, fields))
    }

    /// `HSETNX key field value`: whether it was set, which it is only if there was no such field.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hsetnx/>
    pub fn hsetnx(&self, key: impl ToArg, field: impl ToArg, value: impl ToArg) -> Call<'_, bool> {
        self.send(command::hsetnx(key, field, value))
    }

    /// `HGET key field`: the value, null if there is none.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hget/>
    pub fn hget<T: DeserializeOwned>(&self, key: impl ToArg, field: impl ToArg) -> Call<'_, T> {
        self.send(command::hget(key, field))
    }

    /// `HMGET key field [field ...]`: the values in the order of the fields, null for each that is
    /// missing.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hmget/>
    pub fn hmget<T: DeserializeOwned>(&self, key: impl ToArg, fields: impl ToArgs) -> Call<'_, T> {
        self.send(command::hmget(key, fields))
    }

    /// `HGETALL key`: all fields and values, as a map or a struct; empty if there is no such key.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hgetall/>
    pub fn hgetall<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::hgetall(key))
    }

    /// `HKEYS key`: all fields.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hkeys/>
    pub fn hkeys<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::hkeys(key))
    }

    /// `HVALS key`: all values.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hvals/>
    pub fn hvals<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::hvals(key))
    }

    /// `HDEL key field [field ...]`: how many existed.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hdel/>
    pub fn hdel(&self, key: impl ToArg, fields: impl ToArgs) -> Call<'_, u64> {
        self.send(command::hdel(key, fields))
    }

    /// `HEXISTS key field`: whether there is such a field.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hexists/>
    pub fn hexists(&self, key: impl ToArg, field: impl ToArg) -> Call<'_, bool> {
        self.send(command::hexists(key, field))
    }

    /// `HLEN key`: how many fields there are.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hlen/>
    pub fn hlen(&self, key: impl ToArg) -> Call<'_, u64> {
        self.send(command::hlen(key))
    }

    /// `HSTRLEN key field`: the value's length in bytes, 0 without one.
    ///
    /// Since 3.2.0. <https://redis.io/commands/hstrlen/>
    pub fn hstrlen(&self, key: impl ToArg, field: impl ToArg) -> Call<'_, u64> {
        self.send(command::hstrlen(key, field))
    }

    /// `HINCRBY key field increment`: the value after it.
    ///
    /// Since 2.0.0. <https://redis.io/commands/hincrby/>
    pub fn hincrby(&self, key: impl ToArg, field: impl ToArg, increment: i64) -> Call<'_, i64> {
        self.send(command::hincrby(key, field, increment))
    }

    /// `HINCRBYFLOAT key field increment`: the value after it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/hincrbyfloat/>
    pub fn hincrbyfloat(
        &self,
        key: impl ToArg,
        field: impl ToArg,
        increment: f64,
    ) -> Call<'_, f64> {
        self.send(command::hincrbyfloat(key, field, increment))
    }

    /// `HRANDFIELD key count`: `count` random fields; a negative count may return one twice.
    ///
    /// Since 6.2.0. <https://redis.io/commands/hrandfield/>
    pub fn hrandfield<T: DeserializeOwned>(&self, key: impl ToArg, count: i64) -> Call<'_, T> {
        self.send(command::hrandfield(key, count))
    }

    /// `HSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end, and some
    /// fields with values; start with 0.
    ///
    /// Since 2.8.0. <https://redis.io/commands/hscan/>
    pub fn hscan<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Call<'_, (u64, T)> {
        self.send(command::hscan(key, cursor, options))
    }
}
