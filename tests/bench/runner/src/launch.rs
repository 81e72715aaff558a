//! Children of the benchmark: pinned to CPUs, ended with the runner, and waited for with a limit.
//!
//! A child is started through this program itself (`runner launch CPUS PROGRAM ..`), which sets the
//! CPUs and the signal for itself and then executes the program: that needs no `unsafe` between
//! fork and exec.
//!
//! Servers run on the last CPU, clients of one thread on the first. Clients of more threads run on
//! all CPUs but the servers', or on all if only one would be left.

use crate::Outcome;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(2);

/// Where a child may run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cpus {
    /// All CPUs: what is not measured.
    Any,
    /// A client of one thread.
    Client,
    /// A client of several threads.
    Clients,
    /// A server.
    Server,
}

impl Cpus {
    /// Their numbers.
    fn list(self) -> std::ops::Range<usize> {
        let count = std::thread::available_parallelism().map_or(1, |count| count.get());
        match self {
            Self::Clients if count > 2 => 0..count - 1,
            Self::Any | Self::Clients => 0..count,
            Self::Client => 0..1,
            Self::Server => count - 1..count,
        }
    }
}

/// A command that will run on those CPUs.
pub(crate) fn command(program: &Path, cpus: Cpus) -> Command {
    let itself = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(itself);
    let list: Vec<String> = cpus.list().map(|cpu| cpu.to_string()).collect();
    command.args(["launch", &list.join(",")]).arg(program).stdin(Stdio::null());
    command
}

/// Becomes the program of `words`: CPUs, then a command line. Returns only what went wrong.
pub(crate) fn exec(words: &[String]) -> String {
    let [cpus, program, arguments @ ..] = words else {
        return "usage: runner launch CPUS PROGRAM [ARGUMENTS]".to_owned();
    };
    let mut set = CpuSet::new();
    let chosen =
        cpus.split(',').try_for_each(|cpu| set.set(cpu.parse().map_err(|_| Errno::EINVAL)?));
    let prepared = chosen
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .and_then(|()| set_pdeathsig(Signal::SIGKILL));
    if let Err(error) = prepared {
        return format!("cannot pin {program} to CPU {cpus}: {error}");
    }
    format!("{program}: {}", Command::new(program).args(arguments).exec())
}

/// Runs to the end: what it wrote.
///
/// # Errors
/// It could not be started, ended with a failure, or took longer than `limit` (and was killed).
pub(crate) fn output(command: &mut Command, limit: Duration) -> Outcome<String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut stdout = child.stdout.take().expect("it is piped");
    // On a thread, so that a child that neither writes nor ends cannot hang the run.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if begin.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no end after {} s", limit.as_secs()));
            }
            None => std::thread::sleep(POLL),
        }
    };
    let text = reader.join().expect("it does not panic").map_err(|error| error.to_string())?;
    if status.success() { Ok(text) } else { Err(status.to_string()) }
}
