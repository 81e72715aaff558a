//! Commands to the server itself.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=server>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `PING`; its reply: [`ping`](crate::commands::ServerCommands::ping).
pub fn ping() -> Command {
    Command::start(const { EncodedName::of("PING") })
}

/// `ECHO message`; its reply: [`echo`](crate::commands::ServerCommands::echo).
pub fn echo(message: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("ECHO") }).arg(message)
}

/// `TIME`; its reply: [`time`](crate::commands::ServerCommands::time).
pub fn time() -> Command {
    Command::start(const { EncodedName::of("TIME") })
}

/// `INFO [section ...]`; its reply: [`info`](crate::commands::ServerCommands::info).
pub fn info(sections: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("INFO") }).each_arg(&sections)
}

/// `DBSIZE`; its reply: [`dbsize`](crate::commands::ServerCommands::dbsize).
pub fn dbsize() -> Command {
    Command::start(const { EncodedName::of("DBSIZE") })
}

/// `FLUSHALL`; its reply: [`flushall`](crate::commands::ServerCommands::flushall).
pub fn flushall() -> Command {
    Command::start(const { EncodedName::of("FLUSHALL") })
}

/// `FLUSHDB`; its reply: [`flushdb`](crate::commands::ServerCommands::flushdb).
pub fn flushdb() -> Command {
    Command::start(const { EncodedName::of("FLUSHDB") })
}
