//! Whether a command is sent again after an attempt that failed.
//!
//! `connection/outcome.rs` and the server say what happened, `routing/error_policy.rs` what follows
//! from it; here it is applied to one call: to a command that may run twice or must not, with
//! attempts and time left or without.
//!
//! **Invariants**: pure; after `Delivery::Unknown` nothing is sent again, unless the command only
//! reads or the caller accepted that it may run twice.
//! Tested by `retry/tests.rs`.

use crate::command::Command;
use crate::connection::outcome::{Failed, Failure, Lost};
use crate::error::{Error, ErrorKind};
use crate::resp::ServerError;
use crate::routing::error_policy::{
    CallAction, ErrorOrigin, ErrorPolicy, NoReplyClass, NodeFinding, no_reply_policy, reply_policy,
};
use std::error::Error as _;

#[cfg(test)]
mod tests;

/// Commands that answer with texts of their users: of scripts, of functions, and of the argument of
/// DEBUG ERROR.
const SPEAK_FOR_THEMSELVES: [&str; 7] =
    ["DEBUG", "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"];

/// How one attempt ended that has no good reply.
#[derive(Debug)]
pub(crate) enum AttemptFailure {
    /// The reply is an error: of the server, or of a command that speaks for itself.
    ErrorReply(ServerError),
    /// The reply is an error, and it is known that the server has refused the command.
    Refusal(ServerError),
    /// The command was given to a connection, and no reply came.
    NoReply(Box<Failed>),
    /// There was no connection that could take the command.
    NoLink(Error),
    /// The server answered, and this is what the caller is told. There is nothing to try.
    Final(Error),
}

/// What decides about a retry, except for the failure itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryContext {
    /// The command changes nothing.
    pub(crate) readonly: bool,
    /// The caller accepts that a command may run twice.
    pub(crate) retry_unknown: bool,
    /// All attempts were made, or the deadline has passed.
    pub(crate) is_spent: bool,
}

impl ErrorOrigin {
    /// Whose words an error reply to this command is. A command that the table lacks is a module's,
    /// or of a server that is newer.
    pub(crate) fn of(command: &Command) -> Self {
        let name = command.spec().name();
        let speaks = name.is_empty() || name.contains('.') || SPEAK_FOR_THEMSELVES.contains(&name);
        if speaks { Self::Command } else { Self::Server }
    }
}

impl AttemptFailure {
    /// The row of the table. `origin`: whose words an error reply is.
    pub(crate) fn policy(&self, origin: ErrorOrigin) -> ErrorPolicy {
        match self {
            Self::ErrorReply(error) => reply_policy(error, origin),
            Self::Refusal(error) => reply_policy(error, ErrorOrigin::Server),
            Self::NoReply(failed) => {
                let sent = !failed.never_sent();
                no_reply_policy(class_of_failure(&failed.failure, sent), sent)
            }
            Self::NoLink(error) => {
                let class = class_without_link(error.kind());
                let policy = no_reply_policy(class, false);
                ErrorPolicy { delivery: error.delivery(), ..policy }
            }
            Self::Final(error) => {
                let policy = no_reply_policy(NoReplyClass::Final, true);
                ErrorPolicy { delivery: error.delivery(), ..policy }
            }
        }
    }

    /// Whether a connection was lost, with the command on it or before. That says little of the
    /// server: the next dial tells more.
    pub(crate) fn is_lost_link(&self) -> bool {
        match self {
            Self::NoReply(failed) => matches!(failed.failure, Failure::Lost(_)),
            Self::NoLink(error) => error.source().is_some_and(|cause| cause.is::<Lost>()),
            Self::ErrorReply(_) | Self::Refusal(_) | Self::Final(_) => false,
        }
    }

    /// Whether there was an answer, which is an error.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::ErrorReply(_) | Self::Refusal(_))
    }

    /// The server's error, if it names another node.
    pub(crate) fn redirect(&self, origin: ErrorOrigin) -> Option<&ServerError> {
        match self {
            Self::ErrorReply(error) | Self::Refusal(error) => {
                Some(error).filter(|_| self.policy(origin).call == CallAction::FollowRedirect)
            }
            Self::NoReply(_) | Self::NoLink(_) | Self::Final(_) => None,
        }
    }
}

/// What happens to the call. A redirect is followed even if all attempts were made: redirects have
/// a limit of their own.
pub(crate) fn decide(policy: ErrorPolicy, context: RetryContext) -> CallAction {
    let repeatable = context.readonly || context.retry_unknown;
    match policy.call {
        CallAction::Fail | CallAction::FollowRedirect => policy.call,
        // Whatever could be asked has been asked.
        CallAction::Confirm => CallAction::Fail,
        _ if context.is_spent => CallAction::Fail,
        CallAction::RetryIfRepeatable if repeatable => CallAction::RetryNow,
        CallAction::RetryAfterPauseIfRepeatable if repeatable => CallAction::RetryAfterPause,
        CallAction::RetryIfRepeatable | CallAction::RetryAfterPauseIfRepeatable => CallAction::Fail,
        CallAction::RetryNow | CallAction::RetryAfterPause => policy.call,
    }
}

/// The same for a read under a policy, which has other nodes to go to. `is_late`: the deadline has
/// passed. The caller counts attempts, and asks the other nodes first.
pub(crate) fn decide_read(policy: ErrorPolicy, is_late: bool) -> CallAction {
    let context = RetryContext { readonly: true, retry_unknown: true, is_spent: is_late };
    match (decide(policy, context), policy.node) {
        (action @ CallAction::FollowRedirect, _) => action,
        // Another replica would say the same.
        (_, NodeFinding::NotPrimary) => CallAction::Fail,
        // The node is left out, so that the next one can be asked at once.
        (_, node) if node.is_strike() && !is_late => CallAction::RetryNow,
        (action, _) => action,
    }
}

fn class_of_failure(failure: &Failure, sent: bool) -> NoReplyClass {
    match failure {
        Failure::TimedOut => NoReplyClass::TimedOut,
        Failure::Lost(lost) => match **lost {
            Lost::ByUs => NoReplyClass::Closed,
            Lost::Retired => NoReplyClass::LinkRetired,
            Lost::Protocol(_) if sent => NoReplyClass::ProtocolViolated,
            // What broke the protocol was the reply to another command.
            Lost::Protocol(_) => NoReplyClass::LinkLost,
            Lost::ByPeer
            | Lost::Deserted(_)
            | Lost::Io(_)
            | Lost::NoProgress(_)
            | Lost::Panicked
            | Lost::TurnedAway(_) => NoReplyClass::LinkLost,
        },
    }
}

fn class_without_link(kind: ErrorKind) -> NoReplyClass {
    match kind {
        ErrorKind::Connect => NoReplyClass::NoConnection,
        ErrorKind::Closed => NoReplyClass::Closed,
        ErrorKind::Limit => NoReplyClass::OverLimit,
        ErrorKind::Protocol => NoReplyClass::ProtocolViolated,
        ErrorKind::Timeout => NoReplyClass::NoLinkInTime,
        _ => NoReplyClass::HandshakeRefused,
    }
}
