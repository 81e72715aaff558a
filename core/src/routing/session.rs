//! Commands that must not run on a connection that callers share: they change what everybody's
//! later commands mean, or whether those are answered at all.
//!
//! SELECT would move all callers to another database, MULTI queue their commands, CLIENT REPLY take
//! their replies away. Each has a way of its own in the client, which the error names.
//!
//! Invariant: pure; decides before a byte is sent. Which commands they are is in the table
//! (`Flags::SESSION`). Called by `client/call.rs`, `client/transaction.rs` and `driver/spread.rs`.

use crate::command::{Command, Flags};
use crate::error::{Delivery, Error, ErrorKind};

/// The error for a command that changes its connection.
#[inline]
pub(crate) fn refusal(command: &Command) -> Option<Error> {
    command.spec().flags().contains(Flags::SESSION).then(|| refused(command))
}

#[cold]
fn refused(command: &Command) -> Error {
    let name = command.name();
    let message = match name.as_str() {
        "SELECT" => "callers share the connection: the database is `Config::database`",
        "AUTH" | "HELLO" => {
            "callers share the connection: it is signed in by `Config::username` and `password`"
        }
        "DISCARD" | "EXEC" | "MULTI" => {
            "callers share the connection: a transaction is `Client::transaction`"
        }
        "UNWATCH" | "WATCH" => "callers share the connection: keys are watched by `Client::watch`",
        "PSUBSCRIBE" | "PUNSUBSCRIBE" | "SSUBSCRIBE" | "SUBSCRIBE" | "SUNSUBSCRIBE"
        | "UNSUBSCRIBE" => {
            "callers share the connection: subscriptions are `Client::subscribe` and its kin"
        }
        "READONLY" | "READWRITE" => {
            "callers share the connection: where reads go is `Client::with_read_from`"
        }
        "ASKING" => "redirects are followed by the client",
        "QUIT" => "callers share the connection: it is closed by `Client::close`",
        _ => "it would change the connection, which callers share",
    };
    Error::new(ErrorKind::Config, Delivery::NotSent, message).with_command(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{cmd, get};

    /// Every command of the kind, in any case, with the way to go instead.
    #[test]
    fn what_changes_the_connection_is_refused_with_the_way_to_go() {
        let table = [
            ("select", "Config::database"),
            ("AUTH", "Config::username"),
            ("HELLO", "Config::username"),
            ("MULTI", "Client::transaction"),
            ("exec", "Client::transaction"),
            ("DISCARD", "Client::transaction"),
            ("WATCH", "Client::watch"),
            ("UNWATCH", "Client::watch"),
            ("SUBSCRIBE", "Client::subscribe"),
            ("ssubscribe", "Client::subscribe"),
            ("PUNSUBSCRIBE", "Client::subscribe"),
            ("READONLY", "Client::with_read_from"),
            ("QUIT", "Client::close"),
            ("ASKING", "followed by the client"),
            ("CLIENT REPLY", "change the connection"),
            ("SCRIPT DEBUG", "change the connection"),
            ("MONITOR", "change the connection"),
            ("RESET", "change the connection"),
            ("PSYNC", "change the connection"),
        ];
        for (name, way) in table {
            let error = refusal(&cmd(name).arg("x")).expect(name);
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
            let text = error.to_string();
            assert!(text.contains(way) && text.contains(&name.to_uppercase()), "{name}: {text}");
        }
    }

    #[test]
    fn what_only_asks_or_concerns_data_is_not() {
        for name in ["CLIENT SETNAME", "CLIENT NO-EVICT", "CONFIG RESETSTAT", "SCRIPT LOAD", "PING"]
        {
            assert!(refusal(&cmd(name).arg("x")).is_none(), "{name}");
        }
        assert!(refusal(&get("k")).is_none());
        assert!(refusal(&cmd("FUTURE.COMMAND")).is_none());
    }
}
