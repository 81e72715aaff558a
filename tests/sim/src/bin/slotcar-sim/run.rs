//! `slotcar-sim run`: runs seeds, prints which of them broke a promise and how to replay them, and
//! prints the trace of the first one.

use slotcar_sim::check::{self, Deployment, Workload};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The usage text.
pub(crate) const USAGE: &str = "slotcar-sim run [--deployment standalone|cluster|sentinel|all] \
                                [--workload mixed|scripts|limited|all] [--seeds N] [--from S] \
                                [--threads N] [--trace]";

/// The arguments of `run`.
struct Plan {
    /// The deployments to run.
    deployments: Vec<Deployment>,
    /// The workloads to run on each.
    workloads: Vec<Workload>,
    /// How many seeds.
    seeds: u64,
    /// The first seed.
    from: u64,
    /// How many threads share them.
    threads: u64,
    /// Show the trace of the first broken run.
    trace: bool,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut plan = Self {
            deployments: Deployment::ALL.to_vec(),
            workloads: vec![Workload::Mixed],
            seeds: 1000,
            from: 0,
            threads: 1,
            trace: false,
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            if name == "--trace" {
                plan.trace = true;
                continue;
            }
            let value = rest.next().ok_or_else(usage)?;
            let number = || value.parse().map_err(|_| format!("{name} wants a number: {value}"));
            match name.as_str() {
                "--deployment" => plan.deployments = deployments(value)?,
                "--workload" => plan.workloads = workloads(value)?,
                "--seeds" => plan.seeds = number()?,
                "--from" => plan.from = number()?,
                "--threads" => plan.threads = number()?.max(1),
                _ => return Err(usage()),
            }
        }
        Ok(plan)
    }
}

fn usage() -> String {
    format!("usage: {USAGE}")
}

fn deployments(name: &str) -> Result<Vec<Deployment>, String> {
    if name == "all" {
        return Ok(Deployment::ALL.to_vec());
    }
    let named = Deployment::ALL.into_iter().find(|deployment| deployment.name() == name);
    named.map(|deployment| vec![deployment]).ok_or(format!("no such deployment: {name}"))
}

fn workloads(name: &str) -> Result<Vec<Workload>, String> {
    if name == "all" {
        return Ok(Workload::ALL.to_vec());
    }
    let named = Workload::ALL.into_iter().find(|workload| workload.name() == name);
    named.map(|workload| vec![workload]).ok_or(format!("no such workload: {name}"))
}

/// Sums over runs.
#[derive(Default)]
struct Sums {
    /// Runs.
    runs: AtomicU64,
    /// Runs that broke a promise.
    broken: AtomicU64,
    /// Calls.
    calls: AtomicU64,
    /// Calls that failed.
    failed: AtomicU64,
    /// Virtual milliseconds.
    millis: AtomicU64,
}

/// Runs the seeds; false when one of them broke a promise.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let plan = Plan::parse(arguments)?;
    let mut good = true;
    let workloads = || plan.workloads.iter();
    let each = plan.deployments.iter().flat_map(|d| workloads().map(move |w| (*d, *w)));
    for (deployment, workload) in each {
        let start = Instant::now();
        let (sums, next) = (Sums::default(), AtomicU64::new(plan.from));
        let printing = Mutex::new(plan.trace);
        std::thread::scope(|scope| {
            for _ in 0..plan.threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed - plan.from >= plan.seeds {
                            break;
                        }
                        try_seed(seed, (deployment, workload), &sums, &printing);
                    }
                });
            }
        });
        let total = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{deployment:?}, {workload:?}: {} runs, {} broken; {} calls, {} failed; {:.0} virtual \
             seconds in {seconds:.1} s, {:.0} runs a second",
            total(&sums.runs),
            total(&sums.broken),
            total(&sums.calls),
            total(&sums.failed),
            total(&sums.millis) as f64 / 1000.0,
            total(&sums.runs) as f64 / seconds
        );
        good &= total(&sums.broken) == 0;
    }
    Ok(good)
}

fn try_seed(
    seed: u64,
    (deployment, workload): (Deployment, Workload),
    sums: &Sums,
    printing: &Mutex<bool>,
) {
    let add = |sum: &AtomicU64, by: u64| sum.fetch_add(by, Ordering::Relaxed);
    add(&sums.runs, 1);
    match check::run(seed, deployment, workload) {
        Ok(report) => {
            add(&sums.calls, report.calls as u64);
            add(&sums.failed, report.failed as u64);
            add(&sums.millis, report.time.as_millis() as u64);
        }
        Err(broken) => {
            add(&sums.broken, 1);
            let mut show = printing.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{broken}");
            if std::mem::take(&mut *show) {
                println!("{}", broken.trace);
            }
        }
    }
}
