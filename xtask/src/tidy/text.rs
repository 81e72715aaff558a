//! Rules on the text of a file: its name, header, length, width and words.
//!
//! Limits: 500 lines a file, 100 characters a line; two lines of header at least, or one for a test
//! module. A line that holds a URL may be longer, since it cannot be broken; a generated file may
//! be as wide as it likes.

use super::Complaint;
use super::sources::Source;
use super::words::holds_word;

const LINES_MAX: usize = 500;
/// Of a line, comments included; `wrap` keeps to it too.
pub(super) const WIDTH_MAX: usize = 100;

/// Names of files and folders that say nothing about what is in them.
const VAGUE_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "shared", "util", "utils"];

/// The beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["/home/", "/root/", "/Users/", "/work/", "C:\\Users"];

/// Marks of unfinished work; each needs a link to its issue.
const PROMISES: &[&str] = &["TODO", "FIXME", "XXX"];

pub(super) fn check(source: &Source, is_test: bool) -> Vec<Complaint> {
    let header_min = if is_test { 1 } else { 2 };
    let mut found = Vec::new();
    let mut complain = |line, text: String| found.push(Complaint::new(source, line, text));
    let is_rust = source.ast.is_some();
    // The rules have to name what they forbid.
    let is_rule = source.path.starts_with("xtask/src/tidy");

    let names = source.path.iter().filter_map(|part| part.to_str()?.split('.').next());
    for name in names.filter(|name| VAGUE_NAMES.contains(name)) {
        complain(0, format!("the name `{name}` says nothing: what is the file or folder for?"));
    }
    let count = source.text.lines().count();
    if is_rust && count > LINES_MAX {
        complain(0, format!("{count} lines; at most {LINES_MAX}: does it do two things?"));
    }
    let header = source.text.lines().take_while(|l| l.starts_with("//!"));
    if is_rust && header.filter(|l| l.len() > "//! ".len()).count() < header_min {
        complain(
            1,
            format!("begin with a `//!` header of {header_min} lines or more: what is it for?"),
        );
    }
    if let Some(line) = called_by(&source.text).filter(|_| !is_rule) {
        let text = "\"Called by\" goes stale: drop it, or say \"Tested by PATH\" if that was meant";
        complain(line, text.to_owned());
    }
    for (at, line) in source.text.lines().enumerate() {
        let width = line.chars().count();
        if is_rust && width > WIDTH_MAX && !line.contains("://") && !source.is_generated() {
            complain(at + 1, format!("{width} characters wide; at most {WIDTH_MAX}"));
        }
        if is_rule {
            continue;
        }
        if let Some(start) = MACHINE_PATHS.iter().find(|p| holds_path(line, p)) {
            complain(at + 1, format!("`{start}..` is a path of one machine"));
        }
        let promise = PROMISES.iter().find(|p| holds_word(line, p));
        if let Some(promise) = promise.filter(|_| !line.contains("https://")) {
            complain(at + 1, format!("{promise} without a link to its issue"));
        }
    }
    found
}

/// The line of the header that says who calls the file, which nobody keeps up to date.
fn called_by(text: &str) -> Option<usize> {
    let header = text.lines().map_while(|line| line.strip_prefix("//!"));
    // The words may stand on two lines.
    let mut before = "";
    for (at, line) in header.map(str::trim).enumerate() {
        if line.contains("Called by") || (before.ends_with("Called") && line.starts_with("by ")) {
            return Some(at + 1);
        }
        before = line;
    }
    None
}

/// Whether a path that starts with `start` is in `line`: not as the tail of a longer one or a URL.
fn holds_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || ".-_~}$/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<(usize, String)> {
        let source = Source::new(path, text.to_owned()).expect("parses");
        check(&source, path.ends_with("tests.rs")).into_iter().map(|c| (c.line, c.text)).collect()
    }

    #[test]
    fn each_rule_has_a_text_that_breaks_it() {
        let good = "//! One thing.\n//! And no other.\n";
        let wide = format!("{good}// {}\n", "x".repeat(98));
        let long = format!("{good}{}", "\n".repeat(499));
        let table: &[(&str, &str, &[usize])] = &[
            ("core/src/a.rs", good, &[]),
            ("core/src/utils.rs", good, &[0]),
            ("core/src/shared/a.rs", good, &[0]),
            ("core/src/misc/helpers.rs", good, &[0, 0]),
            ("core/src/shared_map.rs", good, &[]),
            ("core/src/a.rs", "//! One line is not enough.\n", &[1]),
            ("core/src/a.rs", "//!\n//!\n", &[1]),
            ("core/src/a.rs", "//! One thing.\n//! Called by `b` and `c`.\n", &[2]),
            ("core/src/a.rs", "//! One thing. Called\n//! by `b`.\n", &[2]),
            ("core/src/a.rs", &format!("{good}/// Called by `b`.\nfn f() {{}}"), &[]),
            ("core/src/a/tests.rs", "//! One line is enough for tests.\n", &[]),
            ("core/src/a.rs", &wide, &[3]),
            ("a.md", &wide, &[]),
            ("core/src/a.rs", &format!("{wide}// https://example.org/\n"), &[3]),
            ("core/src/a.rs", &long, &[0]),
            ("a.md", "see /home/ada/notes", &[1]),
            ("a.md", "see https://example.org/home/ada and ~/home/x", &[]),
            ("a.md", "TODO: later", &[1]),
            ("a.md", "TODO: https://example.org/1; TODOS", &[]),
        ];
        for (path, text, lines) in table {
            let found: Vec<usize> = complaints(path, text).into_iter().map(|c| c.0).collect();
            assert_eq!(&found, lines, "{path}: {text}");
        }
    }
}
