//! Commands on keys of any type.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=generic>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use super::times::millis;
use crate::command::{Command, EncodedName, ToArg, ToArgs};
use std::time::Duration;

/// `DEL key [key ...]`; its reply: [`del`](crate::commands::KeyCommands::del).
pub fn del(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("DEL") }).each_key(&keys)
}

/// `UNLINK key [key ...]`; its reply: [`unlink`](crate::commands::KeyCommands::unlink).
pub fn unlink(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("UNLINK") }).each_key(&keys)
}

/// `EXISTS key [key ...]`; its reply: [`exists`](crate::commands::KeyCommands::exists).
pub fn exists(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("EXISTS") }).each_key(&keys)
}

/// `TOUCH key [key ...]`; its reply: [`touch`](crate::commands::KeyCommands::touch).
pub fn touch(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("TOUCH") }).each_key(&keys)
}

/// `RENAME key newkey`; its reply: [`rename`](crate::commands::KeyCommands::rename).
pub fn rename(key: impl ToArg, new_key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RENAME") }).key(key).key(new_key)
}

/// `RENAMENX key newkey`; its reply: [`renamenx`](crate::commands::KeyCommands::renamenx).
pub fn renamenx(key: impl ToArg, new_key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RENAMENX") }).key(key).key(new_key)
}

/// `COPY source destination`; its reply: [`copy`](crate::commands::KeyCommands::copy).
pub fn copy(source: impl ToArg, destination: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("COPY") }).key(source).key(destination)
}

/// `TYPE key`; its reply: [`key_type`](crate::commands::KeyCommands::key_type).
pub fn key_type(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("TYPE") }).key(key)
}

/// `DUMP key`; its reply: [`dump`](crate::commands::KeyCommands::dump).
pub fn dump(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("DUMP") }).key(key)
}

/// `RESTORE key ttl serialized-value`; its reply:
/// [`restore`](crate::commands::KeyCommands::restore).
pub fn restore(key: impl ToArg, ttl: Option<Duration>, dump: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RESTORE") })
        .key(key)
        .arg(ttl.map_or(0, millis))
        .arg(dump)
}

/// `OBJECT ENCODING key`; its reply:
/// [`object_encoding`](crate::commands::KeyCommands::object_encoding).
pub fn object_encoding(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::sub("OBJECT", "ENCODING") }).key(key)
}

/// `RANDOMKEY`; its reply: [`randomkey`](crate::commands::KeyCommands::randomkey).
pub fn randomkey() -> Command {
    Command::start(const { EncodedName::of("RANDOMKEY") })
}

/// `KEYS pattern`; its reply: [`keys`](crate::commands::KeyCommands::keys).
pub fn keys(pattern: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("KEYS") }).arg(pattern)
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`; its reply:
/// [`scan`](crate::commands::KeyCommands::scan).
pub fn scan(cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("SCAN") }).arg(cursor).options(options)
}
