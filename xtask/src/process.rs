//! Runs other programs to their end, with their output shown. An error names the command line that
//! failed.

use crate::Outcome;
use std::path::PathBuf;
use std::process::Command;

/// Runs `command` with its output shown; an error is the command line that failed.
pub(crate) fn run_to_end(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|e| format!("{}: {e}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", line(command))) }
}

fn line(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let words = std::iter::once(program.clone())
        .chain(command.get_args().map(|word| word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}
