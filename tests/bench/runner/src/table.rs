//! The tables: Markdown, a row per peer and mode, cheapest first; a summary of slotcar's ratios.
//!
//! Ratios are to the best peer (the asynchronous Rust client that uses the least CPU, or does the
//! most operations) and to the wire limit. Modes pinned to one CPU are compared with pinned ones,
//! the others with the others. Columns that nothing was measured for are left out.

use crate::peers::OWN;
use crate::record::{Record, Row, best_peer, median, rows, wire_limit};
use harness::args::Mode;
use harness::workload::{Shape, Workload};

/// Of the system calls of an operation, as many are named as this.
const SYSCALLS_NAMED: usize = 4;

/// What a row is compared with.
#[derive(Clone, Copy)]
struct Reference {
    /// CPU time of the best peer, in nanoseconds.
    best_cpu: Option<f64>,
    /// CPU time at the wire limit, in nanoseconds.
    wire_cpu: Option<f64>,
    /// The most operations per second of any asynchronous peer.
    best_rate: Option<f64>,
}

impl Reference {
    fn of(rows: &[Row<'_>], pinned: bool) -> Self {
        let peers = rows.iter().filter(|row| row.is_async_peer() && row.is_pinned() == pinned);
        Self {
            best_cpu: best_peer(rows, pinned).map(|(_, cpu)| cpu),
            wire_cpu: wire_limit(rows),
            best_rate: peers.filter_map(rate).max_by(f64::total_cmp),
        }
    }
}

/// A column: its title and the cell of a row.
type Column = (&'static str, fn(&Row<'_>, &Reference) -> Option<String>);

const COLUMNS: &[Column] = &[
    ("CPU/op", |row, _| row.cpu().map(nanos)),
    ("÷ best peer", |row, reference| ratio(row.cpu(), reference.best_cpu)),
    ("÷ wire", |row, reference| ratio(row.cpu(), reference.wire_cpu)),
    ("user", |row, _| row.median(|sample| sample.user_ns).map(nanos)),
    ("sys", |row, _| row.median(|sample| sample.system_ns).map(nanos)),
    ("ops/s", |row, _| row.median(|sample| sample.ops_s).map(count)),
    ("÷ best peer", |row, reference| ratio(rate(row), reference.best_rate)),
    ("p50", |row, _| row.median(|sample| sample.p50_ns).filter(|ns| *ns > 0.0).map(nanos)),
    ("p99", |row, _| row.median(|sample| sample.p99_ns).filter(|ns| *ns > 0.0).map(nanos)),
    ("instructions", |row, _| row.instructions.map(count)),
    ("allocations", |row, _| row.allocations.map(|sample| format!("{:.2}", sample.allocs))),
    ("bytes", |row, _| row.allocations.map(|sample| count(sample.alloc_bytes))),
    ("syscalls", |row, _| row.syscalls.map(syscalls)),
    ("RSS", |row, _| {
        let rss = row.median(|sample| sample.rss_kib).filter(|kib| *kib > 0.0);
        rss.map(|kib| format!("{:.1} MiB", kib / 1024.0))
    }),
    ("lost", |row, _| row.median(|sample| sample.lost).filter(|lost| *lost > 0.0).map(count)),
];

/// The tables of these workloads, as far as there is anything in them.
pub(crate) fn tables(workloads: &[&Workload], records: &[Record]) -> String {
    let mut text = String::new();
    for workload in workloads {
        let mut rows = rows(records, workload.name);
        if rows.is_empty() {
            continue;
        }
        text += &format!("\n## {}: {} (per {})\n", workload.name, workload.summary, workload.unit);
        if workload.shape == Shape::Cold {
            text += &cold(&rows);
            continue;
        }
        let cost = |row: &Row<'_>| row.cpu().or(row.instructions).unwrap_or(f64::MAX);
        rows.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
        text += &table(&rows);
    }
    text
}

fn table(rows: &[Row<'_>]) -> String {
    let references = [false, true].map(|pinned| Reference::of(rows, pinned));
    let mut columns: Vec<(&str, Vec<Option<String>>)> = Vec::new();
    columns.push(("client", rows.iter().map(|row| Some(client(row))).collect()));
    columns.push(("mode", rows.iter().map(|row| Some(row.mode.to_owned())).collect()));
    for (title, cell) in COLUMNS {
        let cells: Vec<_> =
            rows.iter().map(|row| cell(row, &references[usize::from(row.is_pinned())])).collect();
        if cells.iter().any(Option::is_some) {
            columns.push((title, cells));
        }
    }
    markdown(&columns)
}

fn client(row: &Row<'_>) -> String {
    if row.id == OWN { format!("**{}**", row.peer) } else { row.peer.to_owned() }
}

fn cold(rows: &[Row<'_>]) -> String {
    let mut columns = vec![("client", Vec::new()), ("mode", Vec::new())];
    columns.extend(
        ["to the first reply", "connections", "commands", "which"].map(|title| (title, Vec::new())),
    );
    for row in rows.iter().filter(|row| !row.starts.is_empty()) {
        let starts = row.starts.iter();
        let wall = median(starts.clone().map(|start| start.wall_ns));
        let connections = median(starts.clone().map(|start| start.connections));
        let commands = median(starts.map(|start| start.commands.values().sum()));
        let last = row.starts.last().map(|start| &start.commands);
        let which = last.map(|commands| {
            let named: Vec<_> = commands.iter().map(|(name, n)| format!("{name} {n}")).collect();
            named.join(", ")
        });
        let cells = [
            Some(client(row)),
            Some(row.mode.to_owned()),
            wall.map(nanos),
            connections.map(count),
            commands.map(count),
            which,
        ];
        columns.iter_mut().zip(cells).for_each(|(column, cell)| column.1.push(cell));
    }
    markdown(&columns)
}

/// Slotcar's ratios, a row per workload.
pub(crate) fn summary(workloads: &[&Workload], records: &[Record]) -> String {
    let mut columns: Vec<(&str, Vec<_>)> = Vec::new();
    columns.extend(SUMMARY.iter().map(|title| (*title, Vec::new())));
    for workload in workloads.iter().filter(|workload| workload.shape != Shape::Cold) {
        let rows = rows(records, workload.name);
        let (best, wire) = (best_peer(&rows, true), wire_limit(&rows));
        let best_cpu = best.map(|(_, cpu)| cpu);
        let own = |mode: Mode| {
            rows.iter().find(|row| row.id == OWN && row.mode == mode.name()).and_then(Row::cpu)
        };
        let mut cells = vec![Some(format!("{} {}", workload.name, workload.summary))];
        cells.push(wire.map(nanos));
        cells.push(best.map(|(row, cpu)| format!("{} {} {}", row.peer, row.mode, nanos(cpu))));
        for cpu in [Mode::Smol, Mode::Ct].map(own) {
            cells.extend([cpu.map(nanos), ratio(cpu, best_cpu), ratio(cpu, wire)]);
        }
        cells.push(workload.goal.map(|goal| format!("{goal:.2}")));
        let best = best_peer(&rows, false);
        let best_cpu = best.map(|(_, cpu)| cpu);
        cells.push(best.map(|(row, cpu)| format!("{} {} {}", row.peer, row.mode, nanos(cpu))));
        for cpu in [Mode::Smolg, Mode::Mt].map(own) {
            cells.extend([cpu.map(nanos), ratio(cpu, best_cpu)]);
        }
        if rows.iter().any(|row| row.cpu().is_some()) {
            columns.iter_mut().zip(cells).for_each(|(column, cell)| column.1.push(cell));
        }
    }
    format!("\n## Summary: CPU per operation\n{}", markdown(&columns))
}

/// The columns of the summary.
const SUMMARY: &[&str] = &[
    "workload",
    "wire limit",
    "best peer, pinned",
    "slotcar smol",
    "÷ best",
    "÷ wire",
    "slotcar ct",
    "÷ best",
    "÷ wire",
    "goal, ÷ best",
    "best peer, not pinned",
    "slotcar smolg",
    "÷ best",
    "slotcar mt",
    "÷ best",
];

/// Columns of equal width, the first to the left, the others to the right.
fn markdown(columns: &[(&str, Vec<Option<String>>)]) -> String {
    let height = columns.first().map_or(0, |column| column.1.len());
    let cell = |column: &(&str, Vec<Option<String>>), index: usize| {
        column.1[index].clone().unwrap_or_else(|| "-".to_owned())
    };
    let mut lines = vec![String::from("|"); height + 2];
    for (place, column) in columns.iter().enumerate() {
        let cells: Vec<String> = (0..height).map(|index| cell(column, index)).collect();
        let widths = cells.iter().map(|cell| cell.chars().count());
        let width = widths.max().unwrap_or(0).max(column.0.chars().count());
        let pad = |text: &str| {
            if place == 0 { format!(" {text:<width$} |") } else { format!(" {text:>width$} |") }
        };
        lines[0] += &pad(column.0);
        let dashes = "-".repeat(width);
        lines[1] += &if place == 0 { format!(" {dashes} |") } else { format!(" {dashes}:|") };
        for (line, cell) in lines[2..].iter_mut().zip(&cells) {
            *line += &pad(cell);
        }
    }
    lines.join("\n") + "\n"
}

fn rate(row: &Row<'_>) -> Option<f64> {
    row.median(|sample| sample.ops_s)
}

fn ratio(value: Option<f64>, reference: Option<f64>) -> Option<String> {
    let reference = reference.filter(|reference| *reference > 0.0)?;
    Some(format!("{:.2}", value? / reference))
}

fn syscalls(per_op: &std::collections::BTreeMap<String, f64>) -> String {
    let mut calls: Vec<(&String, f64)> = per_op.iter().map(|(name, n)| (name, *n)).collect();
    calls.sort_by(|one, other| other.1.total_cmp(&one.1));
    let total = calls.iter().fold(0.0, |total, call| total + call.1);
    let named: Vec<String> =
        calls.iter().take(SYSCALLS_NAMED).map(|(name, n)| format!("{name} {n:.2}")).collect();
    format!("{total:.2} ({})", named.join(", "))
}

/// A time for people.
pub(crate) fn nanos(value: f64) -> String {
    match value {
        ns if ns < 999.5 => format!("{ns:.0} ns"),
        ns if ns < 9_995.0 => format!("{:.2} us", ns / 1e3),
        ns if ns < 99_950.0 => format!("{:.1} us", ns / 1e3),
        ns if ns < 999_500.0 => format!("{:.0} us", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

/// A count for people.
fn count(value: f64) -> String {
    match value {
        few if few < 9_999.5 => format!("{few:.0}"),
        many if many < 999_500.0 => format!("{:.1}k", many / 1e3),
        more => format!("{:.2}M", more / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three digits that matter, and never four before the point.
    #[test]
    fn times_read_well() {
        let cases = [
            (97.4, "97 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 us"),
            (1_234.0, "1.23 us"),
            (12_345.0, "12.3 us"),
            (270_400.0, "270 us"),
            (1_440_000.0, "1.44 ms"),
        ];
        for (value, expected) in cases {
            assert_eq!(nanos(value), expected);
        }
    }
}
