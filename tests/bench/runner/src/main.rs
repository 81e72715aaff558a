//! Starts servers, runs the peers interleaved, prints tables and draws a chart.
//!
//! `runner measure ..` is the benchmark, `runner check ..` the gate on instruction counts, `runner
//! scale ..` the one on their growth with the number of subscriptions, shards and callers. `runner
//! build ..` measures what building costs, and `runner launch ..` starts their children.
//! `cargo xtask bench` builds everything and calls this with the paths filled in; `runner measure
//! --help` lists the options.

mod build_cost;
mod chart;
mod check;
mod cold;
mod late;
mod launch;
mod options;
mod peers;
mod record;
mod redis_benchmark;
mod scale;
mod servers;
mod session;
mod table;
mod tools;

use std::process::ExitCode;

/// What may go wrong, as a sentence.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.split_first() {
        Some((first, rest)) if first == "launch" => Err(launch::exec(rest)),
        Some((first, rest)) if first == "build" => build_cost::run(rest),
        Some((first, rest)) if first == "check" => check::run(rest),
        Some((first, rest)) if first == "measure" => session::run(rest),
        Some((first, rest)) if first == "scale" => scale::run(rest),
        _ => Err("usage: runner measure | check | scale | build [ARGUMENTS]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}
