//! The three kinds of channel, and the protocol's words for each.
//!
//! Spec: command pages of the group "pubsub"; RESP3, "Push data".

use bytes::Bytes;
use std::fmt;

/// The kind of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelKind {
    /// A channel by its name. In a cluster its messages go to every node.
    Classic,
    /// All classic channels whose names match a pattern.
    Pattern,
    /// A channel by its name. Its messages stay in the shard that owns its slot.
    Sharded,
}

impl ChannelKind {
    /// The command that subscribes. In lower case, the word of its confirmation.
    pub(crate) const fn subscribe(self) -> &'static str {
        match self {
            Self::Classic => "SUBSCRIBE",
            Self::Pattern => "PSUBSCRIBE",
            Self::Sharded => "SSUBSCRIBE",
        }
    }

    /// The command that unsubscribes.
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
    /// Its kind.
    pub(crate) kind: ChannelKind,
    /// Its name, or the pattern.
    pub(crate) name: Bytes,
}

impl Channel {
    /// Its kind.
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

/// The name; bytes that are not UTF-8 are replaced.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.name))
    }
}
