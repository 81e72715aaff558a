//! The part that awaits: moves bytes, dials, retries, keeps the routes. The decisions are made in
//! the pure levels below.
//!
//! Eight rooms, each of which knows only the rooms above it in this list.

pub(crate) mod attempt;
pub(crate) mod discovery;
pub(crate) mod dispatch;
pub(crate) mod environment;
pub(crate) mod link;
pub(crate) mod node;
pub(crate) mod pubsub;
pub(crate) mod replica;

#[cfg(test)]
mod scripted_cluster;
