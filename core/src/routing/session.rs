//! Commands about their own connection, which callers share: those that change what later commands
//! on it mean, and those that speak about it or change how the server treats it.
//!
//! SELECT would move all callers to another database, MULTI would queue their commands, CLIENT
//! REPLY would take their replies away. WAIT would speak about a connection that wrote nothing;
//! what CLIENT TRACKING or CLIENT NO-TOUCH switch on would hold for one connection of many, until
//! that is replaced. The error names what to use instead. What only reads the connection (CLIENT
//! ID, INFO, GETNAME, TRACKINGINFO) is sent: it answers about the connection that carried it.
//!
//! **Invariants**: pure; decides before a byte is sent. The command table says which commands they
//! are (`Flags::SESSION`, `Flags::CONNECTION`); an unknown subcommand of CLIENT is one of them.

use crate::command::{Command, Flags};
use crate::error::{Delivery, Error, ErrorKind};

/// The error for a command that changes its connection, or speaks about it.
#[inline]
pub(crate) fn refusal(command: &Command) -> Option<Error> {
    let flags = command.spec().flags();
    (!flags.lacks(Flags::SESSION.and(Flags::CONNECTION))).then(|| refused(command))
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
        "WAIT" | "WAITAOF" => return wait(&name),
        "CLIENT" if is_about_maintenance(command) => {
            "the client follows moved slots and nodes by itself: set `Config::deployment`"
        }
        name if name.starts_with("CLIENT") => of_client(name),
        _ => "it would change the connection, which all callers share",
    };
    Error::new(ErrorKind::Config, Delivery::NotSent, message).with_command(&name)
}

/// CLIENT MAINT_NOTIFICATIONS, which the table does not know.
fn is_about_maintenance(command: &Command) -> bool {
    let subcommand = command.args_iter().nth(1);
    subcommand.is_some_and(|name| name.eq_ignore_ascii_case(b"MAINT_NOTIFICATIONS"))
}

/// WAIT and WAITAOF count the replicas that have what their own connection wrote.
fn wait(name: &str) -> Error {
    let method = if name == "WAIT" { "wait_replicas" } else { "wait_aof" };
    let message = format!(
        "it speaks about the writes of its own connection, and by itself would go over one that \
         wrote nothing: send it with its writes, by `Call::{method}`, `Pipeline::{method}` or \
         `Transaction::{method}`"
    );
    Error::new(ErrorKind::Config, Delivery::NotSent, message).with_command(name)
}

/// What CLIENT would do to one connection of many, until that connection is replaced.
fn of_client(name: &str) -> &'static str {
    match name {
        "CLIENT REPLY" => {
            "it would change the connection, which all callers share, and take their replies away"
        }
        "CLIENT SETNAME" => {
            "it would name one of several connections, until that is replaced: set \
             `Config::client_name`"
        }
        "CLIENT SETINFO" => {
            "the client names its library and version itself on each connection: name the program \
             with `Config::client_name`"
        }
        "CLIENT CACHING" | "CLIENT TRACKING" => {
            "callers share connections, on which invalidations would be dropped unread: learn of \
             changes by subscribing to keyspace notifications with `Client::psubscribe`"
        }
        "CLIENT CAPA" => {
            "it would speak for one of several connections, until that is replaced: set \
             `Config::deployment`, and the client follows redirects and failovers by itself"
        }
        "CLIENT NO-EVICT" => {
            "it would protect one of several connections, until that is replaced: set \
             `maxmemory-clients` at the server"
        }
        "CLIENT NO-TOUCH" => {
            "it would concern one of several connections, until that is replaced, and all callers \
             on it: use a connection outside of this client"
        }
        "CLIENT IMPORT-SOURCE" => {
            "it would concern one of several connections, until that is replaced, and all callers \
             on it: import through a connection outside of this client"
        }
        _ => {
            "an unknown subcommand of CLIENT: most of them concern the connection that carries \
             them, which callers share and which is replaced when it is lost"
        }
    }
}

#[cfg(test)]
mod tests;
