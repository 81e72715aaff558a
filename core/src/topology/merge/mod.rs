//! Views of several nodes to the next slot map: which views count, who owns each slot, which nodes
//! belong to which shard, and when a whole cluster was replaced.

pub(crate) mod membership;
mod merge;
pub(crate) mod replaced_cluster;
pub(crate) mod slot_owners;
pub(crate) mod view_filter;

pub(crate) use merge::{merge, merge_by_evidence, same_places};
