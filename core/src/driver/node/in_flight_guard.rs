//! Counts a command as in flight at its node for as long as it is, and times one read at a time.
//!
//! **Invariant**: what a guard added to the node's count, its drop takes away. Commands that no
//! read policy governs are not counted: their guard only names the node.

use super::node::Node;
use crate::time::Timestamp;
use std::sync::Arc;

/// A command's place at a node: counted as long as it is held, and perhaps timed.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    /// Where.
    node: Arc<Node>,
    /// How many commands are counted; none where no policy asks.
    count: u32,
    /// When it was sent, if it is the one that is timed; else 0.
    began: u64,
}

impl InFlightGuard {
    /// A place that is not counted.
    #[inline]
    pub(crate) fn uncounted(node: &Arc<Node>) -> Self {
        Self { node: Arc::clone(node), count: 0, began: 0 }
    }

    /// A place for a read, timed if no other one is.
    #[inline]
    pub(crate) fn timed(node: &Arc<Node>, now: Timestamp) -> Self {
        let health = node.health();
        health.begin(1);
        let began = health.claim_timing(now);
        Self { node: Arc::clone(node), count: 1, began }
    }

    /// A place for several commands.
    pub(crate) fn counted(node: &Arc<Node>, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        node.health().begin(count);
        Self { node: Arc::clone(node), count, began: 0 }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// A good reply came. `now` is only asked if it was timed.
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
