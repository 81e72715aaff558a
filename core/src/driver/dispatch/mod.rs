//! A call from its first attempt to its result: one command, a pipeline, many nodes, a transaction,
//! a scan. Knows the rooms up to `replica`.

mod blocked;
pub(crate) mod cursor_origin;
pub(crate) mod entry;
pub(crate) mod fan_out;
pub(crate) mod keyspace_scan;
pub(crate) mod node_batch;
pub(crate) mod parts;
pub(crate) mod pipeline;
pub(crate) mod single;
pub(crate) mod transaction;
pub(crate) mod wait;
