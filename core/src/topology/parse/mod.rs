//! Replies of servers to views of the topology: CLUSTER SHARDS, CLUSTER SLOTS and CLUSTER NODES,
//! and the addresses that nodes announce.

pub(crate) mod announced_address;
pub(crate) mod cluster_nodes;
pub(crate) mod cluster_shards;
pub(crate) mod cluster_slots;
pub(crate) mod fields;
