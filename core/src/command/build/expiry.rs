//! Commands on the expiry of keys.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=generic>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::expiry_options::ExpireOptions;
use super::times::{millis, whole_seconds};
use crate::command::{Command, EncodedName, ToArg};
use std::time::Duration;

/// `EXPIRE key seconds`; its reply: [`expire`](crate::commands::ExpiryCommands::expire).
pub fn expire(key: impl ToArg, ttl: Duration) -> Command {
    let (head, ttl) = match whole_seconds(ttl) {
        Some(seconds) => (const { EncodedName::of("EXPIRE") }, seconds),
        None => (const { EncodedName::of("PEXPIRE") }, millis(ttl)),
    };
    Command::start(head).key(key).arg(ttl)
}

/// `EXPIRE key seconds [NX|XX|GT|LT]`; its reply:
/// [`expire_with`](crate::commands::ExpiryCommands::expire_with).
pub fn expire_with(key: impl ToArg, ttl: Duration, options: ExpireOptions) -> Command {
    expire(key, ttl).options(options)
}

/// `PEXPIRE key milliseconds`; its reply: [`pexpire`](crate::commands::ExpiryCommands::pexpire).
pub fn pexpire(key: impl ToArg, ttl: Duration) -> Command {
    Command::start(const { EncodedName::of("PEXPIRE") }).key(key).arg(millis(ttl))
}

/// `EXPIREAT key unix-time-seconds`; its reply:
/// [`expireat`](crate::commands::ExpiryCommands::expireat).
pub fn expireat(key: impl ToArg, since_epoch: Duration) -> Command {
    let (head, time) = match whole_seconds(since_epoch) {
        Some(seconds) => (const { EncodedName::of("EXPIREAT") }, seconds),
        None => (const { EncodedName::of("PEXPIREAT") }, millis(since_epoch)),
    };
    Command::start(head).key(key).arg(time)
}

/// `PEXPIREAT key unix-time-milliseconds`; its reply:
/// [`pexpireat`](crate::commands::ExpiryCommands::pexpireat).
pub fn pexpireat(key: impl ToArg, since_epoch: Duration) -> Command {
    Command::start(const { EncodedName::of("PEXPIREAT") }).key(key).arg(millis(since_epoch))
}

/// `TTL key`; its reply: [`ttl`](crate::commands::ExpiryCommands::ttl).
pub fn ttl(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("TTL") }).key(key)
}

/// `PTTL key`; its reply: [`pttl`](crate::commands::ExpiryCommands::pttl).
pub fn pttl(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PTTL") }).key(key)
}

/// `EXPIRETIME key`; its reply: [`expiretime`](crate::commands::ExpiryCommands::expiretime).
pub fn expiretime(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("EXPIRETIME") }).key(key)
}

/// `PEXPIRETIME key`; its reply: [`pexpiretime`](crate::commands::ExpiryCommands::pexpiretime).
pub fn pexpiretime(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PEXPIRETIME") }).key(key)
}

/// `PERSIST key`; its reply: [`persist`](crate::commands::ExpiryCommands::persist).
pub fn persist(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PERSIST") }).key(key)
}
