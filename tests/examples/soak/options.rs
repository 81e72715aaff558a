//! The arguments of the soak: how long it runs, on which reactor, against which server.
//!
//! All have a default. The seed repeats the choice of faults and commands, not their timing.

use std::time::Duration;

/// How to call it.
const USAGE: &str = "usage: soak --runtime smol|tokio [--minutes N] [--server NAME] \
                     [--every SECONDS] [--workers N] [--seed N]";

/// The reactor that the client runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// smol's reactor and its global executor.
    Smol,
    /// A tokio runtime with two threads.
    Tokio,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long the load runs under faults.
    pub(crate) length: Duration,
    /// The reactor of the client.
    pub(crate) runtime: Runtime,
    /// The name of the server's version, such as `valkey-8.1`.
    pub(crate) server: String,
    /// From the begin of one fault to the begin of the next.
    pub(crate) every: Duration,
    /// Callers at a time.
    pub(crate) workers: u16,
    /// Chooses faults and commands.
    pub(crate) seed: u64,
}

impl Options {
    /// Reads the arguments; the error is for the user.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            length: Duration::from_secs(60),
            runtime: Runtime::Smol,
            server: "valkey-8.1".to_owned(),
            every: Duration::from_secs(10),
            workers: 12,
            seed: 1,
        };
        let mut arguments = arguments;
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"))?;
            let bad = || format!("{flag} {value}: not understood; {USAGE}");
            let seconds = |unit: f64| -> Result<Duration, String> {
                let count: f64 = value.parse().map_err(|_| bad())?;
                Duration::try_from_secs_f64(count * unit).map_err(|_| bad())
            };
            match flag.as_str() {
                "--minutes" => options.length = seconds(60.0)?,
                "--every" => options.every = seconds(1.0)?,
                "--workers" => options.workers = value.parse().map_err(|_| bad())?,
                "--seed" => options.seed = value.parse().map_err(|_| bad())?,
                "--server" => options.server = value,
                "--runtime" if value == "smol" => options.runtime = Runtime::Smol,
                "--runtime" if value == "tokio" => options.runtime = Runtime::Tokio,
                _ => return Err(bad()),
            }
        }
        Ok(options)
    }
}
