//! `cargo xtask test [ARGUMENTS]`: fetches what the tests need, then runs them all.
//!
//! `ARGUMENTS` go to `cargo test` as they are. A server version that could not be fetched fails the
//! tests that ask for it; see `servers`. The components that tests run are built before, with their
//! host; see `wasi`.
//!
//! A test that fails is run once more, alone, to say which kind of failure it is: `flaky` (failed
//! beside others, passed alone) or `failed twice`. The second run turns nothing green. Limit: when
//! more than [`AGAIN_MAX`] tests fail, none runs again.
//! **Invariants**: every failure fails the command, but for a flaky test that stands in
//! `test/known_flaky.txt`; the output ends with `N passed, M failed`.

mod flaky;
mod report;
mod verdict;

use crate::{Outcome, servers, wasi};
use report::{Report, Target};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::Command;
use verdict::{Second, Verdict};

/// Tests at a time: most wait for servers to notice a fault, not for the processor.
const THREADS: &str = "6";

/// Failures that run again. With more than these, something else is wrong than chance.
const AGAIN_MAX: usize = 30;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let known = flaky::parse(flaky::LIST, flaky::today())?;
    servers::run(&[])?;
    let environment = wasi::environment()?;
    let mut command = all();
    command.arg("--no-fail-fast").args(arguments).envs(environment.clone());
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", THREADS);
    }
    let (succeeded, output) = run_and_listen(&mut command)?;
    let report = Report::of(&output);
    let to_run_again = 1..=AGAIN_MAX;
    if succeeded || !to_run_again.contains(&report.failures()) || !arguments.is_empty() {
        let failed = if succeeded { 0 } else { report.failures().max(1) };
        return summary(report.passed, failed);
    }
    let mut verdicts = Vec::new();
    for (target, names) in &report.failed {
        println!("\n== {target}: the tests that failed run again, alone");
        let output = again(target, names, &environment)?;
        let verdict = |name: &String| Verdict::of(target, name, Second::of(name, &output), &known);
        verdicts.extend(names.iter().map(verdict));
        if names.is_empty() {
            verdicts.push(Verdict::without_test(target));
        }
    }
    println!("\n== what failed");
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let failed = verdicts.iter().filter(|verdict| verdict.fails()).count();
    summary(report.passed + (verdicts.len() - failed), failed)
}

/// Prints the line that ends the output; an error if there was a failure.
fn summary(passed: usize, failed: usize) -> Outcome {
    let line = format!("{passed} passed, {failed} failed");
    println!("{line}");
    if failed == 0 { Ok(()) } else { Err(format!("tests: {line}")) }
}

/// `cargo test` with all that a change must pass. Other commands that need a part of what it
/// builds take it from here, so that no crate is built twice.
pub(crate) fn all() -> Command {
    let mut command = crate::cargo();
    command.args(["test", "--workspace", "--all-features"]);
    command
}

/// Runs these tests of a target once more, one at a time; returns the output.
fn again(
    target: &Target,
    names: &BTreeSet<String>,
    environment: &[(&'static str, OsString)],
) -> Outcome<String> {
    if names.is_empty() {
        return Ok(String::new());
    }
    let mut command = all();
    // Not `--package`: the dependencies would be built anew with the features of this one alone.
    command.arg("--no-fail-fast").args(&target.choice);
    command.args(["--", "--exact", "--test-threads=1"]).args(names);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Ok(run_and_listen(&mut command)?.1)
}

/// Runs a program to its end with its output shown; returns whether it succeeded, and the output.
/// Both streams share one pipe, since the order of their lines says which target a line is about.
fn run_and_listen(command: &mut Command) -> Outcome<(bool, String)> {
    let (reader, writer) = io::pipe().map_err(|e| format!("a pipe for cargo: {e}"))?;
    let second = writer.try_clone().map_err(|e| format!("a pipe for cargo: {e}"))?;
    let mut child =
        command.stdout(writer).stderr(second).spawn().map_err(|e| format!("cargo: {e}"))?;
    // The command holds the writing ends; the output ends only when these are closed, too.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let output = echo(reader, io::stdout());
    let status = child.wait().map_err(|e| format!("cargo: {e}"))?;
    Ok((status.success(), output))
}

/// Passes every line on, and keeps it.
fn echo(from: impl Read, mut to: impl Write) -> String {
    let mut kept = String::new();
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // A closed output does not stop the tests.
        let _ = to.write_all(&line);
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    kept
}
