//! A component as a command: `wasi:cli/run`, once, with the host's standard streams.
//!
//! The exit code is the component's own; 1 when its `run` says error, 134 when it trapped (a panic
//! is a trap there), 124 when it did not end in time.

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

/// Runs the component so many times, compiled once and started anew each time, and prints how long
/// it took from a new instance to its end: the least and the median, in microseconds.
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

/// From a thread of its own, as a component that computes for ever never gives the host its turn.
fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("wasi-host: the component did not end within {limit:?}");
        std::process::exit(124);
    });
}
