//! The chart: CPU time per operation of every client, a panel per workload, as a plain SVG.
//!
//! Each panel has its own scale, linear from zero. A bar that is much longer than the others is
//! cut, and drawn as a cut bar. All clients run on one thread: peers on tokio's current-thread
//! runtime, slotcar there and on smol (the caller inside `block_on`). The factor after a bar is
//! relative to slotcar on smol, or to the best peer where slotcar was not measured.

use crate::peers::{OWN, RAW};
use crate::record::{Record, Row, best_peer, rows};
use crate::table::nanos;
use harness::args::Mode;
use harness::workload::{Shape, Workload};
use std::fmt::Write;

/// Width of the drawing, in pixels, as all lengths here.
const WIDTH: f64 = 920.0;
/// Panels beside each other.
const COLUMNS: usize = 2;
/// Around everything, and between panels.
const MARGIN: f64 = 24.0;
/// Above the panels.
const HEAD: f64 = 84.0;
/// Below them.
const FOOT: f64 = 40.0;
/// A panel's title.
const TITLE: f64 = 34.0;
/// From one bar to the next.
const STEP: f64 = 23.0;
/// A bar.
const BAR: f64 = 15.0;
/// The names before the bars.
const NAMES: f64 = 118.0;
/// The figures behind the longest bar.
const FIGURES: f64 = 104.0;
/// A bar is at most so many times as long as the next longest.
const CUT: f64 = 2.5;

/// How everything looks.
const STYLE: &str = "
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}
text{font-size:12px;fill:#1f2933}
.head{font-size:19px;font-weight:600}
.sub{font-size:13px;fill:#52606d}
.title{font-size:13.5px;font-weight:600}
.unit{font-weight:400;fill:#627d98}
.name{text-anchor:end}
.bold{font-weight:600}
.factor{fill:#627d98}
.foot{font-size:11px;fill:#7b8794}
.wire{fill:#dde3ea}
.peer{fill:#9fb3c8}
.own{fill:#d64500}
.tokio{fill:#f29a5f}
.cut{stroke:#ffffff;stroke-width:3;fill:none}
";

/// A bar.
struct Bar {
    /// Whose.
    name: String,
    /// CPU time per operation, in nanoseconds.
    cpu: f64,
    /// How it is drawn.
    class: &'static str,
}

/// A workload's bars.
struct Panel {
    /// Above them.
    title: &'static str,
    /// Behind the title, less loud.
    unit: &'static str,
    /// The wire limit, slotcar, then the peers, cheapest first.
    bars: Vec<Bar>,
    /// What the factors are to.
    one: Option<f64>,
}

/// The drawing, with a line that says what was measured.
pub(crate) fn draw(workloads: &[&'static Workload], records: &[Record], setup: &str) -> String {
    let shown = workloads.iter().filter(|workload| workload.shape != Shape::Cold);
    let panels: Vec<Panel> = shown
        .map(|workload| panel(workload, &rows(records, workload.name)))
        .filter(|panel| !panel.bars.is_empty())
        .collect();
    let height = |panel: &Panel| TITLE + STEP * panel.bars.len() as f64;
    let mut body = String::new();
    let mut top = HEAD;
    for line in panels.chunks(COLUMNS) {
        for (column, panel) in line.iter().enumerate() {
            let left = MARGIN + column as f64 * (panel_width() + MARGIN);
            body += &draw_panel(panel, left, top);
        }
        top += line.iter().map(height).fold(0.0, f64::max) + MARGIN;
    }
    let own = panels.iter().any(|panel| panel.bars.iter().any(|bar| bar.class == "own"));
    let one = if own { "slotcar on smol" } else { "the best peer" };
    frame(&body, top + FOOT - MARGIN, one, setup)
}

fn panel_width() -> f64 {
    (WIDTH - MARGIN * (COLUMNS as f64 + 1.0)) / COLUMNS as f64
}

fn panel(workload: &'static Workload, rows: &[Row<'_>]) -> Panel {
    let mut bars = Vec::new();
    let mut add = |row: Option<&Row<'_>>, name: &str, class| {
        let cpu = row.and_then(Row::cpu).filter(|cpu| *cpu > 0.0);
        bars.extend(cpu.map(|cpu| Bar { name: name.to_owned(), cpu, class }));
    };
    add(rows.iter().find(|row| row.id == RAW), "wire limit", "wire");
    let own = |mode: Mode| rows.iter().find(|row| row.id == OWN && row.mode == mode.name());
    add(own(Mode::Smol), "slotcar, smol", "own");
    add(own(Mode::Ct), "slotcar, tokio", "own tokio");
    let best = best_peer(rows, true).map(|(_, cpu)| cpu);
    let one = own(Mode::Smol).and_then(Row::cpu).or(best);
    let mut peers: Vec<&Row<'_>> =
        rows.iter().filter(|row| row.is_async_peer() && row.is_pinned()).collect();
    let cost = |row: &Row<'_>| row.cpu().unwrap_or(f64::MAX);
    peers.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
    for row in peers {
        add(Some(row), row.peer, "peer");
    }
    Panel { title: workload.summary, unit: workload.unit, bars, one }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn draw_panel(panel: &Panel, left: f64, top: f64) -> String {
    let mut out = format!(
        "<text class=\"title\" x=\"{left:.0}\" y=\"{:.0}\">{}\
         <tspan class=\"unit\" dx=\"6\">per {}</tspan></text>\n",
        top + 14.0,
        escaped(&capitalised(panel.title)),
        panel.unit,
    );
    let mut costs: Vec<f64> = panel.bars.iter().map(|bar| bar.cpu).collect();
    costs.sort_by(f64::total_cmp);
    let longest = match costs[..] {
        [.., second, first] => first.min(CUT * second),
        [first] => first,
        [] => 1.0,
    };
    let room = panel_width() - NAMES - FIGURES;
    let from = left + NAMES;
    for (index, bar) in panel.bars.iter().enumerate() {
        let y = top + TITLE + STEP * index as f64;
        let (text, width) = (y + BAR - 3.0, (bar.cpu / longest).min(1.0) * room);
        let factor = match panel.one {
            Some(one) if bar.class == "peer" || bar.class == "own tokio" => {
                format!(" <tspan class=\"factor\">×{:.2}</tspan>", bar.cpu / one)
            }
            _ => String::new(),
        };
        let bold = if bar.class.starts_with("own") { " bold" } else { "" };
        // A formatter that writes to a String does not fail.
        let _ = writeln!(
            out,
            "<text class=\"name{bold}\" x=\"{:.0}\" y=\"{text:.0}\">{}</text>\n\
             <rect class=\"{}\" x=\"{from:.0}\" y=\"{y:.0}\" width=\"{width:.1}\" \
             height=\"{BAR}\"/>\n\
             <text class=\"figure{bold}\" x=\"{:.1}\" y=\"{text:.0}\">{}{factor}</text>",
            from - 8.0,
            escaped(&bar.name),
            bar.class,
            from + width + 6.0,
            nanos(bar.cpu),
        );
        if bar.cpu > longest {
            let at = from + width - 26.0;
            let _ = writeln!(
                out,
                "<path class=\"cut\" d=\"M{at:.0} {:.0}l5 {BAR}m5 0l-5 -{BAR}\"/>",
                y
            );
        }
    }
    out
}

fn frame(body: &str, height: f64, one: &str, setup: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"CPU time per operation of Redis clients in Rust\">\n\
         <style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text class=\"head\" x=\"{MARGIN}\" y=\"36\">CPU time of the client per operation</text>\n\
         <text class=\"sub\" x=\"{MARGIN}\" y=\"57\">User and kernel time of the client's process; \
         shorter is better. × = compared with {one}. Each panel has its own scale.</text>\n\
         {body}\
         <text class=\"foot\" x=\"{MARGIN}\" y=\"{:.0}\">{}. Every client \
         on one thread.</text>\n\
         </svg>\n",
        height - 16.0,
        escaped(setup),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Found;
    use std::collections::BTreeMap;

    fn record(id: &str, peer: &str, mode: &str, cpu_ns: f64) -> Record {
        let zero: BTreeMap<&str, f64> = [
            "ops",
            "ops_total",
            "lost",
            "ops_s",
            "user_ns",
            "system_ns",
            "p50_ns",
            "p99_ns",
            "allocs",
            "alloc_bytes",
            "switches",
            "rss_kib",
        ]
        .into_iter()
        .map(|name| (name, 0.0))
        .chain([("cpu_ns", cpu_ns)])
        .collect();
        let sample = serde_json::from_value(serde_json::json!(zero)).unwrap();
        let text = |text: &str| text.to_owned();
        let found = Found::Timed(sample);
        Record { workload: text("b"), id: text(id), peer: text(peer), mode: text(mode), found }
    }

    /// A peer shows its asynchronous mode of one thread, with its factor to slotcar on smol.
    #[test]
    fn compares_what_ran_alike() {
        let records = [
            record(RAW, "wire limit", "sync", 100.0),
            record(OWN, "slotcar", "smol", 500.0),
            record("one", "A & B", "mt", 4000.0),
            record("one", "A & B", "ct", 1500.0),
            record("one", "A & B", "sync", 10.0),
        ];
        let workload = harness::workload::named("b").unwrap();
        let drawing = draw(&[workload], &records, "setup");
        assert_eq!(drawing.matches("<rect class=").count(), 3);
        assert!(drawing.contains(">A &amp; B</text>"), "{drawing}");
        assert!(drawing.contains("1.50 us <tspan class=\"factor\">×3.00</tspan>"), "{drawing}");
        assert!(drawing.contains("compared with slotcar on smol"), "{drawing}");
    }
}
