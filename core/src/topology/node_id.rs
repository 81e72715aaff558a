//! The id of a node, which stays the same when its address changes.
//!
//! A node may come back under a new address, and two nodes may share one host name; the id that a
//! server gives itself stays. A node whose id is not known yet (the target of a redirect, a
//! standalone server) is named by its endpoint: such an id begins with `@` and is provisional.
//!
//! Limits: 1 to [`ID_BYTES_MAX`] bytes, visible ASCII; servers use 40 hexadecimal digits.

use crate::endpoint::Endpoint;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest id: room for a provisional one of any host name.
pub(crate) const ID_BYTES_MAX: usize = 320;

/// What a provisional id begins with. No server's id does.
const PROVISIONAL: char = '@';

/// The id of a node: the server's own, or `@` and the endpoint where no server has told an id.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The id that a server told; `None` for a text that cannot be one.
    pub(crate) fn told(text: &str) -> Option<Self> {
        (is_id(text) && !text.starts_with(PROVISIONAL)).then(|| Self(text.into()))
    }

    /// The id of a node of which only the endpoint is known.
    pub(crate) fn provisional(endpoint: &Endpoint) -> Self {
        Self(format!("{PROVISIONAL}{endpoint}").into())
    }

    /// Whether no server has told this id: it stands for the node at that endpoint.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.0.starts_with(PROVISIONAL)
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text may be an id of either kind.
fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl TryFrom<String> for NodeId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_id(&text) {
            Ok(Self(text.into()))
        } else {
            Err(format!("a node id has 1 to {ID_BYTES_MAX} visible ASCII characters"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_told_id_is_visible_and_never_provisional() {
        let hex = "07c37dfeb235213a872192d90877d0cd55635b91";
        assert_eq!(NodeId::told(hex).unwrap().as_str(), hex);
        for wrong in ["", "a b", "a\n", "@10.0.0.1:7000", "ä", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert_eq!(NodeId::told(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_node_without_a_name_goes_by_its_endpoint() {
        let id = NodeId::provisional(&Endpoint::tcp("::1", 7000));
        assert_eq!(id.as_str(), "@[::1]:7000");
        assert!(id.is_provisional() && !NodeId::told("abc").unwrap().is_provisional());
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<NodeId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<NodeId>("\"a b\"").is_err());
    }
}
