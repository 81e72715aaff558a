//! `cargo xtask wasi [host ARGUMENTS.. | sizes | throughput | cold | edge [PORT] | tls]`: builds,
//! tests and measures WebAssembly components.
//!
//! | argument | what it does |
//! |---|---|
//! | none | builds the host and the tests that run inside of components, and runs these tests |
//! | `host` | runs the host; `.cargo/config.toml` makes it the runner of wasm32-wasip2 |
//! | `sizes` | weighs the smallest useful program, and the edge function of `examples/edge` |
//! | `edge` | serves the edge function, on port 8080 by default; `SLOTCAR_URL` is the cluster |
//! | `tls` | tests the feature `tls`; needs clang, so the other tests leave it out |
//! | `throughput`, `cold` | measure, with an optimised host; see `wasi/figures.rs` |
//!
//! The host (`tests/wasi-host`) is a workspace of its own with a target folder of its own. It is
//! built once, since it contains a compiler. `SLOTCAR_WASI_HOST` names one that is built already.

mod figures;

use crate::process::{build_apart, run_to_end};
use crate::{Outcome, targets};
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The folder of the host.
const HOST_FOLDER: &str = "tests/wasi-host";
/// The variable that holds the path of the host, for this command and for the tests.
const HOST: &str = "SLOTCAR_WASI_HOST";
/// The variable that holds the paths of the components that the tests run, separated as in PATH.
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

/// The crate that users depend on: its examples are components.
const DOOR: &str = "slotcar";
/// The transport: its tests are components.
const TRANSPORT: &str = "slotcar-wasi";
/// The edge function.
const EDGE: &str = "slotcar-edge";

/// The program with the door's default features.
const WHOLE: &[&str] = &["--example", "get"];
/// With clusters only.
const LEAN: &[&str] = &["--example", "get", "--no-default-features", "--features", "cluster"];
/// With none.
const BARE: &[&str] = &["--example", "get", "--no-default-features"];

/// What a component is shipped with beside its profile: the linker writes each offset in as few
/// bytes as it needs. It cannot do that while debug information is kept, so other builds go
/// without.
const SHIPPED_WITH: (&str, &str) =
    ("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", "-Clink-arg=--compress-relocations");

/// Package and program, profile, and the size limit of the component in that profile, in KB of 1000
/// bytes. What keeps a call from a wrong reply and from a second execution took a sixth of the room
/// in the lean program. What lets a client do without all that a server refuses, and without what
/// it cannot read of a topology, took another twenty-fifth. So did these three together: one rule
/// of decoding for each shape of reply, lists that are searched instead of walked, and keyspace
/// events from every primary. A limit of connections, and an end of all that a client holds when it
/// is closed, took a fortieth. A limit goes up for nothing else. The goal is 300 and 180 for `get`,
/// and 500 for the edge function.
const BUDGETS: [(&str, &[&str], &str, u64); 8] = [
    (DOOR, BARE, "shipped", 604),
    (DOOR, BARE, "small", 448),
    (DOOR, LEAN, "shipped", 845),
    (DOOR, LEAN, "small", 595),
    (DOOR, WHOLE, "shipped", 1084),
    (DOOR, WHOLE, "small", 740),
    (EDGE, &[], "shipped", 1488),
    (EDGE, &[], "small", 1048),
];

/// Builds and weighs the components; the error names those that exceed their limit.
pub(crate) fn sizes() -> Outcome {
    let mut over = Vec::new();
    for (package, program, profile, most) in BUDGETS {
        let mut command = shipped(profile);
        let path = executable(command.args(program), package)?;
        let bytes = std::fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
        let name = path.file_stem().unwrap_or_default().display().to_string();
        let parts = match program {
            BARE => "bare",
            LEAN => "lean",
            _ => "",
        };
        println!("{name:<13} {parts:<4} {profile:<8} {bytes:>9} bytes, of at most {most} KB");
        if bytes > most * 1000 {
            over.push(format!("{name} in {profile}"));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("too large: {}", over.join(", "))) }
}

/// A build of a component as it is shipped, with this profile.
fn shipped(profile: &str) -> Command {
    let mut command = crate::cargo();
    command.args(["build", "--profile", profile]).env(SHIPPED_WITH.0, SHIPPED_WITH.1);
    command
}

/// Builds the edge function with the profile `small` and serves it. Its state is kept in `target`.
fn edge(port: &str) -> Outcome {
    let component = executable(&mut shipped("small"), EDGE)?;
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
            "{error}: clang builds the cryptography; install it, or name one in CC_wasm32_wasip2"
        )
    })?;
    let mut command = crate::cargo();
    command.args(["test", "--package", "slotcar-tests", "--test", "wasi", "--", "tls::"]);
    command.arg("--nocapture").env("SLOTCAR_WASI_TLS", "1");
    run_to_end(command.env(HOST, host()?).env(GUESTS, component))
}

/// The one component that a build of `package` makes.
fn executable(command: &mut Command, package: &str) -> Result<PathBuf, String> {
    let built = executables(command, &[package])?;
    built.into_iter().next().ok_or_else(|| format!("cargo built no component of {package}"))
}

/// Builds the host and the components, and returns the variables that tell `cargo test` where they
/// are.
pub(crate) fn environment() -> Result<[(&'static str, OsString); 2], String> {
    let guests = std::env::join_paths(guests()?).map_err(|e| format!("components: {e}"))?;
    Ok([(HOST, host()?.into()), (GUESTS, guests)])
}

/// The path of the host, which is built unless `SLOTCAR_WASI_HOST` names one.
fn host() -> Result<PathBuf, String> {
    if let Some(ready) = std::env::var_os(HOST) {
        return Ok(ready.into());
    }
    host_of("dev")
}

/// The path of the host, built with this profile.
fn host_of(profile: &str) -> Result<PathBuf, String> {
    let place = if profile == "dev" { "debug" } else { profile };
    let program = crate::root().join(HOST_FOLDER).join("target").join(place).join("wasi-host");
    if !program.is_file() {
        println!("building the host of components: some minutes, once");
    }
    run_to_end(crate::cargo().args(build_apart(HOST_FOLDER, profile)))?;
    Ok(program)
}

/// Begins to build the host, at a low priority and without a word. It is an optimisation only:
/// [`environment`] builds what is missing, and shows why it fails. At the lowest priority it would
/// never end beside other builds.
pub(crate) fn build_host_in_background() -> HostBuild {
    if std::env::var_os(HOST).is_some() {
        return HostBuild(None);
    }
    let mut command = Command::new("nice");
    command.args(["-n", "5"]).arg(crate::cargo().get_program());
    command.args(build_apart(HOST_FOLDER, "dev")).current_dir(crate::root());
    HostBuild(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok())
}

/// A build of the host in the background; it ends when this is dropped.
pub(crate) struct HostBuild(Option<Child>);

impl HostBuild {
    /// Waits for its end.
    pub(crate) fn wait(mut self) {
        if let Some(mut build) = self.0.take() {
            let _ = build.wait();
        }
    }
}

impl Drop for HostBuild {
    fn drop(&mut self) {
        if let Some(build) = &mut self.0 {
            // An error means that it has ended.
            let _ = build.kill();
            let _ = build.wait();
        }
    }
}

/// The tests of the transport, one component per file, and the programs that the tests serve.
///
/// All in one build and with the profile of the tests, so that each dependency is compiled once.
fn guests() -> Result<Vec<PathBuf>, String> {
    let mut command = crate::cargo();
    command.args(["build", "--profile", "test", "--no-default-features"]);
    command.args(["--tests", "--examples", "--bins"]);
    executables(&mut command, &[TRANSPORT, DOOR, EDGE])
}

/// The components that a build of these packages makes.
fn executables(command: &mut Command, packages: &[&str]) -> Result<Vec<PathBuf>, String> {
    targets::ensure(targets::WASI)?;
    command.args(["--target", targets::WASI]);
    for package in packages {
        command.args(["--package", package]);
    }
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!("{} does not build for {}", packages.join(", "), targets::WASI));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let programs = lines.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    Ok(programs.collect())
}
