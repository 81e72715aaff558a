//! The three kinds of channel, and the words that the protocol has for each.
//!
//! Spec: command pages of the group "pubsub"; RESP3, "Push data".
//! Called by everything in `subscription`, and by users, who see it in a [`Channel`].

use bytes::Bytes;
use std::fmt;

/// What kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelKind {
    /// A channel by its name: every node of a cluster knows its messages.
    Classic,
    /// All classic channels whose names match a pattern.
    Pattern,
    /// A channel by its name, whose messages stay in the shard that owns its slot.
    Sharded,
}

impl ChannelKind {
    /// The command that begins a subscription; in lower case, the word that confirms it.
    pub(crate) const fn subscribe(self) -> &'static str {
        match self {
            Self::Classic => "SUBSCRIBE",
            Self::Pattern => "PSUBSCRIBE",
            Self::Sharded => "SSUBSCRIBE",
        }
    }

    /// The command that ends it.
    pub(crate) const fn unsubscribe(self) -> &'static str {
        match self {
            Self::Classic => "UNSUBSCRIBE",
            Self::Pattern => "PUNSUBSCRIBE",
            Self::Sharded => "SUNSUBSCRIBE",
        }
    }
}

/// A channel, or a pattern of channels, that a subscription wants.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    /// Which kind.
    pub(crate) kind: ChannelKind,
    /// Its name, or the pattern.
    pub(crate) name: Bytes,
}

impl Channel {
    /// Which kind.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// Its name, or the pattern.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)
    }
}

/// The name; what is not UTF-8 is replaced.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.name))
    }
}
