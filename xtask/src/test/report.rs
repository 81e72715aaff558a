//! What the output of `cargo test` says: how many tests passed, and which failed in which target.
//!
//! Cargo names a target after its tests have failed: "error: test failed, to rerun pass `-p
//! slotcar-tests --test cluster`". What stands before that line belongs to this target. A test may
//! print the output of another test run, so only the last list of a target counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A file of tests, or the unit tests or doc tests of a package.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// The package.
    pub(super) package: String,
    /// What chooses the target within the package, such as `--test cluster` or `--lib`.
    pub(super) choice: Vec<String>,
}

impl Target {
    /// From the words that cargo says to pass, without the quotes.
    fn parse(words: &str) -> Option<Self> {
        let mut words = words.split(' ').map(str::to_owned);
        if words.next()? != "-p" {
            return None;
        }
        Some(Self { package: words.next()?, choice: words.collect() })
    }
}

/// `slotcar-tests/cluster`, or `slotcar-core/lib` for unit tests.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.choice.last().map_or("", |word| word.trim_start_matches('-'));
        write!(f, "{}/{name}", self.package)
    }
}

/// The outcome of a run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    /// Tests that passed.
    pub(super) passed: usize,
    /// Targets that failed, with their tests that did. No test stands here when the target ended
    /// otherwise, as by an abort.
    pub(super) failed: BTreeMap<Target, BTreeSet<String>>,
}

impl Report {
    /// From all that cargo and the tests wrote, in order.
    pub(super) fn of(output: &str) -> Self {
        let mut report = Self::default();
        let (mut names, mut passed, mut listing) = (BTreeSet::new(), 0, false);
        for line in output.lines() {
            if let Some(name) = line.strip_prefix("    ").filter(|_| listing) {
                names.insert(name.to_owned());
                continue;
            }
            listing = line == "failures:" || (listing && line.is_empty());
            if line == "failures:" {
                names.clear();
            } else if let Some(count) = passed_in(line) {
                passed = count;
            } else if line.starts_with("     Running ") || line.starts_with("   Doc-tests ") {
                report.passed += std::mem::take(&mut passed);
            } else if let Some(target) = failed_in(line) {
                report.passed += std::mem::take(&mut passed);
                report.failed.insert(target, std::mem::take(&mut names));
            }
        }
        report.passed += passed;
        report
    }

    /// How many failures there were.
    pub(super) fn failures(&self) -> usize {
        self.failed.values().map(|names| names.len().max(1)).sum()
    }
}

/// From "test result: ok. 5 passed; 0 failed; .."
fn passed_in(line: &str) -> Option<usize> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    counts.split_once(" passed;")?.0.parse().ok()
}

/// From "error: test failed, to rerun pass `-p slotcar-core --lib`", or the same of a doctest.
fn failed_in(line: &str) -> Option<Target> {
    let (what, words) = line.strip_prefix("error: ")?.split_once(" failed, to rerun pass `")?;
    (what == "test" || what == "doctest").then_some(())?;
    Target::parse(words.split_once('`')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/slotcar_core-1)
test a::fast ... ok
test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
     Running tests/cluster/main.rs (target/debug/deps/cluster-1)
test a::slow ... printed
FAILED

failures:

---- a::slow stdout ----
failures:
    inner::test

test result: FAILED. 90 passed; 1 failed; 0 ignored
thread panicked

failures:
    a::slow
    c

test result: FAILED. 1 passed; 2 failed; 0 ignored
error: test failed, to rerun pass `-p slotcar-tests --test cluster`
     Running tests/wasi/main.rs (target/debug/deps/wasi-1)
error: test failed, to rerun pass `-p slotcar-tests --test wasi`
Caused by: process didn't exit successfully
   Doc-tests slotcar
failures:
    slotcar/src/lib.rs - (line 8)

test result: FAILED. 4 passed; 1 failed; 0 ignored
error: doctest failed, to rerun pass `-p slotcar --doc`
error: 3 targets failed:
    `-p slotcar-tests --test cluster`
    `-p slotcar-tests --test wasi`
    `-p slotcar --doc`
";

    #[test]
    fn each_failure_belongs_to_its_target() {
        let report = Report::of(OUTPUT);
        assert_eq!(report.passed, 7 + 1 + 4);
        let failed: Vec<(String, Vec<&str>)> = report
            .failed
            .iter()
            .map(|(target, names)| (target.to_string(), names.iter().map(String::as_str).collect()))
            .collect();
        let expected = [
            ("slotcar/doc", vec!["slotcar/src/lib.rs - (line 8)"]),
            ("slotcar-tests/cluster", vec!["a::slow", "c"]),
            ("slotcar-tests/wasi", vec![]),
        ];
        assert_eq!(failed, expected.map(|(target, names)| (target.to_owned(), names)));
        assert_eq!(report.failures(), 4);
        let choices = report.failed.keys().map(|target| target.choice.join(" "));
        assert_eq!(choices.collect::<Vec<_>>(), ["--doc", "--test cluster", "--test wasi"]);
    }

    #[test]
    fn without_tests_there_is_nothing_to_report() {
        assert_eq!(Report::of("error: could not compile `a`\n    b\n"), Report::default());
    }
}
