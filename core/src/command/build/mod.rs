//! A function for each of the everyday commands, which returns it as a value.
//!
//! A function is named as its command, in lower case; `_with` marks a form with options and
//! `_many` one with a count. Each only writes arguments: what the reply becomes is the caller's
//! choice, or that of the client's method of the same name. A command without a function here goes
//! through `cmd`. One file per data type. Called by users and by `client`.

mod append;
mod counters;
mod expiry;
mod expiry_options;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod scan_options;
mod scripts;
mod server;
mod set_options;
mod sets;
mod sorted_set_options;
mod sorted_sets;
mod strings;
mod times;

pub use counters::*;
pub use expiry::*;
pub use expiry_options::{ExpireOptions, GetexOptions};
pub use hashes::*;
pub use keys::*;
pub use lists::*;
pub use pubsub::*;
pub use scan_options::ScanOptions;
pub use scripts::*;
pub use server::*;
pub use set_options::SetOptions;
pub use sets::*;
pub use sorted_set_options::{ZaddOptions, ZrangeOptions};
pub use sorted_sets::*;
pub use strings::*;

#[cfg(test)]
mod tests;
