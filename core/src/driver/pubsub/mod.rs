//! Subscriptions at work: their connections, the placement of channels, the readers' queues.
//! Knows the rooms up to `replica`.

pub(crate) mod connections;
pub(crate) mod placement;
pub(crate) mod reader_queue;
pub(crate) mod subscriber;
pub(crate) mod subscriber_loop;
pub(crate) mod subscriber_state;
