//! Finds the facts of a command in the table by its name.
//!
//! The facts are the servers' own: the table holds what Redis 8 and Valkey 9 reply to COMMAND.
//! Where the two differ, it holds the careful answer: read-only only if both say so, writing or
//! blocking if one does.
//! Invariant: names are found in any case. A command that is not in the table (a module's, a newer
//! server's) is not found; the callers then use `Spec::UNKNOWN`: neither read-only nor blocking,
//! keys unknown.

use super::spec::Spec;
use super::table::TABLE;

/// The facts of a command; its name may be in any case.
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    let letter = usize::from(name.first()?.to_ascii_uppercase().wrapping_sub(b'A'));
    let (from, to) = (*FIRST.get(letter)?, *FIRST.get(letter + 1)?);
    find_in(TABLE.get(usize::from(from)..usize::from(to))?, name)
}

/// The facts of a container's subcommand; its name may be in any case.
pub(super) fn subcommand(container: &Spec, name: &[u8]) -> Option<&'static Spec> {
    if container.subcommands.is_empty() { None } else { find_in(container.subcommands, name) }
}

/// At compile time: the facts of a command or, if `subcommand` is not empty, of its subcommand. A
/// name that is not in the table does not compile.
pub(super) const fn known(name: &str, subcommand: &str) -> &'static Spec {
    let found = known_in(&TABLE, name.as_bytes());
    if subcommand.is_empty() { found } else { known_in(found.subcommands, subcommand.as_bytes()) }
}

/// The index of the first command of each letter, and behind the last; all names begin with a
/// letter.
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
/// few, and most differ in length: this is twice as fast as a binary search.
fn find_in(specs: &'static [Spec], name: &[u8]) -> Option<&'static Spec> {
    specs.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The search at compile time; linear, because its speed does not matter.
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

/// Every command of the table, containers and their subcommands too: `CLIENT`, `CLIENT KILL`.
#[cfg(test)]
pub(crate) fn every_name() -> Vec<String> {
    let own = |spec: &Spec| {
        let subcommands = spec.subcommands.iter().map(|sub| format!("{} {}", spec.name, sub.name));
        [spec.name.to_owned()].into_iter().chain(subcommands).collect::<Vec<_>>()
    };
    TABLE.iter().flat_map(own).collect()
}
