//! `cargo xtask js COMMAND`: the npm package `slotcar`.
//!
//! | argument | what it does |
//! |---|---|
//! | `build` | makes the package in `target/js/package` |
//! | `build lean` | makes it without fan-out, read policies and sentinel, in `target/js/lean` |
//! | `test` | builds it and runs all tests, on real hosts and against real servers |
//! | `test transport` | only those of the transport below it, of `transport-js/tests` |
//! | `test FILES..` | only these files of `js/tests`, without `.test.mjs` |
//! | `sizes` | builds both and weighs their parts |
//! | `commands` | writes the list of commands; `--check` fails if it is out of date |
//! | `bench` | builds it and measures it beside ioredis, and beside plain JavaScript in workerd |
//!
//! The package is the folder `js` without its Rust and tests, the hosts' sockets of
//! `transport-js/js`, and the module: the crate `slotcar-npm`, made smaller by `wasm-opt`.
//! `SLOTCAR_JS_BINDGEN` names a `slotcar-js-bindgen` that is built already.
//! Limits: Node and npm are needed; what the hosts need else comes from npm, at the versions of
//! `js/package-lock.json`.

mod list;
mod package;

use crate::Outcome;
use crate::process::run_to_end;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that says to the tests where the package is.
const PACKAGE: &str = "SLOTCAR_JS_PACKAGE";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["build"] => build(&package::FULL),
        ["build", "lean"] => build(&package::LEAN),
        ["test"] => test_transport().and_then(|()| test(&[])),
        ["test", "transport"] => test_transport(),
        ["test", files @ ..] => test(files),
        ["sizes"] => weigh(&[&package::FULL, &package::LEAN]),
        ["commands"] => list::write(),
        ["commands", "--check"] => list::check(),
        ["bench", rest @ ..] => bench(rest),
        _ => Err("usage: cargo xtask js \
                  [build [lean] | test [transport | FILES..] | sizes | commands [--check] | bench]"
            .to_owned()),
    }
}

/// Builds a package and says where it is.
fn build(kind: &package::Kind) -> Outcome {
    package::build(kind).map(|package| println!("{}", package.display()))
}

/// Builds packages and weighs them.
fn weigh(kinds: &[&package::Kind]) -> Outcome {
    kinds.iter().try_for_each(|kind| package::weigh(kind, &package::build(kind)?))
}

/// Runs the tests of the transport below the package, with the hosts that the package's tests use.
fn test_transport() -> Outcome {
    crate::servers::run(&[])?;
    package::install()?;
    let mut command = Command::new("node");
    command.arg(crate::root().join("transport-js/tests/run.mjs"));
    command.env("SLOTCAR_JS_BINDGEN", package::bindgen()?);
    run_to_end(with_servers(&mut command)?)
}

/// The least version of Node: major, minor.
const NODE_MIN: (u32, u32) = (20, 16);

/// Checks that Node and npm are there, before a long run needs them at its end.
pub(crate) fn check_tools() -> Outcome {
    let needed = format!(
        "Node {}.{} or newer and npm are needed for the npm package",
        NODE_MIN.0, NODE_MIN.1
    );
    for program in ["node", "npm"] {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|e| format!("{needed}; {program}: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim();
        if !output.status.success() {
            return Err(format!("{needed}; `{program} --version` failed: {}", output.status));
        }
        if program == "node" && node_version(version).is_none_or(|version| version < NODE_MIN) {
            return Err(format!("{needed}; this is {version}"));
        }
        println!("{program} {version}");
    }
    Ok(())
}

/// Major and minor of what `node --version` prints, such as `v20.20.2`.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Builds the package, weighs it, and runs all tests or those of these files.
fn test(files: &[&str]) -> Outcome {
    crate::servers::run(&[])?;
    list::check()?;
    let package = package::build(&package::FULL)?;
    package::weigh(&package::FULL, &package)?;
    let folder = crate::root().join("js/tests");
    let chosen: Vec<PathBuf> = match files {
        [] => test_files(&folder)?,
        files => files.iter().map(|name| folder.join(format!("{name}.test.mjs"))).collect(),
    };
    let mut command = Command::new("node");
    // Files that start clusters do not run beside each other: the machine may be small.
    command.args(["--test", "--test-concurrency=1", "--expose-gc"]).args(chosen);
    run_to_end(with_places(&mut command, &package)?)
}

/// Measures the package beside ioredis.
fn bench(rest: &[&str]) -> Outcome {
    crate::servers::run(&[])?;
    let package = package::build(&package::FULL)?;
    let mut command = Command::new("node");
    command.arg(crate::root().join("js/bench/bench.mjs")).args(rest);
    run_to_end(with_places(&mut command, &package)?)
}

/// Tells a program where the package and the servers are.
fn with_places<'c>(command: &'c mut Command, package: &Path) -> Result<&'c mut Command, String> {
    with_servers(command.env(PACKAGE, package))
}

/// Tells a program where the servers are.
fn with_servers(command: &mut Command) -> Result<&mut Command, String> {
    let servers = crate::servers::folder();
    let servers = servers.canonicalize().map_err(|e| format!("{}: {e}", servers.display()))?;
    Ok(command.env("SLOTCAR_SERVERS", servers))
}

/// The files of tests in this folder.
fn test_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e| format!("{}: {e}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(format!("{}: no tests", folder.display())) } else { Ok(files) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        assert_eq!(node_version("v20.16.0"), Some(NODE_MIN));
        assert!(
            node_version("v20.9.1") < Some(NODE_MIN) && node_version("v22.1.0") > Some(NODE_MIN)
        );
        assert_eq!(node_version("20"), None);
    }
}
