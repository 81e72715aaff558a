//! Which nodes the cluster has, by their ids: what a new connection's server is compared with.
//!
//! Set where a map is published, before the connections that are there already are checked; read by
//! each dial of a cluster's node. Empty outside of clusters, before the first view, and where the
//! servers tell no ids.

use crate::lock::lock;
use crate::sorted::SortedSet;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::identity::{Identity, WrongNode, judge};
use crate::topology::node_id::NodeId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The ids in the current map, without provisional ones.
    ids: Mutex<Arc<SortedSet<NodeId>>>,
    /// A server has told two ids of itself at once, as a proxy does that answers for many: what
    /// CLUSTER MYID says proves nothing in this deployment.
    contradicted: AtomicBool,
}

impl Members {
    /// The members are those of `map` from now on.
    pub(crate) fn set(&self, map: &ClusterMap) {
        let ids = map.nodes().iter().map(|node| &node.id).filter(|id| !id.is_provisional());
        let ids = Arc::new(ids.cloned().collect());
        *lock(&self.ids) = ids;
    }

    /// Whether no id is known, so that any server is taken.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.ids).is_empty()
    }

    /// Compares what a server told with the id that was expected, if one was, and the members.
    ///
    /// # Errors
    /// It is another server.
    pub(crate) fn judge(
        &self,
        expected: Option<&NodeId>,
        told: &Identity,
    ) -> Result<(), WrongNode> {
        if self.contradicted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ids = Arc::clone(&lock(&self.ids));
        judge(expected, &ids, told)
    }

    /// A server told one id to CLUSTER MYID and another one in CLUSTER NODES.
    pub(crate) fn note_contradiction(&self) {
        self.contradicted.store(true, Ordering::Relaxed);
    }
}
