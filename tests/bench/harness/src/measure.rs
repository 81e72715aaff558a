//! What one run cost: wall time, CPU time, latencies, allocations, context switches.
//!
//! CPU time and switches are the whole process's (`getrusage`), between [`Measure::start`] and
//! [`Measure::stop`]: connecting and warming up are outside. The result is one line of JSON,
//! written by hand so that no peer's dependencies grow by serde.

use crate::alloc;
use crate::args::Args;
use hdrhistogram::Histogram;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::time::{Duration, Instant};

/// The longest latency told apart, in nanoseconds.
const LATENCY_MAX: u64 = 60_000_000_000;

/// One run's accounting.
#[derive(Debug)]
pub struct Measure {
    /// Operations between start and stop.
    ops: u64,
    /// Those, and the ones before, that warmed up: what a tool that sees the whole process counts.
    ops_total: u64,
    /// Messages that a subscriber lost.
    lost: u64,
    /// At the start.
    start: Option<Reading>,
    /// At the end.
    end: Option<Reading>,
    /// Latencies in nanoseconds.
    latencies: Histogram<u64>,
    /// Whether to count allocations.
    count_alloc: bool,
}

/// The process's counters at one moment.
#[derive(Debug)]
struct Reading {
    /// When.
    at: Instant,
    /// The kernel's accounts.
    usage: Usage,
    /// Calls and bytes of the allocator.
    allocations: (u64, u64),
}

impl Reading {
    fn take() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the arguments are valid");
        Self { at: Instant::now(), usage, allocations: alloc::counts() }
    }
}

impl Measure {
    /// Nothing measured yet.
    pub fn new(count_alloc: bool) -> Self {
        let latencies =
            Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("the bounds are valid");
        let (start, end) = (None, None);
        Self { ops: 0, ops_total: 0, lost: 0, start, end, latencies, count_alloc }
    }

    /// Begins.
    pub fn start(&mut self) {
        alloc::count(self.count_alloc);
        self.start = Some(Reading::take());
    }

    /// Ends, after so many operations and so many to warm up before the start.
    pub fn stop(&mut self, ops: u64, warm_up: u64) {
        self.end = Some(Reading::take());
        alloc::count(false);
        self.ops = ops;
        self.ops_total = ops + warm_up;
    }

    /// Records a latency that began then.
    pub fn latency(&mut self, begin: Instant) {
        self.record(begin.elapsed());
    }

    /// Records a latency.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_MAX);
        self.latencies.saturating_record(nanos.clamp(1, LATENCY_MAX));
    }

    /// A subscriber lost so many.
    pub fn lose(&mut self, messages: u64) {
        self.lost = messages;
    }

    /// One line for the runner.
    ///
    /// # Panics
    /// When nothing was started and stopped: the peer's mistake.
    pub fn json(&self, peer: &str, args: &Args) -> String {
        let start = self.start.as_ref().expect("the workload calls `start`");
        let end = self.end.as_ref().expect("the workload calls `stop`");
        let ops = self.ops.max(1) as f64;
        let per_op = |from: f64, to: f64| (to - from) / ops;
        let user = per_op(nanos(start.usage.user_time()), nanos(end.usage.user_time()));
        let system = per_op(nanos(start.usage.system_time()), nanos(end.usage.system_time()));
        let switches = |usage: &Usage| usage.voluntary_context_switches() as f64;
        let fields: [(&str, f64); 13] = [
            ("ops", self.ops as f64),
            ("ops_total", self.ops_total as f64),
            ("lost", self.lost as f64),
            ("ops_s", ops / (end.at - start.at).as_secs_f64()),
            ("cpu_ns", user + system),
            ("user_ns", user),
            ("system_ns", system),
            ("p50_ns", self.latencies.value_at_quantile(0.5) as f64),
            ("p99_ns", self.latencies.value_at_quantile(0.99) as f64),
            ("allocs", per_op(start.allocations.0 as f64, end.allocations.0 as f64)),
            ("alloc_bytes", per_op(start.allocations.1 as f64, end.allocations.1 as f64)),
            ("switches", per_op(switches(&start.usage), switches(&end.usage))),
            ("rss_kib", rss_kib_max()),
        ];
        let mut line = format!("{{\"peer\":\"{peer}\",\"workload\":\"{}\"", args.workload.name);
        line += &format!(",\"mode\":\"{}\"", args.mode.name());
        for (name, value) in fields {
            line += &format!(",\"{name}\":{}", (value * 1e4).round() / 1e4);
        }
        line + "}"
    }
}

/// The most memory that was resident, in KiB.
///
/// Not `getrusage`'s figure: that one outlives `exec`, and is the launching program's if that was
/// larger.
fn rss_kib_max() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0.0)
}

fn nanos(time: TimeVal) -> f64 {
    time.tv_sec() as f64 * 1e9 + time.tv_usec() as f64 * 1e3
}
