//! What the client knows about the deployment: slots, shards and nodes; how replies of servers
//! become views, views become maps, and when to ask again. Pure: no I/O, no clock.

#[cfg(test)]
mod captured;
pub(crate) mod cluster_map;
#[cfg(test)]
mod drawn;
pub(crate) mod identity;
pub(crate) mod left_out;
pub(crate) mod merge;
pub(crate) mod node_id;
pub(crate) mod node_index;
pub(crate) mod parse;
pub(crate) mod refresh;
pub(crate) mod replication;
pub(crate) mod sentinel;
pub(crate) mod slot;
pub(crate) mod slot_map;
pub(crate) mod slot_range;
pub(crate) mod snapshot;
pub(crate) mod view;
pub(crate) mod view_error;
