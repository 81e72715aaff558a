//! What a failure is, after its test ran again alone.
//!
//! **Invariant**: only a test on the list that passed alone does not fail the command.

use super::flaky::Known;
use super::report::Target;
use std::fmt;

/// How the second run of a test ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Second {
    /// It failed again.
    Failed,
    /// It passed.
    Passed,
    /// It did not run: it was not found, or its program ended before.
    Missing,
}

impl Second {
    /// From the output of the second run. Targets of the same name in two packages both ran.
    pub(super) fn of(name: &str, output: &str) -> Self {
        let start = format!("test {name} ... ");
        let mut second = Self::Missing;
        let mut current = false;
        for line in output.lines() {
            // What a test prints stands between its name and its end.
            let end = line.strip_prefix(&start);
            current = end.is_some() || (current && !line.starts_with("test "));
            match end.unwrap_or(line) {
                "FAILED" if current => return Self::Failed,
                "ok" if current => second = Self::Passed,
                _ => {}
            }
        }
        second
    }
}

/// What a failure is.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// The target and the name of the test.
    test: String,
    /// What kind of failure.
    kind: Kind,
}

/// A kind of failure.
#[derive(Debug, PartialEq)]
enum Kind {
    /// Both runs failed.
    FailedTwice,
    /// Only the first run failed.
    Flaky,
    /// The same, and the list says why.
    KnownFlaky(String),
    /// The second run says nothing.
    NotRunAgain,
    /// The target failed, but none of its tests.
    NoTest,
}

impl Verdict {
    /// Of a test that failed beside others.
    pub(super) fn of(target: &Target, name: &str, second: Second, known: &[Known]) -> Self {
        let known = known.iter().find(|known| known.is(target, name));
        let kind = match (second, known) {
            (Second::Failed, _) => Kind::FailedTwice,
            (Second::Passed, None) => Kind::Flaky,
            (Second::Passed, Some(known)) => Kind::KnownFlaky(known.reason.clone()),
            (Second::Missing, _) => Kind::NotRunAgain,
        };
        Self { test: format!("{target} {name}"), kind }
    }

    /// Of a target that failed without a test that did.
    pub(super) fn without_test(target: &Target) -> Self {
        Self { test: target.to_string(), kind: Kind::NoTest }
    }

    /// Whether it fails the command.
    pub(super) fn fails(&self) -> bool {
        !matches!(self.kind, Kind::KnownFlaky(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::FailedTwice => "failed twice",
            Kind::Flaky => "flaky: failed beside others, passed alone",
            Kind::KnownFlaky(reason) => {
                return write!(f, "known to be flaky: {}: {reason}", self.test);
            }
            Kind::NotRunAgain => "failed, and did not run again",
            Kind::NoTest => "failed without a test that did, as by an abort",
        };
        write!(f, "{kind}: {}", self.test)
    }
}

#[cfg(test)]
mod tests {
    use super::super::flaky;
    use super::super::report::Report;
    use super::*;

    #[test]
    fn the_second_run_is_read_by_name() {
        let output = "running 3 tests\ntest a ... ok\ntest b ... printed\nmore\nFAILED\n\
            test c ... printed\ntest d ... ok\ntest e ... ok\ntest e ... FAILED\n";
        let table = [
            ("a", Second::Passed),
            ("b", Second::Failed),
            ("c", Second::Missing),
            ("d", Second::Passed),
            ("e", Second::Failed),
            ("f", Second::Missing),
        ];
        for (name, expected) in table {
            assert_eq!(Second::of(name, output), expected, "{name}");
        }
    }

    #[test]
    fn only_a_known_test_that_passed_alone_is_forgiven() {
        let error = "error: test failed, to rerun pass `-p slotcar-tests --test cluster`";
        let (target, _) = Report::of(error).failed.pop_first().expect("one");
        let known = flaky::parse("slotcar-tests/cluster a | 1970-01-01 | why", 0).expect("good");
        let table = [
            ("a", Second::Passed, false, "known to be flaky: slotcar-tests/cluster a: why"),
            ("a", Second::Failed, true, "failed twice: slotcar-tests/cluster a"),
            ("a", Second::Missing, true, "failed, and did not run again"),
            ("b", Second::Passed, true, "flaky: failed beside others, passed alone"),
            ("b", Second::Failed, true, "failed twice: slotcar-tests/cluster b"),
        ];
        for (name, second, fails, text) in table {
            let verdict = Verdict::of(&target, name, second, &known);
            assert_eq!(verdict.fails(), fails, "{verdict}");
            assert!(verdict.to_string().starts_with(text), "{verdict}");
        }
        assert!(Verdict::without_test(&target).fails());
    }
}
