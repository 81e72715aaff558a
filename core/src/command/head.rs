//! The name of a known command, encoded at compile time.
//!
//! A name that the table lacks does not compile, so a typed function cannot misspell its command.
//! Limits: 48 bytes encoded. Called by `build`, and by `Command` and `Buffer` to start from.

use super::spec::Spec;

/// The encoded name of a known command, with its subcommand's where there is one.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// The first `len` are `$3\r\nGET\r\n` and the like.
    bytes: [u8; 48],
    /// At most 48.
    len: usize,
    /// How many arguments the name makes: 1 or 2.
    pub(super) count: usize,
    /// The facts.
    pub(super) spec: &'static Spec,
}

impl Head {
    /// At compile time: the head of `name`, which the table must have.
    pub(super) const fn of(name: &str) -> Self {
        let head = Self { bytes: [0; 48], len: 0, count: 0, spec: Spec::known(name, "") };
        head.and(name)
    }

    /// At compile time: the head of a container's subcommand.
    pub(super) const fn sub(name: &str, subcommand: &str) -> Self {
        let spec = Spec::known(name, subcommand);
        let head = Self { bytes: [0; 48], len: 0, count: 0, spec };
        head.and(name).and(subcommand)
    }

    /// The first bytes of the command, after the array's header.
    #[inline]
    pub(super) fn encoded(&self) -> &[u8] {
        &self.bytes[..self.len]
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
        self.bytes[self.len] = byte;
        self.len += 1;
        self
    }
}
