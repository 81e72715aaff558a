//! Counts that a timed run cannot give: user-space instructions (callgrind) and system calls
//! (strace).
//!
//! Both tools see the whole process. So a workload runs in two sizes, and the difference of the
//! counts, divided by the difference of the operations (those that warm up included), leaves out
//! start-up, connecting and the end. What a
//! client does depends on whether a reply is there when it looks for it; so that a slow client does
//! not always find it, the standalone server stands behind a proxy that holds replies back.

use crate::Outcome;
use crate::peers::Subject;
use harness::args::{Addr, Args, Mode};
use harness::workload::{Shape, Workload};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Counts per operation that are below this are noise of start-up.
const LEAST: f64 = 0.002;

/// A tool that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Valgrind's callgrind: instructions.
    Callgrind,
    /// strace: system calls.
    Strace,
}

impl Tool {
    /// Its program.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Callgrind => "valgrind",
            Self::Strace => "strace",
        }
    }

    /// Whether it is installed.
    pub(crate) fn is_there(self) -> bool {
        let mut command = Command::new(self.program());
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Whether its counts mean anything for this work.
    pub(crate) fn suits(self, workload: &Workload, mode: Mode) -> bool {
        match self {
            // It runs one thread at a time: contention, the point of this mode, is not there.
            Self::Callgrind => mode != Mode::Mt,
            // Threads are followed, and with them the publisher, which is another process.
            Self::Strace => mode != Mode::Mt && workload.shape != Shape::Messages,
        }
    }

    fn words(self, file: &Path) -> Vec<String> {
        let file = file.display();
        let words = match self {
            Self::Callgrind => format!(
                "valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file={file}"
            ),
            Self::Strace => format!("strace -f -c -U calls,name -o {file}"),
        };
        words.split(' ').map(str::to_owned).collect()
    }

    /// What it counted, by name.
    fn parse(self, text: &str) -> BTreeMap<String, f64> {
        let line = |line: &str| match self {
            Self::Callgrind => {
                let (_, count) = line.split_once("Collected :")?;
                Some(("instructions".to_owned(), count.trim().parse().ok()?))
            }
            Self::Strace => {
                let (count, name) = line.trim().split_once(' ')?;
                let name = name.trim().to_owned();
                (name != "total").then_some((name, count.parse().ok()?))
            }
        };
        text.lines().filter_map(line).collect()
    }

    /// One run under the tool: counts and operations.
    fn count(
        self,
        subject: &Subject,
        args: &Args,
        folder: &Path,
    ) -> Outcome<Option<(BTreeMap<String, f64>, f64)>> {
        let file = folder.join("counts");
        let Some(sample) = subject.run(args, &self.words(&file))? else { return Ok(None) };
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", self.program()))?;
        Ok(Some((self.parse(&text), sample.ops_total)))
    }

    /// Counts per operation, by name; `None` where the peer cannot do the workload.
    ///
    /// The runs are of one and three times `ops` operations.
    pub(crate) fn per_op(
        self,
        subject: &Subject,
        (workload, addrs): (&'static Workload, &[Addr]),
        ops: u64,
        folder: &Path,
    ) -> Outcome<Option<BTreeMap<String, f64>>> {
        let mut args = Args {
            workload,
            mode: subject.mode,
            addrs: addrs.to_vec(),
            ops,
            count_alloc: false,
            // Reading the clock is the benchmark's work, not the client's.
            latency_every: u64::MAX,
        };
        let Some((small, small_ops)) = self.count(subject, &args, folder)? else {
            return Ok(None);
        };
        args.ops = 3 * ops;
        let Some((large, large_ops)) = self.count(subject, &args, folder)? else {
            return Ok(None);
        };
        let mut per_op = BTreeMap::new();
        for (name, count) in large {
            let before = small.get(&name).copied().unwrap_or(0.0);
            let value = (count - before) / (large_ops - small_ops);
            if value > LEAST {
                per_op.insert(name, (value * 1e3).round() / 1e3);
            }
        }
        Ok(Some(per_op))
    }
}

/// Operations of the smaller of the two runs.
pub(crate) fn ops(workload: &Workload) -> u64 {
    match workload.shape {
        Shape::Big => 10,
        Shape::Sequential => 200,
        Shape::Mixed(tasks) | Shape::Reads(tasks) => tasks as u64 * 50,
        _ => 5_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each tool's own words are understood.
    #[test]
    fn reads_what_the_tools_write() {
        let callgrind = "==7== \n==7== Events    : Ir\n==7== Collected : 1234567\n";
        let counts = Tool::Callgrind.parse(callgrind);
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [("instructions".to_owned(), 1234567.0)]
        );
        let strace = "    calls syscall\n--------- ----------------\n       12 read\n        \
                      3 epoll_wait\n--------- ----------------\n       15 total\n";
        let counts = Tool::Strace.parse(strace);
        let expected = [("epoll_wait".to_owned(), 3.0), ("read".to_owned(), 12.0)];
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    }
}
