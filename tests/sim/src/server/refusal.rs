//! Conditions under which a server refuses a request, and errors that a test injects.
//!
//! **Invariants**: a refused command has not been executed.

use super::command::{ADMIN, M, R, Spec, W};
use crate::rng::Rng;
use bytes::Bytes;
use slotcar::Timestamp;
use std::borrow::Cow;

/// The requests that an injected error applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Matching {
    /// Every request that reads or writes data.
    Data,
    /// Requests that read data.
    Reads,
    /// Requests that write data.
    Writes,
    /// Requests of this name, such as `GET` or `CLUSTER SHARDS`.
    Command(String),
    /// Requests in which this text occurs as an argument.
    Argument(String),
}

impl Matching {
    fn matches(&self, spec: &Spec, arguments: &[Bytes]) -> bool {
        match self {
            Self::Data => spec.has(R) || spec.has(W),
            Self::Reads => spec.has(R),
            Self::Writes => spec.has(W),
            Self::Command(name) => name.replace(' ', "|").eq_ignore_ascii_case(spec.name),
            Self::Argument(text) => arguments.iter().any(|a| a.as_ref() == text.as_bytes()),
        }
    }
}

/// An error that a test injects.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    /// The requests that it applies to.
    pub(crate) matching: Matching,
    /// The error line.
    pub(crate) text: String,
    /// In per mille of the requests concerned.
    pub(crate) chance: u32,
    /// How many requests it still refuses.
    pub(crate) times: u64,
    /// When it ends.
    pub(crate) until: Timestamp,
}

/// The conditions of a server now.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// Until when it loads its data.
    pub(crate) loading_until: Timestamp,
    /// Until when a script occupies it.
    pub(crate) busy_until: Timestamp,
    /// Until when it does nothing at all: a slow command, a full disk, `DEBUG SLEEP`.
    pub(crate) frozen_until: Timestamp,
    /// `CLIENT PAUSE`: until when, and whether for all requests or only for writes.
    pub(crate) paused: Option<(Timestamp, bool)>,
    /// The errors that a test injected.
    pub(crate) injections: Vec<Injection>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            loading_until: Timestamp::ZERO,
            busy_until: Timestamp::ZERO,
            frozen_until: Timestamp::ZERO,
            paused: None,
            injections: Vec::new(),
        }
    }
}

impl Conditions {
    /// A restart ends everything except the injected errors.
    pub(crate) fn forget(&mut self) {
        let injections = std::mem::take(&mut self.injections);
        *self = Self { injections, ..Self::default() };
    }

    /// The injected error for this request.
    pub(crate) fn injected(
        &mut self,
        rng: &mut Rng,
        now: Timestamp,
        spec: &Spec,
        arguments: &[Bytes],
    ) -> Option<Cow<'static, str>> {
        if self.injections.is_empty() || spec.has(ADMIN) {
            return None;
        }
        self.injections.retain(|i| i.times > 0 && i.until > now);
        let found = self.injections.iter_mut().find(|i| i.matching.matches(spec, arguments))?;
        if !rng.chance(found.chance) {
            return None;
        }
        found.times -= 1;
        Some(Cow::Owned(found.text.clone()))
    }

    /// Whether a pause delays this command.
    pub(crate) fn pauses(&self, now: Timestamp, spec: &Spec) -> bool {
        match self.paused {
            Some((until, all)) if until > now => {
                let changes = spec.has(W) || spec.has(super::command::MAY_REPLICATE);
                // Without this, a client could never send UNPAUSE or ask for the role.
                (all || changes) && !spec.name.starts_with("client|")
            }
            _ => false,
        }
    }
}

pub(crate) const LOADING_TEXT: &str = "LOADING Redis is loading the dataset in memory";
pub(crate) const BUSY_TEXT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
pub(crate) const OOM_TEXT: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(crate) const READONLY_TEXT: &str = "READONLY You can't write against a read only replica.";
pub(crate) const MASTERDOWN_TEXT: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
pub(crate) const NOAUTH_TEXT: &str = "NOAUTH Authentication required.";

/// Whether a server without memory refuses this command.
pub(crate) fn needs_memory(spec: &Spec) -> bool {
    spec.has(M)
}
