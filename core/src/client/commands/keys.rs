//! The client's methods for keys of any type.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ScanOptions, ToArg, ToArgs};
use crate::resp::FromReply;
use std::time::Duration;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait KeyCommands: Execute {
    /// `DEL key [key ...]`: how many existed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/del/>
    fn del(self, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::del(keys))
    }

    /// `UNLINK key [key ...]`: how many existed; their memory is freed later.
    ///
    /// Since 4.0.0. <https://redis.io/commands/unlink/>
    fn unlink(self, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::unlink(keys))
    }

    /// `EXISTS key [key ...]`: how many exist; a key given twice counts twice.
    ///
    /// Since 1.0.0. <https://redis.io/commands/exists/>
    fn exists(self, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::exists(keys))
    }

    /// `TOUCH key [key ...]`: how many exist; they count as used just now.
    ///
    /// Since 3.2.1. <https://redis.io/commands/touch/>
    fn touch(self, keys: impl ToArgs) -> Self::Output<u64> {
        self.execute(command::touch(keys))
    }

    /// `RENAME key newkey`: OK; an error if there is no such key.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rename/>
    fn rename(self, key: impl ToArg, new_key: impl ToArg) -> Self::Output<()> {
        self.execute(command::rename(key, new_key))
    }

    /// `RENAMENX key newkey`: whether it was renamed, which it is only if the new name was free.
    ///
    /// Since 1.0.0. <https://redis.io/commands/renamenx/>
    fn renamenx(self, key: impl ToArg, new_key: impl ToArg) -> Self::Output<bool> {
        self.execute(command::renamenx(key, new_key))
    }

    /// `COPY source destination`: whether it was copied, which it is only if the destination was
    /// free.
    ///
    /// Since 6.2.0. <https://redis.io/commands/copy/>
    fn copy(self, source: impl ToArg, destination: impl ToArg) -> Self::Output<bool> {
        self.execute(command::copy(source, destination))
    }

    /// `TYPE key`: `string`, `list`, `set`, `zset`, `hash`, `stream` or `none`.
    ///
    /// Since 1.0.0. <https://redis.io/commands/type/>
    fn key_type(self, key: impl ToArg) -> Self::Output<String> {
        self.execute(command::key_type(key))
    }

    /// `DUMP key`: the value in the server's own form, null if there is none.
    ///
    /// Since 2.6.0. <https://redis.io/commands/dump/>
    fn dump<T: FromReply>(self, key: impl ToArg) -> Self::Output<T> {
        self.execute(command::dump(key))
    }

    /// `RESTORE key ttl serialized-value`: OK; an error if the key exists.
    ///
    /// Since 2.6.0. <https://redis.io/commands/restore/>
    fn restore(self, key: impl ToArg, ttl: Option<Duration>, dump: impl ToArg) -> Self::Output<()> {
        self.execute(command::restore(key, ttl, dump))
    }

    /// `OBJECT ENCODING key`: how the value is stored, null if there is none.
    ///
    /// Since 2.2.3. <https://redis.io/commands/object-encoding/>
    fn object_encoding(self, key: impl ToArg) -> Self::Output<Option<String>> {
        self.execute(command::object_encoding(key))
    }

    /// `RANDOMKEY`: any key, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/randomkey/>
    fn randomkey<T: FromReply>(self) -> Self::Output<T> {
        self.execute(command::randomkey())
    }

    /// `KEYS pattern`: all keys that match. It blocks the server while it looks: prefer SCAN.
    ///
    /// Since 1.0.0. <https://redis.io/commands/keys/>
    fn keys<T: FromReply>(self, pattern: impl ToArg) -> Self::Output<T> {
        self.execute(command::keys(pattern))
    }

    /// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: the next cursor, 0 at the end, and
    /// some keys; start with 0. A cursor is one server's: in a cluster use
    /// [`Client::scan_all`](crate::Client::scan_all).
    ///
    /// Since 2.8.0. <https://redis.io/commands/scan/>
    fn scan<T: FromReply>(self, cursor: u64, options: ScanOptions<'_>) -> Self::Output<(u64, T)> {
        self.execute(command::scan(cursor, options))
    }
}

impl<E: Execute> KeyCommands for E {}
