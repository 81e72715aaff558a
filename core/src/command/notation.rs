//! The short names that `table.rs` is written in, so that each command takes one line there.
//!
//! A command is its name, its flags by letter, its keys, and its policies where no key decides the
//! node. **Invariant**: `p` sets `Flags::WIDE`, so that no line of the table has to.

use super::spec::{BeginSearch, FindKeys, Flags, KeySpec, Spec, wide};
use super::spec::{RequestPolicy as Ask, ResponsePolicy as Fold};

pub(super) const R: u16 = Flags::READONLY.0;
pub(super) const W: u16 = Flags::WRITE.0;
pub(super) const B: u16 = Flags::BLOCKING.0;
pub(super) const P: u16 = Flags::PUBSUB.0;
pub(super) const N: u16 = Flags::NOSCRIPT.0;
pub(super) const M: u16 = Flags::MOVABLE_KEYS.0;
pub(super) const X: u16 = Flags::NO_MULTI.0;
pub(super) const A: u16 = Flags::ADMIN.0;
pub(super) const S: u16 = Flags::SESSION.0;
pub(super) const C: u16 = Flags::CONNECTION.0;
pub(super) const U: u16 = Flags::URGENT.0;

/// A command that goes to the owner of its key; without a key, to any node.
pub(super) const fn c(name: &'static str, flags: u16, keys: &'static [KeySpec]) -> Spec {
    p(name, flags, keys, Ask::Default, Fold::Default)
}

/// A command with a request policy and a response policy.
pub(super) const fn p(
    name: &'static str,
    flags: u16,
    keys: &'static [KeySpec],
    request: Ask,
    response: Fold,
) -> Spec {
    let flags = Flags(flags | wide(keys, request));
    Spec { name, flags, keys, request, response, subcommands: &[] }
}

/// A command with subcommands.
pub(super) const fn with(container: Spec, subcommands: &'static [Spec]) -> Spec {
    Spec { subcommands, ..container }
}

/// Keys from a position on.
pub(super) const fn at(index: u8, find_keys: FindKeys) -> KeySpec {
    KeySpec { begin_search: BeginSearch::Index(index), find_keys }
}

/// One key at a position.
pub(super) const fn one(index: u8) -> KeySpec {
    at(index, range(0, 1, 0))
}

/// Keys from a position on; none if the argument there is empty.
pub(super) const fn filled(index: u8, find_keys: FindKeys) -> KeySpec {
    KeySpec { begin_search: BeginSearch::Filled(index), find_keys }
}

/// Keys after a word.
pub(super) const fn word(word: &'static str, from: i8, find_keys: FindKeys) -> KeySpec {
    KeySpec { begin_search: BeginSearch::Keyword(word, from), find_keys }
}

/// Keys up to one counted from the first or from the end.
pub(super) const fn range(last: i8, step: u8, limit: u8) -> FindKeys {
    FindKeys::Range { last, step, limit }
}

/// Keys whose number is an argument.
pub(super) const fn count(at: u8, first: u8, step: u8) -> FindKeys {
    FindKeys::KeyNum { at, first, step }
}
