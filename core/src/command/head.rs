//! The name of a known command, encoded at compile time.
//!
//! A name that the table lacks does not compile, so a typed function cannot misspell its command.
//! Limit: `HEAD_BYTES_MAX`, beyond which a name does not compile. Called by `build`, and by `Command` and `Buffer` to start
//! from.

use super::inline::HEAD;
use super::spec::Spec;

/// Room for the longest of the names; a power of two, since it is copied whole.
pub(super) const HEAD_BYTES_MAX: usize = 64;

/// The encoded name of a known command, with its subcommand's where there is one.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// A command that has its name and no argument, and zeros: it is copied to begin one.
    bytes: [u8; HEAD_BYTES_MAX],
    /// How many of `bytes` are used.
    len: u8,
    /// How many arguments the name makes: 1 or 2.
    pub(super) count: usize,
    /// The facts.
    pub(super) spec: &'static Spec,
}

impl Head {
    /// At compile time: the head of `name`, which the table must have.
    pub(super) const fn of(name: &str) -> Self {
        Self::empty(Spec::known(name, "")).and(name)
    }

    /// At compile time: the head of a container's subcommand.
    pub(super) const fn sub(name: &str, subcommand: &str) -> Self {
        Self::empty(Spec::known(name, subcommand)).and(name).and(subcommand)
    }

    const fn empty(spec: &'static Spec) -> Self {
        let mut head = Self { bytes: [0; HEAD_BYTES_MAX], len: 0, count: 0, spec };
        let mut at = 0;
        while at < HEAD.len() {
            head = head.byte(HEAD[at]);
            at += 1;
        }
        head
    }

    /// The command's beginning, and how many of its bytes count.
    #[inline]
    pub(super) fn bytes(&self) -> (&[u8; HEAD_BYTES_MAX], u8) {
        (&self.bytes, self.len)
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
        self.bytes[self.len as usize] = byte;
        self.len += 1;
        self
    }
}
