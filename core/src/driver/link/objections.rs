//! Frames after which a connection cannot go on: a reply that nothing asked for, and errors by
//! which a server says that it takes no commands.
//!
//! `io.rs` asks, and loses the link.

use crate::connection::outcome::Lost;
use crate::resp::{ErrorClass, ServerError};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use bytes::Bytes;

/// A reply that no command is waiting for.
pub(super) fn unexpected_reply(frame: &Bytes) -> Lost {
    Lost::Protocol(format!(
        "a reply that no command asked for: {:?}",
        String::from_utf8_lossy(&frame[..frame.len().min(60)])
    ))
}

/// The text of an error that a server answers to any command while it takes none. Among commands
/// that are answered by pushes, it is not known which one it answers, so the connection cannot go
/// on.
pub(super) fn refuses_all_commands(frame: &Bytes) -> Option<String> {
    let error = ServerError::from_frame(frame)?;
    let policy = reply_policy(&error, ErrorOrigin::Server);
    policy.node.refuses_everything().then(|| error.to_string())
}

/// The text of the error that a server sends when it takes no more connections: it has run nothing,
/// and closes the connection.
// spec: redis.io/docs, "Redis client handling, Maximum concurrent connected clients"
pub(super) fn refuses_connection(frame: &Bytes) -> Option<String> {
    let error = ServerError::from_frame(frame)?;
    (error.class() == ErrorClass::TooManyClients).then(|| error.to_string())
}
