//! The options of SCAN and its kin.
//!
//! Spec: <https://redis.io/commands/scan/>. Called by `keys`, `hashes`, `sets`, `sorted_sets`, and
//! by users.

use super::append::Options;
use crate::command::Command;

/// The options of SCAN, HSCAN, SSCAN and ZSCAN.
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanOptions<'a> {
    /// MATCH.
    pattern: Option<&'a str>,
    /// COUNT.
    count: Option<u64>,
    /// TYPE.
    kind: Option<&'a str>,
}

impl<'a> ScanOptions<'a> {
    /// No options: everything, in steps of the server's choice.
    pub const fn new() -> Self {
        Self { pattern: None, count: None, kind: None }
    }

    /// Only what matches: `*`, `?`, `[a-z]` and `\` as in KEYS.
    pub const fn matching(mut self, pattern: &'a str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// How much the server should look at in one step; it chooses about 10.
    pub const fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// SCAN only: keys of one type, as TYPE names it. Needs server version 6.0.
    pub const fn of_type(mut self, kind: &'a str) -> Self {
        self.kind = Some(kind);
        self
    }
}

impl Options for ScanOptions<'_> {
    fn add_to(self, mut command: Command) -> Command {
        if let Some(pattern) = self.pattern {
            command = command.arg("MATCH").arg(pattern);
        }
        if let Some(count) = self.count {
            command = command.arg("COUNT").arg(count);
        }
        match self.kind {
            Some(kind) => command.arg("TYPE").arg(kind),
            None => command,
        }
    }
}
