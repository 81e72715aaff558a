//! The typed methods of [`Client`](crate::Client), one file for each group of commands.

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
