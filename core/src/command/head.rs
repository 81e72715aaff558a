//! The name of a known command, encoded at compile time.
//!
//! Invariant: the name is in the table; any other does not compile. So a typed function cannot
//! misspell its command.
//! Limits: those of `InlineBytes`.

use super::inline::InlineBytes;
use super::lookup;
use super::spec::Spec;

/// The encoded name of a known command and, if it has one, its subcommand.
#[derive(Clone, Copy)]
pub(super) struct EncodedName {
    /// The bytes that a new command begins with.
    inline: InlineBytes,
    /// Number of arguments that the name takes: 1 or 2.
    pub(super) count: usize,
    /// The facts about the command.
    pub(super) spec: &'static Spec,
}

impl EncodedName {
    /// At compile time: `name`, which must be in the table.
    pub(super) const fn of(name: &str) -> Self {
        let head = Self { inline: InlineBytes::empty(), count: 0, spec: lookup::known(name, "") };
        head.and(name)
    }

    /// At compile time: `name subcommand`, which must be in the table.
    pub(super) const fn sub(name: &str, subcommand: &str) -> Self {
        let spec = lookup::known(name, subcommand);
        let head = Self { inline: InlineBytes::empty(), count: 0, spec };
        head.and(name).and(subcommand)
    }

    /// The bytes that a new command begins with.
    #[inline]
    pub(super) fn inline(&self) -> &InlineBytes {
        &self.inline
    }

    /// Appends a word of less than 100 bytes.
    const fn and(mut self, word: &str) -> Self {
        let word = word.as_bytes();
        self = self.byte(b'$');
        if word.len() >= 10 {
            self = self.byte(b'0' + (word.len() / 10) as u8);
        }
        self = self.byte(b'0' + (word.len() % 10) as u8).byte(b'\r').byte(b'\n');
        let mut at = 0;
        while at < word.len() {
            self = self.byte(word[at]);
            at += 1;
        }
        self = self.byte(b'\r').byte(b'\n');
        self.count += 1;
        self
    }

    /// Appends one byte.
    const fn byte(mut self, byte: u8) -> Self {
        self.inline = self.inline.byte(byte);
        self
    }
}
