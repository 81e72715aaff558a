//! `cargo xtask tidy [--wrap]`: what a reviewer should not have to say.
//!
//! A file per kind of rule; each returns complaints, and all of them are printed at once, sorted by
//! place:
//!
//! - `text`: a header that does not say who calls the file, at most 500 lines of at most 100
//!   characters, no vague names, no path of one machine, no promise without a link;
//! - `words`: no words of this project alone;
//! - `modules`: every file is compiled by somebody;
//! - `imports`, `levels`: imports only from files that stand higher in `tidy/levels.txt`, folders
//!   that are one unit, no effects in the pure levels;
//! - `items`: a line of doc for every field, no vague type names;
//! - `error_codes`: one file compares the error codes of servers.
//!
//! With `--wrap`, comments that are too wide are broken first (`wrap`).
//!
//! Reads the files that git knows or would add, so an ignored folder is never looked at.

mod error_codes;
mod imports;
mod items;
mod levels;
mod modules;
mod sources;
mod text;
mod words;
mod wrap;

use crate::Outcome;
use sources::Source;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    /// The file, from the workspace's root.
    path: PathBuf,
    /// Counted from 1; 0 when the whole file is meant.
    line: usize,
    /// What is wrong, and what to do instead.
    text: String,
}

impl Complaint {
    fn new(source: &Source, line: usize, text: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, text: text.into() }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments {
        [] => {}
        [flag] if flag == "--wrap" => wrap::run(&sources::read()?)?,
        _ => return Err("usage: cargo xtask tidy [--wrap]".to_owned()),
    }
    let sources = sources::read()?;
    let mut complaints = BTreeSet::new();
    let crates = modules::crates(&sources, &mut complaints);
    let tests = modules::test_files(&crates);
    complaints.extend(sources.iter().flat_map(|s| text::check(s, tests.contains(&s.path))));
    complaints.extend(sources.iter().flat_map(words::check));
    complaints.extend(crates.iter().flat_map(items::check));
    complaints.extend(crates.iter().flat_map(error_codes::check));
    for section in levels::parse(levels::LEVELS)? {
        let members = crates.iter().filter(|c| c.folder == section.folder);
        for member in members {
            complaints.extend(levels::check(&section, member));
        }
    }
    for Complaint { path, line, text } in &complaints {
        println!("{}:{line}: {text}", path.display());
    }
    match complaints.len() {
        0 => {
            println!("{} files are tidy", sources.len());
            Ok(())
        }
        1 => Err("1 complaint".to_owned()),
        count => Err(format!("{count} complaints")),
    }
}
