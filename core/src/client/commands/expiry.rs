//! The client's methods for the expiry of keys.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ExpireOptions, ToArg};
use std::time::Duration;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait ExpiryCommands: Execute {
    /// `EXPIRE key seconds`: whether there is such a key. Where `ttl` is not whole seconds, PEXPIRE
    /// is sent.
    ///
    /// Since 1.0.0. <https://redis.io/commands/expire/>
    fn expire(self, key: impl ToArg, ttl: Duration) -> Self::Output<bool> {
        self.execute(command::expire(key, ttl))
    }

    /// `EXPIRE key seconds [NX|XX|GT|LT]`: whether the time was set; a condition needs server
    /// version 7.0.
    ///
    /// Since 1.0.0. <https://redis.io/commands/expire/>
    fn expire_with(
        self,
        key: impl ToArg,
        ttl: Duration,
        options: ExpireOptions,
    ) -> Self::Output<bool> {
        self.execute(command::expire_with(key, ttl, options))
    }

    /// `PEXPIRE key milliseconds`: whether there is such a key.
    ///
    /// Since 2.6.0. <https://redis.io/commands/pexpire/>
    fn pexpire(self, key: impl ToArg, ttl: Duration) -> Self::Output<bool> {
        self.execute(command::pexpire(key, ttl))
    }

    /// `EXPIREAT key unix-time-seconds`: whether there is such a key. Where the time is not whole
    /// seconds, PEXPIREAT is sent.
    ///
    /// Since 1.2.0. <https://redis.io/commands/expireat/>
    fn expireat(self, key: impl ToArg, since_epoch: Duration) -> Self::Output<bool> {
        self.execute(command::expireat(key, since_epoch))
    }

    /// `PEXPIREAT key unix-time-milliseconds`: whether there is such a key.
    ///
    /// Since 2.6.0. <https://redis.io/commands/pexpireat/>
    fn pexpireat(self, key: impl ToArg, since_epoch: Duration) -> Self::Output<bool> {
        self.execute(command::pexpireat(key, since_epoch))
    }

    /// `TTL key`: seconds left, -1 without an expiry, -2 without a key.
    ///
    /// Since 1.0.0. <https://redis.io/commands/ttl/>
    fn ttl(self, key: impl ToArg) -> Self::Output<i64> {
        self.execute(command::ttl(key))
    }

    /// `PTTL key`: milliseconds left, -1 without an expiry, -2 without a key.
    ///
    /// Since 2.6.0. <https://redis.io/commands/pttl/>
    fn pttl(self, key: impl ToArg) -> Self::Output<i64> {
        self.execute(command::pttl(key))
    }

    /// `EXPIRETIME key`: Unix time of the expiry in seconds, -1 without one, -2 without a key.
    ///
    /// Since 7.0.0. <https://redis.io/commands/expiretime/>
    fn expiretime(self, key: impl ToArg) -> Self::Output<i64> {
        self.execute(command::expiretime(key))
    }

    /// `PEXPIRETIME key`: Unix time of the expiry in milliseconds, -1 without one, -2 without a
    /// key.
    ///
    /// Since 7.0.0. <https://redis.io/commands/pexpiretime/>
    fn pexpiretime(self, key: impl ToArg) -> Self::Output<i64> {
        self.execute(command::pexpiretime(key))
    }

    /// `PERSIST key`: whether an expiry was removed.
    ///
    /// Since 2.2.0. <https://redis.io/commands/persist/>
    fn persist(self, key: impl ToArg) -> Self::Output<bool> {
        self.execute(command::persist(key))
    }
}

impl<E: Execute> ExpiryCommands for E {}
