//! What the functions of `build` append to a command: options, lists of keys and arguments, pairs.
//!
//! Invariant: a key is always appended as a key, so that the first one is marked.

use crate::command::{Command, ToArg, ToArgs};

/// The options of a command, as a value.
pub(super) trait Options {
    /// Appends the arguments of the options.
    fn add_to(self, command: Command) -> Command;
}

impl Command {
    /// Appends options.
    pub(super) fn options(self, options: impl Options) -> Self {
        options.add_to(self)
    }

    /// Appends each item as a key.
    pub(super) fn each_key(mut self, keys: &impl ToArgs) -> Self {
        keys.each_bytes(|bytes| self.push_key(bytes));
        self
    }

    /// Appends each item as an argument.
    pub(super) fn each_arg(mut self, args: &impl ToArgs) -> Self {
        args.each_bytes(|bytes| self.push(bytes));
        self
    }

    /// Appends the number of keys and then the keys.
    pub(super) fn counted_keys(self, keys: &impl ToArgs) -> Self {
        self.arg(keys.count()).each_key(keys)
    }

    /// Appends two arguments for each pair.
    pub(super) fn each_pair(
        self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self {
        pairs.into_iter().fold(self, |command, (left, right)| command.arg(left).arg(right))
    }

    /// Appends a key and an argument for each pair.
    pub(super) fn each_key_value(
        self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self {
        pairs.into_iter().fold(self, |command, (key, value)| command.key(key).arg(value))
    }
}
