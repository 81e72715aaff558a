//! What the client knows of the deployment: slots, shards and the nodes that have them. Pure: no
//! I/O, no clock. Levels: `slot`, then `slot_map`.

pub(crate) mod refresh;
pub(crate) mod slot;
pub(crate) mod slot_map;
