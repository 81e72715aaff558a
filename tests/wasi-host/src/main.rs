//! A host for WASI 0.2 components, for the tests of slotcar: a thin layer over wasmtime.
//!
//! ```text
//! wasi-host run COMPONENT [ARGUMENT..]       as a command; its exit code is passed on
//! wasi-host repeat N COMPONENT [ARGUMENT..]  the same N times, and how long each took
//! wasi-host tests N COMPONENT [ARGUMENT..]   its tests, each in an instance of its own, N at once
//! wasi-host serve PORT COMPONENT             as an HTTP server on 127.0.0.1; port 0 picks one
//! wasi-host imports COMPONENT                lists its imports; fails if one is not WASI's
//! ```
//!
//! `permissions` says what a component may do. `cargo test` uses `run` for the tests of
//! wasm32-wasip2. So that a test run cannot hang, it ends a component after `SLOTCAR_WASI_LIMIT`
//! seconds, 300 by default.

mod permissions;
mod run;
mod serve;
mod tests;

use std::process::ExitCode;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Result, bail};

const USAGE: &str = "usage: wasi-host run COMPONENT [ARGUMENT..] | \
    repeat N COMPONENT [ARGUMENT..] | \
    tests N COMPONENT [ARGUMENT..] | serve PORT COMPONENT | imports COMPONENT";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["run", path, ..] => block_on(run::run(path, &arguments[1..])),
        ["repeat", times, path, ..] => {
            let outcome = block_on(run::repeat(times, path, &arguments[2..]));
            outcome.map(|()| ExitCode::SUCCESS)
        }
        ["tests", at_once, path, ..] => block_on(tests::tests(at_once, path, &arguments[3..])),
        ["serve", port, path] => block_on(serve::serve(port, path)).map(|()| ExitCode::SUCCESS),
        ["imports", path] => imports(path).map(|()| ExitCode::SUCCESS),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("wasi-host: {error:?}");
        ExitCode::FAILURE
    })
}

/// One thread for the host, as for the component: more threads would gain nothing.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn engine() -> Result<Engine> {
    Engine::new(&Config::new())
}

/// Prints what the component needs from its host, sorted.
fn imports(path: &str) -> Result<()> {
    let engine = engine()?;
    let component = Component::from_file(&engine, path)?;
    let ty = component.component_type();
    let mut names: Vec<&str> = ty.imports(&engine).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.iter().for_each(|name| println!("{name}"));
    match names.iter().find(|name| !name.starts_with("wasi:")) {
        Some(foreign) => bail!("{path} imports {foreign}, which is not an interface of WASI"),
        None => Ok(()),
    }
}
