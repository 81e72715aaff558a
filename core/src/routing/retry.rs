//! The one place that decides whether a command is sent again.
//!
//! `connection/outcome.rs` and the server say what happened; this says what to do. A command that
//! cannot have run is tried again, whatever it is; one that may have run only if running it twice
//! does no harm.
//!
//! Invariants: pure; nothing is sent again after `Delivery::Unknown` unless the command only reads
//! or the caller opted in. Spec: error codes in redis.io/docs, "RESP protocol spec, Simple errors";
//! cluster-spec, "TRYAGAIN", "CLUSTERDOWN". Called by `driver/dispatch.rs`.

use crate::connection::outcome::{Failed, Failure, Lost};
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::ServerError;

/// How one attempt ended, when not with a reply to hand over.
#[derive(Debug)]
pub(crate) enum AttemptFailure {
    /// The server answered with an error.
    ErrorReply(ServerError),
    /// No reply came.
    NoReply(Box<Failed>),
    /// There was no connection to send it on.
    NoLink(Error),
    /// The server answered, and what that means is this; there is nothing to try.
    Final(Error),
}

impl AttemptFailure {
    /// Whether the server named another node.
    pub(crate) fn is_redirect(&self) -> bool {
        matches!(self, Self::ErrorReply(error) if matches!(error.code(), "ASK" | "MOVED"))
    }
}

/// What matters about a command and its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryContext {
    /// The command changes nothing.
    pub(crate) readonly: bool,
    /// The caller accepts that a command may run twice.
    pub(crate) retry_unknown: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallAction {
    /// Tell the caller.
    Fail,
    /// Try again at once: the wait, if any, is for a connection.
    RetryNow,
    /// Try again after a growing pause: the server said that it needs time.
    RetryAfterPause,
}

/// Error codes by which a server says "not now" and has not run the command.
const NOT_NOW: &[&str] =
    &["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "UNBLOCKED"];

/// Error codes by which a server says that it has not run the command and asking again will not
/// help.
const NOT_THIS: &[&str] = &[
    "ASK",
    "DENIED",
    "EXECABORT",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "NOSCRIPT",
    "NOTREADY",
    "OOM",
    "WRONGPASS",
];

/// Whether to try again.
pub(crate) fn judge(seen: &AttemptFailure, facts: RetryContext) -> CallAction {
    match seen {
        AttemptFailure::ErrorReply(error) if NOT_NOW.contains(&error.code()) => {
            CallAction::RetryAfterPause
        }
        AttemptFailure::ErrorReply(_) | AttemptFailure::Final(_) => CallAction::Fail,
        AttemptFailure::NoLink(error) => match error.kind() {
            ErrorKind::Connect => CallAction::RetryNow,
            _ => CallAction::Fail,
        },
        AttemptFailure::NoReply(failed) => match &failed.failure {
            Failure::TimedOut => CallAction::Fail,
            Failure::Lost(lost) if matches!(**lost, Lost::ByUs) => CallAction::Fail,
            // A server that breaks the protocol once will do so again.
            Failure::Lost(lost) if matches!(**lost, Lost::Protocol(_)) && !failed.never_sent() => {
                CallAction::Fail
            }
            Failure::Lost(_) => {
                let safe = failed.never_sent() || facts.readonly || facts.retry_unknown;
                if safe { CallAction::RetryNow } else { CallAction::Fail }
            }
        },
    }
}

/// Whether the server may have run a command that it answered with this error.
pub(crate) fn delivery_of(error: &ServerError) -> Delivery {
    let code = error.code();
    let refused = NOT_NOW.contains(&code)
        || NOT_THIS.contains(&code)
        || (code == "ERR" && error.message().contains("unknown command"));
    if refused { Delivery::Refused } else { Delivery::Answered }
}
