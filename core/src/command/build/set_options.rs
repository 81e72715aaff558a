//! The options of SET.
//!
//! Spec: <https://redis.io/commands/set/>. Called by `strings`, and by users.

use super::append::Options;
use super::times::Expiry;
use crate::command::Command;
use std::time::Duration;

/// The options of SET: a condition, an expiry, and whether the old value is wanted.
///
/// ```
/// # extern crate slotcar_core as slotcar;
/// use slotcar::command::{SetOptions, set_with};
/// use std::time::Duration;
///
/// let lock = SetOptions::new().nx().ex(Duration::from_secs(30));
/// let command = set_with("lock:1", "me", lock);
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct SetOptions {
    /// NX or XX.
    condition: Option<&'static str>,
    /// What happens to the expiry; without one it is removed.
    expiry: Option<Expiry>,
    /// Answer with the old value.
    get: bool,
}

impl SetOptions {
    /// No options: sets, and removes the expiry.
    pub const fn new() -> Self {
        Self { condition: None, expiry: None, get: false }
    }

    /// Only if there is no value.
    pub const fn nx(mut self) -> Self {
        self.condition = Some("NX");
        self
    }

    /// Only if there is a value.
    pub const fn xx(mut self) -> Self {
        self.condition = Some("XX");
        self
    }

    /// Answers with the old value. Needs server version 6.2, with a condition 7.0.
    pub const fn get(mut self) -> Self {
        self.get = true;
        self
    }

    /// The value expires after `ttl`, in whole seconds or else milliseconds.
    pub const fn ex(self, ttl: Duration) -> Self {
        self.expiry(Expiry::After(ttl))
    }

    /// The expiry stays as it is.
    pub const fn keep_ttl(self) -> Self {
        self.expiry(Expiry::Keep)
    }

    /// What happens to the expiry.
    pub const fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = Some(expiry);
        self
    }
}

impl Options for SetOptions {
    fn add_to(self, command: Command) -> Command {
        let command = command.args(self.condition).args(self.get.then_some("GET"));
        match self.expiry {
            Some(expiry) => expiry.add_to(command),
            None => command,
        }
    }
}
