//! Commands that increment and decrement strings that are numbers.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=string>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use crate::command::{Command, EncodedName, ToArg};

/// `INCR key`; its reply: [`incr`](crate::commands::CounterCommands::incr).
pub fn incr(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("INCR") }).key(key)
}

/// `INCRBY key increment`; its reply: [`incrby`](crate::commands::CounterCommands::incrby).
pub fn incrby(key: impl ToArg, increment: i64) -> Command {
    Command::start(const { EncodedName::of("INCRBY") }).key(key).arg(increment)
}

/// `INCRBYFLOAT key increment`; its reply:
/// [`incrbyfloat`](crate::commands::CounterCommands::incrbyfloat).
pub fn incrbyfloat(key: impl ToArg, increment: f64) -> Command {
    Command::start(const { EncodedName::of("INCRBYFLOAT") }).key(key).arg(increment)
}

/// `DECR key`; its reply: [`decr`](crate::commands::CounterCommands::decr).
pub fn decr(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("DECR") }).key(key)
}

/// `DECRBY key decrement`; its reply: [`decrby`](crate::commands::CounterCommands::decrby).
pub fn decrby(key: impl ToArg, decrement: i64) -> Command {
    Command::start(const { EncodedName::of("DECRBY") }).key(key).arg(decrement)
}
