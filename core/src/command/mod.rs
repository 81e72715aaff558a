//! Commands as values: a name and arguments, encoded once, and what is known about them.
//!
//! Invariants: the encoded form is a valid sequence of `count` bulk strings, the name first; the
//! marked key lies inside it. The header `*N` is left out until the command is written, since
//! arguments may still follow. A GET or SET of a 16-byte key and a 100-byte value needs no heap;
//! larger ones do. Limits: none here, the connection bounds what it takes. Spec:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>, "Sending commands to a Redis
//! server". Called by `client`, `routing` and `connection`.

mod arg;
mod args;
mod build;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use arg::ToArg;
pub use build::*;
pub(crate) use spec::{Flags, RequestPolicy, ResponsePolicy, Spec};

pub(crate) use args::{Args, Keys};

use smallvec::SmallVec;
use std::fmt;

/// Bytes that a command holds before it needs the heap: SET with a 16-byte key, a 100-byte value
/// and an expiry.
const INLINE_BYTES: usize = 168;

/// A value from this size on is stored without the usual doubling, which would waste up to as much
/// again.
const LARGE_BYTES: usize = 4096;

/// One command: a name with its arguments, ready to be sent any number of times.
///
/// Make one with [`cmd`] or with the functions of [`slotcar::command`](crate::command).
#[derive(Clone)]
pub struct Command {
    /// The arguments as bulk strings, the name first; without the array's header.
    bytes: SmallVec<[u8; INLINE_BYTES]>,
    /// How many arguments there are, the name included.
    count: usize,
    /// Where the first key's bytes begin; 0 if no key is marked.
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
#[must_use]
pub fn cmd(name: &str) -> Command {
    let mut words = name.split_ascii_whitespace();
    let first = words.next().unwrap_or_default().as_bytes();
    let spec = Spec::find(first).unwrap_or(Spec::UNKNOWN);
    let mut command = Command { bytes: SmallVec::new(), count: 0, key_start: 0, key_len: 0, spec };
    command.push_bytes(first);
    for word in words {
        command.push(word.as_bytes());
    }
    command
}

impl Command {
    /// Appends one argument.
    #[inline]
    #[must_use]
    pub fn arg(mut self, value: impl ToArg) -> Self {
        value.with_bytes(|bytes| self.push(bytes));
        self
    }

    /// Appends each item as one argument; an `Option` counts as a list of none or one.
    #[inline]
    #[must_use]
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
    #[must_use]
    pub fn key(mut self, key: impl ToArg) -> Self {
        key.with_bytes(|bytes| self.push_key(bytes));
        self
    }

    /// Appends each item as one argument that is a key.
    #[inline]
    #[must_use]
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
        let mut bytes = SmallVec::new();
        bytes.extend_from_slice(&head.bytes[..head.len]);
        Self { bytes, count: head.count, key_start: 0, key_len: 0, spec: head.spec }
    }

    /// Appends an argument, and learns from it: the subcommand of a container, or a key at a fixed
    /// position.
    fn push(&mut self, bytes: &[u8]) {
        if self.count == 1 {
            self.spec = self.spec.subcommand(bytes).unwrap_or(self.spec);
        }
        if self.spec.fixed_first_key().is_some_and(|at| usize::from(at) == self.count) {
            return self.push_key(bytes);
        }
        self.push_bytes(bytes);
    }

    /// Appends a key, and marks it if it is the first.
    fn push_key(&mut self, bytes: &[u8]) {
        self.push_bytes(bytes);
        if self.key_start == 0 {
            // A key beyond 4 GiB stays unmarked and is looked for when it is needed.
            let start = u32::try_from(self.bytes.len() - bytes.len() - 2);
            if let (Ok(start), Ok(len)) = (start, u32::try_from(bytes.len())) {
                (self.key_start, self.key_len) = (start, len);
            }
        }
    }

    /// Appends one bulk string.
    fn push_bytes(&mut self, bytes: &[u8]) {
        let room = bytes.len() + 24;
        if bytes.len() < LARGE_BYTES {
            self.bytes.reserve(room);
        } else {
            self.bytes.reserve_exact(room + 64);
        }
        match bytes.len() {
            len @ 0..10 => self.bytes.extend_from_slice(&[b'$', digit(len), b'\r', b'\n']),
            len @ 10..100 => {
                let text = [b'$', digit(len / 10), digit(len % 10), b'\r', b'\n'];
                self.bytes.extend_from_slice(&text);
            }
            len => {
                self.bytes.push(b'$');
                self.bytes.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
    }

    /// The number of bytes that `write_to` appends.
    pub(crate) fn encoded_len(&self) -> usize {
        let digits = self.count.checked_ilog10().unwrap_or(0) as usize + 1;
        digits + 3 + self.bytes.len()
    }

    /// Appends the command as the server wants it.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.bytes.len() + 24);
        if self.count < 10 {
            out.extend_from_slice(&[b'*', digit(self.count), b'\r', b'\n']);
        } else {
            out.push(b'*');
            out.extend_from_slice(itoa::Buffer::new().format(self.count).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&self.bytes);
    }

    /// The name in upper case, with the subcommand's if the table has it; for errors and metrics.
    pub(crate) fn name(&self) -> String {
        const NAME_BYTES_MAX: usize = 60;
        let mut args = self.args_iter();
        let name = args.next().unwrap_or_default();
        let name = String::from_utf8_lossy(&name[..name.len().min(NAME_BYTES_MAX)]);
        let mut name = name.to_ascii_uppercase();
        let container = Spec::find(name.as_bytes());
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
        self.bytes.get(start..start + self.key_len as usize)
    }

    /// All keys with their positions among the arguments (0 is the name); of a command that the
    /// table lacks, none.
    pub(crate) fn keys(&self) -> Keys<'_> {
        Keys::new(self.args_iter(), self.count, self.spec.keys)
    }

    /// All arguments, the name first.
    pub(crate) fn args_iter(&self) -> Args<'_> {
        Args::new(&self.bytes)
    }
}

/// A digit's character, for a number below 10.
fn digit(number: usize) -> u8 {
    b'0' + number as u8
}

/// Shows the name and sizes, never an argument: those may be secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, args) = (self.name(), self.count);
        write!(f, "Command({name}, {args} words, {} bytes)", self.encoded_len())
    }
}

/// The encoded name of a known command, with its subcommand's where there is one.
#[derive(Clone, Copy)]
struct Head {
    /// The first `len` are `$3\r\nGET\r\n` and the like.
    bytes: [u8; 48],
    /// At most 48.
    len: usize,
    /// How many arguments the name makes: 1 or 2.
    count: usize,
    /// The facts.
    spec: &'static Spec,
}

impl Head {
    /// At compile time: the head of `name`, which the table must have.
    const fn of(name: &str) -> Self {
        let head = Self { bytes: [0; 48], len: 0, count: 0, spec: Spec::known(name, "") };
        head.and(name)
    }

    /// At compile time: the head of a container's subcommand.
    const fn sub(name: &str, subcommand: &str) -> Self {
        let spec = Spec::known(name, subcommand);
        let head = Self { bytes: [0; 48], len: 0, count: 0, spec };
        head.and(name).and(subcommand)
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
