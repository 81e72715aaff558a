//! How an entry of a connection ended: with its replies, or with a failure and what is known about
//! the delivery of its commands.
//!
//! This says what happened. Only `routing/retry.rs` decides whether a command is sent again.

use bytes::Bytes;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The result of an entry.
pub(crate) type Outcome = Result<Replies, Box<Failed>>;

/// The replies of an entry: complete frames, which may be error replies.
#[derive(Debug)]
pub(crate) enum Replies {
    /// Of an entry that expects one.
    One(Bytes),
    /// Of an entry that expects several, in order.
    Many(Vec<Bytes>),
}

impl Replies {
    /// The last frame. It is the reply of an entry whose earlier commands only prepare the last
    /// one.
    pub(crate) fn into_last(self) -> Option<Bytes> {
        match self {
            Self::One(frame) => Some(frame),
            Self::Many(mut frames) => frames.pop(),
        }
    }

    /// All frames, in order.
    pub(crate) fn into_all(self) -> Vec<Bytes> {
        match self {
            Self::One(frame) => vec![frame],
            Self::Many(frames) => frames,
        }
    }
}

/// An entry that did not get all its replies.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The cause.
    pub(crate) failure: Failure,
    /// The replies that had come before.
    pub(crate) replies: Vec<Bytes>,
    /// Bytes of the entry that the stream had accepted.
    pub(crate) written: u64,
    /// Length of the entry in bytes.
    pub(crate) len: u64,
}

impl Failed {
    /// Whether the server cannot have run it, because a command runs only when its last byte has
    /// arrived.
    pub(crate) fn never_sent(&self) -> bool {
        self.written < self.len
    }
}

/// Why an entry did not get its replies.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Its deadline passed.
    TimedOut,
    /// The connection was lost.
    Lost(Arc<Lost>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("not in time"),
            Self::Lost(lost) => lost.fmt(f),
        }
    }
}

/// Why a connection is lost.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server, or something between it and the client, closed the connection.
    ByPeer,
    /// This client closed the connection.
    ByUs,
    /// This client closed the connection because it has replaced it, or does not need the node any
    /// more.
    Retired,
    /// The server takes no more connections, or no commands now. It has run nothing.
    TurnedAway(String),
    /// The stream failed.
    Io(io::Error),
    /// This client closed the connection while it waited for the reply to a blocking command: the
    /// server answers nothing over other connections either, or has left the topology.
    Deserted(&'static str),
    /// The server owed a reply and sent nothing for this long.
    NoProgress(std::time::Duration),
    /// The server sent something that the protocol forbids.
    Protocol(String),
    /// The stream, the timer or other foreign code panicked while the link was driven.
    Panicked,
}

impl Lost {
    /// Whether the server received nothing of what was written, as the stream's error shows.
    pub(crate) fn never_accepted(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl Failure {
    /// Whether the server took the connection and ended it: it may not like what it was sent.
    pub(crate) fn is_hang_up(&self) -> bool {
        match self {
            Self::Lost(lost) => {
                matches!(**lost, Lost::ByPeer | Lost::Io(_)) && !lost.never_accepted()
            }
            Self::TimedOut => false,
        }
    }

    /// Whether the server was silent: there was no answer in time.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Lost(lost) => matches!(**lost, Lost::NoProgress(_)),
            Self::TimedOut => true,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer => f.write_str("the server closed the connection"),
            Self::ByUs => f.write_str("the client closed the connection"),
            Self::Retired => f.write_str("the connection was replaced by another"),
            Self::TurnedAway(text) => write!(f, "the server refused the connection: {text}"),
            Self::Io(error) => write!(f, "connection lost: {error}"),
            Self::Deserted(why) => f.write_str(why),
            Self::NoProgress(time) => write!(f, "no byte from the server for {time:?}"),
            Self::Protocol(what) => write!(f, "protocol violated: {what}"),
            Self::Panicked => f.write_str("the connection's stream or timer panicked"),
        }
    }
}

impl std::error::Error for Lost {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
