//! How many nodes a channel is subscribed to at: one, or every primary of a cluster.
//!
//! Types only: the table of channels works with them.

use crate::endpoint::Endpoint;
use std::sync::Arc;

/// The endpoint of a primary that owns slots; `None` where the servers do not say, or no primary is
/// known. A part for that is never confirmed.
pub(crate) type Primary = Option<Arc<Endpoint>>;

/// How many nodes a channel is subscribed to at.
#[derive(Debug)]
pub(crate) enum Reach {
    /// One.
    OneNode,
    /// Every primary. The entry itself is asked for nowhere.
    EveryPrimary {
        /// The indexes of its parts, one for each of the table's primaries.
        parts: Vec<usize>,
    },
    /// This is a part of another entry.
    OnePrimary {
        /// The index of that entry.
        whole: usize,
        /// The primary, as an index into the table's list.
        primary: usize,
    },
}

impl Reach {
    /// Of a part: the entry that it is a part of.
    pub(crate) fn whole(&self) -> Option<usize> {
        match self {
            Self::OnePrimary { whole, .. } => Some(*whole),
            Self::OneNode | Self::EveryPrimary { .. } => None,
        }
    }
}
