//! The project's own commands, run as `cargo xtask NAME`.
//!
//! One file per command, each with `run(arguments)`; this file only chooses. A failure prints one
//! sentence on standard error and ends with exit code 1.

mod bench;
mod ci;
mod commands;
mod fuzz;
mod js;
mod process;
mod servers;
mod sim;
mod soak;
mod targets;
mod test;
mod tidy;
mod wasi;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What a command returns; an error is the sentence that says what went wrong.
type Outcome<T = ()> = Result<T, String>;

/// A command's name, what it does in one line, and the function that does it.
type Entry = (&'static str, &'static str, fn(&[String]) -> Outcome);

const COMMANDS: &[Entry] = &[
    ("bench", "measure slotcar beside its peers and print the table", bench::run),
    ("ci", "everything that a change must pass", ci::run),
    ("commands", "write the command table from real servers", commands::run),
    ("fuzz", "give any bytes to the client and the simulator, for some minutes", fuzz::run),
    ("js", "build, test, weigh and measure the npm package", js::run),
    ("servers", "fetch the servers that the tests run against", servers::run),
    ("sim", "run simulated clusters with many seeds", sim::run),
    ("soak", "run a real cluster under load and faults", soak::run),
    ("test", "fetch what the tests need and run them all", test::run),
    ("tidy", "check layout, headers, sizes and import levels", tidy::run),
    ("wasi", "run the tests that run inside of components, or their host", wasi::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen = arguments.first().and_then(|name| COMMANDS.iter().find(|c| c.0 == name));
    let Some((_, _, run)) = chosen else {
        eprintln!("usage: cargo xtask COMMAND [ARGUMENTS]");
        for (name, summary, _) in COMMANDS {
            eprintln!("  {name:<10} {summary}");
        }
        return ExitCode::FAILURE;
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root.
fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_owned()
}

/// The cargo that runs this, at the workspace's root.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
