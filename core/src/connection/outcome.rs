//! How an entry of a connection ended: with its replies, or with what is known about its fate.
//!
//! This says what happened. Whether to send again is decided in `routing/retry.rs`, and nowhere
//! else.

use bytes::Bytes;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What an entry ends with.
pub(crate) type Outcome = Result<Reply, Box<Failed>>;

/// The replies of an entry: complete frames, which may be error replies.
#[derive(Debug)]
pub(crate) enum Reply {
    /// For an entry that expects one.
    One(Bytes),
    /// For an entry that expects several, in order.
    Many(Vec<Bytes>),
}

impl Reply {
    /// The last frame: an entry of several, whose earlier replies only prepare, is judged by it.
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
    /// Why.
    pub(crate) failure: Failure,
    /// The replies that came before.
    pub(crate) replies: Vec<Bytes>,
    /// How many of its bytes the stream had accepted.
    pub(crate) written: u64,
    /// How many bytes it has.
    pub(crate) len: u64,
}

impl Failed {
    /// Whether the server cannot have run it: a command runs only when its last byte has arrived.
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

/// Why a connection is gone.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server, or something on the way, closed it.
    ByPeer,
    /// This client closed it.
    ByUs,
    /// This client has a better one, or needs none to that node any more.
    Retired,
    /// The server is full: it said so instead of running anything.
    TurnedAway(String),
    /// The stream failed.
    Io(io::Error),
    /// The server owed bytes and sent none for this long.
    NoProgress(std::time::Duration),
    /// The server sent what no server may send.
    Protocol(String),
    /// The stream, the timer or other foreign code panicked while bytes were moved.
    Panicked,
}

impl Lost {
    /// Whether the other side looked at nothing that was written: the stream itself says so.
    pub(crate) fn never_accepted(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer => f.write_str("the server closed the connection"),
            Self::ByUs => f.write_str("the client closed the connection"),
            Self::Retired => f.write_str("the connection was given up for another"),
            Self::TurnedAway(text) => write!(f, "the server took no connection: {text}"),
            Self::Io(error) => write!(f, "connection lost: {error}"),
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
