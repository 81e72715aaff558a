//! Counts of what happened, shared by all workers.
//!
//! A fault explains errors of connections, deadlines and refusals. Any other error counts as a
//! wrong reply: the load sends nothing that a server or the client could object to.

use crate::counter::Finding;
use slotcar::{Delivery, Error, ErrorDetail, ErrorKind};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Texts of broken promises that are kept.
const NOTES_MAX: usize = 50;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Calls by what they did.
    pub(crate) operations: BTreeMap<&'static str, u64>,
    /// Errors by class, with the text of the first.
    pub(crate) errors: BTreeMap<String, (u64, String)>,
    /// Replies that belong to another command.
    pub(crate) wrong: u64,
    /// Acknowledged writes that are missing.
    pub(crate) lost: u64,
    /// Increments that ran more often than they were sent.
    pub(crate) doubled: u64,
    /// Writes of an unknown outcome that ran after a newer one was acknowledged.
    pub(crate) overtaken: u64,
    /// Messages that arrived.
    pub(crate) messages: u64,
    /// Published messages that did not arrive, and a gap says so.
    pub(crate) told: u64,
    /// Published messages that did not arrive, and nothing says so.
    pub(crate) untold: u64,
    /// Gaps.
    pub(crate) gaps: u64,
    /// The longest call, and what it was.
    pub(crate) slowest: (Duration, &'static str),
    /// What broken promises were about.
    pub(crate) notes: Vec<String>,
}

impl Tally {
    /// The counts.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and its time.
    pub(crate) async fn count<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let output = call.await;
        let took = began.elapsed();
        let mut counts = self.counts();
        *counts.operations.entry(name).or_default() += 1;
        counts.slowest = counts.slowest.max((took, name));
        output
    }

    /// Counts an error. One that no fault of a server explains is a wrong reply.
    pub(crate) fn error(&self, error: &Error) {
        let code = error.server_error().map(|server| format!(" {}", server.code()));
        let class =
            format!("{:?}{} {:?}", error.kind(), code.unwrap_or_default(), error.delivery());
        let mut counts = self.counts();
        let entry = counts.errors.entry(class).or_insert_with(|| (0, error.to_string()));
        entry.0 += 1;
        let explained = match error.kind() {
            ErrorKind::Connect | ErrorKind::Handshake | ErrorKind::Timeout => true,
            ErrorKind::Limit | ErrorKind::Topology => true,
            // A command that was split has parts that ran, and parts that were refused.
            ErrorKind::Server => error.delivery() != Delivery::Answered || is_partial(error),
            _ => false,
        };
        if !explained {
            counts.wrong += 1;
            counts.note(format!("no fault explains this error: {error}"));
        }
    }

    /// Counts what a value shows.
    pub(crate) fn finding(&self, finding: Finding, about: impl FnOnce() -> String) {
        let mut counts = self.counts();
        match finding {
            Finding::Fine => return,
            Finding::Wrong => counts.wrong += 1,
            Finding::Lost(count) => counts.lost += count.unsigned_abs(),
            Finding::Doubled(count) => counts.doubled += count.unsigned_abs(),
        }
        counts.note(format!("{finding:?}: {}", about()));
    }
}

fn is_partial(error: &Error) -> bool {
    matches!(error.details(), Some(ErrorDetail::Partial { .. }))
}

impl Counts {
    /// Keeps a text for the report.
    pub(crate) fn note(&mut self, text: String) {
        if self.notes.len() < NOTES_MAX {
            println!("!! {text}");
            self.notes.push(text);
        }
    }
}
