//! `cargo xtask ci`: everything that a change must pass, on a server as on a desk.
//!
//! The steps that fail soonest come first, and the first failure ends the run. The tests come last,
//! so that their summary ends the output.
//!
//! What costs processor time is shared: the examples are those that `cargo test` builds, and the
//! host of components is built in the background, on the cores that the steps leave idle.

mod dependencies;

use crate::process::run_to_end;
use crate::{Outcome, targets, wasi};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A step's name and what it does.
type Step = (&'static str, fn() -> Outcome);

const STEPS: &[Step] = &[
    ("format", format),
    ("tidy", || crate::tidy::run(&[])),
    ("dependencies", dependencies::check),
    ("node", crate::js::check_tools),
    ("clippy", clippy),
    ("features", features),
    ("wasm", wasm),
    ("sizes", wasi::sizes),
    ("documentation", documentation),
    ("servers", || crate::servers::run(&[])),
    ("examples", examples),
    ("soak", soak),
    ("npm package", || crate::js::run(&["test".to_owned()])),
];

/// Workspaces of their own, whose crates are formatted but not linted here. The benchmark depends
/// on all its peers, the fuzz targets need flags of their own, and the host of components, which
/// the tests build, contains a compiler. The tests run the corpora of the fuzz targets.
const APART: &[&str] = &[
    "tests/bench/Cargo.toml",
    "tests/fuzz/Cargo.toml",
    "tests/js-bindgen/Cargo.toml",
    "tests/wasi-host/Cargo.toml",
];

/// The core: the client without I/O.
const CORE: &str = "slotcar-core";
/// The crate that users depend on.
const DOOR: &str = "slotcar";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask ci".to_owned());
    }
    let began = Instant::now();
    let host = wasi::build_host_in_background();
    for (name, step) in STEPS {
        println!("== {name}");
        let began = Instant::now();
        step().map_err(|sentence| format!("{name}: {sentence}"))?;
        println!("== {name}: passed in {:.1} s", began.elapsed().as_secs_f32());
    }
    let waited = Instant::now();
    host.wait();
    let (all, waited) = (began.elapsed().as_secs_f32(), waited.elapsed().as_secs_f32());
    println!(
        "== tests, after {all:.1} s, of which {waited:.1} s waited for the host of components"
    );
    crate::test::run(&[])
}

fn format() -> Outcome {
    cargo(&["fmt", "--all", "--check"])?;
    let root = crate::root();
    for manifest in APART.iter().filter(|m| root.join(m).is_file()) {
        cargo(&["fmt", "--all", "--check", "--manifest-path", manifest])?;
    }
    Ok(())
}

fn clippy() -> Outcome {
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

/// The core without its optional parts, and the door with one feature at a time: with all features
/// at once, nothing shows that one of them needs another.
fn features() -> Outcome {
    let lint = |package: &str, features: &[&str]| {
        let lean = ["clippy", "--package", package, "--no-default-features"];
        cargo(&[&lean[..], features, &["--lib", "--", "-D", "warnings"]].concat())
    };
    lint(CORE, &[])?;
    for feature in ["background", "cluster", "pubsub"] {
        lint(CORE, &["--features", feature])?;
    }
    lint(DOOR, &[])?;
    for feature in ["smol", "tokio", "tls"] {
        lint(DOOR, &["--features", feature])?;
    }
    // What the lean core says when one of its missing parts is asked for, and the door without TLS.
    let lean =
        ["test", "--quiet", "--package", CORE, "--no-default-features", "--test", "features"];
    cargo(&lean)?;
    // Other parts are missing only where there is a cluster that could need them.
    cargo(&[&lean[..], &["--features", "cluster"]].concat())?;
    cargo(&["test", "--quiet", "--package", DOOR, "--test", "features"])
}

/// The core has no socket and no clock: it compiles for a target without either. The transports for
/// WASI and for JavaScript hosts and the edge function are empty on any other target, and the door
/// is another one there, so the lints of the workspace do not see them.
fn wasm() -> Outcome {
    targets::ensure(targets::WASI)?;
    targets::ensure(targets::BARE)?;
    for package in ["slotcar-wasi", "slotcar-edge", DOOR] {
        let wasi = ["--package", package, "--target", targets::WASI, "--all-targets"];
        cargo(&[&["clippy"], &wasi[..], &["--", "-D", "warnings"]].concat())?;
    }
    for (package, features) in [(CORE, ""), (DOOR, ""), (DOOR, "js")] {
        let bare = ["--package", package, "--target", targets::BARE, "--features", features];
        cargo(&[&["clippy"], &bare[..], &["--", "-D", "warnings"]].concat())?;
    }
    let npm = ["--package", "slotcar-npm", "--target", targets::BARE];
    cargo(&[&["clippy"], &npm[..], &["--", "-D", "warnings"]].concat())?;
    // With what its tests call, an example.
    let bare = ["--package", "slotcar-js", "--target", targets::BARE, "--all-targets"];
    cargo(&[&["clippy", "--all-features"], &bare[..], &["--", "-D", "warnings"]].concat())?;
    Ok(())
}

/// Private items too: a link in an inner comment is for the next reader of that file.
fn documentation() -> Outcome {
    let arguments =
        ["doc", "--workspace", "--no-deps", "--all-features", "--document-private-items"];
    run_to_end(crate::cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Runs every example: one that only compiles may be wrong.
///
/// They are taken from the build of the tests. `cargo run` would build the client and everything
/// below it once more, since its profile and its features are others.
fn examples() -> Outcome {
    let mut build = crate::test::all();
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let output = build.stderr(Stdio::inherit()).output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err("the tests do not build".to_owned());
    }
    let built = String::from_utf8_lossy(&output.stdout);
    let mut programs: Vec<String> = built.lines().filter_map(example).collect();
    programs.sort();
    if programs.is_empty() {
        return Err("cargo built no example".to_owned());
    }
    for program in programs {
        println!("-- {program}");
        run_to_end(Command::new(program).current_dir(crate::root()))?;
    }
    Ok(())
}

/// One minute: half of it on each reactor, with faults more often than by default.
fn soak() -> Outcome {
    crate::soak::run(&["--minutes", "0.5", "--every", "3"].map(str::to_owned))
}

/// The program of an example of `examples/`, if cargo says with this line that it built one.
fn example(line: &str) -> Option<String> {
    let message: Value = serde_json::from_str(line).ok()?;
    let manifest = message["manifest_path"].as_str()?;
    let is_example = message["target"]["kind"][0] == "example";
    let program = message["executable"].as_str()?;
    (is_example && manifest.ends_with("/examples/Cargo.toml")).then(|| program.to_owned())
}

fn cargo(arguments: &[&str]) -> Outcome {
    run_to_end(crate::cargo().args(arguments))
}
