//! The options of SCAN, HSCAN, SSCAN and ZSCAN.
//!
//! MATCH and TYPE are `matching` and `of_type` here, because `match` and `type` are Rust keywords.
//! Spec: <https://redis.io/commands/scan/>.

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
    /// No options: all elements, in steps whose size the server chooses.
    pub const fn new() -> Self {
        Self { pattern: None, count: None, kind: None }
    }

    /// MATCH: only elements that match; `*`, `?`, `[a-z]` and `\` as in KEYS.
    pub const fn matching(mut self, pattern: &'a str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// COUNT: about how many elements the server examines in one step; its default is 10.
    pub const fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// TYPE, of SCAN only: keys of one type, named as the command TYPE does. Needs server version
    /// 6.0.
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
