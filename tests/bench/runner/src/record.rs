//! What was measured: lines of JSON, and the rows that the tables and the chart make of them.
//!
//! The file of records is complete: tables and chart can be made again from it (`--from`).

use crate::Outcome;
use crate::peers::{OWN, RAW};
use harness::args::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a peer says of one run. Costs are per operation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    /// Operations that were timed.
    pub(crate) ops: f64,
    /// Those and the ones that warmed up.
    pub(crate) ops_total: f64,
    /// Messages that a subscriber lost.
    pub(crate) lost: f64,
    /// Operations per second.
    pub(crate) ops_s: f64,
    /// CPU time of the process, in nanoseconds.
    pub(crate) cpu_ns: f64,
    /// The part of it in user space.
    pub(crate) user_ns: f64,
    /// The part of it in the kernel.
    pub(crate) system_ns: f64,
    /// The median latency of a call.
    pub(crate) p50_ns: f64,
    /// What 99 of 100 calls take at most.
    pub(crate) p99_ns: f64,
    /// Calls of the allocator.
    pub(crate) allocs: f64,
    /// Bytes asked of the allocator.
    pub(crate) alloc_bytes: f64,
    /// Voluntary context switches.
    pub(crate) switches: f64,
    /// The most memory that was resident, in KiB.
    pub(crate) rss_kib: f64,
}

/// From a process start to its first reply.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Start {
    /// How long it took, in nanoseconds.
    pub(crate) wall_ns: f64,
    /// Connections that the servers accepted by then.
    pub(crate) connections: f64,
    /// Commands that the servers ran by then.
    pub(crate) commands: BTreeMap<String, f64>,
}

/// A measurement, before it is known what of.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Found {
    /// A run with the allocator counting: only its counts are used.
    Allocations(Sample),
    /// User-space instructions per operation.
    Instructions {
        /// How many.
        per_op: f64,
    },
    /// A process start.
    Start(Start),
    /// System calls per operation.
    Syscalls {
        /// How many of each.
        per_op: BTreeMap<String, f64>,
    },
    /// A timed run.
    Timed(Sample),
}

/// A measurement of one peer in one mode doing one workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Record {
    /// The workload's name.
    pub(crate) workload: String,
    /// The peer's id.
    pub(crate) id: String,
    /// The peer's name.
    pub(crate) peer: String,
    /// The mode's name.
    pub(crate) mode: String,
    /// What was found.
    #[serde(flatten)]
    pub(crate) found: Found,
}

/// The first line of a file of records: under which conditions they were taken.
#[derive(Deserialize, Serialize)]
struct Setup {
    /// A line for people.
    setup: String,
}

/// The first line of a file of records.
pub(crate) fn setup_line(setup: &str) -> String {
    serde_json::json!(Setup { setup: setup.to_owned() }).to_string()
}

/// Reads a file of records; also the line that says how they were taken.
pub(crate) fn read(path: &Path) -> Outcome<(Vec<Record>, String)> {
    let named = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let mut lines = text.lines();
    let first = lines.next().ok_or_else(|| named("it is empty".to_owned()))?;
    let setup: Setup = serde_json::from_str(first).map_err(|error| named(error.to_string()))?;
    let parse = |line| serde_json::from_str(line).map_err(|error| named(error.to_string()));
    Ok((lines.map(parse).collect::<Outcome<_>>()?, setup.setup))
}

/// All that is known of one peer in one mode doing one workload.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// The peer's id.
    pub(crate) id: &'a str,
    /// The peer's name.
    pub(crate) peer: &'a str,
    /// The mode's name.
    pub(crate) mode: &'a str,
    /// The timed runs.
    timed: Vec<&'a Sample>,
    /// The run whose allocations were counted.
    pub(crate) allocations: Option<&'a Sample>,
    /// User-space instructions per operation.
    pub(crate) instructions: Option<f64>,
    /// Process starts.
    pub(crate) starts: Vec<&'a Start>,
    /// System calls per operation.
    pub(crate) syscalls: Option<&'a BTreeMap<String, f64>>,
}

/// The rows of a workload, in the order in which they were first seen.
pub(crate) fn rows<'a>(records: &'a [Record], workload: &str) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for record in records.iter().filter(|record| record.workload == workload) {
        let same = |row: &Row<'_>| row.peer == record.peer && row.mode == record.mode;
        let index = rows.iter().position(same).unwrap_or_else(|| {
            rows.push(Row {
                id: &record.id,
                peer: &record.peer,
                mode: &record.mode,
                timed: Vec::new(),
                allocations: None,
                instructions: None,
                starts: Vec::new(),
                syscalls: None,
            });
            rows.len() - 1
        });
        let row = &mut rows[index];
        match &record.found {
            Found::Timed(sample) => row.timed.push(sample),
            Found::Allocations(sample) => row.allocations = Some(sample),
            Found::Instructions { per_op } => row.instructions = Some(*per_op),
            Found::Start(start) => row.starts.push(start),
            Found::Syscalls { per_op } => row.syscalls = Some(per_op),
        }
    }
    rows
}

impl Row<'_> {
    /// The median of a field over the timed runs.
    pub(crate) fn median(&self, field: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.timed.iter().map(|sample| field(sample)))
    }

    /// CPU time per operation, in nanoseconds.
    pub(crate) fn cpu(&self) -> Option<f64> {
        self.median(|sample| sample.cpu_ns)
    }

    /// Whether slotcar is compared with it: a Rust client's asynchronous interface.
    pub(crate) fn is_async_peer(&self) -> bool {
        let mode = Mode::named(self.mode);
        self.id != RAW && self.id != OWN && mode.is_some_and(|mode| mode != Mode::Sync)
    }

    /// Whether it had one CPU to itself.
    pub(crate) fn is_pinned(&self) -> bool {
        Mode::named(self.mode).is_none_or(Mode::one_thread)
    }
}

/// The middle of some values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Among the asynchronous peers that were pinned, or among those that were not: the one that uses
/// the least CPU, and how much.
///
/// Two threads that the system may place on the servers' CPU wake each other more cheaply than any
/// that are pinned apart: figures of the two kinds do not compare.
pub(crate) fn best_peer<'r, 'a>(rows: &'r [Row<'a>], pinned: bool) -> Option<(&'r Row<'a>, f64)> {
    let peers = rows.iter().filter(|row| row.is_async_peer() && row.is_pinned() == pinned);
    peers.filter_map(|row| Some((row, row.cpu()?))).min_by(|one, other| one.1.total_cmp(&other.1))
}

/// CPU time per operation at the wire limit.
pub(crate) fn wire_limit(rows: &[Row<'_>]) -> Option<f64> {
    rows.iter().find(|row| row.id == RAW)?.cpu()
}
