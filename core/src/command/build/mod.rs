//! Functions that return the commonly used commands as values, one file for each data type.
//!
//! A function has the name of its command, in lower case; `_with` marks a form with options and
//! `_many` one with a count. It only writes arguments: the caller chooses the type of the reply, or
//! the client's method of the same name does. `cmd` makes any other command.
//! Invariant: options are values of a type with a method for each option, as `SetOptions`.

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
