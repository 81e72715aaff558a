//! The client's methods for keys of any type.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ScanOptions, ToArg, ToArgs};
use serde::de::DeserializeOwned;
use std::time::Duration;

impl Client {
    /// `DEL key [key ...]`: how many existed.
    ///
    /// Since 1.0.0. <https://redis.io/commands/del/>
    pub fn del(&self, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::del(keys))
    }

    /// `UNLINK key [key ...]`: how many existed; their memory is freed later.
    ///
    /// Since 4.0.0. <https://redis.io/commands/unlink/>
    pub fn unlink(&self, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::unlink(keys))
    }

    /// `EXISTS key [key ...]`: how many exist; a key given twice counts twice.
    ///
    /// Since 1.0.0. <https://redis.io/commands/exists/>
    pub fn exists(&self, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::exists(keys))
    }

    /// `TOUCH key [key ...]`: how many exist; they count as used just now.
    ///
    /// Since 3.2.1. <https://redis.io/commands/touch/>
    pub fn touch(&self, keys: impl ToArgs) -> Call<'_, u64> {
        self.send(command::touch(keys))
    }

    /// `RENAME key newkey`: OK; an error if there is no such key.
    ///
    /// Since 1.0.0. <https://redis.io/commands/rename/>
    pub fn rename(&self, key: impl ToArg, new_key: impl ToArg) -> Call<'_, ()> {
        self.send(command::rename(key, new_key))
    }

    /// `RENAMENX key newkey`: whether it was renamed, which it is only if the new name was free.
    ///
    /// Since 1.0.0. <https://redis.io/commands/renamenx/>
    pub fn renamenx(&self, key: impl ToArg, new_key: impl ToArg) -> Call<'_, bool> {
        self.send(command::renamenx(key, new_key))
    }

    /// `COPY source destination`: whether it was copied, which it is only if the destination was
    /// free.
    ///
    /// Since 6.2.0. <https://redis.io/commands/copy/>
    pub fn copy(&self, source: impl ToArg, destination: impl ToArg) -> Call<'_, bool> {
        self.send(command::copy(source, destination))
    }

    /// `TYPE key`: `string`, `list`, `set`, `zset`, `hash`, `stream` or `none`.
    ///
    /// Since 1.0.0. <https://redis.io/commands/type/>
    pub fn key_type(&self, key: impl ToArg) -> Call<'_, String> {
        self.send(command::key_type(key))
    }

    /// `DUMP key`: the value in the server's own form, null if there is none.
    ///
    /// Since 2.6.0. <https://redis.io/commands/dump/>
    pub fn dump<T: DeserializeOwned>(&self, key: impl ToArg) -> Call<'_, T> {
        self.send(command::dump(key))
    }

    /// `RESTORE key ttl serialized-value`: OK; an error if the key exists.
    ///
    /// Since 2.6.0. <https://redis.io/commands/restore/>
    pub fn restore(
        &self,
        key: impl ToArg,
        ttl: Option<Duration>,
        dump: impl ToArg,
    ) -> Call<'_, ()> {
        self.send(command::restore(key, ttl, dump))
    }

    /// `OBJECT ENCODING key`: how the value is stored, null if there is none.
    ///
    /// Since 2.2.3. <https://redis.io/commands/object-encoding/>
    pub fn object_encoding(&self, key: impl ToArg) -> Call<'_, Option<String>> {
        self.send(command::object_encoding(key))
    }

    /// `RANDOMKEY`: any key, null if there is none.
    ///
    /// Since 1.0.0. <https://redis.io/commands/randomkey/>
    pub fn randomkey<T: DeserializeOwned>(&self) -> Call<'_, T> {
        self.send(command::randomkey())
    }

    /// `KEYS pattern`: all keys that match. It blocks the server while it looks: prefer SCAN.
    ///
    /// Since 1.0.0. <https://redis.io/commands/keys/>
    pub fn keys<T: DeserializeOwned>(&self, pattern: impl ToArg) -> Call<'_, T> {
        self.send(command::keys(pattern))
    }

    /// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: the next cursor, 0 at the end, and
    /// some keys; start with 0. A cursor is one server's: in a cluster use [`Client::scan_all`].
    ///
    /// Since 2.8.0. <https://redis.io/commands/scan/>
    pub fn scan<T: DeserializeOwned>(
        &self,
        cursor: u64,
        options: ScanOptions<'_>,
    ) -> Call<'_, (u64, T)> {
        self.send(command::scan(cursor, options))
    }
}
