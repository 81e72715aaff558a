//! Compilation targets that commands need in addition to the machine's own.
//!
//! `rust-toolchain.toml` names them, but rustup reads it only when it installs the toolchain: on a
//! machine that has the toolchain already, they may be missing.

use crate::Outcome;
use crate::process::run_to_end;
use std::path::PathBuf;
use std::process::Command;

/// Components for WASI 0.2.
pub(crate) const WASI: &str = "wasm32-wasip2";
/// WebAssembly without an operating system.
pub(crate) const BARE: &str = "wasm32-unknown-unknown";

/// Installs the standard library for `target`, unless it is there.
pub(crate) fn ensure(target: &str) -> Outcome {
    if sysroot()?.join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command.args(["target", "add", target]).current_dir(crate::root());
    run_to_end(&mut command).map_err(|e| format!("{e}; install the standard library for {target}"))
}

fn sysroot() -> Result<PathBuf, String> {
    let mut command = Command::new("rustc");
    command.args(["--print", "sysroot"]).current_dir(crate::root());
    let output = command.output().map_err(|e| format!("rustc: {e}"))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
