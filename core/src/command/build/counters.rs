//! Commands that increment and decrement strings that are numbers.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=string>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use crate::command::{Command, EncodedName, ToArg};

/// `INCR key`; its reply: [`Client::incr`](crate::Client::incr).
pub fn incr(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("INCR") }).key(key)
}

/// `INCRBY key increment`; its reply: [`Client::incrby`](crate::Client::incrby).
pub fn incrby(key: impl ToArg, increment: i64) -> Command {
    Command::start(const { EncodedName::of("INCRBY") }).key(key).arg(increment)
}

/// `INCRBYFLOAT key increment`; its reply: [`Client::incrbyfloat`](crate::Client::incrbyfloat).
pub fn incrbyfloat(key: impl ToArg, increment: f64) -> Command {
    Command::start(const { EncodedName::of("INCRBYFLOAT") }).key(key).arg(increment)
}

/// `DECR key`; its reply: [`Client::decr`](crate::Client::decr).
pub fn decr(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("DECR") }).key(key)
}

/// `DECRBY key decrement`; its reply: [`Client::decrby`](crate::Client::decrby).
pub fn decrby(key: impl ToArg, decrement: i64) -> Command {
    Command::start(const { EncodedName::of("DECRBY") }).key(key).arg(decrement)
}
