//! Counts commands as in flight at their node, and times one read at a time.
//!
//! **Invariant**: what a guard added to the node's count, its drop subtracts. Commands without a
//! read policy are not counted: their guard only names the node.

use super::node::Node;
use crate::time::Timestamp;
use std::sync::Arc;

/// Counts commands at a node for as long as it lives, and may time one read.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    /// The node.
    node: Arc<Node>,
    /// How many commands are counted; 0 where no read policy needs the number.
    count: u32,
    /// When the timed read was sent, in nanoseconds; 0 if this one is not timed.
    began: u64,
}

impl InFlightGuard {
    /// Names the node and counts nothing.
    #[inline]
    pub(crate) fn uncounted(node: &Arc<Node>) -> Self {
        Self { node: Arc::clone(node), count: 0, began: 0 }
    }

    /// Counts one read, and times it unless another one is being timed.
    #[inline]
    pub(crate) fn timed(node: &Arc<Node>, now: Timestamp) -> Self {
        let health = node.health();
        health.begin(1);
        let began = health.claim_timing(now);
        Self { node: Arc::clone(node), count: 1, began }
    }

    /// Counts several commands.
    pub(crate) fn counted(node: &Arc<Node>, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        node.health().begin(count);
        Self { node: Arc::clone(node), count, began: 0 }
    }

    /// Whether a read policy has selected the node: it could have selected another one.
    #[inline]
    pub(crate) fn is_by_policy(&self) -> bool {
        self.count > 0
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// A good reply came. Calls `now` only if the read is timed.
    #[inline]
    pub(crate) fn succeed(&mut self, now: impl FnOnce() -> Timestamp) {
        if self.count == 0 {
            return;
        }
        if self.began != 0 {
            self.node.health().record_reply(Timestamp::from_nanos(self.began), now());
        }
        self.node.health().record_success();
    }
}

impl Drop for InFlightGuard {
    #[inline]
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        self.node.health().end(self.count);
        if self.began != 0 {
            self.node.health().end_timing();
        }
    }
}
