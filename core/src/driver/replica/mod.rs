//! Reads under a read policy: which replica is chosen, and what happens when it does not answer.
//! Knows the rooms up to `attempt`.

pub(crate) mod health_check;
pub(crate) mod policy;
pub(crate) mod read;
pub(crate) mod recovery;
pub(crate) mod select;
pub(crate) mod shard_lookup;
