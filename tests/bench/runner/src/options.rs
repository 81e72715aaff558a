//! The command line of `runner measure`.
//!
//! `cargo xtask bench` fills in the paths; everything else is what its user wrote.

use crate::Outcome;
use harness::args::Mode;
use harness::workload::{self, Workload};
use std::path::PathBuf;

/// What to measure.
#[derive(Debug)]
pub(crate) struct Options {
    /// The workloads, in order.
    pub(crate) workloads: Vec<&'static Workload>,
    /// Interleaved timed rounds; 0 for none.
    pub(crate) rounds: usize,
    /// A factor on the operations of timed runs.
    pub(crate) scale: f64,
    /// Only these peers, by the name of their crate without `peer-`.
    pub(crate) peers: Option<Vec<String>>,
    /// Only these modes; the wire limit and redis-benchmark stay.
    pub(crate) modes: Option<Vec<Mode>>,
    /// Whether to count allocations.
    pub(crate) alloc: bool,
    /// Whether to count instructions.
    pub(crate) instr: bool,
    /// Whether to count system calls.
    pub(crate) syscalls: bool,
    /// The server's program.
    pub(crate) server: PathBuf,
    /// redis-benchmark, if it is there.
    pub(crate) redis_benchmark: Option<PathBuf>,
    /// The folder for samples, table and chart.
    pub(crate) out: PathBuf,
    /// Where else to write the chart.
    pub(crate) svg: Option<PathBuf>,
    /// Print and draw from these samples instead of measuring.
    pub(crate) from: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; `None` when it asked for help, which is then on standard output.
    pub(crate) fn parse(words: &[String]) -> Outcome<Option<Self>> {
        let mut options = Self {
            workloads: Vec::new(),
            rounds: 3,
            scale: 1.0,
            peers: None,
            modes: None,
            alloc: false,
            instr: false,
            syscalls: false,
            server: "redis-server".into(),
            redis_benchmark: None,
            out: "target/bench".into(),
            svg: None,
            from: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--help" => {
                    help();
                    return Ok(None);
                }
                "--alloc" => options.alloc = true,
                "--instr" => options.instr = true,
                "--syscalls" => options.syscalls = true,
                "--all" => (options.alloc, options.instr, options.syscalls) = (true, true, true),
                "--quick" => (options.rounds, options.scale) = (1, 0.25),
                option if option.starts_with("--") => {
                    let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
                    options.set(option, value)?;
                }
                name => {
                    let found = workload::named(name);
                    options.workloads.push(found.ok_or_else(|| unknown_workload(name))?);
                }
            }
        }
        if options.workloads.is_empty() {
            options.workloads = workload::ALL.iter().collect();
        }
        Ok(Some(options))
    }

    fn set(&mut self, option: &str, value: &str) -> Outcome {
        let bad = || format!("{option} {value}: not understood");
        match option {
            "--rounds" => self.rounds = value.parse().map_err(|_| bad())?,
            "--peers" => self.peers = Some(value.split(',').map(str::to_owned).collect()),
            "--modes" => {
                let modes = value.split(',').map(|name| Mode::named(name).ok_or_else(bad));
                self.modes = Some(modes.collect::<Outcome<_>>()?);
            }
            "--server" => self.server = value.into(),
            "--redis-benchmark" => self.redis_benchmark = Some(value.into()),
            "--out" => self.out = value.into(),
            "--svg" => self.svg = Some(value.into()),
            "--from" => self.from = Some(value.into()),
            _ => return Err(format!("unknown option {option}; --help lists them")),
        }
        Ok(())
    }

    /// Whether a peer was asked for.
    pub(crate) fn wants_peer(&self, id: &str) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.iter().any(|peer| peer == id))
    }

    /// Whether a mode was asked for.
    pub(crate) fn wants_mode(&self, mode: Mode) -> bool {
        self.modes.as_ref().is_none_or(|modes| modes.contains(&mode))
    }
}

fn unknown_workload(name: &str) -> String {
    let names: Vec<&str> = workload::ALL.iter().map(|workload| workload.name).collect();
    format!("no workload {name}: there are {}", names.join(" "))
}

fn help() {
    println!(
        "usage: cargo xtask bench [WORKLOADS] [OPTIONS]

Runs the peers interleaved and prints a table per workload.

  --rounds N            timed rounds, of which the median counts (3); 0 for none
  --alloc               count allocations per operation
  --instr               count user-space instructions per operation (valgrind)
  --syscalls            count system calls per operation (strace)
  --all                 these three
  --peers a,b           only these: raw redis1 redis2 fred rustis slotcar redis-benchmark
  --modes a,b           only these: sync ct mt smol smolt smolg
  --quick               one round of a quarter of the operations
  --server NAME|PATH    a fetched server's name, or a program
  --svg FILE            write the chart here too
  --from FILE           print and draw samples of an earlier run

Workloads:"
    );
    for workload in workload::ALL {
        println!("  {:<4}{}, per {}", workload.name, workload.summary, workload.unit);
    }
}
