//! The options of EXPIRE and GETEX.
//!
//! Each option is a method named as the server names it. Methods that exclude each other replace
//! each other: the last one counts.
//! Spec: <https://redis.io/commands/expire/>, <https://redis.io/commands/getex/>.

use super::append::Options;
use super::times::Expiry;
use crate::command::Command;
use std::time::Duration;

/// The options of EXPIRE: a condition. Any of them needs server version 7.0.
///
/// ```
/// # extern crate slotcar_core as slotcar;
/// use slotcar::command::{ExpireOptions, expire_with};
/// use std::time::Duration;
///
/// let command = expire_with("session:1", Duration::from_secs(60), ExpireOptions::new().gt());
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpireOptions {
    /// NX, XX, GT or LT.
    condition: Option<&'static str>,
}

impl ExpireOptions {
    /// No options: sets the expiry in any case.
    pub const fn new() -> Self {
        Self { condition: None }
    }

    /// Only if the key has no expiry.
    pub const fn nx(self) -> Self {
        Self { condition: Some("NX") }
    }

    /// Only if the key has an expiry.
    pub const fn xx(self) -> Self {
        Self { condition: Some("XX") }
    }

    /// Only if the key has an expiry and the new one is later.
    pub const fn gt(self) -> Self {
        Self { condition: Some("GT") }
    }

    /// Only if the key has no expiry, or the new one is sooner.
    pub const fn lt(self) -> Self {
        Self { condition: Some("LT") }
    }
}

impl Options for ExpireOptions {
    fn add_to(self, command: Command) -> Command {
        command.args(self.condition)
    }
}

/// The options of GETEX: what happens to the key's expiry.
///
/// ```
/// # extern crate slotcar_core as slotcar;
/// use slotcar::command::{GetexOptions, getex};
/// use std::time::Duration;
///
/// let command = getex("session:1", GetexOptions::new().ex(Duration::from_secs(60)));
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct GetexOptions {
    /// Without one the expiry stays as it is.
    expiry: Option<Expiry>,
}

impl GetexOptions {
    /// No options: the expiry stays as it is.
    pub const fn new() -> Self {
        Self { expiry: None }
    }

    /// The key expires after `ttl`: EX, or PX if that is not whole seconds.
    pub const fn ex(self, ttl: Duration) -> Self {
        Self { expiry: Some(Expiry::After(ttl)) }
    }

    /// The key expires at this time since the Unix epoch: EXAT, or PXAT if that is not whole
    /// seconds.
    pub const fn exat(self, since_epoch: Duration) -> Self {
        Self { expiry: Some(Expiry::At(since_epoch)) }
    }

    /// The expiry is removed.
    pub const fn persist(self) -> Self {
        Self { expiry: Some(Expiry::Persist) }
    }
}

impl Options for GetexOptions {
    fn add_to(self, command: Command) -> Command {
        match self.expiry {
            Some(expiry) => expiry.add_to(command),
            None => command,
        }
    }
}
