//! Whether a server is the node that the slot map means: the rule, pure.
//!
//! An address says little: a pod's address is reused, a name leads elsewhere, two nodes swap their
//! machines. The id that a server gives itself (CLUSTER MYID) says who answers. A node of the map
//! must have its id. A node of which no id is known (a configured endpoint, the target of a
//! redirect) must have one that the map contains; before the first view there is nothing to
//! compare with, and any server of the configuration is taken.
//!
//! **Not promised**: a server that does not tell its id (an ACL forbids CLUSTER MYID, a proxy does
//! not know it) is taken for the one that was meant.
//! Spec: redis.io/commands/cluster-myid.

use crate::sorted::SortedSet;
use crate::topology::node_id::NodeId;
use std::fmt;

/// What a server said when it was asked who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// This id.
    Node(NodeId),
    /// It is no node of any cluster.
    Standalone,
    /// It does not say.
    Untold,
}

/// A server that is not the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongNode {
    /// The id that the map has; `None` if any node of the cluster was meant.
    pub(crate) expected: Option<NodeId>,
    /// The id that the server told; `None` for one that is no cluster node.
    pub(crate) found: Option<NodeId>,
}

impl fmt::Display for WrongNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "the server answers as node {found}")?,
            None => f.write_str("the server is no cluster node")?,
        }
        match &self.expected {
            Some(expected) => write!(f, ", the slot map means node {expected}"),
            None => f.write_str(", which the slot map does not contain"),
        }
    }
}

/// Compares what a server said with what is known. `members`: the ids in the map, none if there is
/// no map or its views tell no ids.
///
/// # Errors
/// The server is another one than the one that was meant.
pub(crate) fn judge(
    expected: Option<&NodeId>,
    members: &SortedSet<NodeId>,
    told: &Identity,
) -> Result<(), WrongNode> {
    let found = match told {
        Identity::Untold => return Ok(()),
        Identity::Standalone => None,
        Identity::Node(id) => Some(id),
    };
    let fits = match (expected, found) {
        (Some(expected), Some(found)) => expected == found,
        (None, Some(found)) => members.is_empty() || members.contains(found),
        (Some(_), None) => false,
        (None, None) => members.is_empty(),
    };
    if fits {
        return Ok(());
    }
    Err(WrongNode { expected: expected.cloned(), found: found.cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> NodeId {
        NodeId::told(text).unwrap()
    }

    #[test]
    fn a_server_is_judged_by_its_id_where_one_is_known() {
        let [a, b, other] = ["a", "b", "other"].map(id);
        let (none, both) = (SortedSet::default(), [a.clone(), b.clone()].into_iter().collect());
        let is = |id: &NodeId| Identity::Node(id.clone());
        let table = [
            // expected, members, told, fits
            (Some(&a), &both, is(&a), true),
            (Some(&a), &both, is(&b), false),
            (Some(&a), &both, is(&other), false),
            (Some(&a), &both, Identity::Standalone, false),
            (Some(&a), &both, Identity::Untold, true),
            (None, &both, is(&b), true),
            (None, &both, is(&other), false),
            (None, &both, Identity::Standalone, false),
            (None, &both, Identity::Untold, true),
            (None, &none, is(&other), true),
            (None, &none, Identity::Standalone, true),
        ];
        for (expected, members, told, fits) in table {
            let judged = judge(expected, members, &told);
            assert_eq!(judged.is_ok(), fits, "{expected:?} {told:?}");
        }
    }

    #[test]
    fn the_text_names_both_nodes() {
        let members = [id("a")].into_iter().collect();
        let text = |expected, told| judge(expected, &members, &told).unwrap_err().to_string();
        let a = id("a");
        let named = text(Some(&a), Identity::Node(id("x")));
        assert_eq!(named, "the server answers as node x, the slot map means node a");
        let unnamed = text(None, Identity::Standalone);
        assert_eq!(unnamed, "the server is no cluster node, which the slot map does not contain");
    }
}
