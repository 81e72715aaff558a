//! `cargo xtask wasi [host ARGUMENTS.. | sizes | throughput | cold | edge [PORT] | tls]`:
//! components, their tests and host.
//!
//! Alone, it builds the host (tests/wasi-host) and the tests that run inside of components, and
//! runs the latter against real servers, as `cargo xtask test` does among all others. With `host`,
//! it builds the host if need be and runs it: `.cargo/config.toml` makes that the runner of
//! wasm32-wasip2, so `cargo test -p slotcar-wasi --target wasm32-wasip2` works, too. With `sizes`,
//! it weighs the smallest program of use, which connects to a server or a cluster and reads one
//! key, and the edge function of `examples/edge`. With `edge`, it builds that function and serves
//! it, on port 8080 if none is given; `SLOTCAR_URL` says where the cluster is. With `tls`, it tests
//! a component with the feature `tls`, which needs clang and so is no part of the other tests.
//!
//! `throughput` and `cold` measure, and want an optimised host; see `wasi/figures.rs`.
//!
//! The host is a workspace of its own, with a target folder of its own, built once: it carries a
//! compiler. `SLOTCAR_WASI_HOST` names one that is built already.

mod figures;

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
        [word] if word == "throughput" => figures::throughput(),
        [word] if word == "cold" => figures::cold(),
        [word] if word == "tls" => tls(),
        [word] if word == "edge" => edge("8080"),
        [word, port] if word == "edge" => edge(port),
        _ => Err("usage: cargo xtask wasi \
                  [host ARGUMENTS.. | sizes | throughput | cold | edge [PORT] | tls]"
            .to_owned()),
    }
}

/// The transport: its tests and examples are components.
const TRANSPORT: &str = "slotcar-wasi";
/// The edge function.
const EDGE: &str = "slotcar-edge";

/// The program with all parts of the core, and with none that may be left out.
const WHOLE: &[&str] = &["--example", "get"];
/// See `WHOLE`.
const LEAN: &[&str] = &["--example", "get", "--no-default-features"];

/// Package and program, profile, and the most that the component may weigh in it, in KB of 1000
/// bytes. They only go down; the goal is 300 and 180 for `get`, and 500 for the edge function.
const BUDGETS: [(&str, &[&str], &str, u64); 6] = [
    (TRANSPORT, LEAN, "shipped", 705),
    (TRANSPORT, LEAN, "small", 522),
    (TRANSPORT, WHOLE, "shipped", 919),
    (TRANSPORT, WHOLE, "small", 650),
    (EDGE, &[], "shipped", 1303),
    (EDGE, &[], "small", 958),
];

/// Weighs what is shipped; an error names what is over its budget.
pub(crate) fn sizes() -> Outcome {
    let mut over = Vec::new();
    for (package, program, profile, most) in BUDGETS {
        let mut command = crate::cargo();
        command.args(["build", "--profile", profile]).args(program);
        let path = executable(&mut command, package)?;
        let bytes = std::fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
        let name = path.file_stem().unwrap_or_default().display().to_string();
        let parts = if program == LEAN { "lean" } else { "" };
        println!("{name:<13} {parts:<4} {profile:<8} {bytes:>9} bytes, of at most {most} KB");
        if bytes > most * 1000 {
            over.push(format!("{name} in {profile}"));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("too large: {}", over.join(", "))) }
}

/// Builds the edge function, small, and serves it; what it remembers is kept in `target`.
fn edge(port: &str) -> Outcome {
    let component = executable(crate::cargo().args(["build", "--profile", "small"]), EDGE)?;
    let state = crate::root().join("target/edge-state");
    std::fs::create_dir_all(&state).map_err(|e| format!("{}: {e}", state.display()))?;
    let mut command = Command::new(host()?);
    command.args(["serve", port]).arg(component).env("WASI_HOST_STATE", state);
    run_to_end(&mut command)
}

/// Tests TLS inside of a component.
fn tls() -> Outcome {
    crate::servers::run(&[])?;
    let mut build = crate::cargo();
    build.args(["test", "--no-run", "--features", "tls", "--test", "tls"]);
    let component = executable(&mut build, TRANSPORT).map_err(|error| {
        format!(
            "{error}: clang builds its cryptography; is it there, or named by CC_wasm32_wasip2?"
        )
    })?;
    let mut command = crate::cargo();
    command.args(["test", "--package", "slotcar-tests", "--test", "wasi", "--", "tls::"]);
    command.arg("--nocapture").env("SLOTCAR_WASI_TLS", "1");
    run_to_end(command.env(HOST, host()?).env(GUESTS, component))
}

/// The one component that a build of `package` makes.
fn executable(command: &mut Command, package: &str) -> Result<PathBuf, String> {
    let built = executables(command, package)?;
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
    host_of("dev")
}

/// The host's program, built with this profile.
fn host_of(profile: &str) -> Result<PathBuf, String> {
    let folder = crate::root().join("tests/wasi-host");
    let target = folder.join("target");
    let place = if profile == "dev" { "debug" } else { profile };
    let program = target.join(place).join("wasi-host");
    if !program.is_file() {
        println!("building the host of components, once: some minutes");
    }
    let mut command = crate::cargo();
    command.args(["build", "--quiet", "--locked", "--profile", profile, "--manifest-path"]);
    command.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(target);
    run_to_end(&mut command)?;
    Ok(program)
}

/// The tests and examples of the transport as components, one per file, and the edge function.
fn guests() -> Result<Vec<PathBuf>, String> {
    let mut guests = executables(crate::cargo().args(["test", "--no-run"]), TRANSPORT)?;
    guests.push(executable(crate::cargo().arg("build"), EDGE)?);
    Ok(guests)
}

/// What a build of a package for WASI produces.
fn executables(command: &mut Command, package: &str) -> Result<Vec<PathBuf>, String> {
    targets::ensure(targets::WASI)?;
    command.args(["--package", package, "--target", targets::WASI]);
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!("{package} does not build for wasm32-wasip2"));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let programs = lines.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    Ok(programs.collect())
}
