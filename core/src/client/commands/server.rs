//! The client's methods for the server itself.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ToArg, ToArgs};
use serde::de::DeserializeOwned;

impl Client {
    /// `PING`: OK, from one node.
    ///
    /// Since 1.0.0. <https://redis.io/commands/ping/>
    pub fn ping(&self) -> Call<'_, ()> {
        self.send(command::ping())
    }

    /// `ECHO message`: the message.
    ///
    /// Since 1.0.0. <https://redis.io/commands/echo/>
    pub fn echo<T: DeserializeOwned>(&self, message: impl ToArg) -> Call<'_, T> {
        self.send(command::echo(message))
    }

    /// `TIME`: the server's clock: Unix time in seconds, and microseconds within the second.
    ///
    /// Since 2.6.0. <https://redis.io/commands/time/>
    pub fn time(&self) -> Call<'_, (u64, u64)> {
        self.send(command::time())
    }

    /// `INFO [section ...]`: what the server says of itself, `name:value` by line; several sections
    /// need server version 7.0. In a cluster, any one primary; see [`Client::send_each`].
    ///
    /// Since 1.0.0. <https://redis.io/commands/info/>
    pub fn info(&self, sections: impl ToArgs) -> Call<'_, String> {
        self.send(command::info(sections))
    }

    /// `DBSIZE`: how many keys there are.
    ///
    /// Since 1.0.0. <https://redis.io/commands/dbsize/>
    pub fn dbsize(&self) -> Call<'_, u64> {
        self.send(command::dbsize())
    }

    /// `FLUSHALL`: OK; all keys of all databases are gone.
    ///
    /// Since 1.0.0. <https://redis.io/commands/flushall/>
    pub fn flushall(&self) -> Call<'_, ()> {
        self.send(command::flushall())
    }

    /// `FLUSHDB`: OK; all keys of this database are gone.
    ///
    /// Since 1.0.0. <https://redis.io/commands/flushdb/>
    pub fn flushdb(&self) -> Call<'_, ()> {
        self.send(command::flushdb())
    }
}
