//! Words that only this project would understand, and what to say instead.
//!
//! A reader who knows Redis and Rust knows "topology" and "in flight", and does not know "keeper"
//! and "seat". The list holds what has no other meaning in this repository; `hub`, `lane` and
//! `moment` are English, so they are left to the reviewer.
//! Limit: a phrase that is broken over two lines is not found.

use super::Complaint;
use super::sources::Source;

/// A word or phrase, in lower case, and the plain one.
const HOUSE_WORDS: &[(&str, &str)] = &[
    ("all is well", "say which state or result is meant"),
    ("by its own word", "say which reply says so, such as ROLE"),
    ("checkup", "health check"),
    ("checkups", "health checks"),
    ("comes by", "say which task or call it is"),
    ("errand", "request"),
    ("errands", "requests"),
    ("for ever", "forever, or without end"),
    ("goes around", "say what runs again"),
    ("in vain", "without effect"),
    ("keeper", "live topology"),
    ("keepers", "live topologies"),
    ("kin", "say which types or nodes are meant"),
    ("lessons", "command info"),
    ("linger", "wait"),
    ("lingers", "waits"),
    ("others first", "quarantined"),
    ("parcel", "payload"),
    ("parcels", "payloads"),
    ("shout", "set a flag, or report"),
    ("shouted", "set a flag, or reported"),
    ("shouts", "sets a flag, or reports"),
    ("stands for it", "say what is sent or compared in its place"),
    ("vitals", "health"),
    ("who asks", "the caller"),
    ("whoever", "the caller, or the task that"),
];

pub(super) fn check(source: &Source) -> Vec<Complaint> {
    let checked = source.path.extension().is_some_and(|e| e == "rs" || e == "md");
    // The rules have to name what they forbid.
    if !checked || source.path.starts_with("xtask/src/tidy") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        let line = line.to_lowercase();
        for (word, plain) in HOUSE_WORDS.iter().filter(|(word, _)| holds_word(&line, word)) {
            let text = format!("\"{word}\" is a word of this project alone; instead: {plain}");
            found.push(Complaint::new(source, at + 1, text));
        }
    }
    found
}

/// Whether `word` is in `line` and is no part of a longer word.
pub(super) fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(line[..at].chars().next_back()) && !joins(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn house_words_are_found_as_whole_words() {
        let table: &[(&str, &str, usize)] = &[
            ("a.md", "The keeper waits in vain.", 2),
            ("a.rs", "// Whoever waits.\nstruct Keeper;\nconst A: &str = \"for ever\";", 3),
            ("a.rs", "fn set_linger() { bookkeeper(); } // skin, kind, Wherever, SO_LINGER", 0),
            ("a.toml", "# for ever", 0),
            ("xtask/src/tidy/a.rs", "// for ever", 0),
        ];
        for (path, text, count) in table {
            let source = Source::new(path, (*text).to_owned()).expect("parses");
            assert_eq!(check(&source).len(), *count, "{path}: {text}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        assert!(HOUSE_WORDS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(HOUSE_WORDS.iter().all(|(word, _)| *word == word.to_lowercase()));
    }
}
