//! `cargo xtask test [ARGUMENTS]`: fetches what the tests need, then runs them all.
//!
//! `ARGUMENTS` go to `cargo test` as they are. A server version that could not be fetched fails the
//! tests that ask for it; see `servers`. The tests that run inside of components are built before,
//! with their host; see `wasi`.
//!
//! Dozens of real servers, killed, paused and moved at the same time, can keep a small machine
//! busier than a test's bounds allow for. What failed beside others is run once more by itself, and
//! named: it is to be looked into, but it is the second run that counts. **Invariants**: a test
//! that fails alone fails the command, and so does whatever is no failed test; a summary of tests
//! is what ends the output.

use crate::process::run_to_end;
use crate::{Outcome, servers, wasi};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

/// Tests at a time: most wait for servers to notice a fault, not for the processor.
const THREADS: &str = "6";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    servers::run(&[])?;
    let environment = wasi::environment()?;
    let mut command = tests(&environment);
    command.arg("--no-fail-fast").args(arguments);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", THREADS);
    }
    let (succeeded, told) = run_and_listen(&mut command)?;
    if succeeded {
        return Ok(());
    }
    let (names, targets) = (failed_tests(&told), failed_targets(&told));
    if names.is_empty() || targets.is_empty() || !arguments.is_empty() {
        return Err("tests failed".to_owned());
    }
    println!("\n== failed beside others, and run again alone: {}", join(&names));
    for target in targets {
        let mut command = tests(&environment);
        command.args(target).args(["--", "--exact", "--test-threads=1"]).args(&names);
        run_to_end(&mut command)?;
    }
    // A target of the same name in another package may have ended the output with no test at all.
    println!("{} passed, 0 failed", names.len());
    Ok(())
}

fn tests(environment: &[(&'static str, OsString)]) -> Command {
    let mut command = crate::cargo();
    command.args(["test", "--workspace", "--all-features"]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs a program to its end with its output shown; returns whether it succeeded, and the output.
fn run_and_listen(command: &mut Command) -> Outcome<(bool, String)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cargo: {e}"))?;
    let out = child.stdout.take().map(|pipe| thread::spawn(|| echo(pipe, io::stdout())));
    let err = child.stderr.take().map(|pipe| thread::spawn(|| echo(pipe, io::stderr())));
    let status = child.wait().map_err(|e| format!("cargo: {e}"))?;
    let texts = [out, err].into_iter().flatten().map(|thread| thread.join().unwrap_or_default());
    Ok((status.success(), texts.collect()))
}

/// Passes every line on, and keeps it.
fn echo(from: impl Read, mut to: impl Write) -> String {
    let mut kept = String::new();
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // Nobody may be reading; the tests are what counts.
        let _ = to.write_all(&line);
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    kept
}

/// From the lines `test NAME ... FAILED`, and from those that end otherwise when a test printed
/// something, the list under `failures:`.
fn failed_tests(told: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut listing = false;
    for line in told.lines() {
        match line.strip_prefix("    ") {
            Some(name) if listing && !name.contains([' ', '`']) => {
                names.insert(name.to_owned());
            }
            _ => listing = line == "failures:" || (listing && line.is_empty()),
        }
    }
    names
}

/// From the lines that end a run: "    `-p slotcar-tests --test cluster`". The package is left out,
/// or its dependencies would be built anew for it alone.
fn failed_targets(told: &str) -> BTreeSet<Vec<String>> {
    let quoted = |line: &str| {
        let words = line.strip_prefix("    `-p ")?.strip_suffix('`')?;
        let words: Vec<String> = words.split(' ').skip(1).map(str::to_owned).collect();
        (!words.is_empty()).then_some(words)
    };
    told.lines().filter_map(quoted).collect()
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "\
test a::slow ... printed
FAILED
test b ... ok

failures:

---- a::slow stdout ----
    thread panicked
failures:
    a::slow
    c

test result: FAILED. 1 passed; 2 failed

error: test failed, to rerun pass `-p slotcar-tests --test cluster`
error: 2 targets failed:
    `-p slotcar-tests --test cluster`
    `-p slotcar --lib`
";

    #[test]
    fn what_failed_is_read_from_the_end_of_a_run() {
        let names = failed_tests(TOLD);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a::slow", "c"]);
        let targets: Vec<Vec<String>> = failed_targets(TOLD).into_iter().collect();
        assert_eq!(targets, [vec!["--lib".to_owned()], vec!["--test".into(), "cluster".into()]]);
        assert!(failed_tests("error: could not compile").is_empty());
    }
}
