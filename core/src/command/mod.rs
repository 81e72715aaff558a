//! Commands as values: a name and arguments, encoded once, with the facts that are known about
//! them.
//!
//! Invariants: the encoded form is a valid sequence of `count` bulk strings, the name first; the
//! marked key is inside of it. The number of arguments in the header `*N` is written last, because
//! more arguments may follow. A GET or SET with a key of 16 bytes and a value of 100 bytes does not
//! allocate; larger ones do.
//! Limits: none here; the connection limits what it accepts.
//! Spec: RESP, "Sending commands to a Redis server".

mod arg;
mod arg_list;
mod args;
mod buffer;
mod build;
mod head;
mod inline;
mod learned;
mod lookup;
mod notation;
mod spec;
mod table;
#[cfg(test)]
mod tests;
mod waiting;

pub use arg::ToArg;
pub use arg_list::ToArgs;
pub use build::*;
pub(crate) use spec::{Flags, Spec};
pub(crate) use spec::{RequestPolicy, ResponsePolicy};

pub(crate) use args::{Args, Keys};
pub(crate) use learned::Learned;
#[cfg(test)]
pub(crate) use lookup::every_name;
pub(crate) use waiting::ServerWait;

use crate::resp::{bulk_bytes, put_array_head};
use buffer::Buffer;
use head::EncodedName;
use std::fmt;

/// A command: a name with its arguments. It can be sent any number of times.
///
/// Make one with [`cmd`] or with the functions of [`slotcar::command`](crate::command).
#[must_use = "a command does nothing until it is sent"]
#[derive(Clone)]
pub struct Command {
    /// The arguments as bulk strings, the name first.
    bytes: Buffer,
    /// Number of arguments, the name included.
    count: usize,
    /// Offset of the first key in the buffer; 0 if no key is marked.
    key_start: u32,
    /// Length of the marked key in bytes.
    key_len: u32,
    /// The facts about the command or, once its subcommand is known, about that.
    spec: &'static Spec,
}

/// Starts any command by its name, in any case: `cmd("FT.SEARCH").arg("idx").arg("*")`.
///
/// A name of several words may be one string or several arguments: `cmd("CLIENT SETNAME")` and
/// `cmd("CLIENT").arg("SETNAME")` are the same. The client finds the keys of the commands of Redis
/// 8 and Valkey 9. Mark the keys of other commands with [`Command::key`]: a cluster client needs
/// the first key to find the node.
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

    /// Appends each item as one argument; an `Option` is a list of at most one.
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

    /// Begins a known command, whose name was encoded at compile time.
    #[inline]
    fn start(head: EncodedName) -> Self {
        let bytes = Buffer::starting(&head);
        Self { bytes, count: head.count, key_start: 0, key_len: 0, spec: head.spec }
    }

    /// Appends an argument. One of the first may be the subcommand of a container, or a key at a
    /// fixed position.
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if self.key_start > 0 && self.count > 1 {
            self.push_bytes(bytes);
            return;
        }
        self.push_and_inspect(bytes);
    }

    /// Appends an argument that may be a subcommand or a key.
    fn push_and_inspect(&mut self, bytes: &[u8]) {
        if self.count == 1 {
            self.spec = lookup::subcommand(self.spec, bytes).unwrap_or(self.spec);
        }
        if self.spec.fixed_first_key().is_some_and(|at| usize::from(at) == self.count) {
            return self.push_key(bytes);
        }
        self.push_bytes(bytes);
    }

    /// Also a subcommand that is marked as a key is one.
    #[cold]
    fn learn_subcommand(&mut self, bytes: &[u8]) {
        self.spec = lookup::subcommand(self.spec, bytes).unwrap_or(self.spec);
    }

    /// Appends a key, and marks it if it is the first.
    fn push_key(&mut self, bytes: &[u8]) {
        let end = self.push_bytes(bytes);
        if self.key_start == 0 {
            // A key beyond 4 GiB stays unmarked: it is searched when it is needed.
            let start = u32::try_from(end - bytes.len() - 2);
            if let (Ok(start), Ok(len)) = (start, u32::try_from(bytes.len())) {
                (self.key_start, self.key_len) = (start, len);
            }
            if self.count == 2 && !self.spec.subcommands.is_empty() {
                self.learn_subcommand(bytes);
            }
        }
    }

    /// Appends one bulk string. Returns the length of the buffer in bytes.
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
        // The header of an array is as long as that of a bulk string: `*12\r\n`, `$12\r\n`.
        bulk_bytes(self.count) - self.count - 2 + self.bytes.as_slice().len()
    }

    /// Appends the command in its final form.
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

    /// The name in upper case, with the subcommand if the table has it; for errors and metrics.
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

    /// The facts about this command.
    pub(crate) fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Whether it is known to change nothing, so that it may run twice.
    pub(crate) fn is_readonly(&self) -> bool {
        let flags = self.spec.flags;
        flags.contains(Flags::READONLY) && !flags.contains(Flags::WRITE)
    }

    /// Whether it is not in the table, and no server was asked about it.
    pub(crate) fn is_unknown(&self) -> bool {
        std::ptr::eq(self.spec, Spec::UNKNOWN)
    }

    /// Whether neither the table, nor a server, nor the caller has said where its keys are.
    pub(crate) fn has_unknown_keys(&self) -> bool {
        self.spec.name.is_empty() && self.key_start == 0
    }

    /// Whether it goes to the owner of its first key (without a key, to any node) on a shared
    /// connection, so that nothing else about it needs to be checked.
    #[inline]
    pub(crate) fn goes_straight(&self) -> bool {
        const NEEDS_CHECKS: Flags = Flags::BLOCKING
            .and(Flags::WIDE)
            .and(Flags::SESSION)
            .and(Flags::CONNECTION)
            .and(Flags::URGENT);
        self.spec.flags.lacks(NEEDS_CHECKS)
    }

    /// Whether it ends or shows what keeps a connection busy, so that it must not queue behind it.
    pub(crate) fn is_urgent(&self) -> bool {
        self.spec.flags.contains(Flags::URGENT)
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

    /// All keys with their positions among the arguments (0 is the name); none for a command that
    /// is not in the table.
    pub(crate) fn keys(&self) -> Keys<'_> {
        Keys::new(self.args_iter(), self.count, self.spec.keys)
    }

    /// Number of arguments, the name included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The arguments as bulk strings, the name first; without the header of the array.
    pub(crate) fn encoded_args(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// All arguments, the name first.
    pub(crate) fn args_iter(&self) -> Args<'_> {
        Args::new(self.bytes.as_slice())
    }
}

/// Shows the name and sizes, never an argument, which may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, args) = (self.name(), self.count);
        write!(f, "Command({name}, {args} words, {} bytes)", self.encoded_len())
    }
}
