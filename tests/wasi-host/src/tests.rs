//! A component of tests, each test in an instance of its own.
//!
//! In a component a panic is a trap, so a test that fails ends its instance: run as a command, the
//! component would stop at the first failure. So the host lists the tests and runs each in its own
//! instance, a few at a time. It compiles the component once, which takes most of the time.
//!
//! Limit: `SLOTCAR_WASI_LIMIT` seconds for each test. Its output is printed when it has ended.

use crate::permissions::{State, limit};
use std::process::ExitCode;
use std::time::Instant;
use tokio::task::JoinSet;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Result, Store, bail};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

/// How many bytes of a test's output are kept.
const OUTPUT_MAX: usize = 4 << 20;

/// A component, ready to run.
#[derive(Clone)]
struct Tests {
    /// The engine that compiled it.
    engine: Engine,
    /// The compiled and linked component.
    command: CommandPre<State>,
    /// Its name, for its first argument.
    name: String,
}

/// How a run of it ended.
struct Ended {
    /// It ended with success.
    well: bool,
    /// Its output.
    output: String,
}

/// Runs those tests of the component at `path` that its arguments choose, `at_once` at a time.
pub(crate) async fn tests(at_once: &str, path: &str, arguments: &[String]) -> Result<ExitCode> {
    let engine = crate::engine()?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let command = CommandPre::new(linker.instantiate_pre(&component)?)?;
    let tests = Tests { engine, command, name: path.to_owned() };
    let mut list = arguments.to_vec();
    list.extend(["--list", "--format", "terse"].map(str::to_owned));
    let listed = tests.run(list).await?;
    if !listed.well {
        bail!("the component does not list its tests: {}", listed.output);
    }
    let names = listed.output.lines().filter_map(|line| line.strip_suffix(": test"));
    let mut names = names.map(str::to_owned).collect::<Vec<_>>().into_iter();
    let (mut running, mut passed, mut failed) = (JoinSet::new(), 0, Vec::new());
    let at_once = at_once.parse::<usize>()?.max(1);
    loop {
        while running.len() < at_once
            && let Some(name) = names.next()
        {
            running.spawn(tests.clone().one(name));
        }
        let Some(ended) = running.join_next().await else { break };
        match ended? {
            (_, true) => passed += 1,
            (name, false) => failed.push(name),
        }
    }
    println!("{passed} tests passed, {} failed: {}", failed.len(), failed.join(", "));
    Ok(if failed.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tests {
    /// Runs one test, and prints its result.
    async fn one(self, name: String) -> (String, bool) {
        let began = Instant::now();
        let run = self.run(vec!["--exact".to_owned(), name.clone()]);
        let ended = match tokio::time::timeout(limit(), run).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => Ended { well: false, output: format!("{error:?}") },
            Err(_) => Ended { well: false, output: format!("did not end within {:?}", limit()) },
        };
        let word = if ended.well { "ok" } else { "FAILED" };
        println!("test {name} ... {word} ({:.1} s)", began.elapsed().as_secs_f64());
        ended.output.lines().for_each(|line| println!("    {line}"));
        (name, ended.well)
    }

    async fn run(&self, arguments: Vec<String>) -> Result<Ended> {
        let arguments: Vec<String> = std::iter::once(self.name.clone()).chain(arguments).collect();
        let output = MemoryOutputPipe::new(OUTPUT_MAX);
        let state = State::saying_to(&arguments, output.clone())?;
        let mut store = Store::new(&self.engine, state);
        let command = self.command.instantiate_async(&mut store).await?;
        let outcome = command.wasi_cli_run().call_run(&mut store).await;
        drop(store);
        let mut output = String::from_utf8_lossy(&output.contents()).into_owned();
        if let Err(error) = &outcome {
            output.push_str(&format!("\n{}", error.root_cause()));
        }
        Ok(Ended { well: matches!(outcome, Ok(Ok(()))), output })
    }
}
