//! redis-benchmark, the servers' own load generator in C, as one more row of some tables.
//!
//! It counts no CPU time itself: the kernel's account of ended children gives it, connecting
//! included. Its latencies are per command in a pipeline, as those of the wire limit.

use crate::launch::Cpus;
use crate::record::Sample;
use crate::{Outcome, launch};
use harness::args::Addr;
use nix::sys::resource::{UsageWho, getrusage};
use std::path::Path;
use std::time::Duration;

/// Its name for `--peers`.
pub(crate) const ID: &str = "redis-benchmark";

/// How long one run may take.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// How it does a workload.
#[derive(Debug)]
pub(crate) struct Variant {
    /// The workload's name.
    pub(crate) workload: &'static str,
    /// Its name in the tables: the program and its options.
    pub(crate) name: &'static str,
    /// The commands that it repeats, one kind after the other.
    tests: &'static str,
}

/// All of them.
pub(crate) const VARIANTS: &[Variant] = &[
    variant("a", "redis-benchmark -c 1", "get"),
    variant("b", "redis-benchmark -c 1 -P 64", "get,set"),
    variant("b", "redis-benchmark -c 64", "get,set"),
    variant("c", "redis-benchmark -c 1 -P 1024", "get,set"),
    variant("d", "redis-benchmark -c 1 -P 100", "get"),
    variant("g", "redis-benchmark --cluster -c 64", "get,set"),
];

const fn variant(workload: &'static str, name: &'static str, tests: &'static str) -> Variant {
    Variant { workload, name, tests }
}

/// Runs it.
pub(crate) fn run(program: &Path, variant: &Variant, addr: &Addr, ops: u64) -> Outcome<Sample> {
    let kinds = variant.tests.split(',').count() as u64;
    let mut command = launch::command(program, Cpus::Client);
    command.args(["-h", &addr.0, "-p", &addr.1.to_string(), "--csv", "-d", "100", "-r", "10000"]);
    command.args(["-t", variant.tests, "-n", &(ops / kinds).to_string()]);
    command.args(variant.name.split(' ').skip(1));
    command.stderr(std::process::Stdio::null());
    let before = children_cpu();
    let text = launch::output(&mut command, RUN_LIMIT)
        .map_err(|error| format!("{}: {error}", variant.name))?;
    let after = children_cpu();
    let rows: Vec<Vec<f64>> = text.lines().filter_map(parse_row).collect();
    if rows.is_empty() {
        return Err(format!("{}: no figures in its output", variant.name));
    }
    let seconds_per_op: f64 = rows.iter().map(|row| 1.0 / row[0]).sum::<f64>() / rows.len() as f64;
    let worst = |column: usize| rows.iter().map(|row| row[column] * 1e6).fold(0.0, f64::max);
    let (user, system) = ((after.0 - before.0) / ops as f64, (after.1 - before.1) / ops as f64);
    Ok(Sample {
        ops: ops as f64,
        ops_total: ops as f64,
        lost: 0.0,
        ops_s: 1.0 / seconds_per_op,
        cpu_ns: user + system,
        user_ns: user,
        system_ns: system,
        p50_ns: worst(3),
        p99_ns: worst(5),
        allocs: 0.0,
        alloc_bytes: 0.0,
        switches: 0.0,
        rss_kib: 0.0,
    })
}

/// Of `"GET","96153.84","0.484","0.112","0.479",..`: all after the name; the header gives nothing.
///
/// The columns: requests per second, then latencies in milliseconds: average, least, median, 95 %,
/// 99 %, most.
fn parse_row(line: &str) -> Option<Vec<f64>> {
    let fields = line.split(',').skip(1).map(|field| field.trim_matches('"').parse().ok());
    let row: Vec<f64> = fields.collect::<Option<_>>()?;
    (row.len() >= 7).then_some(row)
}

/// User and system time of all ended children, in nanoseconds.
fn children_cpu() -> (f64, f64) {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the arguments are valid");
    let nanos =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e9 + time.tv_usec() as f64 * 1e3;
    (nanos(usage.user_time()), nanos(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures are read, the header and empty lines are not.
    #[test]
    fn reads_rows_of_figures_only() {
        let header = "\"test\",\"rps\",\"avg_latency_ms\",\"min\",\"p50\",\"p95\",\"p99\",\"max\"";
        let row = "\"GET\",\"96153.84\",\"0.484\",\"0.112\",\"0.479\",\"0.6\",\"0.7\",\"1.5\"";
        assert_eq!(parse_row(header), None);
        assert_eq!(parse_row(""), None);
        assert_eq!(parse_row(row), Some(vec![96153.84, 0.484, 0.112, 0.479, 0.6, 0.7, 1.5]));
    }
}
