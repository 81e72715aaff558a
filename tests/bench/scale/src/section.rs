//! What is counted, and what is not.
//!
//! Callgrind counts inside of [`counted_work`] (`--toggle-collect`), from the begin of a section
//! (`--zero-before`) to its end (`--dump-after`); `runner scale` names these functions. So the
//! servers, the executor and the preparation of a section count nothing. Without callgrind the CPU
//! time of the process is measured, in which they do count.

use nix::sys::resource::{UsageWho, getrusage};
use std::time::Duration;

/// Runs a piece of the client's work.
#[inline(never)]
pub(crate) fn counted_work(work: &mut dyn FnMut()) {
    work();
}

/// Begins a section. It returns something, so that the compiler keeps the call.
#[inline(never)]
fn begin_of_section(name: &str) -> usize {
    std::hint::black_box(name.len() + 1)
}

/// Ends a section.
#[inline(never)]
fn end_of_section(name: &str) -> usize {
    std::hint::black_box(name.len())
}

/// Returns what a piece of the client's work returns.
pub(crate) fn counted<T>(mut work: impl FnMut() -> T) -> T {
    let mut result = None;
    counted_work(&mut || result = Some(work()));
    result.expect("it ran")
}

/// Runs a section of so many operations, and says on standard output that it has ended: its name,
/// the operations, and the nanoseconds of CPU time.
pub(crate) fn section<T>(name: &str, ops: u64, run: impl FnOnce() -> T) -> T {
    begin_of_section(name);
    let before = cpu_time();
    let result = run();
    let took = cpu_time().saturating_sub(before).as_nanos();
    end_of_section(name);
    println!("{name} {ops} {took}");
    result
}

/// The CPU time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process knows its own usage");
    let times = [usage.user_time(), usage.system_time()];
    let micros = times.iter().map(|time| time.tv_sec() * 1_000_000 + time.tv_usec()).sum::<i64>();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
