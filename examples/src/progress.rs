//! A progress bar for steps of more than a second.
//!
//! On a terminal it redraws one line; elsewhere it prints a line for each quarter, for logs. A step
//! that ends within a second prints nothing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Characters in a full bar.
const WIDTH: usize = 40;
/// A step prints nothing before it has run for this long.
const QUIET: Duration = Duration::from_secs(1);

/// The progress of one step.
#[derive(Debug)]
pub struct Progress {
    /// What the step does.
    name: &'static str,
    /// Number of parts.
    total: usize,
    /// When it began.
    began: Instant,
    /// Number of marks that were last drawn; 0 before the first.
    drawn: usize,
}

impl Progress {
    /// Begins a step of `total` parts.
    #[must_use]
    pub fn new(name: &'static str, total: usize) -> Self {
        Self { name, total: total.max(1), began: Instant::now(), drawn: 0 }
    }

    /// Shows that `done` parts are done, if the step has run for a second.
    pub fn show(&mut self, done: usize) {
        let terminal = std::io::stderr().is_terminal();
        let marks = if terminal { WIDTH } else { 4 };
        let drawn = done.min(self.total) * marks / self.total;
        if self.began.elapsed() < QUIET || drawn == self.drawn {
            return;
        }
        self.drawn = drawn;
        let percent = done.min(self.total) * 100 / self.total;
        if terminal {
            let bar = format!("{}{}", "#".repeat(drawn), ".".repeat(WIDTH - drawn));
            eprint!("\r  {} [{bar}] {percent:>3} %", self.name);
            // An example does not fail because its bar cannot be drawn.
            drop(std::io::stderr().flush());
        } else {
            eprintln!("  {} {percent} %", self.name);
        }
    }

    /// Ends the step, erases the bar and returns how long the step took.
    pub fn finish(self) -> Duration {
        if self.drawn > 0 && std::io::stderr().is_terminal() {
            eprint!("\r{}\r", " ".repeat(self.name.len() + WIDTH + 12));
        }
        self.began.elapsed()
    }
}
