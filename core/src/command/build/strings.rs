//! Commands on strings.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=string>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::expiry_options::GetexOptions;
use super::set_options::SetOptions;
use super::times::{millis, whole_seconds};
use crate::command::{Command, EncodedName, ToArg, ToArgs};
use std::time::Duration;

/// `GET key`; its reply: [`get`](crate::commands::StringCommands::get).
pub fn get(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("GET") }).key(key)
}

/// `SET key value`; its reply: [`set`](crate::commands::StringCommands::set).
pub fn set(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SET") }).key(key).arg(value)
}

/// `SET key value [NX|XX] [GET] [EX seconds ...]`; its reply:
/// [`set_with`](crate::commands::StringCommands::set_with).
pub fn set_with(key: impl ToArg, value: impl ToArg, options: SetOptions) -> Command {
    Command::start(const { EncodedName::of("SET") }).key(key).arg(value).options(options)
}

/// `SETNX key value`; its reply: [`setnx`](crate::commands::StringCommands::setnx).
pub fn setnx(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SETNX") }).key(key).arg(value)
}

/// `SETEX key seconds value`; its reply: [`setex`](crate::commands::StringCommands::setex).
pub fn setex(key: impl ToArg, ttl: Duration, value: impl ToArg) -> Command {
    let (head, ttl) = match whole_seconds(ttl) {
        Some(seconds) => (const { EncodedName::of("SETEX") }, seconds),
        None => (const { EncodedName::of("PSETEX") }, millis(ttl)),
    };
    Command::start(head).key(key).arg(ttl).arg(value)
}

/// `GETDEL key`; its reply: [`getdel`](crate::commands::StringCommands::getdel).
pub fn getdel(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("GETDEL") }).key(key)
}

/// `GETEX key [EX seconds ...]`; its reply: [`getex`](crate::commands::StringCommands::getex).
pub fn getex(key: impl ToArg, options: GetexOptions) -> Command {
    Command::start(const { EncodedName::of("GETEX") }).key(key).options(options)
}

/// `GETSET key value`; its reply: [`getset`](crate::commands::StringCommands::getset).
pub fn getset(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("GETSET") }).key(key).arg(value)
}

/// `MGET key [key ...]`; its reply: [`mget`](crate::commands::StringCommands::mget).
pub fn mget(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("MGET") }).each_key(&keys)
}

/// `MSET key value [key value ...]`; its reply: [`mset`](crate::commands::StringCommands::mset).
pub fn mset(pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Command {
    Command::start(const { EncodedName::of("MSET") }).each_key_value(pairs)
}

/// `MSETNX key value [key value ...]`; its reply:
/// [`msetnx`](crate::commands::StringCommands::msetnx).
pub fn msetnx(pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Command {
    Command::start(const { EncodedName::of("MSETNX") }).each_key_value(pairs)
}

/// `APPEND key value`; its reply: [`append`](crate::commands::StringCommands::append).
pub fn append(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("APPEND") }).key(key).arg(value)
}

/// `STRLEN key`; its reply: [`strlen`](crate::commands::StringCommands::strlen).
pub fn strlen(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("STRLEN") }).key(key)
}

/// `GETRANGE key start end`; its reply: [`getrange`](crate::commands::StringCommands::getrange).
pub fn getrange(key: impl ToArg, start: i64, end: i64) -> Command {
    Command::start(const { EncodedName::of("GETRANGE") }).key(key).arg(start).arg(end)
}

/// `SETRANGE key offset value`; its reply: [`setrange`](crate::commands::StringCommands::setrange).
pub fn setrange(key: impl ToArg, offset: u64, value: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SETRANGE") }).key(key).arg(offset).arg(value)
}
