//! The three kinds of channel, the protocol's words for each, and which channels tell of keys.
//!
//! Spec: command pages of the group "pubsub"; RESP3, "Push data"; "Redis keyspace notifications".

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

/// What the channels of keyspace events begin with, in front of the number of the database.
const KEYSPACE_FAMILIES: [&[u8]; 6] = [
    b"__keyspace@",
    b"__keyevent@",
    b"__subkeyspace@",
    b"__subkeyevent@",
    b"__subkeyspaceitem@",
    b"__subkeyspaceevent@",
];
/// A pattern that begins with fewer bytes before its first wildcard matches all kinds of channels.
const FAMILY_BYTES_MIN: usize = b"__key".len();

/// Whether keyspace events come on a channel, or on all that a pattern is meant for. Of such an
/// event only the node tells that has the key: no server passes it on to another one.
///
/// A pattern counts if it begins with a family's name, or with at least `FAMILY_BYTES_MIN` of its
/// bytes and then a wildcard: `__key*__:*`.
pub(crate) fn tells_of_keys(kind: ChannelKind, name: &[u8]) -> bool {
    let literal = match kind {
        ChannelKind::Sharded => return false,
        ChannelKind::Classic => name.len(),
        ChannelKind::Pattern => {
            name.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(name.len())
        }
    };
    let begin = &name[..literal];
    let is_open = literal < name.len() && literal >= FAMILY_BYTES_MIN;
    KEYSPACE_FAMILIES
        .iter()
        .any(|family| begin.starts_with(family) || (is_open && family.starts_with(begin)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use ChannelKind::{Classic, Pattern, Sharded};

    #[test]
    fn names_and_patterns_of_keyspace_events_are_known() {
        let table: [(ChannelKind, &str, bool); 30] = [
            (Classic, "__keyspace@0__:k", true),
            (Classic, "__keyspace@15__:", true),
            (Classic, "__keyevent@0__:expired", true),
            (Classic, "__subkeyspace@0__:k", true),
            (Classic, "__subkeyevent@0__:hset", true),
            (Classic, "__subkeyspaceitem@0__:k\nf", true),
            (Classic, "__subkeyspaceevent@0__:hset|k", true),
            (Classic, "__keyspace", false),
            (Classic, "__key*", false),
            (Classic, "__redis__:invalidate", false),
            (Classic, "x__keyspace@0__:k", false),
            (Classic, "", false),
            (Pattern, "__keyspace@0__:user:*", true),
            (Pattern, "__keyspace@*__:k", true),
            (Pattern, "__keyevent@0__:expired", true),
            (Pattern, "__keyspace@0__:a\\*b", true),
            (Pattern, "__key*", true),
            (Pattern, "__key*__:*", true),
            (Pattern, "__keyev?nt@0__:del", true),
            (Pattern, "__keyevent[@]0__:del", true),
            (Pattern, "__sub*", true),
            (Pattern, "__keyring*", false),
            (Pattern, "__key", false),
            (Pattern, "__keyspace", false),
            (Pattern, "__*", false),
            (Pattern, "*", false),
            (Pattern, "*:expired", false),
            (Pattern, "", false),
            (Sharded, "__keyspace@0__:k", false),
            (Sharded, "__keyevent@0__:del", false),
        ];
        for (kind, name, expected) in table {
            assert_eq!(tells_of_keys(kind, name.as_bytes()), expected, "{kind:?} {name}");
        }
    }
}
