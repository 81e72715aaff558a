//! Commands on keys of any type.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=generic>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use super::scan_options::ScanOptions;
use super::times::millis;
use crate::command::{Command, EncodedName, ToArg, ToArgs};
use std::time::Duration;

/// `DEL key [key ...]`; its reply: [`Client::del`](crate::Client::del).
pub fn del(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("DEL") }).each_key(&keys)
}

/// `UNLINK key [key ...]`; its reply: [`Client::unlink`](crate::Client::unlink).
pub fn unlink(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("UNLINK") }).each_key(&keys)
}

/// `EXISTS key [key ...]`; its reply: [`Client::exists`](crate::Client::exists).
pub fn exists(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("EXISTS") }).each_key(&keys)
}

/// `TOUCH key [key ...]`; its reply: [`Client::touch`](crate::Client::touch).
pub fn touch(keys: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("TOUCH") }).each_key(&keys)
}

/// `RENAME key newkey`; its reply: [`Client::rename`](crate::Client::rename).
pub fn rename(key: impl ToArg, new_key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RENAME") }).key(key).key(new_key)
}

/// `RENAMENX key newkey`; its reply: [`Client::renamenx`](crate::Client::renamenx).
pub fn renamenx(key: impl ToArg, new_key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RENAMENX") }).key(key).key(new_key)
}

/// `COPY source destination`; its reply: [`Client::copy`](crate::Client::copy).
pub fn copy(source: impl ToArg, destination: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("COPY") }).key(source).key(destination)
}

/// `TYPE key`; its reply: [`Client::key_type`](crate::Client::key_type).
pub fn key_type(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("TYPE") }).key(key)
}

/// `DUMP key`; its reply: [`Client::dump`](crate::Client::dump).
pub fn dump(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("DUMP") }).key(key)
}

/// `RESTORE key ttl serialized-value`; its reply: [`Client::restore`](crate::Client::restore).
pub fn restore(key: impl ToArg, ttl: Option<Duration>, dump: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("RESTORE") })
        .key(key)
        .arg(ttl.map_or(0, millis))
        .arg(dump)
}

/// `OBJECT ENCODING key`; its reply: [`Client::object_encoding`](crate::Client::object_encoding).
pub fn object_encoding(key: impl ToArg) -> Command {
    Command::start(const { EncodedName::sub("OBJECT", "ENCODING") }).key(key)
}

/// `RANDOMKEY`; its reply: [`Client::randomkey`](crate::Client::randomkey).
pub fn randomkey() -> Command {
    Command::start(const { EncodedName::of("RANDOMKEY") })
}

/// `KEYS pattern`; its reply: [`Client::keys`](crate::Client::keys).
pub fn keys(pattern: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("KEYS") }).arg(pattern)
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`; its reply:
/// [`Client::scan`](crate::Client::scan).
pub fn scan(cursor: u64, options: ScanOptions<'_>) -> Command {
    Command::start(const { EncodedName::of("SCAN") }).arg(cursor).options(options)
}
