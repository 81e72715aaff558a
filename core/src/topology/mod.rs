//! What the client knows of the deployment: slots, shards and the nodes that have them. Pure: no
//! I/O, no clock.
//! Levels: `slot`, `slot_range`, `slot_map`, `node_id`, `view_error`, `view`, `fields`,
//! `endpoint_rule`, `parse_shards`, `parse_slots`, `parse_nodes`, `cluster_map`, `difference`,
//! `accept`, `claims`, `members`, `merge`, `foreign`, `snapshot`, `service`,
//! `refresh`, `replication`.

#![allow(dead_code, reason = "the levels above that call it are still to come")]

pub(crate) mod accept;
#[cfg(test)]
mod captured;
pub(crate) mod claims;
pub(crate) mod cluster_map;
pub(crate) mod difference;
#[cfg(test)]
mod drawn;
pub(crate) mod endpoint_rule;
pub(crate) mod fields;
pub(crate) mod foreign;
pub(crate) mod members;
pub(crate) mod merge;
pub(crate) mod node_id;
pub(crate) mod parse_nodes;
pub(crate) mod parse_shards;
pub(crate) mod parse_slots;
pub(crate) mod refresh;
pub(crate) mod replication;
pub(crate) mod service;
pub(crate) mod slot;
pub(crate) mod slot_map;
pub(crate) mod slot_range;
pub(crate) mod snapshot;
pub(crate) mod view;
pub(crate) mod view_error;
