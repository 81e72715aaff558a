//! Subscriptions as data: which channels are wanted, which are confirmed, which messages were
//! received and which were lost.
//!
//! Invariant: no I/O and no clock. Frames, times and random numbers come in as arguments; commands
//! to send and updates for readers come out. `driver/pubsub` does the I/O.

pub(crate) mod backlog;
pub(crate) mod channel_table;
pub(crate) mod kind;
pub(crate) mod message;
pub(crate) mod pending_commands;
pub(crate) mod push;
pub(crate) mod reach;
pub(crate) mod update;
