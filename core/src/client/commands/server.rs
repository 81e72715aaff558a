//! The client's methods for the server itself.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ToArg, ToArgs};
use crate::resp::FromReply;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait ServerCommands: Execute {
    /// `PING`: OK, from one node.
    ///
    /// Since 1.0.0. <https://redis.io/commands/ping/>
    fn ping(self) -> Self::Output<()> {
        self.execute(command::ping())
    }

    /// `ECHO message`: the message.
    ///
    /// Since 1.0.0. <https://redis.io/commands/echo/>
    fn echo<T: FromReply>(self, message: impl ToArg) -> Self::Output<T> {
        self.execute(command::echo(message))
    }

    /// `TIME`: the server's clock: Unix time in seconds, and microseconds within the second.
    ///
    /// Since 2.6.0. <https://redis.io/commands/time/>
    fn time(self) -> Self::Output<(u64, u64)> {
        self.execute(command::time())
    }

    /// `INFO [section ...]`: what the server says of itself, `name:value` by line; several sections
    /// need server version 7.0. In a cluster, any one primary; see
    /// [`Client::send_each`](crate::Client::send_each).
    ///
    /// Since 1.0.0. <https://redis.io/commands/info/>
    fn info(self, sections: impl ToArgs) -> Self::Output<String> {
        self.execute(command::info(sections))
    }

    /// `DBSIZE`: how many keys there are.
    ///
    /// Since 1.0.0. <https://redis.io/commands/dbsize/>
    fn dbsize(self) -> Self::Output<u64> {
        self.execute(command::dbsize())
    }

    /// `FLUSHALL`: OK; all keys of all databases are gone.
    ///
    /// Since 1.0.0. <https://redis.io/commands/flushall/>
    fn flushall(self) -> Self::Output<()> {
        self.execute(command::flushall())
    }

    /// `FLUSHDB`: OK; all keys of this database are gone.
    ///
    /// Since 1.0.0. <https://redis.io/commands/flushdb/>
    fn flushdb(self) -> Self::Output<()> {
        self.execute(command::flushdb())
    }
}

impl<E: Execute> ServerCommands for E {}
