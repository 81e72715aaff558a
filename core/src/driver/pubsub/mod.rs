//! Subscriptions at work: connections, placement of channels, queues of readers.
//! Knows the rooms up to `replica`.

pub(crate) mod reader_queue;
pub(crate) mod subscriber;
pub(crate) mod subscriber_loop;
