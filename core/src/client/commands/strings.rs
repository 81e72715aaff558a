//! The client's methods for strings.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, GetexOptions, SetOptions, ToArg, ToArgs};
use crate::resp::FromReply;
use std::time::Duration;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait StringCommands: Execute {
    /// `GET key`: the value, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/get/>
    fn get<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::get(key))
    }

    /// `SET key value`: OK. An expiry that the key had is gone.
    ///
    /// Since 1.0.0. <https://redis.io/commands/set/>
    fn set(self, key: impl ToArg, value: impl ToArg) -> Self::Output<()> {
        self.execute(command::set(key, value))
    }

    /// `SET key value [NX|XX] [GET] [EX seconds ...]`: OK, or null if the condition did not hold;
    /// with GET the old value or null.
    ///
    /// Since 1.0.0. <https://redis.io/commands/set/>
    fn set_with<T: FromReply>(
        self,
        key: impl ToArg,
        value: impl ToArg,
        options: SetOptions,
    ) -> Self::Output<T> {
        self.execute(command::set_with(key, value, options))
    }

    /// `SETNX key value`: whether it was set, which it is only if there was no value.
    ///
    /// Since 1.0.0. <https://redis.io/commands/setnx/>
    fn setnx(self, key: impl ToArg, value: impl ToArg) -> Self::Output<bool> {
        self.execute(command::setnx(key, value))
    }

    /// `SETEX key seconds value`: OK. The value expires after `ttl`; where that is not whole
    /// seconds, PSETEX is sent.
    ///
    /// Since 2.0.0. <https://redis.io/commands/setex/>
    fn setex(self, key: impl ToArg, ttl: Duration, value: impl ToArg) -> Self::Output<()> {
        self.execute(command::setex(key, ttl, value))
    }

    /// `GETDEL key`: the value that was removed, null if there was none.
    ///
    /// Since 6.2.0. <https://redis.io/commands/getdel/>
    fn getdel<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::getdel(key))
    }

    /// `GETEX key [EX seconds ...]`: the value, null if there is none. Its expiry changes.
    ///
    /// Since 6.2.0. <https://redis.io/commands/getex/>
    fn getex<T: FromReply>(self, key: impl ToArg, options: GetexOptions) -> Self::Output<T> {
        self.execute(command::getex(key, options))
    }

    /// `GETSET key value`: the old value, null if there was none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/getset/>
    fn getset<T: FromReply>(self, key: impl ToArg, value: impl ToArg) -> Self::Output<T> {
        self.execute(command::getset(key, value))
    }

    /// `MGET key [key ...]`: the values in the order of the keys, null for each that is missing.
    /// One shard that is down fails the whole; see [`Client::mget_each`](crate::Client::mget_each).
    ///
    /// Since 1.0.0. <https://redis.io/commands/mget/>
    fn mget<T: FromReply>(self, keys: impl ToArgs) -> Self::Output<T> {
        self.execute(command::mget(keys))
    }

    /// `MSET key value [key value ...]`: OK. Over several slots of a cluster it is split and no
    /// longer atomic: others may see some keys set and not yet the rest, and a failure may leave it
    /// so.
    ///
    /// Since 1.0.1. <https://redis.io/commands/mset/>
    fn mset(self, pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Self::Output<()> {
        self.execute(command::mset(pairs))
    }

    /// `MSETNX key value [key value ...]`: whether all were set, which they are only if none had a
    /// value.
    ///
    /// Since 1.0.1. <https://redis.io/commands/msetnx/>
    fn msetnx(
        self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self::Output<bool> {
        self.execute(command::msetnx(pairs))
    }

    /// `APPEND key value`: the length after it, in bytes.
    ///
    /// Since 2.0.0. <https://redis.io/commands/append/>
    fn append(self, key: impl ToArg, value: impl ToArg) -> Self::Output<u64> {
        self.execute(command::append(key, value))
    }

    /// `STRLEN key`: the length in bytes, 0 without a value.
    ///
    /// Since 2.2.0. <https://redis.io/commands/strlen/>
    fn strlen(self, key: impl ToArg) -> Self::Output<u64> {
        self.execute(command::strlen(key))
    }

    /// `GETRANGE key start end`: the bytes from `start` to `end`, both included; negative counts
    /// from the end.
    ///
    /// Since 2.4.0. <https://redis.io/commands/getrange/>
    fn getrange<T: FromReply>(self, key: impl ToArg, start: i64, end: i64) -> Self::Output<T> {
        self.execute(command::getrange(key, start, end))
    }

    /// `SETRANGE key offset value`: the length after it, in bytes.
    ///
    /// Since 2.2.0. <https://redis.io/commands/setrange/>
    fn setrange(self, key: impl ToArg, offset: u64, value: impl ToArg) -> Self::Output<u64> {
        self.execute(command::setrange(key, offset, value))
    }
}

impl<E: Execute> StringCommands for E {}
