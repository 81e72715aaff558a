//! The typed methods of [`Client`](crate::Client), one file for each group of commands.
//! Each sends one command of `command/build/` and names the type of its reply.

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
