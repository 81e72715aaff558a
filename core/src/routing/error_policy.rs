//! What follows from a failed attempt: one table for all that sends.
//!
//! There is a row for each class of error reply (`resp/error_class.rs`) and for each way to fail
//! without a reply. A row says what happens to the call, whether the server may have run it,
//! whether the topology is to be read again, and what it says of the node. Single commands, reads
//! under a policy, pipelines, transactions, subscriptions, handshakes, health checks and sentinel
//! queries all use this table.
//!
//! Whose words is an error reply? A server says BUSY or MOVED before it runs a command, and the
//! command is sent again. But a script, a function or a module answers with texts of its own, after
//! it ran, and may use the same codes. So there are two columns ([`ErrorOrigin`]). In the second:
//!
//! - what is not to the letter a server's text (`resp/server_text.rs`) is an answer: it ran, it is
//!   not sent again, and it says nothing of the node or the topology;
//! - MOVED and ASK to the letter may be the server's: the server is asked with a command of its own
//!   (`driver/attempt/confirm.rs`). Only if it names the same node for that as well, the words are
//!   its own. Otherwise no script could follow a slot that moves;
//! - BUSY, LOADING, CLUSTERDOWN, MASTERDOWN and TRYAGAIN to the letter are an answer, too, unless
//!   the command may run twice: nothing tells a script's text from the server's, and the server may
//!   begin to say the same after the script ran. In a transaction the two can be told apart,
//!   because the server refuses a command when it is queued.
//!
//! What is left: a script that ran and answered with the very redirect that its server has for its
//! key a round trip later runs twice. No text can show that.
//!
//! **Invariants**: pure; a row with [`CallAction::RetryNow`] or [`CallAction::RetryAfterPause`] is
//! of an attempt that the server has not run; in the second column nothing is `Refused`.
//! Tested by `error_policy/tests.rs`, which holds the table once more, as text.
//! Spec: <https://redis.io/docs/latest/develop/reference/protocol-spec/>, "Simple errors";
//! cluster-spec, "MOVED Redirection", "ASK redirection", "Multiple keys operations".

use crate::error::Delivery;
use crate::resp::{ErrorClass, ServerError};
use crate::topology::refresh::RefreshReason;

#[cfg(test)]
mod tests;

/// Whose words an error reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorOrigin {
    /// Those of a command that speaks for itself: a script, a function, a module's command.
    Command,
    /// The server's own.
    Server,
}

/// How an attempt failed when it has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoReplyClass {
    /// The client or the node was closed.
    Closed,
    /// What came first is final, and there is nothing to try.
    Final,
    /// The node refused the handshake: credentials, database, certificates.
    HandshakeRefused,
    /// The connection was lost: by the server, by the network, or for want of progress.
    LinkLost,
    /// The connection was given up for a better one.
    LinkRetired,
    /// No connection could be made.
    NoConnection,
    /// There was no connection, or no room on one, before the deadline.
    NoLinkInTime,
    /// A limit of the configuration was reached: bytes in flight, or connections.
    OverLimit,
    /// The server answered this command, or the handshake, with what the protocol does not allow.
    ProtocolViolated,
    /// No reply came before the deadline.
    TimedOut,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorPolicy {
    /// What happens to the call.
    pub(crate) call: CallAction,
    /// Whether the server may have run the command.
    pub(crate) delivery: Delivery,
    /// Why the topology is to be read again, if it is. Of a redirect: unless it is followed.
    pub(crate) refresh: Option<RefreshReason>,
    /// What it says of the node.
    pub(crate) node: NodeFinding,
    /// What it means as the answer to HELLO.
    pub(crate) hello: HelloRefusal,
    /// Whether a handshake that ended so may succeed when the node is dialled again.
    pub(crate) dial_again: bool,
    /// Whether a node that answers PING so is well.
    pub(crate) is_well: bool,
    /// Whether it is this client that the server does not accept: its credentials or its rights.
    pub(crate) is_about_rights: bool,
}

/// What happens to a call whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallAction {
    /// It fails.
    Fail,
    /// It goes where the redirect says.
    FollowRedirect,
    /// It is tried again at once. The wait, if any, is for a connection.
    RetryNow,
    /// The same, if it does no harm that a command runs twice.
    RetryIfRepeatable,
    /// It is tried again after a pause that grows: the server needs time.
    RetryAfterPause,
    /// The same, if it does no harm that a command runs twice.
    RetryAfterPauseIfRepeatable,
    /// The server is asked whether it says so itself. It fails if that is not possible.
    Confirm,
}

/// What a failure says of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFinding {
    /// Nothing.
    Unchanged,
    /// It wants this connection to authenticate before anything else.
    AuthRequired,
    /// It runs a long script and takes no other command.
    Busy,
    /// It takes no more connections.
    Full,
    /// It is reading its data.
    Loading,
    /// It is not a primary.
    NotPrimary,
    /// It has no part in a working cluster.
    OutOfCluster,
    /// It is a replica without a primary.
    PrimaryLost,
    /// It cannot be reached, or does not accept this client.
    Unreachable,
}

impl NodeFinding {
    /// Whether reads under a policy leave the node out for a while. `driver/node/health.rs` says
    /// for how long: the time doubles with each failure in a row.
    pub(crate) fn is_strike(self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Loading | Self::OutOfCluster | Self::PrimaryLost | Self::Unreachable
        )
    }

    /// Whether the node refuses every command for now, whatever it is.
    pub(crate) fn refuses_everything(self) -> bool {
        matches!(self, Self::AuthRequired | Self::Busy | Self::Loading | Self::PrimaryLost)
    }
}

/// What an error in answer to HELLO means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloRefusal {
    /// The handshake failed: it is about the credentials, or the server takes no command now.
    Final,
    /// Any other: RESP2 is tried, with the same credentials.
    TryResp2,
    /// The same if there is a password: the server does not say whether it knows HELLO to a client
    /// that has not authenticated.
    TryResp2WithPassword,
}

/// Of an error that says nothing but that the command was wrong or failed.
const PLAIN: ErrorPolicy = ErrorPolicy {
    call: CallAction::Fail,
    delivery: Delivery::Answered,
    refresh: None,
    node: NodeFinding::Unchanged,
    // Servers and proxies that have no HELLO say so in many words.
    hello: HelloRefusal::TryResp2,
    dial_again: false,
    is_well: false,
    is_about_rights: false,
};

/// The server has not run the command, and to ask again does not help.
const REFUSED: ErrorPolicy = ErrorPolicy { delivery: Delivery::Refused, ..PLAIN };

/// The server has not run the command, and may do so later.
const NOT_NOW: ErrorPolicy = ErrorPolicy { call: CallAction::RetryAfterPause, ..REFUSED };

/// The server takes no command now.
const NOT_READY: ErrorPolicy =
    ErrorPolicy { hello: HelloRefusal::Final, dial_again: true, ..NOT_NOW };

/// What follows from an error reply.
pub(crate) fn reply_policy(error: &ServerError, origin: ErrorOrigin) -> ErrorPolicy {
    match origin {
        ErrorOrigin::Command => command_policy(error),
        ErrorOrigin::Server => class_policy(error.class()),
    }
}

/// The rows of error replies that may be the words of the command.
fn command_policy(error: &ServerError) -> ErrorPolicy {
    if !error.is_server_text() {
        return PLAIN;
    }
    let call = match error.class() {
        ErrorClass::Ask | ErrorClass::Moved => CallAction::Confirm,
        _ => CallAction::RetryAfterPauseIfRepeatable,
    };
    ErrorPolicy { call, ..PLAIN }
}

/// The rows of error replies that are the server's own.
fn class_policy(class: ErrorClass) -> ErrorPolicy {
    use {ErrorClass as Class, NodeFinding as Node, RefreshReason as Reason};
    match class {
        Class::Ask | Class::Moved => ErrorPolicy {
            call: CallAction::FollowRedirect,
            refresh: Some(Reason::Moved),
            ..REFUSED
        },
        Class::Busy => ErrorPolicy { node: Node::Busy, ..NOT_READY },
        Class::Loading => ErrorPolicy { node: Node::Loading, ..NOT_READY },
        Class::PrimaryDown => {
            ErrorPolicy { node: Node::PrimaryLost, refresh: Some(Reason::NodeLost), ..NOT_READY }
        }
        Class::ClusterDown => {
            ErrorPolicy { node: Node::OutOfCluster, refresh: Some(Reason::ClusterDown), ..NOT_NOW }
        }
        Class::ReadOnly | Class::UnblockedByRole => {
            ErrorPolicy { node: Node::NotPrimary, refresh: Some(Reason::ReadOnly), ..NOT_NOW }
        }
        Class::SlotSplit => ErrorPolicy { dial_again: true, ..NOT_NOW },
        Class::AuthRequired => ErrorPolicy {
            node: Node::AuthRequired,
            hello: HelloRefusal::TryResp2WithPassword,
            is_about_rights: true,
            ..REFUSED
        },
        // Rights that forbid HELLO may allow AUTH.
        Class::NoPermission => ErrorPolicy { is_well: true, is_about_rights: true, ..REFUSED },
        Class::WrongCredentials => {
            ErrorPolicy { hello: HelloRefusal::Final, is_about_rights: true, ..REFUSED }
        }
        // Such a server closes the connection.
        Class::ProtectedMode => ErrorPolicy { hello: HelloRefusal::Final, ..REFUSED },
        // Redis 5 and older have no HELLO.
        Class::UnknownCommand
        | Class::NotEnoughReplicas
        | Class::NotReady
        | Class::OutOfMemory
        | Class::TransactionAborted
        | Class::UnknownScript
        | Class::WritesDisabled => REFUSED,
        // As the first answer on a connection it means that the server took none: the link is lost
        // then (`driver/link/io.rs`).
        Class::TooManyClients => {
            ErrorPolicy { node: Node::Full, hello: HelloRefusal::Final, dial_again: true, ..PLAIN }
        }
        Class::GroupExists
        | Class::UnknownGroup
        | Class::UnknownService
        | Class::UnknownSubcommand
        | Class::UnsupportedProtocol
        | Class::Other => PLAIN,
    }
}

/// The rows of attempts without a reply. `sent`: all bytes of the command were written, so that the
/// server may have run it.
pub(crate) fn no_reply_policy(class: NoReplyClass, sent: bool) -> ErrorPolicy {
    use {NoReplyClass as Class, NodeFinding as Node, RefreshReason as Reason};
    let delivery = if sent { Delivery::Unknown } else { Delivery::NotSent };
    let fail = ErrorPolicy { delivery, ..PLAIN };
    let retry = if sent { CallAction::RetryIfRepeatable } else { CallAction::RetryNow };
    let lost = ErrorPolicy { node: Node::Unreachable, refresh: Some(Reason::NodeLost), ..fail };
    match class {
        Class::NoConnection | Class::LinkLost => ErrorPolicy { call: retry, ..lost },
        Class::LinkRetired => ErrorPolicy { call: retry, ..fail },
        // A server that breaks the protocol once does so again.
        Class::ProtocolViolated => ErrorPolicy { refresh: Some(Reason::NodeLost), ..fail },
        Class::HandshakeRefused | Class::NoLinkInTime => lost,
        Class::TimedOut => ErrorPolicy { refresh: Some(Reason::NodeSilent), ..fail },
        Class::Closed | Class::Final | Class::OverLimit => fail,
    }
}
