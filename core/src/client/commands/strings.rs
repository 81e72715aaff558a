//! The client's methods for strings.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, GetexOptions, SetOptions, ToArg, ToArgs};
use serde::de::DeserializeOwned;
use std::time::Duration;

impl Client {
    /// `GET key`: the value, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/get/>
    pub fn get<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::get(key))
    }

    /// `SET key value`: OK. An expiry that the key had is gone.
    ///
    /// Since 1.0.0. <https://redis.io/commands/set/>
    pub fn set(&self, key: impl ToArg, value: impl ToArg) -> Call<'_, ()> {
        self.send(command::set(key, value))
    }

    /// `SET key value [NX|XX] [GET] [EX seconds ...]`: OK, or null if the condition did not hold;
    /// with GET the old value or null.
    ///
    /// Since 1.0.0. <https://redis.io/commands/set/>
    pub fn set_with<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        value: impl ToArg,
        options: SetOptions,
    ) -> Call<'_, T> {
        self.send(command::set_with(key, value, options))
    }

    /// `SETNX key value`: whether it was set, which it is only if there was no value.
    ///
    /// Since 1.0.0. <https://redis.io/commands/setnx/>
    pub fn setnx(&self, key: impl ToArg, value: impl ToArg) -> Call<'_, bool> {
        self.send(command::setnx(key, value))
    }

    /// `SETEX key seconds value`: OK. The value expires after `ttl`; where that is not whole
    /// seconds, PSETEX is sent.
    ///
    /// Since 2.0.0. <https://redis.io/commands/setex/>
    pub fn setex(&self, key: impl ToArg, ttl: Duration, value: impl ToArg) -> Call<'_, ()> {
        self.send(command::setex(key, ttl, value))
    }

    /// `GETDEL key`: the value that was removed, null if there was none.
    ///
    /// Since 6.2.0. <https://redis.io/commands/getdel/>
    pub fn getdel<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::getdel(key))
    }

    /// `GETEX key [EX seconds ...]`: the value, null if there is none. Its expiry changes.
    ///
    /// Since 6.2.0. <https://redis.io/commands/getex/>
    pub fn getex<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        options: GetexOptions,
    ) -> Call<'_, T> {
        self.send(command::getex(key, options))
    }

    /// `GETSET key value`: the old value, null if there was none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/getset/>
    pub fn getset<T: DeserializeOwned>(&self, key: impl ToArg, value: impl ToArg) -> Call<'_, T> {
        self.send(command::getset(key, value))
    }

    /// `MGET key [key ...]`: the values in the order of the keys, null for each that is missing.
    /// One shard that is down fails the whole; see [`Client::mget_each`].
    ///
    /// Since 1.0.0. <https://redis.io/commands/mget/>
    pub fn mget<T: DeserializeOwned>(&self, keys: impl ToArgs) -> Call<'_, T> {
        self.send(command::mget(keys))
    }

    /// `MSET key value [key value ...]`: OK. Over several slots of a cluster it is split and no
    /// longer atomic: others may see some keys set and not yet the rest, and a failure may leave it
    /// so.
    ///
    /// Since 1.0.1. <https://redis.io/commands/mset/>
    pub fn mset(&self, pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Call<'_, ()> {
        self.send(command::mset(pairs))
    }

    /// `MSETNX key value [key value ...]`: whether all were set, which they are only if none had a
    /// value.
    ///
    /// Since 1.0.1. <https://redis.io/commands/msetnx/>
    pub fn msetnx(
        &self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Call<'_, bool> {
        self.send(command::msetnx(pairs))
    }

    /// `APPEND key value`: the length after it, in bytes.
    ///
    /// Since 2.0.0. <https://redis.io/commands/append/>
    pub fn append(&self, key: impl ToArg, value: impl ToArg) -> Call<'_, u64> {
        self.send(command::append(key, value))
    }

    /// `STRLEN key`: the length in bytes, 0 without a value.
    ///
    /// Since 2.2.0. <https://redis.io/commands/strlen/>
    pub fn strlen(&self, key: impl ToArg) -> Call<'_, u64> {
        self.send(command::strlen(key))
    }

    /// `GETRANGE key start end`: the bytes from `start` to `end`, both included; negative counts
    /// from the end.
    ///
    /// Since 2.4.0. <https://redis.io/commands/getrange/>
    pub fn getrange<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        start: i64,
        end: i64,
    ) -> Call<'_, T> {
        self.send(command::getrange(key, start, end))
    }

    /// `SETRANGE key offset value`: the length after it, in bytes.
    ///
    /// Since 2.2.0. <https://redis.io/commands/setrange/>
    pub fn setrange(&self, key: impl ToArg, offset: u64, value: impl ToArg) -> Call<'_, u64> {
        self.send(command::setrange(key, offset, value))
    }
}
