//! What the functions of `build` append to a command besides single arguments.
//!
//! Called by the other files of `build`.

use crate::command::{Command, ToArg, ToArgs};

/// Options that a command is given as a value.
pub(super) trait Options {
    /// Appends their words.
    fn add_to(self, command: Command) -> Command;
}

impl Command {
    /// The words of options.
    pub(super) fn options(self, options: impl Options) -> Self {
        options.add_to(self)
    }

    /// Each as a key.
    pub(super) fn each_key(mut self, keys: &impl ToArgs) -> Self {
        keys.each_bytes(|bytes| self.push_key(bytes));
        self
    }

    /// Each as an argument.
    pub(super) fn each_arg(mut self, args: &impl ToArgs) -> Self {
        args.each_bytes(|bytes| self.push(bytes));
        self
    }

    /// The number of keys, then the keys.
    pub(super) fn counted_keys(self, keys: &impl ToArgs) -> Self {
        self.arg(keys.count()).each_key(keys)
    }

    /// Two arguments for each pair.
    pub(super) fn each_pair(
        self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self {
        pairs.into_iter().fold(self, |command, (left, right)| command.arg(left).arg(right))
    }

    /// A key and an argument for each pair.
    pub(super) fn each_key_value(
        self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Self {
        pairs.into_iter().fold(self, |command, (key, value)| command.key(key).arg(value))
    }
}
