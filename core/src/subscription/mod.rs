//! Subscriptions as data: what is wanted and what is confirmed, what was received and what was
//! lost.
//!
//! Pure: frames, time and chance come in, orders and updates go out. `driver/hub.rs` carries them.

pub(crate) mod backlog;
pub(crate) mod kind;
pub(crate) mod message;
pub(crate) mod push;
pub(crate) mod reconcile;
pub(crate) mod session;
pub(crate) mod update;
