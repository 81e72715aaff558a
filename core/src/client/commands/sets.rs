//! The client's methods for sets.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ScanOptions, ToArg, ToArgs};
use crate::resp::FromReply;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait SetCommands: Execute {
    /// `SADD key member [member ...]`: how many are new.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sadd/>
    fn sadd(self, key: impl ToArg, members: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::sadd(key, members))
    }

    /// `SREM key member [member ...]`: how many existed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/srem/>
    fn srem(self, key: impl ToArg, members: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::srem(key, members))
    }

    /// `SMEMBERS key`: all members.
    ///
    /// Since 1.0.0. <https://redis.io/commands/smembers/>
    fn smembers<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::smembers(key))
    }

    /// `SISMEMBER key member`: whether it is a member.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sismember/>
    fn sismember(self, key: impl ToArg, member: impl ToArg) -> Self::Output<bool> {
        self.execute(command::sismember(key, member))
    }

    /// `SMISMEMBER key member [member ...]`: for each whether it is a member.
    ///
    /// Since 6.2.0. <https://redis.io/commands/smismember/>
    fn smismember(self, key: impl ToArg, members: impl ToArgs) -> Self::Output<Vec<bool>> {
        self.execute(command::smismember(key, members))
    }

    /// `SCARD key`: how many members there are.
    ///
    /// Since 1.0.0. <https://redis.io/commands/scard/>
    fn scard(self, key: impl ToArg) -> Self::Output<u64> {
        self.execute(command::scard(key))
    }

    /// `SPOP key`: a random member, which is removed; null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/spop/>
    fn spop<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::spop(key))
    }

    /// `SPOP key count`: up to `count` random members, which are removed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/spop/>
    fn spop_many<T: FromReply>(self, key: impl ToArg, count: u64) -> Self::Output<T> {
        self.execute(command::spop_many(key, count))
    }

    /// `SRANDMEMBER key`: a random member; null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/srandmember/>
    fn srandmember<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::srandmember(key))
    }

    /// `SRANDMEMBER key count`: `count` random members; a negative count may return one twice.
    ///
    /// Since 1.0.0. <https://redis.io/commands/srandmember/>
    fn srandmember_many<T: FromReply>(self, key: impl ToArg, count: i64) -> Self::Output<T> {
        self.execute(command::srandmember_many(key, count))
    }

    /// `SMOVE source destination member`: whether it was a member of the source.
    ///
    /// Since 1.0.0. <https://redis.io/commands/smove/>
    fn smove(
        self,
        source: impl ToArg,
        destination: impl ToArg,
        member: impl ToArg,
    ) -> Self::Output<bool> {
        self.execute(command::smove(source, destination, member))
    }

    /// `SINTER key [key ...]`: the members of all sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sinter/>
    fn sinter<T: FromReply>(self, keys: impl ToArgs) -> Self::Output<T> {
        self.execute(command::sinter(keys))
    }

    /// `SINTERSTORE destination key [key ...]`: how many members the destination has now: the
    /// members of all sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sinterstore/>
    fn sinterstore(self, destination: impl ToArg, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::sinterstore(destination, keys))
    }

    /// `SUNION key [key ...]`: the members of any of the sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sunion/>
    fn sunion<T: FromReply>(self, keys: impl ToArgs) -> Self::Output<T> {
        self.execute(command::sunion(keys))
    }

    /// `SUNIONSTORE destination key [key ...]`: how many members the destination has now: the
    /// members of any of the sets.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sunionstore/>
    fn sunionstore(self, destination: impl ToArg, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::sunionstore(destination, keys))
    }

    /// `SDIFF key [key ...]`: the members of the first set that are in no other.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sdiff/>
    fn sdiff<T: FromReply>(self, keys: impl ToArgs) -> Self::Output<T> {
        self.execute(command::sdiff(keys))
    }

    /// `SDIFFSTORE destination key [key ...]`: how many members the destination has now: the
    /// members of the first set that are in no other.
    ///
    /// Since 1.0.0. <https://redis.io/commands/sdiffstore/>
    fn sdiffstore(self, destination: impl ToArg, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::sdiffstore(destination, keys))
    }

    /// `SINTERCARD numkeys key [key ...]`: how many members are in all sets.
    ///
    /// Since 7.0.0. <https://redis.io/commands/sintercard/>
    fn sintercard(self, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::sintercard(keys))
    }

    /// `SSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end, and some
    /// members; start with 0.
    ///
    /// Since 2.8.0. <https://redis.io/commands/sscan/>
    fn sscan<T: FromReply>(
        self,
        key: impl ToArg,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Self::Output<(u64, T)> {
        self.execute(command::sscan(key, cursor, options))
    }
}

impl<E: Execute> SetCommands for E {}
