//! `cargo xtask ci`: everything that a change must pass, at the desk as on a server.
//!
//! Steps run in order of how soon they fail, each under its name, and the first failure ends the
//! run. The tests come last, so that their own summary is what stands at the end.

mod dependencies;

use crate::process::run_to_end;
use crate::{Outcome, targets};
use std::time::Instant;

/// A step's name and what it does.
type Step = (&'static str, fn() -> Outcome);

const STEPS: &[Step] = &[
    ("format", format),
    ("tidy", || crate::tidy::run(&[])),
    ("dependencies", dependencies::check),
    ("clippy", clippy),
    ("wasm", wasm),
    ("sizes", crate::wasi::sizes),
    ("documentation", documentation),
    ("servers", || crate::servers::run(&[])),
    ("examples", examples),
];

/// Manifests outside of the workspace, whose crates are formatted but not linted here: the
/// benchmark carries all its peers, the fuzz targets want a nightly compiler, and the host of
/// components, which the tests build, carries a compiler of its own.
const APART: &[&str] =
    &["tests/bench/Cargo.toml", "tests/fuzz/Cargo.toml", "tests/wasi-host/Cargo.toml"];

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask ci".to_owned());
    }
    let began = Instant::now();
    for (name, step) in STEPS {
        println!("== {name}");
        let began = Instant::now();
        step().map_err(|sentence| format!("{name}: {sentence}"))?;
        println!("== {name}: passed in {:.1} s", began.elapsed().as_secs_f32());
    }
    println!("== tests, after {:.1} s of all else", began.elapsed().as_secs_f32());
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
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    // The same code without its optional parts, and what it then says of them.
    let lean = ["--package", "slotcar", "--no-default-features"];
    cargo(&[&["clippy"], &lean[..], &["--lib", "--", "-D", "warnings"]].concat())?;
    cargo(&[&["test", "--quiet"], &lean[..], &["--test", "parts"]].concat())
}

/// The core owns no socket and no clock: a target without either keeps it so. The transport for
/// WASI and the edge function are empty on any other target, so the lints of the workspace do not
/// see them.
fn wasm() -> Outcome {
    targets::ensure(targets::WASI)?;
    targets::ensure(targets::BARE)?;
    for package in ["slotcar-wasi", "slotcar-edge"] {
        let wasi = ["--package", package, "--target", targets::WASI, "--all-targets"];
        cargo(&[&["clippy"], &wasi[..], &["--", "-D", "warnings"]].concat())?;
    }
    cargo(&["build", "--package", "slotcar", "--target", targets::BARE])
}

/// Private items too: a link in an inner comment is for the next reader of that file.
fn documentation() -> Outcome {
    let arguments =
        ["doc", "--workspace", "--no-deps", "--all-features", "--document-private-items"];
    run_to_end(crate::cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Runs every example: an example that only compiles may be wrong.
fn examples() -> Outcome {
    let manifest = crate::root().join("examples/Cargo.toml");
    let manifest =
        std::fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
    let tables = manifest.split("[[example]]").skip(1);
    for name in tables.filter_map(|table| table.split('"').nth(1)) {
        println!("-- {name}");
        cargo(&["run", "--quiet", "--package", "slotcar-examples", "--example", name])?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Outcome {
    run_to_end(crate::cargo().args(arguments))
}
