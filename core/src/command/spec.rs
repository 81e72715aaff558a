//! What is known about a command before it is sent: its flags, where its keys are, and how it
//! spreads over a cluster.
//!
//! The facts are the servers' own: `table` holds what Redis 8 and Valkey 9 say in reply to COMMAND.
//! Where the two differ, the careful answer stands: read-only only if both say so, writing or
//! blocking if either does. A command that the table lacks (a module's, a newer server's) has
//! `Spec::UNKNOWN`: neither read-only nor blocking, keys unknown.
//! Spec: <https://redis.io/docs/latest/develop/reference/key-specs/>,
//! <https://redis.io/docs/latest/develop/reference/command-tips/>.
//! Called by `command` and, through it, by routing and retry.

use super::table::TABLE;

/// The facts of one command or subcommand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Upper case; of a subcommand, its own name without the container's.
    pub(super) name: &'static str,
    /// What the command does to data and to its connection.
    pub(super) flags: Flags,
    /// Where the keys are, in the server's order; empty when there are none.
    pub(super) keys: &'static [KeySpec],
    /// Which nodes are to be asked, where the key does not say.
    pub(super) request: RequestPolicy,
    /// How several nodes' replies become one.
    pub(super) response: ResponsePolicy,
    /// Sorted by name; empty for a command that is no container.
    pub(super) subcommands: &'static [Spec],
}

/// A set of the facts that the servers call command flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(pub(super) u16);

impl Flags {
    /// Reads keys and changes nothing: safe to send again after an unknown outcome.
    pub(crate) const READONLY: Self = Self(1);
    /// May change data.
    pub(crate) const WRITE: Self = Self(1 << 1);
    /// May hold its reply back until something happens.
    pub(crate) const BLOCKING: Self = Self(1 << 2);
    /// Publishes, or changes what the connection is subscribed to.
    pub(crate) const PUBSUB: Self = Self(1 << 3);
    /// Not allowed in a script.
    pub(crate) const NOSCRIPT: Self = Self(1 << 4);
    /// Keys are found by reading arguments, not at fixed positions alone.
    pub(crate) const MOVABLE_KEYS: Self = Self(1 << 5);
    /// Not allowed in a transaction.
    pub(crate) const NO_MULTI: Self = Self(1 << 6);
    /// For operators.
    pub(crate) const ADMIN: Self = Self(1 << 7);
    /// May concern several slots or nodes, or nobody knows: to be looked at before it is routed.
    /// No server's word but what `wide` makes of the others, so that a command with one key, which
    /// nearly all are, is routed after a single test.
    pub(crate) const WIDE: Self = Self(1 << 8);
    /// Changes what later commands on the connection mean, or whether they are answered: not for a
    /// connection that callers share. No server's word; the list is in `cargo xtask commands`.
    pub(crate) const SESSION: Self = Self(1 << 9);

    /// Whether all of `other` is set.
    #[must_use]
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether none of `other` is set.
    #[must_use]
    pub(crate) const fn lacks(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }
}

/// `Flags::WIDE` for a command that is more than one key at a fixed position, or none.
pub(super) const fn wide(keys: &[KeySpec], request: RequestPolicy) -> u16 {
    let one = match keys {
        [] => true,
        [KeySpec { begin: Begin::Index(_), find: Find::Range { last, .. } }] => *last == 0,
        _ => false,
    };
    if one && matches!(request, RequestPolicy::Default) { 0 } else { Flags::WIDE.0 }
}

/// Where some keys of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySpec {
    /// How the first key, or the number of keys, is found.
    pub(super) begin: Begin,
    /// How many keys follow, and how far apart.
    pub(super) find: Find,
}

/// The place from which `Find` counts. Position 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// A fixed position; does not apply if that argument is empty (MIGRATE, whose keys then follow
    /// the word KEYS).
    Filled(u8),
    /// A fixed position.
    Index(u8),
    /// The argument after this word, searched forward from a position or, if it is negative,
    /// backward from that many before the end.
    Keyword(&'static str, i8),
}

/// The keys from `Begin` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// An argument says how many.
    Count {
        /// Where the number is, relative to the beginning.
        at: u8,
        /// Where the first key is, relative to the beginning.
        first: u8,
        /// Distance from one key to the next.
        step: u8,
    },
    /// A range.
    Range {
        /// The last key relative to the first or, if negative, to the end of the arguments (-1 is
        /// the last argument).
        last: i8,
        /// Distance from one key to the next.
        step: u8,
        /// With `last` -1: only this fraction of what remains are keys (2 is one half); 0 and 1
        /// mean all.
        limit: u8,
    },
}

/// A run of keys at equal distances in the midst of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRun {
    /// The position of the first key.
    pub(crate) first: usize,
    /// How many arguments follow the run.
    pub(crate) after: usize,
    /// Distance from one key to the next; what lies between belongs to the key.
    pub(crate) step: usize,
}

/// Which nodes of a cluster a command without keys, or with keys in several slots, concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestPolicy {
    /// By its key; without a key, any one node.
    Default,
    /// Every node, replicas too.
    AllNodes,
    /// Every primary.
    AllShards,
    /// Split by slot, one part for each.
    MultiShard,
    /// A rule of its own.
    Special,
}

/// How the replies of several nodes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "some are named by no command that is in the table today")]
pub(crate) enum ResponsePolicy {
    /// Lists are joined; with keys, in the order of the keys.
    Default,
    /// The logical and of integers.
    AggLogicalAnd,
    /// The logical or of integers.
    AggLogicalOr,
    /// The greatest number.
    AggMax,
    /// The smallest number.
    AggMin,
    /// The sum of the numbers.
    AggSum,
    /// The first error if any failed, else any reply.
    AllSucceeded,
    /// The first reply that is no error.
    OneSucceeded,
    /// A rule of its own.
    Special,
}

impl Spec {
    /// What is known of a command that the table lacks: nothing.
    pub(super) const UNKNOWN: &'static Self = &Self {
        name: "",
        flags: Flags::WIDE,
        keys: &[],
        request: RequestPolicy::Default,
        response: ResponsePolicy::Default,
        subcommands: &[],
    };

    /// The facts of a command by its name, in any case.
    pub(super) fn find(name: &[u8]) -> Option<&'static Self> {
        let letter = usize::from(name.first()?.to_ascii_uppercase().wrapping_sub(b'A'));
        let (from, to) = (*FIRST.get(letter)?, *FIRST.get(letter + 1)?);
        find_in(TABLE.get(usize::from(from)..usize::from(to))?, name)
    }

    /// The facts of a subcommand by its name, in any case.
    pub(super) fn subcommand(&self, name: &[u8]) -> Option<&'static Self> {
        if self.subcommands.is_empty() { None } else { find_in(self.subcommands, name) }
    }

    /// The same at compile time, where a name that is missing does not compile.
    pub(super) const fn known(name: &str, subcommand: &str) -> &'static Self {
        let found = known_in(&TABLE, name.as_bytes());
        if subcommand.is_empty() {
            found
        } else {
            known_in(found.subcommands, subcommand.as_bytes())
        }
    }

    /// Upper case; of a subcommand, its own name without the container's.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What the command does to data and to its connection.
    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    /// Which nodes are concerned.
    pub(crate) fn request(&self) -> RequestPolicy {
        self.request
    }

    /// How replies are put together.
    pub(crate) fn response(&self) -> ResponsePolicy {
        self.response
    }

    /// The keys of a command that may be split, if they are all arguments from one position on, up
    /// to the same number before the end.
    pub(crate) fn splittable(&self) -> Option<KeyRun> {
        match (self.request, self.keys) {
            (
                RequestPolicy::MultiShard,
                [
                    KeySpec {
                        begin: Begin::Index(first),
                        find: Find::Range { last: last @ ..0, step: step @ 1.., limit: 0 | 1 },
                    },
                ],
            ) => Some(KeyRun {
                first: usize::from(*first),
                after: usize::from(last.unsigned_abs()) - 1,
                step: usize::from(*step),
            }),
            _ => None,
        }
    }

    /// The position of the first key, if it is the same in every call.
    pub(super) const fn fixed_first_key(&self) -> Option<u8> {
        match self.keys.first() {
            Some(KeySpec { begin: Begin::Index(at), find: Find::Range { .. } }) => Some(*at),
            _ => None,
        }
    }
}

/// Where in the table the commands of each letter begin; all names begin with a letter.
static FIRST: [u16; 27] = {
    let mut first = [0; 27];
    let (mut letter, mut at) = (0, 0);
    while letter < 27 {
        while at < TABLE.len() && TABLE[at].name.as_bytes()[0] < b'A' + letter as u8 {
            at += 1;
        }
        first[letter] = at as u16;
        letter += 1;
    }
    first
};

/// Searches a letter's commands, or a container's subcommands, for a name in any case. They are
/// few, and most differ in length: one by one is twice as fast as a binary search.
fn find_in(specs: &'static [Spec], name: &[u8]) -> Option<&'static Spec> {
    specs.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The compile-time search; linear, because nobody waits for it.
const fn known_in(specs: &'static [Spec], name: &[u8]) -> &'static Spec {
    let mut at = 0;
    while at < specs.len() {
        if equal(specs[at].name.as_bytes(), name) {
            return &specs[at];
        }
        at += 1;
    }
    panic!("the command table lacks a command that has a function of its own")
}

/// Equality of byte strings at compile time.
const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}
