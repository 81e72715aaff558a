//! Commands on the expiry of keys.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=generic>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::expiry_options::ExpireOptions;
use super::times::{millis, whole_seconds};
use crate::command::{Command, EncodedName, ToArg};
use std::time::Duration;

/// `EXPIRE key seconds`; its reply: [`Client::expire`](crate::Client::expire).
pub fn expire(key: impl ToArg, ttl: Duration) -> Command {
    let (head, ttl) = match whole_seconds(ttl) {
        Some(seconds) => (const { EncodedName::of("EXPIRE") }, seconds),
        None => (const { EncodedName::of("PEXPIRE") }, millis(ttl)),
    };
    Command::start(head).key(key).arg(ttl)
}

/// `EXPIRE key seconds [NX|XX|GT|LT]`; its reply:
/// [`Client::expire_with`](crate::Client::expire_with).
pub fn expire_with(key: impl ToArg, ttl: Duration, options: ExpireOptions) -> Command {
    expire(key, ttl).options(options)
}

/// `PEXPIRE key milliseconds`; its reply: [`Client::pexpire`](crate::Client::pexpire).
pub fn pexpire(key: impl ToArg, ttl: Duration) -> Command {
    Command::start(const { EncodedName::of("PEXPIRE") }).key(key).arg(millis(ttl))
}

/// `EXPIREAT key unix-time-seconds`; its reply: [`Client::expireat`](crate::Client::expireat).
pub fn expireat(key: impl ToArg, since_epoch: Duration) -> Command {
    let (head, time) = match whole_seconds(since_epoch) {
        Some(seconds) => (const { EncodedName::of("EXPIREAT") }, seconds),
        None => (const { EncodedName::of("PEXPIREAT") }, millis(since_epoch)),
    };
    Command::start(head).key(key).arg(time)
}

/// `PEXPIREAT key unix-time-milliseconds`; its reply:
/// [`Client::pexpireat`](crate::Client::pexpireat).
pub fn pexpireat(key: impl ToArg, since_epoch: Duration) -> Command {
    Command::start(const { EncodedName::of("PEXPIREAT") }).key(key).arg(millis(since_epoch))
}

/// `TTL key`; its reply: [`Client::ttl`](crate::Client::ttl).
pub fn ttl(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("TTL") }).key(key)
}

/// `PTTL key`; its reply: [`Client::pttl`](crate::Client::pttl).
pub fn pttl(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PTTL") }).key(key)
}

/// `EXPIRETIME key`; its reply: [`Client::expiretime`](crate::Client::expiretime).
pub fn expiretime(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("EXPIRETIME") }).key(key)
}

/// `PEXPIRETIME key`; its reply: [`Client::pexpiretime`](crate::Client::pexpiretime).
pub fn pexpiretime(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PEXPIRETIME") }).key(key)
}

/// `PERSIST key`; its reply: [`Client::persist`](crate::Client::persist).
pub fn persist(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PERSIST") }).key(key)
}
