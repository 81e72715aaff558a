//! The table at the end, and whether the run has passed.
//!
//! Limits: memory may grow by `GROWTH_MAX` (KiB), descriptors by `MORE_DESCRIPTORS_MAX`, and one
//! call may take `CALL_MAX`. The client must leave no descriptor behind.

use crate::faults::Fault;
use crate::options::Options;
use crate::resources::Resources;
use crate::tally::Counts;
use std::collections::BTreeMap;
use std::time::Duration;

/// Memory may grow by so much from the first third of the run to its end: caches and buffers fill.
const GROWTH_MAX: u64 = 32 * 1024;
/// Descriptors may grow by so many while connections come and go.
const MORE_DESCRIPTORS_MAX: usize = 40;
/// No call takes so long, whatever happens: its timeout is 2 s.
const CALL_MAX: Duration = Duration::from_secs(60);

/// What one run has shown.
pub(crate) struct Report {
    /// Faults by kind.
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// Memory and descriptors after the first third of the run.
    pub(crate) early: Resources,
    /// The same while the load still ran.
    pub(crate) late: Resources,
    /// Before the client was made.
    pub(crate) before: Resources,
    /// After it was dropped.
    pub(crate) after: Resources,
    /// How long the load ran.
    pub(crate) length: Duration,
}

impl Report {
    /// Prints the table.
    pub(crate) fn print(&self, options: &Options, counts: &Counts) {
        let row = |name: &str, value: &dyn std::fmt::Display| println!("| {name} | {value} |");
        println!(
            "\n| {:?} on {} | {:.0?} |\n|---|---|",
            options.runtime, options.server, self.length
        );
        row("operations", &counts.operations.values().sum::<u64>());
        counts.operations.iter().for_each(|(name, count)| row(&format!("- {name}"), count));
        row("faults", &self.faults.values().sum::<u64>());
        self.faults.iter().for_each(|(fault, count)| row(&format!("- {fault:?}"), count));
        row("errors", &counts.errors.values().map(|(count, _)| count).sum::<u64>());
        for (class, (count, text)) in &counts.errors {
            row(&format!("- {class}"), &format!("{count}: {text}"));
        }
        row("wrong replies", &counts.wrong);
        row("acknowledged writes that were lost", &counts.lost);
        row("increments that ran twice", &counts.doubled);
        row("writes of unknown outcome that ran after a newer one", &counts.overtaken);
        row("messages", &counts.messages);
        row("gaps", &counts.gaps);
        row("messages missing, as a gap says", &counts.told);
        row("messages missing without a gap", &counts.untold);
        row("slowest call", &format!("{:.1?}, {}", counts.slowest.0, counts.slowest.1));
        row("before the client was made", &self.before);
        row("after a third of the run", &self.early);
        row("at the end of the run", &self.late);
        row("after the client was dropped", &self.after);
    }

    /// Why the run has failed; empty if it has passed.
    pub(crate) fn failures(&self, counts: &Counts) -> Vec<String> {
        let broken = [
            (counts.wrong, "wrong replies"),
            (counts.lost, "acknowledged writes lost"),
            (counts.doubled, "increments ran twice"),
            (counts.untold, "messages missing without a gap"),
        ];
        let mut failures: Vec<String> = broken
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if counts.slowest.0 > CALL_MAX {
            failures.push(format!("a call took {:?}: {}", counts.slowest.0, counts.slowest.1));
        }
        if self.late.memory > self.early.memory + GROWTH_MAX {
            failures.push(format!("memory grew: {}, then {}", self.early, self.late));
        }
        if self.late.descriptors > self.early.descriptors + MORE_DESCRIPTORS_MAX {
            failures.push(format!("descriptors grew: {}, then {}", self.early, self.late));
        }
        if self.after.descriptors > self.before.descriptors {
            failures.push(format!("descriptors are left: {}, then {}", self.before, self.after));
        }
        failures
    }
}
