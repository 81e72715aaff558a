//! The facts about one command that are known before it is sent: its flags, where its keys are,
//! and which nodes of a cluster it concerns.
//!
//! Types only: `table` holds the facts of all commands, `lookup` finds those of one.
//! Invariant: `Flags::WIDE` is set for every command that may concern more than one slot or node,
//! and for every command of which that is not known.
//! Spec: <https://redis.io/docs/latest/develop/reference/key-specs/>,
//! <https://redis.io/docs/latest/develop/reference/command-tips/>.

/// The facts of one command or subcommand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Upper case; of a subcommand, its own name without the container's.
    pub(super) name: &'static str,
    /// What the command does to data and to its connection.
    pub(super) flags: Flags,
    /// Where the keys are, in the server's order; empty when there are none.
    pub(super) keys: &'static [KeySpec],
    /// Which nodes the command goes to, where the key does not decide.
    pub(super) request: RequestPolicy,
    /// How the replies of several nodes become one.
    pub(super) response: ResponsePolicy,
    /// Sorted by name; empty for a command that is no container.
    pub(super) subcommands: &'static [Spec],
}

/// A set of command flags, as the servers call them, and four flags of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(pub(super) u16);

impl Flags {
    /// Reads keys and changes nothing: safe to send again after an unknown outcome.
    pub(crate) const READONLY: Self = Self(1);
    /// May change data.
    pub(crate) const WRITE: Self = Self(1 << 1);
    /// The reply may come much later, when something happens.
    pub(crate) const BLOCKING: Self = Self(1 << 2);
    /// Publishes, or changes what the connection is subscribed to.
    pub(crate) const PUBSUB: Self = Self(1 << 3);
    /// Not allowed in a script.
    pub(crate) const NOSCRIPT: Self = Self(1 << 4);
    /// Keys are found by reading arguments, not at fixed positions alone.
    pub(crate) const MOVABLE_KEYS: Self = Self(1 << 5);
    /// Not allowed in a transaction.
    pub(crate) const NO_MULTI: Self = Self(1 << 6);
    /// An administrative command.
    pub(crate) const ADMIN: Self = Self(1 << 7);
    /// Ours: may concern several slots or nodes, or a slot by its number, or that is not known. Set
    /// by `wide`. Nearly all commands have one key; without this flag they are routed after a
    /// single test.
    pub(crate) const WIDE: Self = Self(1 << 8);
    /// Ours: changes what later commands on the connection mean, or whether they get a reply. Such
    /// a command must not run on a connection that callers share. The list is in
    /// `cargo xtask commands`.
    pub(crate) const SESSION: Self = Self(1 << 9);
    /// Ours: speaks about what its own connection wrote, or changes how the server treats that
    /// connection. Callers share connections, which are replaced when they are lost, so what it
    /// means to its caller would not hold. The list is in `cargo xtask commands`.
    pub(crate) const CONNECTION: Self = Self(1 << 10);
    /// Ours: ends or shows what keeps a server or a connection busy, so that it must not queue
    /// behind that: it goes over a connection that nothing else occupies. The list is in `cargo
    /// xtask commands`.
    pub(crate) const URGENT: Self = Self(1 << 11);

    /// Whether all of `other` is set.
    #[must_use]
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The union of both.
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

/// `Flags::WIDE`, or 0 for a command that has no keys or one key at a fixed position and goes to
/// one node.
pub(super) const fn wide(keys: &[KeySpec], request: RequestPolicy) -> u16 {
    let one = match keys {
        [] => true,
        [
            KeySpec {
                begin_search: BeginSearch::Index(_),
                find_keys: FindKeys::Range { last, .. },
            },
        ] => *last == 0,
        _ => false,
    };
    if one && matches!(request, RequestPolicy::Default) { 0 } else { Flags::WIDE.0 }
}

/// A key specification: where some keys of a command are. The servers' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySpec {
    /// Where to begin.
    pub(super) begin_search: BeginSearch,
    /// How many keys there are from that position on, and how far apart.
    pub(super) find_keys: FindKeys,
}

/// The position that `FindKeys` counts from. Position 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeginSearch {
    /// A fixed position; the spec does not apply if that argument is empty (MIGRATE, whose keys
    /// then follow the word KEYS).
    Filled(u8),
    /// A fixed position.
    Index(u8),
    /// The argument after this word. The word is searched forward from this position or, if the
    /// number is negative, backward from that many arguments before the end.
    Keyword(&'static str, i8),
}

/// How the keys are found from that position on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FindKeys {
    /// An argument holds the number of keys.
    KeyNum {
        /// Position of that argument, relative to the beginning.
        at: u8,
        /// Position of the first key, relative to the beginning.
        first: u8,
        /// Distance from one key to the next.
        step: u8,
    },
    /// The keys up to a given argument.
    Range {
        /// Position of the last key, relative to the first key or, if negative, to the end of the
        /// arguments (-1 is the last argument).
        last: i8,
        /// Distance from one key to the next.
        step: u8,
        /// With `last` -1: only this fraction of the remaining arguments are keys (2 is one half);
        /// 0 and 1 mean all.
        limit: u8,
    },
}

/// Keys at equal distances, with other arguments before and behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRun {
    /// The position of the first key.
    pub(crate) first: usize,
    /// How many arguments follow the run.
    pub(crate) after: usize,
    /// Distance from one key to the next; the arguments between them belong to the key.
    pub(crate) step: usize,
}

/// Which nodes of a cluster a command without keys, or with keys in several slots, concerns. Where
/// servers say nothing, the list in `cargo xtask commands` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestPolicy {
    /// The owner of its key; without a key, any one node.
    Default,
    /// Every node, replicas too.
    AllNodes,
    /// Every primary.
    AllShards,
    /// Split by slot: one part for each shard.
    MultiShard,
    /// The owner of the slot whose number is the argument at this position. Ours: another node
    /// would answer for a slot that it knows nothing of, without an error.
    Slot(u8),
    /// None of these: the client needs code for the command.
    Special,
}

/// How the replies of several nodes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "no command in the table has some of these"))]
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
    /// Ours: names and numbers in turn, the same names from each node; the sums of the numbers.
    SumByName,
    /// Ours: lists are joined, and each element is kept once.
    Union,
    /// None of these: the client needs code for the command.
    Special,
}

impl Spec {
    /// For a command that is not in the table: nothing is known of it.
    pub(super) const UNKNOWN: &'static Self = &Self {
        name: "",
        flags: Flags::WIDE,
        keys: &[],
        request: RequestPolicy::Default,
        response: ResponsePolicy::Default,
        subcommands: &[],
    };

    /// Upper case; of a subcommand, its own name without the container's.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What the command does to data and to its connection.
    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    /// Which nodes the command goes to, where the key does not decide.
    pub(crate) fn request(&self) -> RequestPolicy {
        self.request
    }

    /// How the replies of several nodes become one.
    pub(crate) fn response(&self) -> ResponsePolicy {
        self.response
    }

    /// Where the keys are, if the command may be split by slot and its keys are all arguments from
    /// a fixed position up to a fixed number before the end.
    pub(crate) fn splittable(&self) -> Option<KeyRun> {
        match (self.request, self.keys) {
            (
                RequestPolicy::MultiShard,
                [
                    KeySpec {
                        begin_search: BeginSearch::Index(first),
                        find_keys:
                            FindKeys::Range { last: last @ ..0, step: step @ 1.., limit: 0 | 1 },
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
            Some(KeySpec {
                begin_search: BeginSearch::Index(at),
                find_keys: FindKeys::Range { .. },
            }) => Some(*at),
            _ => None,
        }
    }
}
