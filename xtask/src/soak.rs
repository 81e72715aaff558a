//! `cargo xtask soak [--minutes N] [--runtime smol|tokio|both] [--server NAME] [--every SECONDS]
//! [--workers N] [--seed N]`: a real cluster under load and faults.
//!
//! It runs `tests/examples/soak` from the build of the tests, so nothing is compiled for it alone.
//! Without `--runtime` both run one after the other, `N` minutes each; 1 minute if not given. The
//! server is valkey-8.1 unless another one of `tests/servers.txt` is named.

use crate::process::run_to_end;
use crate::{Outcome, servers};
use serde_json::Value;
use std::process::{Command, Stdio};

/// The server if none is named.
const SERVER: &str = "valkey-8.1";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut passed_on = arguments.to_vec();
    let runtime = take(&mut passed_on, "--runtime")?.unwrap_or_else(|| "both".to_owned());
    let server = take(&mut passed_on, "--server")?.unwrap_or_else(|| SERVER.to_owned());
    let runtimes: &[&str] = match runtime.as_str() {
        "both" => &["smol", "tokio"],
        "smol" => &["smol"],
        "tokio" => &["tokio"],
        other => return Err(format!("--runtime {other}: it is smol, tokio or both")),
    };
    servers::run(&["--only".to_owned(), server.clone()])?;
    let program = build()?;
    let mut failed = Vec::new();
    for runtime in runtimes {
        let mut command = Command::new(&program);
        command.args(["--runtime", runtime, "--server", &server]).args(&passed_on);
        // The others may not be on this machine.
        command.env("SLOTCAR_VERSIONS", &server);
        if let Err(sentence) = run_to_end(command.current_dir(crate::root())) {
            failed.push(sentence);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Takes a flag and its value out of the arguments.
fn take(arguments: &mut Vec<String>, flag: &str) -> Result<Option<String>, String> {
    let Some(at) = arguments.iter().position(|argument| argument == flag) else {
        return Ok(None);
    };
    if at + 1 == arguments.len() {
        return Err(format!("{flag} needs a value"));
    }
    arguments.remove(at);
    Ok(Some(arguments.remove(at)))
}

/// Builds the program from what the tests are built of; returns its path.
fn build() -> Outcome<String> {
    let mut build = crate::cargo();
    // `cargo test --example` would build a test of it. The profile and the choice of features are
    // those of `cargo xtask test`, so that no dependency is built twice.
    build.args([
        "build",
        "--profile",
        "test",
        "--workspace",
        "--all-features",
        "--example",
        "soak",
    ]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let output = build.stderr(Stdio::inherit()).output().map_err(|e| format!("cargo: {e}"))?;
    let built = String::from_utf8_lossy(&output.stdout);
    let program = built.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let soak = message["target"]["name"] == "soak";
        soak.then(|| message["executable"].as_str().map(str::to_owned)).flatten()
    });
    program.ok_or_else(|| "the soak does not build".to_owned())
}
