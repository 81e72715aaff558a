//! One benchmark: every workload, every peer, in turn, round after round.
//!
//! Rounds are interleaved (all peers once, then all again), so that what else the machine does hits
//! all alike. A peer that fails is said so on standard error and left out of that round; one that
//! cannot do a workload is not asked again. Records are written as they come.

use crate::options::Options;
use crate::peers::{self, Subject};
use crate::record::{self, Found, Record};
use crate::redis_benchmark::{self, VARIANTS, Variant};
use crate::servers::Servers;
use crate::tools::{self, Tool};
use crate::{Outcome, chart, cold, late, table};
use harness::args::{Addr, Args};
use harness::workload::{Place, Shape, Workload};
use std::fs::File;
use std::io::{IsTerminal, Write};

/// The command `measure`.
pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(options) = Options::parse(words)? else { return Ok(()) };
    std::fs::create_dir_all(&options.out)
        .map_err(|error| format!("{}: {error}", options.out.display()))?;
    let (records, setup) = match &options.from {
        Some(path) => {
            let (records, setup) = record::read(path)?;
            print!("{}", table::tables(&options.workloads, &records));
            (records, setup)
        }
        None => measure(&options)?,
    };
    let summary = table::summary(&options.workloads, &records);
    println!("{summary}");
    let write = |path: &std::path::Path, text: &str| {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let tables = table::tables(&options.workloads, &records);
    write(&options.out.join("table.md"), &format!("{setup}\n{tables}\n{summary}"))?;
    let drawing = chart::draw(&options.workloads, &records, &setup);
    write(&options.out.join("chart.svg"), &drawing)?;
    if let Some(path) = &options.svg {
        write(path, &drawing)?;
    }
    println!("written to {}: samples.jsonl, table.md, chart.svg", options.out.display());
    Ok(())
}

fn measure(options: &Options) -> Outcome<(Vec<Record>, String)> {
    let places: Vec<Place> = options.workloads.iter().map(|workload| workload.place).collect();
    let subjects = peers::find(options)?;
    let servers = Servers::start(&options.server, &places)?;
    let setup = setup(&servers, options)?;
    println!("{setup}");
    let path = options.out.join("samples.jsonl");
    let text = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::create(&path).map_err(text)?;
    writeln!(file, "{}", record::setup_line(&setup)).map_err(text)?;
    let tools = tools_wanted(options);
    let mut session = Session { options, servers, subjects, tools, records: Vec::new(), file };
    for workload in &options.workloads {
        session.workload(workload)?;
        progress(format_args!(""));
        print!("{}", table::tables(&[workload], &session.records));
    }
    Ok((session.records, setup))
}

/// What a reader must know to compare.
fn setup(servers: &Servers, options: &Options) -> Outcome<String> {
    let cpus = std::thread::available_parallelism().map_or(1, |count| count.get());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    Ok(format!(
        "{} on loopback, {cpus} CPUs, load {load} at the start, median of {} interleaved rounds",
        servers.version()?,
        options.rounds,
    ))
}

fn tools_wanted(options: &Options) -> Vec<Tool> {
    let wanted = [(Tool::Callgrind, options.instr), (Tool::Strace, options.syscalls)];
    let wanted = wanted.into_iter().filter_map(|(tool, wanted)| wanted.then_some(tool));
    let there = |tool: &Tool| {
        let there = tool.is_there();
        if !there {
            eprintln!("SKIPPED: {} is not installed, its column stays empty", tool.program());
        }
        there
    };
    wanted.filter(there).collect()
}

/// A running benchmark.
struct Session<'a> {
    /// What was asked for.
    options: &'a Options,
    /// The servers.
    servers: Servers,
    /// The peers, each in its modes.
    subjects: Vec<Subject>,
    /// The tools that are wanted and there.
    tools: Vec<Tool>,
    /// All that was measured.
    records: Vec<Record>,
    /// Where it is written, a line each.
    file: File,
}

impl Session<'_> {
    fn workload(&mut self, workload: &'static Workload) -> Outcome {
        let addrs = self.servers.addrs(workload.place);
        if workload.shape == Shape::Cold {
            return self.cold(workload, &addrs);
        }
        let mut subjects = self.subjects.clone();
        for round in 1..=self.options.rounds {
            let mut able = Vec::new();
            for subject in subjects {
                progress(format_args!("{} round {round}: {}", workload.name, title(&subject)));
                if self.sample(&subject, workload, &addrs, false)? {
                    able.push(subject);
                }
            }
            subjects = able;
            self.redis_benchmark(workload, &addrs)?;
        }
        if self.options.alloc {
            for subject in &subjects {
                progress(format_args!("{} allocations: {}", workload.name, title(subject)));
                self.sample(subject, workload, &addrs, true)?;
            }
        }
        if self.tools.is_empty() {
            return Ok(());
        }
        let late = workload.place == Place::One && workload.shape != Shape::Messages;
        let addrs = if late { vec![late::in_front_of(&addrs[0])?] } else { addrs };
        for tool in self.tools.clone() {
            for subject in subjects.iter().filter(|subject| tool.suits(workload, subject.mode)) {
                progress(format_args!(
                    "{} under {}: {}",
                    workload.name,
                    tool.program(),
                    title(subject)
                ));
                self.count(tool, subject, workload, &addrs)?;
            }
        }
        Ok(())
    }

    /// One run; false when the peer cannot do the workload.
    fn sample(
        &mut self,
        subject: &Subject,
        workload: &'static Workload,
        addrs: &[Addr],
        count_alloc: bool,
    ) -> Outcome<bool> {
        let ops = self.ops(workload);
        let addrs = addrs.to_vec();
        let mode = subject.mode;
        let args = Args { workload, mode, addrs, ops, count_alloc, latency_every: 16 };
        match subject.run(&args, &[]) {
            Ok(Some(sample)) if count_alloc => {
                self.keep(workload, subject, Found::Allocations(sample))?;
            }
            Ok(Some(sample)) => self.keep(workload, subject, Found::Timed(sample))?,
            Ok(None) => return Ok(false),
            Err(sentence) => eprintln!("\nFAILED: {sentence}"),
        }
        Ok(true)
    }

    fn count(
        &mut self,
        tool: Tool,
        subject: &Subject,
        workload: &'static Workload,
        addrs: &[Addr],
    ) -> Outcome {
        let ops = tools::ops(workload);
        let found = match tool.per_op(subject, (workload, addrs), ops, self.servers.folder()) {
            Ok(Some(per_op)) if tool == Tool::Strace => Found::Syscalls { per_op },
            Ok(Some(per_op)) => Found::Instructions { per_op: per_op.values().sum() },
            Ok(None) => return Ok(()),
            Err(sentence) => {
                eprintln!("\nFAILED under {}: {sentence}", tool.program());
                return Ok(());
            }
        };
        self.keep(workload, subject, found)
    }

    fn redis_benchmark(&mut self, workload: &'static Workload, addrs: &[Addr]) -> Outcome {
        let wanted = self.options.wants_peer(redis_benchmark::ID);
        let Some(program) = self.options.redis_benchmark.as_ref().filter(|_| wanted) else {
            return Ok(());
        };
        let own = |variant: &&Variant| variant.workload == workload.name;
        for variant in VARIANTS.iter().filter(own) {
            progress(format_args!("{}: {}", workload.name, variant.name));
            match redis_benchmark::run(program, variant, &addrs[0], self.ops(workload)) {
                Ok(sample) => self.write(Record {
                    workload: workload.name.to_owned(),
                    id: redis_benchmark::ID.to_owned(),
                    peer: variant.name.to_owned(),
                    mode: "C".to_owned(),
                    found: Found::Timed(sample),
                })?,
                Err(sentence) => eprintln!("\nFAILED: {sentence}"),
            }
        }
        Ok(())
    }

    fn cold(&mut self, workload: &'static Workload, addrs: &[Addr]) -> Outcome {
        let subjects = self.subjects.clone();
        for _ in 0..self.options.rounds {
            for subject in subjects.iter().filter(|subject| cold::suits(subject)) {
                progress(format_args!("{}: {}", workload.name, title(subject)));
                match cold::start(subject, workload, addrs) {
                    Ok(Some(found)) => self.keep(workload, subject, found)?,
                    Ok(None) => {}
                    Err(sentence) => eprintln!("\nFAILED: {sentence}"),
                }
            }
        }
        Ok(())
    }

    fn ops(&self, workload: &Workload) -> u64 {
        ((workload.ops as f64 * self.options.scale) as u64).max(1)
    }

    fn keep(&mut self, workload: &Workload, subject: &Subject, found: Found) -> Outcome {
        self.write(Record {
            workload: workload.name.to_owned(),
            id: subject.peer.id.clone(),
            peer: subject.peer.name.clone(),
            mode: subject.mode.name().to_owned(),
            found,
        })
    }

    fn write(&mut self, record: Record) -> Outcome {
        let line = serde_json::to_string(&record).map_err(|error| error.to_string())?;
        writeln!(self.file, "{line}").map_err(|error| format!("samples.jsonl: {error}"))?;
        self.records.push(record);
        Ok(())
    }
}

fn title(subject: &Subject) -> String {
    format!("{} {}", subject.peer.name, subject.mode.name())
}

/// Where it stands, on one line that is written again and again: for people only.
fn progress(text: std::fmt::Arguments<'_>) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}
