//! Writes the merged facts as Rust: `core/src/command/table.rs`.
//!
//! One line per command, so that a difference between two servers' versions reads as one line in a
//! review. Short names keep those lines short: they are in `core/src/command/notation.rs`.

use super::{Begin, Commands, FLAGS, Facts, Find, Keys};
use std::fmt::Write;

/// The table's letters for `FLAGS`, in the same order.
const LETTERS: [char; FLAGS.len()] = ['R', 'W', 'B', 'P', 'N', 'M', 'X', 'A', 'S', 'C', 'U'];

/// What stands above the table.
const PREAMBLE: &str = "\
use super::notation::{A, B, C, M, N, P, R, S, U, W, X};
use super::notation::{at, c, count, filled, one, p, range, with, word};
use super::spec::{RequestPolicy as Ask, ResponsePolicy as Fold, Spec};
";

/// The whole file.
pub(super) fn table(commands: &Commands, versions: &[String]) -> String {
    let mut text = format!(
        "//! What {} reply to COMMAND.\n\
         //!\n\
         //! Written by `cargo xtask commands`, never by hand. A command is its name, its flags by\n\
         //! letter, its keys, and its policies where no key decides the node.\n\n{PREAMBLE}\n",
        versions.join(" and "),
    );
    let count = commands.len();
    let _ = writeln!(text, "/// Every command, sorted by name.\n#[rustfmt::skip]");
    let _ = writeln!(text, "pub(super) static TABLE: [Spec; {count}] = [");
    for (name, facts) in commands {
        command(&mut text, 1, name, facts);
    }
    text.push_str("];\n");
    text
}

/// One command's line, or a container's lines.
fn command(text: &mut String, depth: usize, name: &str, facts: &Facts) {
    let indent = "    ".repeat(depth);
    let letters: Vec<String> = FLAGS
        .iter()
        .zip(LETTERS)
        .filter(|(flag, _)| facts.flags.contains(**flag))
        .map(|(_, letter)| letter.to_string())
        .collect();
    let flags = if letters.is_empty() { "0".to_owned() } else { letters.join("|") };
    let keys: Vec<String> = facts.keys.iter().map(key_spec).collect();
    let entry = format!("\"{name}\", {flags}, &[{}]", keys.join(", "));
    let entry = match (&facts.request, &facts.response) {
        (None, None) => format!("c({entry})"),
        (request, response) => {
            let (ask, fold) = (variant(request.as_deref()), variant(response.as_deref()));
            format!("p({entry}, Ask::{ask}, Fold::{fold})")
        }
    };
    if facts.subcommands.is_empty() {
        let _ = writeln!(text, "{indent}{entry},");
        return;
    }
    let _ = writeln!(text, "{indent}with({entry}, &[");
    for (name, facts) in &facts.subcommands {
        command(text, depth + 1, name, facts);
    }
    let _ = writeln!(text, "{indent}]),");
}

fn key_spec(keys: &Keys) -> String {
    let find = match &keys.find {
        (Find::Range, [0, 1, 0]) if matches!(keys.begin, Begin::Index(_)) => None,
        (Find::Range, [last, step, limit]) => Some(format!("range({last}, {step}, {limit})")),
        (Find::Count, [at, first, step]) => Some(format!("count({at}, {first}, {step})")),
    };
    match (&keys.begin, find) {
        (Begin::Index(index), None) => format!("one({index})"),
        (Begin::Index(index), Some(find)) => format!("at({index}, {find})"),
        (Begin::Filled(index), find) => format!("filled({index}, {})", find.unwrap_or_default()),
        (Begin::Keyword(word, from), find) => {
            format!("word(\"{word}\", {from}, {})", find.unwrap_or_default())
        }
    }
}

/// A policy's name as an enum's variant: `all_shards` becomes `AllShards`, `slot:2` `Slot(2)`.
fn variant(policy: Option<&str>) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        first.to_uppercase() + rest
    };
    let policy = policy.unwrap_or("default");
    if let Some((name, position)) = policy.split_once(':') {
        return format!("{}({position})", capital(name));
    }
    policy.split('_').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as they stand in the table.
    #[test]
    fn renders_a_line_for_each_command() {
        let one = Keys { begin: Begin::Index(1), find: (Find::Range, [0, 1, 0]) };
        let streams =
            Keys { begin: Begin::Keyword("STREAMS".into(), 1), find: (Find::Range, [-1, 1, 2]) };
        let counted = Keys { begin: Begin::Index(2), find: (Find::Count, [0, 1, 1]) };
        let facts = |flags: &[&str], keys: &[&Keys], request: Option<&str>| Facts {
            flags: flags.iter().map(|&f| f.to_owned()).collect(),
            keys: keys.iter().map(|&k| k.clone()).collect(),
            request: request.map(str::to_owned),
            ..Facts::default()
        };
        let table = [
            ("GET", facts(&["readonly"], &[&one], None), "c(\"GET\", R, &[one(1)]),"),
            (
                "XREAD",
                facts(&["readonly", "blocking"], &[&streams], None),
                "c(\"XREAD\", R|B, &[word(\"STREAMS\", 1, range(-1, 1, 2))]),",
            ),
            ("EVAL", facts(&[], &[&counted], None), "c(\"EVAL\", 0, &[at(2, count(0, 1, 1))]),"),
            (
                "KEYS",
                facts(&["readonly"], &[], Some("all_shards")),
                "p(\"KEYS\", R, &[], Ask::AllShards, Fold::Default),",
            ),
            (
                "COUNTKEYSINSLOT",
                facts(&[], &[], Some("slot:2")),
                "p(\"COUNTKEYSINSLOT\", 0, &[], Ask::Slot(2), Fold::Default),",
            ),
        ];
        for (name, facts, expected) in table {
            let mut text = String::new();
            command(&mut text, 0, name, &facts);
            assert_eq!(text.trim_end(), expected);
        }
    }
}
