//! The client's methods for sets.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ScanOptions, ToArg, ToArgs};
use serde::de::DeserializeOwned;

impl Client {
    /// `SADD key member [member ...]`: how many are new.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sadd/>
    pub fn sadd(&self, key: impl ToArg, members: impl ToArgs) -> Call<'_, u64> {
        self.send(command::sadd(key, members))
    }

    /// `SREM key member [member ...]`: how many existed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/srem/>
    pub fn srem(&self, key: impl ToArg, members: impl ToArgs) -> Call<'_, u64> {
        self.send(command::srem(key, members))
    }

    /// `SMEMBERS key`: all members.
    ///
    /// Since 1.0.0. <https://redis.io/commands/smembers/>
    pub fn smembers<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::smembers(key))
    }

    /// `SISMEMBER key member`: whether it is a member.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sismember/>
    pub fn sismember(&self, key: impl ToArg, member: impl ToArg) -> Call<'_, bool> {
        self.send(command::sismember(key, member))
    }

    /// `SMISMEMBER key member [member ...]`: for each whether it is a member.
    ///
    /// Since 6.2.0. <https://redis.io/commands/smismember/>
    pub fn smismember(&self, key: impl ToArg, members: impl ToArgs) -> Call<'_, Vec<bool>> {
        self.send(command::smismember(key, members))
    }

    /// `SCARD key`: how many members there are.
    ///
    /// Since 1.0.0. <https://redis.io/commands/scard/>
    pub fn scard(&self, key: impl ToArg) -> Call<'_, u64> {
        self.send(command::scard(key))
    }

    /// `SPOP key`: a random member, which is removed; null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/spop/>
    pub fn spop<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::spop(key))
    }

    /// `SPOP key count`: up to `count` random members, which are removed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/spop/>
    pub fn spop_many<T: DeserializeOwned>(&self, key: impl ToArg, count: u64) -> Call<'_, T> {
        self.send(command::spop_many(key, count))
    }

    /// `SRANDMEMBER key`: a random member; null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/srandmember/>
    pub fn srandmember<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::srandmember(key))
    }

    /// `SRANDMEMBER key count`: `count` random members; a negative count may return one twice.
    ///
    /// Since 1.0.0. <https://redis.io/commands/srandmember/>
    pub fn srandmember_many<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        count: i64,
    ) -> Call<'_, T> {
        self.send(command::srandmember_many(key, count))
    }

    /// `SMOVE source destination member`: whether it was a member of the source.
    ///
    /// Since 1.0.0. <https://redis.io/commands/smove/>
    pub fn smove(
        &self,
        source: impl ToArg,
        destination: impl ToArg,
        member: impl ToArg,
    ) -> Call<'_, bool> {
        self.send(command::smove(source, destination, member))
    }

    /// `SINTER key [key ...]`: the members of all sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sinter/>
    pub fn sinter<T: DeserializeOwned>(&self, keys: impl ToArgs) -> Call<'_, T> {
        self.send(command::sinter(keys))
    }

    /// `SINTERSTORE destination key [key ...]`: how many members the destination has now: the
    /// members of all sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sinterstore/>
    pub fn sinterstore(&self, destination: impl ToArg, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::sinterstore(destination, keys))
    }

    /// `SUNION key [key ...]`: the members of any of the sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sunion/>
    pub fn sunion<T: DeserializeOwned>(&self, keys: impl ToArgs) -> Call<'_, T> {
        self.send(command::sunion(keys))
    }

    /// `SUNIONSTORE destination key [key ...]`: how many members the destination has now: the
    /// members of any of the sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sunionstore/>
    pub fn sunionstore(&self, destination: impl ToArg, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::sunionstore(destination, keys))
    }

    /// `SDIFF key [key ...]`: the members of the first set that are in no other.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sdiff/>
    pub fn sdiff<T: DeserializeOwned>(&self, keys: impl ToArgs) -> Call<'_, T> {
        self.send(command::sdiff(keys))
    }

    /// `SDIFFSTORE destination key [key ...]`: how many members the destination has now: the
    /// members of the first set that are in no other.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sdiffstore/>
    pub fn sdiffstore(&self, destination: impl ToArg, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::sdiffstore(destination, keys))
    }

    /// `SINTERCARD numkeys key [key ...]`: how many members are in all sets.
    ///
    /// Since 7.0.0. <https://redis.io/commands/sintercard/>
    pub fn sintercard(&self, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::sintercard(keys))
    }

    /// `SSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end, and some
    /// members; start with 0.
    ///
    /// Since 2.8.0. <https://redis.io/commands/sscan/>
    pub fn sscan<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Call<'_, (u64, T)> {
        self.send(command::sscan(key, cursor, options))
    }
}
