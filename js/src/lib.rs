//! The module of the npm package `slotcar`: the client behind a few exports for JavaScript.
//!
//! It exports no method per command. `begin`, `text` and `bytes` build one command, and the classes
//! send it; the files of `js/lib` make the methods from the command table. What is checked about
//! arguments is checked there, so that an error names the position in the caller's call.
//!
//! Invariants: an error that leaves this crate is a `SlotcarError` of `js/lib/errors.js`; a promise
//! that it returns settles unless the host ends; no command is built across two calls of a caller,
//! because nothing of the caller runs between `begin` and the send.
//! Empty on every other target. Tested by `js/tests`, on real hosts.

#![cfg(all(target_family = "wasm", target_os = "unknown"))]

mod batch;
mod building;
mod canceller;
mod client;
mod error;
mod reply;
mod subscription;
mod topology;

pub use batch::Batch;
pub use building::{begin, bytes, text};
pub use canceller::Canceller;
pub use client::{Client, open};
pub use error::install;
pub use subscription::Subscription;
