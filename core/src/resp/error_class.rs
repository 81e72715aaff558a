//! What kind of error a server answered with.
//!
//! The one place that compares error codes and messages with texts. Where several codes or texts
//! mean the same, they share a class; what follows from a class is decided in
//! `routing/error_policy.rs`.
//!
//! **Invariants**: every error has exactly one class, and it depends on the error's text alone.
//! The texts are those of Redis 6.0 to 8.0 and Valkey 8.0 to 9.1, compared without regard to case.
//! A class says what the text means if the server means it; whose words it is, is decided with
//! `routing/error_policy.rs`, and `server_text.rs` knows the texts to the letter.
//! Not on the straight path: a call that gets an error reply has left it.
//! Spec: <https://redis.io/docs/latest/develop/reference/protocol-spec/>, "Simple errors";
//! cluster-spec, "Redirection and resharding"; "Redis client handling", "Maximum concurrent
//! connected clients".

use super::server_error::ServerError;

/// How the message begins where a server that became a replica ends blocking commands. Others end
/// by an administrator's CLIENT UNBLOCK, or because their stream was deleted.
const UNBLOCKED_BY_ROLE: &str = "force unblock from blocking operation, instance state changed";

/// What an error reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ErrorClass {
    /// `ASK`: for this command only, another node serves the slot.
    Ask,
    /// `NOAUTH`: the connection has not authenticated.
    AuthRequired,
    /// `BUSY`: a script or a module command runs for long, and the server takes nothing else.
    Busy,
    /// `CLUSTERDOWN`: the slot has no owner, or the cluster has no majority.
    ClusterDown,
    /// `BUSYGROUP`: the consumer group exists already.
    GroupExists,
    /// `LOADING`: the server reads its data from disk.
    Loading,
    /// `MOVED`: another node owns the slot.
    Moved,
    /// `NOPERM`: the user's rights do not allow it.
    NoPermission,
    /// `NOREPLICAS`: fewer replicas than `min-replicas-to-write` are connected.
    NotEnoughReplicas,
    /// `NOTREADY`: the server, or what it needs for the command, is not ready.
    NotReady,
    /// `OOM`: `maxmemory` is reached.
    OutOfMemory,
    /// `MASTERDOWN`: a replica without its primary, which may not serve stale data.
    PrimaryDown,
    /// `DENIED`: protected mode, which takes connections from the same host only.
    ProtectedMode,
    /// `READONLY`: the server is a replica and takes no writes.
    ReadOnly,
    /// `TRYAGAIN`: some keys of the command have left with their slot, and others have not.
    SlotSplit,
    /// `max number of clients reached`: the server takes no more connections, and closes this one.
    TooManyClients,
    /// `EXECABORT`: a transaction of which a command was refused.
    TransactionAborted,
    /// `UNBLOCKED` because the server became a replica, before the blocking command did anything.
    UnblockedByRole,
    /// The server does not know the command.
    UnknownCommand,
    /// `NOGROUP`: there is no such consumer group, or no such stream.
    UnknownGroup,
    /// `NOSCRIPT`: the server does not hold a script with this digest.
    UnknownScript,
    /// A sentinel does not watch a service of this name.
    UnknownService,
    /// The server knows the command, but not this subcommand of it.
    UnknownSubcommand,
    /// `NOPROTO`: the server does not speak this version of the protocol.
    UnsupportedProtocol,
    /// `MISCONF`: the server cannot write to its disk, and so takes no writes.
    WritesDisabled,
    /// `WRONGPASS`: user name or password are wrong.
    WrongCredentials,
    /// Any other: the command itself was wrong, or failed.
    Other,
}

impl ServerError {
    /// What it means.
    pub(crate) fn class(&self) -> ErrorClass {
        match self.code() {
            "ASK" => ErrorClass::Ask,
            "BUSY" => ErrorClass::Busy,
            "BUSYGROUP" => ErrorClass::GroupExists,
            "CLUSTERDOWN" => ErrorClass::ClusterDown,
            "DENIED" => ErrorClass::ProtectedMode,
            "EXECABORT" => ErrorClass::TransactionAborted,
            "LOADING" => ErrorClass::Loading,
            "MASTERDOWN" => ErrorClass::PrimaryDown,
            "MISCONF" => ErrorClass::WritesDisabled,
            "MOVED" => ErrorClass::Moved,
            "NOAUTH" => ErrorClass::AuthRequired,
            "NOGROUP" => ErrorClass::UnknownGroup,
            "NOPERM" => ErrorClass::NoPermission,
            "NOPROTO" => ErrorClass::UnsupportedProtocol,
            "NOREPLICAS" => ErrorClass::NotEnoughReplicas,
            "NOSCRIPT" => ErrorClass::UnknownScript,
            "NOTREADY" => ErrorClass::NotReady,
            "OOM" => ErrorClass::OutOfMemory,
            "READONLY" => ErrorClass::ReadOnly,
            "TRYAGAIN" => ErrorClass::SlotSplit,
            "UNBLOCKED" if self.message().starts_with(UNBLOCKED_BY_ROLE) => {
                ErrorClass::UnblockedByRole
            }
            "WRONGPASS" => ErrorClass::WrongCredentials,
            code => class_of_message(code == "ERR", self.message()),
        }
    }

    /// The message up to the caller's arguments, and whether there were any: a server quotes those
    /// of a command that it does not know, and they may hold a password or a value.
    pub(crate) fn message_without_arguments(&self) -> (&str, bool) {
        match self.message().find(", with args beginning with") {
            Some(end) => (self.message().get(..end).unwrap_or_default(), true),
            None => (self.message(), false),
        }
    }
}

/// `generic`: the code is `ERR`, so that only the message says what is wrong.
fn class_of_message(generic: bool, message: &str) -> ErrorClass {
    // At its beginning: MIGRATE, for one, quotes what another server said to it.
    let says = |text: &str| begins(message, text);
    if says("max number of clients") {
        ErrorClass::TooManyClients
    } else if !generic {
        ErrorClass::Other
    } else if says("unknown command") {
        ErrorClass::UnknownCommand
    } else if says("unknown subcommand") {
        ErrorClass::UnknownSubcommand
    } else if says("no such master") {
        ErrorClass::UnknownService
    } else {
        ErrorClass::Other
    }
}

/// Whether `message` begins with `text`, in any case.
fn begins(message: &str, text: &str) -> bool {
    let start = message.as_bytes().get(..text.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as servers write them. The classes of codes alone are in the table of
    /// `routing/error_policy/tests.rs`.
    #[test]
    fn a_message_has_the_class_that_servers_mean() {
        use ErrorClass as Class;
        let table = [
            ("ERR unknown command 'FOO', with args beginning with: ", Class::UnknownCommand),
            ("ERR unknown command `HELLO`, with args beginning with: `3`, ", Class::UnknownCommand),
            ("ERR Unknown command FOO", Class::UnknownCommand),
            ("ERR unknown subcommand 'SHARDS'. Try CLUSTER HELP.", Class::UnknownSubcommand),
            (
                "ERR Unknown subcommand or wrong number of arguments for 'SHARDS'. \
                 Try CLUSTER HELP",
                Class::UnknownSubcommand,
            ),
            ("ERR max number of clients reached", Class::TooManyClients),
            ("ERR max number of clients + cluster connections reached", Class::TooManyClients),
            ("FULL max number of clients reached", Class::TooManyClients),
            ("ERR No such master with that name", Class::UnknownService),
            ("ERR Unknown Redis command called from script script: 1", Class::Other),
            ("ERR Target instance replied with error: ERR unknown command 'x'", Class::Other),
            ("ERR Target instance replied with error: max number of clients", Class::Other),
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed \
                 (master -> replica?)",
                Class::UnblockedByRole,
            ),
            ("UNBLOCKED client unblocked via CLIENT UNBLOCK", Class::Other),
            ("UNBLOCKED the stream key no longer exists", Class::Other),
            ("CUSTOM unknown command", Class::Other),
            ("LOADING max number of clients reached", Class::Loading),
            ("MOVEDX 1 h:1", Class::Other),
            ("moved 1 h:1", Class::Other),
            ("ERR", Class::Other),
            ("", Class::Other),
        ];
        for (text, class) in table {
            assert_eq!(ServerError::from_text(text.as_bytes()).class(), class, "{text}");
        }
    }

    #[test]
    fn arguments_are_cut_off() {
        let said = |text: &str| ServerError::from_text(text.as_bytes());
        let quoting = said("ERR unknown command 'AUTHX', with args beginning with: 'hunter2' ");
        assert_eq!(quoting.message_without_arguments(), ("unknown command 'AUTHX'", true));
        assert_eq!(said("ERR other").message_without_arguments(), ("other", false));
    }
}
