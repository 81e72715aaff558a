//! The name of a known command, encoded at compile time.
//!
//! A name that the table lacks does not compile, so a typed function cannot misspell its command.
//! Limits: those of a command in place. Called by `build`, and by `Command` and `Buffer` to start
//! from.

use super::inline::Inline;
use super::lookup;
use super::spec::Spec;

/// The encoded name of a known command, with its subcommand's where there is one.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// A command that has its name and no argument: it is copied to begin one.
    inline: Inline,
    /// How many arguments the name makes: 1 or 2.
    pub(super) count: usize,
    /// The facts.
    pub(super) spec: &'static Spec,
}

impl Head {
    /// At compile time: the head of `name`, which the table must have.
    pub(super) const fn of(name: &str) -> Self {
        let head = Self { inline: Inline::empty(), count: 0, spec: lookup::known(name, "") };
        head.and(name)
    }

    /// At compile time: the head of a container's subcommand.
    pub(super) const fn sub(name: &str, subcommand: &str) -> Self {
        let spec = lookup::known(name, subcommand);
        let head = Self { inline: Inline::empty(), count: 0, spec };
        head.and(name).and(subcommand)
    }

    /// The command's beginning.
    #[inline]
    pub(super) fn inline(&self) -> &Inline {
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
