//! `cargo xtask wasi [host ARGUMENTS..]`: tests inside of WebAssembly components, and their host.
//!
//! Alone, it runs the tests of the transport for WASI. With `host`, it builds the host
//! (tests/wasi-host) if need be and runs it: `.cargo/config.toml` makes that the runner of
//! wasm32-wasip2, so `cargo test -p slotcar-wasi --target wasm32-wasip2` works, too.
//!
//! The host is a workspace of its own, with a target folder of its own, built once: it carries a
//! compiler. `SLOTCAR_WASI_HOST` names one that is built already.

use crate::{Outcome, ci};
use std::path::PathBuf;
use std::process::Command;

/// Where a ready host is named.
const HOST: &str = "SLOTCAR_WASI_HOST";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments {
        [] => {
            let mut command = crate::cargo();
            command.args(["test", "--package", "slotcar-wasi", "--target", "wasm32-wasip2"]);
            ci::run_to_end(&mut command)
        }
        [word, rest @ ..] if word == "host" => ci::run_to_end(Command::new(host()?).args(rest)),
        _ => Err("usage: cargo xtask wasi [host ARGUMENTS..]".to_owned()),
    }
}

/// The host's program, built unless a ready one is named.
fn host() -> Result<PathBuf, String> {
    if let Some(ready) = std::env::var_os(HOST) {
        return Ok(ready.into());
    }
    let folder = crate::root().join("tests/wasi-host");
    let target = folder.join("target");
    let program = target.join("debug/wasi-host");
    if !program.is_file() {
        println!("building the host of components, once: some minutes");
    }
    let mut command = crate::cargo();
    command.args(["build", "--quiet", "--locked", "--manifest-path"]);
    command.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(target);
    ci::run_to_end(&mut command)?;
    Ok(program)
}
