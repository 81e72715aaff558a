//! The options of SET.
//!
//! Each option is a method named as the server names it. Methods that exclude each other replace
//! each other: the last one counts.
//! Spec: <https://redis.io/commands/set/>.

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
    /// Without one the expiry is removed.
    expiry: Option<Expiry>,
    /// GET: the reply is the old value.
    get: bool,
}

impl SetOptions {
    /// No options: sets the value and removes the expiry.
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

    /// The reply is the old value. Needs server version 6.2, with a condition 7.0.
    pub const fn get(mut self) -> Self {
        self.get = true;
        self
    }

    /// The key expires after `ttl`: EX, or PX if that is not whole seconds.
    pub const fn ex(mut self, ttl: Duration) -> Self {
        self.expiry = Some(Expiry::After(ttl));
        self
    }

    /// The key expires at this time since the Unix epoch: EXAT, or PXAT if that is not whole
    /// seconds. Needs server version 6.2.
    pub const fn exat(mut self, since_epoch: Duration) -> Self {
        self.expiry = Some(Expiry::At(since_epoch));
        self
    }

    /// The key keeps the expiry that it has. Needs server version 6.0.
    pub const fn keep_ttl(mut self) -> Self {
        self.expiry = Some(Expiry::Keep);
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
