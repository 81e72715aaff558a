//! The client's methods for the expiry of keys.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ExpireOptions, ToArg};
use std::time::Duration;

impl Client {
    /// `EXPIRE key seconds`: whether there is such a key. Where `ttl` is not whole seconds, PEXPIRE
    /// is sent.
    ///
    /// Since 1.0.0. <https://redis.io/commands/expire/>
    pub fn expire(&self, key: impl ToArg, ttl: Duration) -> Call<'_, bool> {
        self.send(command::expire(key, ttl))
    }

    /// `EXPIRE key seconds [NX|XX|GT|LT]`: whether the time was set; a condition needs server
    /// version 7.0.
    ///
    /// Since 1.0.0. <https://redis.io/commands/expire/>
    pub fn expire_with(
        &self,
        key: impl ToArg,
        ttl: Duration,
        options: ExpireOptions,
    ) -> Call<'_, bool> {
        self.send(command::expire_with(key, ttl, options))
    }

    /// `PEXPIRE key milliseconds`: whether there is such a key.
    ///
    /// Since 2.6.0. <https://redis.io/commands/pexpire/>
    pub fn pexpire(&self, key: impl ToArg, ttl: Duration) -> Call<'_, bool> {
        self.send(command::pexpire(key, ttl))
    }

    /// `EXPIREAT key unix-time-seconds`: whether there is such a key. Where the time is not whole
    /// seconds, PEXPIREAT is sent.
    ///
    /// Since 1.2.0. <https://redis.io/commands/expireat/>
    pub fn expireat(&self, key: impl ToArg, since_epoch: Duration) -> Call<'_, bool> {
        self.send(command::expireat(key, since_epoch))
    }

    /// `PEXPIREAT key unix-time-milliseconds`: whether there is such a key.
    ///
    /// Since 2.6.0. <https://redis.io/commands/pexpireat/>
    pub fn pexpireat(&self, key: impl ToArg, since_epoch: Duration) -> Call<'_, bool> {
        self.send(command::pexpireat(key, since_epoch))
    }

    /// `TTL key`: seconds left, -1 without an expiry, -2 without a key.
    ///
    /// Since 1.0.0. <https://redis.io/commands/ttl/>
    pub fn ttl(&self, key: impl ToArg) -> Call<'_, i64> {
        self.send(command::ttl(key))
    }

    /// `PTTL key`: milliseconds left, -1 without an expiry, -2 without a key.
    ///
    /// Since 2.6.0. <https://redis.io/commands/pttl/>
    pub fn pttl(&self, key: impl ToArg) -> Call<'_, i64> {
        self.send(command::pttl(key))
    }

    /// `EXPIRETIME key`: Unix time of the expiry in seconds, -1 without one, -2 without a key.
    ///
    /// Since 7.0.0. <https://redis.io/commands/expiretime/>
    pub fn expiretime(&self, key: impl ToArg) -> Call<'_, i64> {
        self.send(command::expiretime(key))
    }

    /// `PEXPIRETIME key`: Unix time of the expiry in milliseconds, -1 without one, -2 without a
    /// key.
    ///
    /// Since 7.0.0. <https://redis.io/commands/pexpiretime/>
    pub fn pexpiretime(&self, key: impl ToArg) -> Call<'_, i64> {
        self.send(command::pexpiretime(key))
    }

    /// `PERSIST key`: whether an expiry was removed.
    ///
    /// Since 2.2.0. <https://redis.io/commands/persist/>
    pub fn persist(&self, key: impl ToArg) -> Call<'_, bool> {
        self.send(command::persist(key))
    }
}
