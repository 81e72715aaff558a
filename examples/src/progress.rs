//! A progress bar for steps of more than a second.
//!
//! On a terminal it redraws one line; elsewhere it prints a line per quarter, so that a log shows
//! that something happens. A step that ends sooner prints nothing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 40;
const QUIET: Duration = Duration::from_secs(1);

/// How far one step is.
#[derive(Debug)]
pub struct Progress {
    /// What is being done.
    name: &'static str,
    /// How many parts it has.
    total: usize,
    /// When it began.
    began: Instant,
    /// What was last drawn, in parts of the finest mark; 0 before anything was.
    drawn: usize,
}

impl Progress {
    /// A step of `total` parts that begins now.
    #[must_use]
    pub fn new(name: &'static str, total: usize) -> Self {
        Self { name, total: total.max(1), began: Instant::now(), drawn: 0 }
    }

    /// Shows that `done` parts are done, if the step has taken long enough to be worth showing.
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
            // A bar that cannot be drawn is no reason to fail.
            drop(std::io::stderr().flush());
        } else {
            eprintln!("  {} {percent} %", self.name);
        }
    }

    /// Ends the step: the bar gives way to what is printed next.
    pub fn finish(self) -> Duration {
        if self.drawn > 0 && std::io::stderr().is_terminal() {
            eprint!("\r{}\r", " ".repeat(self.name.len() + WIDTH + 12));
        }
        self.began.elapsed()
    }
}
