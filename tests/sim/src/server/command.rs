//! The command table: names, arity, flags, positions of keys, and the handler.
//!
//! Every file of commands declares its own part; `find` looks a request up in all of them. A
//! sub-command is an entry of its own, written `container|sub`.
//!
//! **Invariants**: names are lower-case and unique (a test checks this).

use super::call::Call;
use super::keyspace::Store;
use crate::resp::Reply;
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Changes data.
pub(crate) const W: u32 = 1;
/// Reads data.
pub(crate) const R: u32 = 1 << 1;
/// Needs memory: refused when there is none left.
pub(crate) const M: u32 = 1 << 2;
/// Constant time.
pub(crate) const FAST: u32 = 1 << 3;
/// For administrators.
pub(crate) const ADMIN: u32 = 1 << 4;
/// Publish and subscribe.
pub(crate) const PUBSUB: u32 = 1 << 5;
/// Not inside a script.
pub(crate) const NOSCRIPT: u32 = 1 << 6;
/// May block.
pub(crate) const BLOCKING: u32 = 1 << 7;
/// Runs while the data set is being loaded.
pub(crate) const LOADING: u32 = 1 << 8;
/// Runs on a replica that has no link to its primary.
pub(crate) const STALE: u32 = 1 << 9;
/// Runs before authentication.
pub(crate) const NO_AUTH: u32 = 1 << 10;
/// Not inside a transaction.
pub(crate) const NO_MULTI: u32 = 1 << 11;
/// Runs while a script is busy.
pub(crate) const ALLOW_BUSY: u32 = 1 << 12;
/// Keys cannot be found by position alone.
pub(crate) const MOVABLE: u32 = 1 << 13;
/// May be replicated although it writes nothing, like `PUBLISH`.
pub(crate) const MAY_REPLICATE: u32 = 1 << 14;

/// Not while the data set is loaded in the background.
pub(crate) const NO_ASYNC_LOADING: u32 = 1 << 15;

/// What a handler returns.
pub(crate) type Outcome = Result<Reply, Stop>;

/// The reason why a handler has no reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// It refuses, with this error line.
    Error(Cow<'static, str>),
    /// It waits until one of the keys changes, and is then run again.
    Block(Wait),
}

/// What a blocked command waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wait {
    /// A change of one of these keys runs it again.
    pub(crate) keys: Vec<Bytes>,
    /// Milliseconds until the timeout; `None` means no timeout.
    pub(crate) timeout_ms: Option<u64>,
    /// The reply on a timeout.
    pub(crate) on_timeout: Reply,
    /// The arguments for the next run, if they differ (`XREAD` with `$`).
    pub(crate) rewritten: Option<Vec<Bytes>>,
}

pub(crate) const WRONG_TYPE: Stop =
    fail("WRONGTYPE Operation against a key holding the wrong kind of value");
pub(crate) const SYNTAX: Stop = fail("ERR syntax error");
pub(crate) const NOT_AN_INTEGER: Stop = fail("ERR value is not an integer or out of range");
pub(crate) const NOT_A_FLOAT: Stop = fail("ERR value is not a valid float");
pub(crate) const NO_SUCH_KEY: Stop = fail("ERR no such key");

/// An error with a constant text.
pub(crate) const fn fail(text: &'static str) -> Stop {
    Stop::Error(Cow::Borrowed(text))
}

/// An error with a computed text.
pub(crate) fn fail_with(text: String) -> Stop {
    Stop::Error(Cow::Owned(text))
}

/// The error of a container's command that is known, with arguments that are not.
pub(crate) fn wrong_subcommand(arguments: &[Bytes], container: &str) -> Stop {
    let sub = String::from_utf8_lossy(&arguments[1]);
    fail_with(format!(
        "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
    ))
}

/// The positions of the keys of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// It has none.
    None,
    /// From `first` to `last` (negative: from the end) in steps.
    Range(usize, isize, usize),
    /// A number at this position, and as many keys after it.
    Counted(usize),
    /// The first position is a key, and then as in `Counted`.
    FirstAndCounted(usize),
    /// After the keyword, the first half of the arguments that follow.
    After(&'static str),
}

/// The handler of a command.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// The data alone: also from scripts, and again on replicas.
    Data(fn(&mut Store<'_>, &[Bytes]) -> Outcome),
    /// The whole server.
    Server(fn(&mut Call<'_, '_>, &[Bytes]) -> Outcome),
    /// A container of sub-commands.
    Container,
}

/// One entry of the table.
pub(crate) struct Spec {
    /// Lower-case; `container|sub` for a sub-command.
    pub(crate) name: &'static str,
    /// Number of arguments, the name included; negative means at least.
    pub(crate) arity: i32,
    /// The constants above.
    pub(crate) flags: u32,
    /// Where the keys are.
    pub(crate) keys: Keys,
    /// First version that has it.
    pub(crate) since: (u8, u8),
    /// Its handler.
    pub(crate) run: Run,
}

impl Spec {
    /// A command on data.
    pub(crate) const fn data(
        name: &'static str,
        arity: i32,
        flags: u32,
        keys: Keys,
        run: fn(&mut Store<'_>, &[Bytes]) -> Outcome,
    ) -> Self {
        Self { name, arity, flags, keys, since: (1, 0), run: Run::Data(run) }
    }

    /// A command on the server.
    pub(crate) const fn server(
        name: &'static str,
        arity: i32,
        flags: u32,
        run: fn(&mut Call<'_, '_>, &[Bytes]) -> Outcome,
    ) -> Self {
        Self { name, arity, flags, keys: Keys::None, since: (1, 0), run: Run::Server(run) }
    }

    /// A container of sub-commands.
    pub(crate) const fn container(name: &'static str) -> Self {
        Self { name, arity: -2, flags: 0, keys: Keys::None, since: (1, 0), run: Run::Container }
    }

    /// With keys.
    pub(crate) const fn keyed(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Not before this version.
    pub(crate) const fn since(mut self, major: u8, minor: u8) -> Self {
        self.since = (major, minor);
        self
    }

    pub(crate) const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether its first argument chooses among sub-commands.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self.run, Run::Container) || self.name == "command"
    }

    /// Whether that many arguments are right.
    pub(crate) fn accepts_arity(&self, arguments: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { arguments == wanted } else { arguments >= wanted }
    }

    /// Positions of the keys among `arguments`; `None` when the arguments do not define them.
    pub(crate) fn key_positions(&self, arguments: &[Bytes]) -> Option<Vec<usize>> {
        match self.keys {
            Keys::None => Some(Vec::new()),
            Keys::Range(first, last, step) => {
                let last = if last < 0 {
                    arguments.len().checked_add_signed(last)?
                } else {
                    last as usize
                };
                Some((first..=last.min(arguments.len() - 1)).step_by(step).collect())
            }
            Keys::Counted(at) => counted(arguments, at, None),
            Keys::FirstAndCounted(at) => counted(arguments, at, Some(1)),
            Keys::After(word) => {
                let at = keyword(arguments, word)?;
                let rest = arguments.len() - at - 1;
                if rest == 0 || !rest.is_multiple_of(2) {
                    return None;
                }
                Some((at + 1..at + 1 + rest / 2).collect())
            }
        }
    }
}

/// The position of a keyword behind options, each with its values.
fn keyword(arguments: &[Bytes], word: &str) -> Option<usize> {
    let is = |at: usize, word: &str| arguments[at].eq_ignore_ascii_case(word.as_bytes());
    let mut at = 1;
    while at < arguments.len() {
        at += match at {
            at if is(at, word) => return Some(at),
            at if is(at, "GROUP") => 3,
            at if is(at, "BLOCK") || is(at, "COUNT") => 2,
            at if is(at, "NOACK") => 1,
            _ => return None,
        };
    }
    None
}

fn counted(arguments: &[Bytes], at: usize, first: Option<usize>) -> Option<Vec<usize>> {
    // As `atoi` reads it: without digits it is zero.
    let text = String::from_utf8_lossy(arguments.get(at)?);
    let text = text.trim_start();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.bytes().skip(1).take_while(u8::is_ascii_digit).count() + 1;
    let count = digits.get(..end).unwrap_or_default().parse::<i64>().unwrap_or(0);
    let count = usize::try_from(count).ok()?;
    if count > arguments.len() - at - 1 {
        return None;
    }
    Some(first.into_iter().chain(at + 1..at + 1 + count).collect())
}

/// All commands by name.
static TABLE: LazyLock<BTreeMap<&'static str, &'static Spec>> = LazyLock::new(|| {
    super::all_commands()
        .iter()
        .flat_map(|part| part.iter())
        .map(|spec| (spec.name, spec))
        .collect()
});

/// All commands in the order of their names.
pub(crate) fn all() -> impl Iterator<Item = &'static Spec> {
    TABLE.values().copied()
}

/// The entry of that name, in any case.
pub(crate) fn by_name(name: &[u8]) -> Option<&'static Spec> {
    let mut lower = [0; 48];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    TABLE.get(std::str::from_utf8(lower).ok()?).copied()
}

/// The sub-command of a container, in any case.
pub(crate) fn sub_command(container: &Spec, sub: &[u8]) -> Option<&'static Spec> {
    let mut name = Vec::with_capacity(container.name.len() + 1 + sub.len());
    name.extend_from_slice(container.name.as_bytes());
    name.push(b'|');
    name.extend_from_slice(sub);
    by_name(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        let listed: usize = super::super::all_commands().iter().map(|part| part.len()).sum();
        assert_eq!(TABLE.len(), listed, "a name is used twice");
        for spec in all() {
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
            assert!(!(spec.has(W) && spec.has(R)), "{} both reads and writes", spec.name);
            if let Some((container, _)) = spec.name.split_once('|') {
                assert!(by_name(container.as_bytes()).unwrap().is_container());
            }
        }
    }

    #[test]
    fn keys_are_found_wherever_they_are() {
        let positions = |line: &str| {
            let arguments: Vec<Bytes> =
                line.split(' ').map(|a| Bytes::copy_from_slice(a.as_bytes())).collect();
            by_name(&arguments[0]).unwrap().key_positions(&arguments)
        };
        let table = [
            ("get k", Some(vec![1])),
            ("MGET a b c", Some(vec![1, 2, 3])),
            ("mset a 1 b 2", Some(vec![1, 3])),
            ("blpop a b 0", Some(vec![1, 2])),
            ("eval s 2 a b c", Some(vec![3, 4])),
            ("eval s 9 a", None),
            ("zunionstore d 2 a b", Some(vec![1, 3, 4])),
            ("xread count 1 streams a b 0 0", Some(vec![4, 5])),
            ("ping", Some(vec![])),
        ];
        for (line, expected) in table {
            assert_eq!(positions(line), expected, "{line}");
        }
    }
}
