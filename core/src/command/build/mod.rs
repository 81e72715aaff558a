//! A function for each of the everyday commands, which returns it as a value.
//!
//! A function is named as its command, in lower case; `_with`, `_if` and `_many` mark forms with
//! options. Each only writes arguments: what the reply becomes is the caller's choice, or that of
//! the client's method of the same name. A command without a function here goes through `cmd`.
//! One file per data type. Called by users and by `client`.

mod counters;
mod expiry;
mod hashes;
mod keys;
mod lists;
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
pub use hashes::*;
pub use keys::*;
pub use lists::*;
pub use scan_options::ScanOptions;
pub use scripts::*;
pub use server::*;
pub use set_options::SetOptions;
pub use sets::*;
pub use sorted_set_options::{ZaddOptions, ZrangeOptions};
pub use sorted_sets::*;
pub use strings::*;
pub use times::{ExpireIf, Expiry};

use super::{Command, ToArg, ToArgs};

/// Options that a command is given as a value.
trait Options {
    /// Appends their words.
    fn add_to(self, command: Command) -> Command;
}

/// What the functions here append besides single arguments.
impl Command {
    fn options(self, options: impl Options) -> Self {
        options.add_to(self)
    }

    fn each_key(mut self, keys: &impl ToArgs) -> Self {
        keys.each_bytes(|bytes| self.push_key(bytes));
        self
    }

    fn each_arg(mut self, args: &impl ToArgs) -> Self {
        args.each_bytes(|bytes| self.push(bytes));
        self
    }

    /// The number of keys, then the keys.
    fn counted_keys(self, keys: &impl ToArgs) -> Self {
        self.arg(keys.count()).each_key(keys)
    }

    /// Two arguments for each pair.
    fn each_pair(self, pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Self {
        pairs.into_iter().fold(self, |command, (left, right)| command.arg(left).arg(right))
    }

    /// A key and an argument for each pair.
    fn each_key_value(self, pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Self {
        pairs.into_iter().fold(self, |command, (key, value)| command.key(key).arg(value))
    }
}

#[cfg(test)]
mod tests;
