//! The typed methods of [`Client`](crate::Client), one file for each group of commands.
//!
//! Invariant: each sends one command of `command/build/`, and says nothing about routing. Errors,
//! and what dropping a call does, are documented once: at [`Client`](crate::Client), "Commands".

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
