//! `cargo xtask fuzz [--minutes N] [--target NAME]`: runs the fuzz targets of `tests/fuzz`, all of
//! them for the same part of the time. Without `--minutes` it only runs the corpora.
//!
//! The compiler is the ordinary one. With a C++ compiler, libFuzzer makes the inputs and follows
//! the coverage; the passes that count it are part of every rustc. Without one, the mutator of
//! `tests/fuzz` changes the corpus by chance. No sanitizer is needed, because the crates have no
//! `unsafe`; overflows and debug assertions are checked.
//!
//! What is found on the way stays in `target/fuzz/corpus`; an input that makes a target fail is put
//! into `target/fuzz/found`, and the command fails. `tests/fuzz/corpus` is only read.

use crate::process::run_to_end;
use crate::{Outcome, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The targets: the folders of `tests/fuzz/corpus`.
const CORPUS: &str = "tests/fuzz/corpus";
/// Where programs, new inputs and findings go.
const OUTPUT: &str = "target/fuzz";
/// Flags that count coverage, for libFuzzer.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";
/// An input that takes longer, in seconds, is a finding.
const STUCK_AFTER: u32 = 20;
/// A target that holds more memory, in MB, is a finding.
const MEMORY_MAX: u32 = 2000;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let usage = || "usage: cargo xtask fuzz [--minutes N] [--target NAME]".to_owned();
    let (mut minutes, mut only) = (0.0_f64, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(usage)?;
        match word.as_str() {
            "--minutes" => minutes = value.parse().map_err(|_| usage())?,
            "--target" => only = Some(value.clone()),
            _ => return Err(usage()),
        }
    }
    let names: Vec<String> =
        targets()?.into_iter().filter(|name| only.as_ref().is_none_or(|o| o == name)).collect();
    if names.is_empty() {
        return Err(format!("no such target: the targets are the folders of {CORPUS}"));
    }
    let seconds = (minutes * 60.0 / names.len() as f64).ceil() as u64;
    let guided = has_cpp_compiler();
    if !guided {
        println!("no C++ compiler, so without libFuzzer: inputs are made by chance alone");
    }
    let program = build(guided)?;
    let mut failed = Vec::new();
    for name in &names {
        println!("== {name}, {seconds} s");
        let run =
            if guided { guide(&program, name, seconds) } else { mutate(&program, name, seconds) };
        if let Err(sentence) = run {
            failed.push(format!("{name}: {sentence}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// The names of the targets, sorted.
fn targets() -> Outcome<Vec<String>> {
    let folders = fs::read_dir(root().join(CORPUS)).map_err(|e| format!("{CORPUS}: {e}"))?;
    let mut names: Vec<String> =
        folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Whether `cc` will find a compiler for libFuzzer.
fn has_cpp_compiler() -> bool {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut version = Command::new(compiler);
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Builds the targets; returns the program.
fn build(guided: bool) -> Outcome<PathBuf> {
    let host = host()?;
    let output = root().join(OUTPUT);
    let mut command = crate::cargo();
    command.args(["build", "--release", "--manifest-path", "tests/fuzz/Cargo.toml"]);
    // With a target named, build scripts and macros are compiled without these flags.
    command.args(["--target", &host, "--target-dir"]).arg(&output);
    let (flags, name) = if guided {
        command.args(["--features", "libfuzzer", "--bin", "target"]);
        (format!("--cfg fuzzing {COVERAGE}"), "target")
    } else {
        command.args(["--bin", "mutate"]);
        ("--cfg fuzzing".to_owned(), "mutate")
    };
    run_to_end(command.env("RUSTFLAGS", flags))?;
    Ok(output.join(host).join("release").join(name))
}

/// The platform that this compiler compiles for.
fn host() -> Outcome<String> {
    let output = Command::new("rustc").args(["--version", "--verbose"]).output();
    let output = output.map_err(|e| format!("rustc: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not name its host".to_owned())
}

/// Runs a target under libFuzzer.
fn guide(program: &Path, name: &str, seconds: u64) -> Outcome {
    let output = root().join(OUTPUT);
    let (grown, found) = (output.join("corpus").join(name), output.join("found"));
    for folder in [&grown, &found] {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let seeds = root().join(CORPUS).join(name);
    let mut command = Command::new(program);
    command.env("SLOTCAR_FUZZ_TARGET", name).current_dir(&output);
    command.arg(&grown).arg(&seeds);
    if seconds == 0 {
        command.arg("-runs=0");
    } else {
        command.arg(format!("-max_total_time={seconds}"));
    }
    let prefix = format!("-artifact_prefix={}/{name}-", found.display());
    command.args([prefix, format!("-timeout={STUCK_AFTER}")]);
    command.args([format!("-rss_limit_mb={MEMORY_MAX}"), format!("-max_len={}", longest(name))]);
    let words = root().join("tests/fuzz/dictionary").join(name);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    command.args(["-print_final_stats=1", "-verbosity=0"]);
    run_to_end(&mut command)
}

/// The longest input that makes sense for a target, in bytes.
fn longest(name: &str) -> u32 {
    match name {
        "config" => 500,
        "connection" => 400,
        "topology" | "sentinel" => 6000,
        _ => 1500,
    }
}

/// Runs a target under the mutator.
fn mutate(program: &Path, name: &str, seconds: u64) -> Outcome {
    let found = root().join(OUTPUT).join("found");
    fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
    let mut command = Command::new(program);
    command.current_dir(&found).arg(name).arg(root().join(CORPUS).join(name));
    run_to_end(command.args([seconds.to_string(), longest(name).to_string()]))
}
