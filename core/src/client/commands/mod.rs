//! The typed commands: a trait for each group, in a file of its own, for all that runs commands.
//!
//! [`Execute`] is what a client, a view of one, a pipeline and a transaction have in common. A
//! method of a group is written once and is there on each of them; `slotcar::prelude` brings all of
//! them into scope.
//!
//! ```no_run
//! # extern crate slotcar_core as slotcar;
//! # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
//! use slotcar::prelude::*;
//! let name: Option<String> = client.get("name").await?;
//! let (visits, name): (i64, Option<String>) =
//!     client.pipeline().incr("visits").get("name").run().await?;
//! # Ok(()) }
//! ```
//!
//! Errors, and what dropping a call does, are documented once: at [`Client`](crate::Client),
//! "Commands".
//! Invariant: a method runs one command of `command/build/`, and says nothing about routing.

mod counters;
mod expiry;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod scripts;
mod server;
mod sets;
mod sorted_sets;
mod strings;

pub use super::execute::Execute;
pub use crate::resp::FromReply;
pub use counters::CounterCommands;
pub use expiry::ExpiryCommands;
pub use hashes::HashCommands;
pub use keys::KeyCommands;
pub use lists::ListCommands;
pub use pubsub::PublishCommands;
pub use scripts::ScriptCommands;
pub use server::ServerCommands;
pub use sets::SetCommands;
pub use sorted_sets::SortedSetCommands;
pub use strings::StringCommands;
