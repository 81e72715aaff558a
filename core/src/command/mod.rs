//! Commands as values: a name and arguments, encoded once, and what is known about them.
//!
//! Invariants: the encoded form is a valid sequence of `count` bulk strings, the name first; the
//! marked key lies inside it. The header `*N` is left out until the command is written, since
//! arguments may still follow. A GET or SET of a 16-byte key and a 100-byte value needs no heap;
//! larger ones do.
//! Limits: none here, the connection bounds what it takes.
//! Spec: RESP, "Sending commands to a Redis server".
//! Called by `client`, `routing` and `connection`.

mod arg;
mod arg_list;
mod args;
mod buffer;
mod build;
mod head;
mod inline;
mod learned;
mod lookup;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use arg::ToArg;
pub use arg_list::ToArgs;
pub use build::*;
pub(crate) use spec::{Flags, Spec};
pub(crate) use spec::{RequestPolicy, ResponsePolicy};

pub(crate) use args::{Args, Keys};
pub(crate) use learned::Learned;

use crate::resp::{bulk_bytes, put_array_head};
use buffer::Buffer;
use head::Head;
use std::fmt;

/// One command: a name with its arguments, ready to be sent any number of times.
///
/// Make one with [`cmd`] or with the functions of [`slotcar::command`](crate::command).
#[must_use = "a command does nothing until it is sent"]
#[derive(Clone)]
pub struct Command {
    /// The arguments as bulk strings, the name first; without the array's header.
    bytes: Buffer,
    /// How many arguments there are, the name included.
    count: usize,
    /// Where the first key's bytes begin, `HEAD` counted; 0 if no key is marked.
    key_start: u32,
    /// How many bytes the marked key has.
    key_len: u32,
    /// The facts of the command or, once its subcommand is known, of that.
    spec: &'static Spec,
}

/// Starts any command by its name, in any case: `cmd("FT.SEARCH").arg("idx").arg("*")`.
///
/// A name of several words may be written in one string or as arguments: `cmd("CLIENT SETNAME")`
/// and `cmd("CLIENT").arg("SETNAME")` are the same. Keys of the commands that Redis 8 and Valkey 9
/// have are found by themselves; of others, mark them with [`Command::key`], or a cluster client
/// cannot tell where the command belongs.
pub fn cmd(name: &str) -> Command {
    let mut words = name.split_ascii_whitespace();
    let first = words.next().unwrap_or_default().as_bytes();
    let spec = lookup::find(first).unwrap_or(Spec::UNKNOWN);
    let mut command = Command { bytes: Buffer::new(), count: 0, key_start: 0, key_len: 0, spec };
    command.push_bytes(first);
    for word in words {
        command.push(word.as_bytes());
    }
    command
}

impl Command {
    /// Appends one argument.
    #[inline]
    pub fn arg(mut self, value: impl ToArg) -> Self {
        value.with_bytes(|bytes| self.push(bytes));
        self
    }

    /// Appends each item as one argument; an `Option` counts as a list of none or one.
    #[inline]
    pub fn args<I>(mut self, values: I) -> Self
    where
        I: IntoIterator,
        I::Item: ToArg,
    {
        for value in values {
            value.with_bytes(|bytes| self.push(bytes));
        }
        self
    }

    /// Appends one argument that is a key. The first key decides where a cluster client sends the
    /// command.
    #[inline]
    pub fn key(mut self, key: impl ToArg) -> Self {
        key.with_bytes(|bytes| self.push_key(bytes));
        self
    }

    /// Appends each item as one argument that is a key.
    #[inline]
    pub fn keys_from<I>(mut self, keys: I) -> Self
    where
        I: IntoIterator,
        I::Item: ToArg,
    {
        for key in keys {
            key.with_bytes(|bytes| self.push_key(bytes));
        }
        self
    }

    /// A known command's beginning, prepared at compile time.
    #[inline]
    fn start(head: Head) -> Self {
        let bytes = Buffer::starting(&head);
        Self { bytes, count: head.count, key_start: 0, key_len: 0, spec: head.spec }
    }

    /// Appends an argument, and learns from it as long as there is something to learn: the
    /// subcommand of a container, or a key at a fixed position.
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if self.key_start > 0 && self.count > 1 {
            self.push_bytes(bytes);
            return;
        }
        self.push_and_learn(bytes);
    }

    /// Appends one of the first arguments.
    fn push_and_learn(&mut self, bytes: &[u8]) {
        if self.count == 1 {
            self.spec = lookup::subcommand(self.spec, bytes).unwrap_or(self.spec);
        }
        if self.spec.fixed_first_key().is_some_and(|at| usize::from(at) == self.count) {
            return self.push_key(bytes);
        }
        self.push_bytes(bytes);
    }

    /// Appends a key, and marks it if it is the first.
    fn push_key(&mut self, bytes: &[u8]) {
        let end = self.push_bytes(bytes);
        if self.key_start == 0 {
            // A key beyond 4 GiB stays unmarked and is looked for when it is needed.
            let start = u32::try_from(end - bytes.len() - 2);
            if let (Ok(start), Ok(len)) = (start, u32::try_from(bytes.len())) {
                (self.key_start, self.key_len) = (start, len);
            }
        }
    }

    /// Appends one bulk string. Returns how many bytes there are now, the header included.
    #[inline]
    fn push_bytes(&mut self, bytes: &[u8]) -> usize {
        self.count += 1;
        self.bytes.push_bulk(bytes)
    }

    /// The number of bytes that `write_to` appends.
    #[inline]
    pub(crate) fn encoded_len(&self) -> usize {
        if self.count < 10 {
            return self.bytes.whole().len();
        }
        // An array's head is as long as the head of a bulk: `*12\r\n` and `$12\r\n`.
        bulk_bytes(self.count) - self.count - 2 + self.bytes.as_slice().len()
    }

    /// Appends the command as the server wants it.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        if self.count < 10 {
            let digit = out.len() + 1;
            out.extend_from_slice(self.bytes.whole());
            out[digit] = b'0' + self.count as u8;
        } else {
            put_array_head(out, self.count);
            out.extend_from_slice(self.bytes.as_slice());
        }
    }

    /// The name in upper case, with the subcommand's if the table has it; for errors and metrics.
    pub(crate) fn name(&self) -> String {
        const NAME_BYTES_MAX: usize = 60;
        let mut args = self.args_iter();
        let name = args.next().unwrap_or_default();
        let name = String::from_utf8_lossy(&name[..name.len().min(NAME_BYTES_MAX)]);
        let mut name = name.to_ascii_uppercase();
        let container = lookup::find(name.as_bytes());
        if container.is_some_and(|container| !std::ptr::eq(container, self.spec)) {
            name.push(' ');
            name.push_str(self.spec.name);
        }
        name
    }

    /// What the table knows of this command.
    pub(crate) fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Whether the table says that it changes nothing, so that it may run twice.
    pub(crate) fn is_readonly(&self) -> bool {
        let flags = self.spec.flags;
        flags.contains(Flags::READONLY) && !flags.contains(Flags::WRITE)
    }

    /// Whether the table lacks it.
    pub(crate) fn is_unknown(&self) -> bool {
        std::ptr::eq(self.spec, Spec::UNKNOWN)
    }

    /// Whether it goes to the owner of its first key, or to anybody, on a shared connection,
    /// without another look.
    #[inline]
    pub(crate) fn goes_straight(&self) -> bool {
        const LOOK: Flags = Flags::BLOCKING.and(Flags::WIDE).and(Flags::SESSION);
        self.spec.flags.lacks(LOOK)
    }

    /// Whether its reply may be held back, so that it must not share a connection.
    pub(crate) fn is_blocking(&self) -> bool {
        if !self.spec.flags.contains(Flags::BLOCKING) {
            return false;
        }
        if !matches!(self.spec.name, "XREAD" | "XREADGROUP") {
            return true;
        }
        let options = self.args_iter().skip(1).take_while(|a| !a.eq_ignore_ascii_case(b"STREAMS"));
        options.into_iter().any(|a| a.eq_ignore_ascii_case(b"BLOCK"))
    }

    /// The first key (or, of a sharded pub/sub command, the first channel), which decides the slot.
    #[inline]
    pub(crate) fn first_key(&self) -> Option<&[u8]> {
        if self.key_start == 0 {
            return self.keys().next().map(|(_, key)| key);
        }
        let start = self.key_start as usize;
        self.bytes.whole().get(start..start + self.key_len as usize)
    }

    /// All keys with their positions among the arguments (0 is the name); of a command that the
    /// table lacks, none.
    pub(crate) fn keys(&self) -> Keys<'_> {
        Keys::new(self.args_iter(), self.count, self.spec.keys)
    }

    /// How many arguments there are, the name included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The arguments as bulk strings, the name first; without the array's header.
    pub(crate) fn encoded_args(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// All arguments, the name first.
    pub(crate) fn args_iter(&self) -> Args<'_> {
        Args::new(self.bytes.as_slice())
    }
}

/// Shows the name and sizes, never an argument: those may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, args) = (self.name(), self.count);
        write!(f, "Command({name}, {args} words, {} bytes)", self.encoded_len())
    }
}
