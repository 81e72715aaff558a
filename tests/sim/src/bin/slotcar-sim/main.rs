//! The simulator as a program: `slotcar-sim run` tries seeds, `slotcar-sim serve` puts simulated
//! servers on real loopback sockets.
//!
//! Exit code 0 on success, 1 when a promise was broken, 2 for wrong arguments.

mod run;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "run" => run::run(rest),
        Some((command, rest)) if command == "serve" => serve::serve(rest).map(|()| true),
        _ => Err(format!("usage: {}\n       {}", run::USAGE, serve::USAGE)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}
