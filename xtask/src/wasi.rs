//! `cargo xtask wasi [host ARGUMENTS.. | sizes]`: components, their tests and their host.
//!
//! Alone, it builds the host (tests/wasi-host) and the tests that run inside of components, and
//! runs the latter against real servers, as `cargo xtask test` does among all others. With `host`,
//! it builds the host if need be and runs it: `.cargo/config.toml` makes that the runner of
//! wasm32-wasip2, so `cargo test -p slotcar-wasi --target wasm32-wasip2` works, too. With `sizes`,
//! it weighs the smallest program of use, which connects to a server or a cluster and reads one
//! key.
//!
//! The host is a workspace of its own, with a target folder of its own, built once: it carries a
//! compiler. `SLOTCAR_WASI_HOST` names one that is built already.

use crate::process::run_to_end;
use crate::{Outcome, targets};
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where a ready host is named, for this command and for the suite of `slotcar-tests`.
const HOST: &str = "SLOTCAR_WASI_HOST";
/// Where that suite finds the components that it runs, separated as in PATH.
const GUESTS: &str = "SLOTCAR_WASI_GUESTS";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments {
        [] => {
            crate::servers::run(&[])?;
            let mut command = crate::cargo();
            command.args(["test", "--package", "slotcar-tests", "--test", "wasi"]);
            run_to_end(command.envs(environment()?))
        }
        [word, rest @ ..] if word == "host" => run_to_end(Command::new(host()?).args(rest)),
        [word] if word == "sizes" => sizes(),
        _ => Err("usage: cargo xtask wasi [host ARGUMENTS.. | sizes]".to_owned()),
    }
}

/// Profiles of a component that is shipped, and the most that the smallest program of use may weigh
/// in each, in KB of 1000 bytes. They only go down; 300 and 180 are the goal.
const BUDGETS: [(&str, u64); 2] = [("release", 1200), ("small", 700)];

fn sizes() -> Outcome {
    let mut over = Vec::new();
    for (profile, most) in BUDGETS {
        let path = small_program(profile)?;
        let bytes = std::fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
        println!("{profile:<8} {bytes:>9} bytes, of at most {most} KB");
        if bytes > most * 1000 {
            over.push(profile);
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("too large: {}", over.join(", "))) }
}

/// The component `get`, built in that profile.
fn small_program(profile: &str) -> Result<PathBuf, String> {
    let arguments = ["build", "--example", "get", "--profile", profile];
    let built = executables(crate::cargo().args(arguments))?;
    built.into_iter().next().ok_or_else(|| "cargo built no component".to_owned())
}

/// Builds the host and the components, and tells where they are: variables for `cargo test`.
pub(crate) fn environment() -> Result<[(&'static str, OsString); 2], String> {
    let guests = std::env::join_paths(guests()?).map_err(|e| format!("components: {e}"))?;
    Ok([(HOST, host()?.into()), (GUESTS, guests)])
}

/// The host's program, built unless a ready one is named.
fn host() -> Result<PathBuf, String> {
    if let Some(ready) = std::env::var_os(HOST) {
        return Ok(ready.into());
    }
    let folder = crate::root().join("tests/wasi-host");
    let target = folder.join("target");
    let program = target.join("debug/wasi-host");
    if !program.is_file() {
        println!("building the host of components, once: some minutes");
    }
    let mut command = crate::cargo();
    command.args(["build", "--quiet", "--locked", "--manifest-path"]);
    command.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(target);
    run_to_end(&mut command)?;
    Ok(program)
}

/// The tests and examples of the transport as components, one per file.
fn guests() -> Result<Vec<PathBuf>, String> {
    executables(crate::cargo().args(["test", "--no-run"]))
}

/// What a build of the transport for WASI produces.
fn executables(command: &mut Command) -> Result<Vec<PathBuf>, String> {
    targets::ensure(targets::WASI)?;
    command.args(["--package", "slotcar-wasi", "--target", targets::WASI]);
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err("slotcar-wasi does not build for wasm32-wasip2".to_owned());
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let programs = lines.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    Ok(programs.collect())
}
