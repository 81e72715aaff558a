//! The parts of `docs/simulator.md` that the tests of `beside_redis.rs` write and check, between
//! `<!-- NAME: begin ... -->` and `<!-- NAME: end -->`.
//!
//! Used by the tests of `beside_redis.rs`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

/// Columns of a line of the page.
const COLUMNS: usize = 100;

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator.md"))
}

fn read() -> String {
    std::fs::read_to_string(path()).expect("docs/simulator.md can be read")
}

/// Where a part stands in the page.
fn place(page: &str, name: &str) -> Range<usize> {
    let begin = page.find(&format!("<!-- {name}: begin")).expect("the part begins");
    let begin = begin + page[begin..].find("-->\n").expect("the mark ends") + 4;
    let len = page[begin..].find(&format!("<!-- {name}: end")).expect("the part ends");
    begin..begin + len
}

/// Compares a part of the page. `SLOTCAR_BLESS=1` writes it.
pub(crate) fn expect(name: &str, expected: &str) {
    let mut page = read();
    let part = place(&page, name);
    if page[part.clone()] != *expected && std::env::var_os("SLOTCAR_BLESS").is_some() {
        page.replace_range(part, expected);
        std::fs::write(path(), page).expect("docs/simulator.md can be written");
        return;
    }
    assert_eq!(&page[part], expected, "run the tests of `beside_redis` with SLOTCAR_BLESS=1");
}

/// Commands as a list: those without sub-commands first, then a line for each container.
pub(crate) fn commands(names: &BTreeSet<String>) -> String {
    let upper = |name: &str| format!("`{}`", name.to_ascii_uppercase());
    let containers: BTreeSet<&str> =
        names.iter().filter_map(|name| name.split_once('|')).map(|(c, _)| c).collect();
    let plain = names.iter().filter(|name| !name.contains('|') && !containers.contains(&***name));
    let plain: Vec<String> = plain.map(|name| upper(name)).collect();
    let mut text = wrapped("", &plain);
    for container in containers {
        let own = names.iter().filter_map(|name| name.strip_prefix(container)?.strip_prefix('|'));
        let own: Vec<String> = own.map(upper).collect();
        text.push_str(&wrapped(&format!("- {}: ", upper(container)), &own));
    }
    text
}

/// Fields of INFO, a line for each section.
pub(crate) fn fields(names: &BTreeSet<String>) -> String {
    let sections: BTreeSet<&str> =
        names.iter().filter_map(|name| name.split_once('|')).map(|(section, _)| section).collect();
    let line = |section: &str| {
        let own = names.iter().filter_map(|name| name.strip_prefix(section)?.strip_prefix('|'));
        let own: Vec<String> = own.map(|name| format!("`{name}`")).collect();
        wrapped(&format!("- {section}: "), &own)
    };
    sections.into_iter().map(line).collect()
}

fn wrapped(start: &str, words: &[String]) -> String {
    let (mut text, mut line) = (String::new(), start.to_owned());
    for (at, word) in words.iter().enumerate() {
        let comma = if at + 1 < words.len() { "," } else { "" };
        if line.len() + word.len() + comma.len() > COLUMNS {
            text.push_str(line.trim_end());
            text.push('\n');
            line = if start.is_empty() { String::new() } else { "  ".to_owned() };
        }
        line.push_str(&format!("{word}{comma} "));
    }
    text.push_str(line.trim_end());
    text.push('\n');
    text
}

/// The commands that a part of the page lists, sub-commands as `CONTAINER|NAME`.
pub(crate) fn listed(name: &str) -> Vec<String> {
    let page = read();
    let mut container = None;
    let mut found = Vec::new();
    for line in page[place(&page, name)].lines() {
        let (head, words) = match line.strip_prefix("- ").and_then(|line| line.split_once(": ")) {
            Some((head, words)) => (Some(head), words),
            None => (None, line),
        };
        if let Some(head) = head {
            container = Some(head.trim_matches('`').to_owned());
        }
        for word in words.split(',').map(|word| word.trim().trim_matches('`')) {
            match &container {
                _ if word.is_empty() => {}
                Some(container) => found.push(format!("{container}|{word}")),
                None => found.push(word.to_owned()),
            }
        }
    }
    found
}
