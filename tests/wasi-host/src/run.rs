//! A component as a command: `wasi:cli/run`, once, with the host's standard streams.
//!
//! The exit code is the component's own; 1 when its `run` returns an error, 134 when it trapped (in
//! a component, a panic is a trap), 124 when it did not end in time.

use crate::permissions::{State, limit};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, Linker};
use wasmtime::{Result, Store, bail};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

/// Runs the component at `path`; `arguments` begin with its name.
pub(crate) async fn run(path: &str, arguments: &[String]) -> Result<ExitCode> {
    let engine = crate::engine()?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let command = CommandPre::new(linker.instantiate_pre(&component)?)?;
    let mut store = Store::new(&engine, State::new(arguments)?);
    end_after(limit());
    let command = command.instantiate_async(&mut store).await?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(())) => Ok(ExitCode::FAILURE),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(ExitCode::from(u8::try_from(exit.0).unwrap_or(1))),
            None => {
                eprintln!("wasi-host: {error:?}");
                Ok(ExitCode::from(134))
            }
        },
    }
}

/// Compiles the component once and runs it `times` times, each time as a new instance. Prints the
/// least and the median time from the start of an instance to its end, in microseconds.
pub(crate) async fn repeat(times: &str, path: &str, arguments: &[String]) -> Result<()> {
    let engine = crate::engine()?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let command = CommandPre::new(linker.instantiate_pre(&component)?)?;
    let mut took = Vec::new();
    for _ in 0..times.parse::<usize>()?.max(1) {
        let began = Instant::now();
        let mut store = Store::new(&engine, State::new(arguments)?);
        let command = command.instantiate_async(&mut store).await?;
        let outcome = command.wasi_cli_run().call_run(&mut store).await?;
        took.push(began.elapsed().as_micros());
        if outcome.is_err() {
            bail!("the component failed");
        }
    }
    took.sort_unstable();
    println!("least {} us, median {} us, of {}", took[0], took[took.len() / 2], took.len());
    Ok(())
}

/// On a thread of its own: a component that computes without end never yields to the host.
fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("wasi-host: the component did not end within {limit:?}");
        std::process::exit(124);
    });
}
