//! Commands that must not run on a shared connection: they change what the later commands of all
//! callers mean, or whether those are answered.
//!
//! SELECT would move all callers to another database, MULTI would queue their commands, CLIENT
//! REPLY would take their replies away. The error names what to use instead.
//!
//! **Invariants**: pure; decides before a byte is sent. The command table says which commands they
//! are (`Flags::SESSION`).

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
        "SELECT" => "all callers share the connection: set the database with `Config::database`",
        "AUTH" | "HELLO" => {
            "all callers share the connection: set `Config::username` and `Config::password`"
        }
        "DISCARD" | "EXEC" | "MULTI" => {
            "all callers share the connection: use `Client::transaction`"
        }
        "UNWATCH" | "WATCH" => "all callers share the connection: use `Client::watch`",
        "PSUBSCRIBE" | "PUNSUBSCRIBE" | "SSUBSCRIBE" | "SUBSCRIBE" | "SUNSUBSCRIBE"
        | "UNSUBSCRIBE" => {
            "all callers share the connection: use `Client::subscribe`, `psubscribe`, `ssubscribe`"
        }
        "READONLY" | "READWRITE" => {
            "all callers share the connection: use `Client::with_read_from` to read from replicas"
        }
        "ASKING" => "redirects are followed by the client",
        "QUIT" => "all callers share the connection: use `Client::close`",
        _ => "it would change the connection, which all callers share",
    };
    Error::new(ErrorKind::Config, Delivery::NotSent, message).with_command(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{cmd, get};

    /// Every command of the kind, in any case, with what to use instead.
    #[test]
    fn what_changes_the_connection_is_refused_and_the_error_says_what_to_use() {
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
    fn what_only_reads_or_concerns_data_is_not() {
        for name in ["CLIENT SETNAME", "CLIENT NO-EVICT", "CONFIG RESETSTAT", "SCRIPT LOAD", "PING"]
        {
            assert!(refusal(&cmd(name).arg("x")).is_none(), "{name}");
        }
        assert!(refusal(&get("k")).is_none());
        assert!(refusal(&cmd("FUTURE.COMMAND")).is_none());
    }
}
