//! Commands to the server itself.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=server>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `PING`; its reply: [`Client::ping`](crate::Client::ping).
pub fn ping() -> Command {
    Command::start(const { EncodedName::of("PING") })
}

/// `ECHO message`; its reply: [`Client::echo`](crate::Client::echo).
pub fn echo(message: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ECHO") }).arg(message)
}

/// `TIME`; its reply: [`Client::time`](crate::Client::time).
pub fn time() -> Command {
    Command::start(const { EncodedName::of("TIME") })
}

/// `INFO [section ...]`; its reply: [`Client::info`](crate::Client::info).
pub fn info(sections: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("INFO") }).each_arg(&sections)
}

/// `DBSIZE`; its reply: [`Client::dbsize`](crate::Client::dbsize).
pub fn dbsize() -> Command {
    Command::start(const { EncodedName::of("DBSIZE") })
}

/// `FLUSHALL`; its reply: [`Client::flushall`](crate::Client::flushall).
pub fn flushall() -> Command {
    Command::start(const { EncodedName::of("FLUSHALL") })
}

/// `FLUSHDB`; its reply: [`Client::flushdb`](crate::Client::flushdb).
pub fn flushdb() -> Command {
    Command::start(const { EncodedName::of("FLUSHDB") })
}
