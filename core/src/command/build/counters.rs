//! Commands on strings that are numbers.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=string>.
//! Called by users, and by the client's methods of the same names.

use crate::command::{Command, Head, ToArg};

/// `INCR key`; its reply: [`Client::incr`](crate::Client::incr).
pub fn incr(key: impl ToArg) -> Command {
    Command::start(const { Head::of("INCR") }).key(key)
}

/// `INCRBY key increment`; its reply: [`Client::incrby`](crate::Client::incrby).
pub fn incrby(key: impl ToArg, increment: i64) -> Command {
    Command::start(const { Head::of("INCRBY") }).key(key).arg(increment)
}

/// `INCRBYFLOAT key increment`; its reply: [`Client::incrbyfloat`](crate::Client::incrbyfloat).
pub fn incrbyfloat(key: impl ToArg, increment: f64) -> Command {
    Command::start(const { Head::of("INCRBYFLOAT") }).key(key).arg(increment)
}

/// `DECR key`; its reply: [`Client::decr`](crate::Client::decr).
pub fn decr(key: impl ToArg) -> Command {
    Command::start(const { Head::of("DECR") }).key(key)
}

/// `DECRBY key decrement`; its reply: [`Client::decrby`](crate::Client::decrby).
pub fn decrby(key: impl ToArg, decrement: i64) -> Command {
    Command::start(const { Head::of("DECRBY") }).key(key).arg(decrement)
}
