//! Which node serves which slot: refreshes of the topology, sentinels, publication of new routes.
//! Knows `environment`, `link` and `node`.

pub(crate) mod background_refresh;
pub(crate) mod cluster_query;
pub(crate) mod command_info;
pub(crate) mod live_topology;
mod node_table;
mod publish;
mod questions;
mod refresh_round;
pub(crate) mod refresh_wait;
pub(crate) mod routes;
pub(crate) mod sentinel_query;
pub(crate) mod staggered_query;
