//! What one of many costs: `scale SCENARIO SIZE` runs a scenario in one size and prints a line for
//! each of its sections: its name, its operations and its CPU time in nanoseconds.
//!
//! `runner scale` runs the scenarios in growing sizes under callgrind and compares the instructions
//! per operation. `scale beside HOST PORT SUBSCRIPTIONS` uses a real server, threads and time: how
//! long GETs take while so many subscriptions are dropped.

mod beside;
mod callers;
mod host;
mod scan;
mod section;
mod server;
mod shards;
mod subscriptions;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let size = |text: &str| text.parse::<usize>().ok().filter(|size| *size > 0);
    match words.as_slice() {
        ["beside", host, port, count] if size(count).is_some() => {
            beside::run(host, port, size(count).unwrap_or(1));
        }
        [scenario, count] if size(count).is_some() => {
            let size = size(count).unwrap_or(1);
            match *scenario {
                "callers" => callers::run(size),
                "room" => callers::run_for_room(size),
                "scan" => scan::run(size),
                "shards" => shards::run(size),
                "sharded" => subscriptions::run_sharded(size),
                "subscriptions" => subscriptions::run(size),
                _ => return usage(),
            }
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: scale callers|room|scan|shards|sharded|subscriptions SIZE");
    eprintln!("       scale beside HOST PORT SUBSCRIPTIONS");
    ExitCode::FAILURE
}
