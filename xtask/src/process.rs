//! Runs other programs to their end, with their output shown. An error names the command line that
//! failed. And how cargo builds a workspace that stands apart.

use crate::Outcome;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// Runs `command` with its output shown; an error is the command line that failed.
pub(crate) fn run_to_end(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|e| format!("{}: {e}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", line(command))) }
}

/// The arguments of cargo that build what is in this folder, a workspace of its own with a target
/// folder of its own.
pub(crate) fn build_apart(folder: &str, profile: &str) -> Vec<OsString> {
    let folder = crate::root().join(folder);
    let words = ["build", "--quiet", "--locked", "--profile", profile, "--manifest-path"];
    let mut arguments: Vec<OsString> = words.map(OsString::from).into();
    arguments.push(folder.join("Cargo.toml").into());
    arguments.extend(["--target-dir".into(), folder.join("target").into()]);
    arguments
}

fn line(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let words = std::iter::once(program.clone())
        .chain(command.get_args().map(|word| word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}
