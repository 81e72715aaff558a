//! Why a reply about the topology is not a view.
//!
//! What cannot be read is left out (`left_out.rs`). Only a reply of which nothing is left is
//! refused: the known map stays, and another node is asked. Texts of servers are shown shortened
//! and escaped.

use super::node_id::NodeId;
use super::slot::Slot;
use crate::endpoint::Endpoint;
use crate::resp::{ServerError, Value, excerpt};
use std::fmt;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ViewError {
    /// A part has a value that it cannot have.
    BadField {
        /// Which part: `slot`, `port`, `node id`, ...
        what: &'static str,
        /// Its text, shortened.
        text: String,
    },
    /// Several nodes are reached at one endpoint, so that redirects would form a loop.
    Folded {
        /// The endpoint, after the address map.
        endpoint: Endpoint,
        /// One node.
        first: NodeId,
        /// Another one.
        second: NodeId,
    },
    /// A range ends before it starts.
    Inverted {
        /// Its first slot.
        start: Slot,
        /// Its last slot.
        end: Slot,
    },
    /// A part is missing.
    Missing {
        /// Which part.
        what: &'static str,
    },
    /// A node appears twice.
    NodeTwice {
        /// Which node.
        id: NodeId,
    },
    /// A slot has two owners.
    Overlap {
        /// The first such slot.
        slot: Slot,
    },
    /// The server answered with an error: it does not know the command, or an ACL forbids it.
    Refused(ServerError),
    /// The topology was written by another version of this crate.
    Version {
        /// The version that was read.
        found: u32,
    },
    /// There is more than a cluster can have.
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that is taken.
        max: usize,
    },
}

impl ViewError {
    /// A part whose value is not what it should be.
    pub(crate) fn bad_value(what: &'static str, value: &Value) -> Self {
        match value {
            Value::Error(error) => Self::Refused(error.clone()),
            other => match (other.as_bytes(), other) {
                (Some(bytes), _) => Self::bad_text(what, bytes),
                (None, Value::Int(number)) => Self::bad_text(what, number.to_string().as_bytes()),
                (None, Value::Null) => Self::Missing { what },
                (None, _) => Self::bad_text(what, b"(a value of another type)"),
            },
        }
    }

    /// A part whose text is not what it should be.
    pub(crate) fn bad_text(what: &'static str, text: &[u8]) -> Self {
        Self::BadField { what, text: excerpt(text) }
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadField { what, text } => write!(f, "malformed {what}: \"{text}\""),
            Self::Folded { endpoint, first, second } => write!(
                f,
                "nodes {first} and {second} are both reached at {endpoint}, which would turn \
                 redirects into a loop: check address_map and what the servers announce"
            ),
            Self::Inverted { start, end } => {
                write!(f, "slot range {start}-{end} ends before it starts")
            }
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::NodeTwice { id } => write!(f, "node {id} appears twice"),
            Self::Overlap { slot } => write!(f, "slot {slot} has two owners"),
            Self::Refused(error) => {
                write!(f, "the server answered \"{}\"", excerpt(error.to_string().as_bytes()))
            }
            Self::TooMany { what, max } => write!(f, "more than {max} {what}"),
            Self::Version { found } => write!(
                f,
                "topology of version {found}, which this version of the crate does not read"
            ),
        }
    }
}

impl std::error::Error for ViewError {}
