//! Times as the servers want them, and what can happen to a key's expiry.
//!
//! Callers give a `Duration`, so that nobody mixes up seconds and milliseconds.
//! Limits: expiries are whole milliseconds, rounded up so that a short one is never 0, which the
//! servers refuse. Called by the other files of `build`.

use super::append::Options;
use crate::command::Command;
use std::time::Duration;

/// What happens to a key's expiry, in SET and GETEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The key expires after this time: EX, or PX where that is not whole seconds.
    After(Duration),
    /// The key expires at this time since the Unix epoch: EXAT or PXAT. Needs server version 6.2.
    At(Duration),
    /// SET only: the key keeps the expiry that it has. Needs server version 6.0.
    Keep,
    /// GETEX only: the key never expires.
    Never,
}

impl Options for Expiry {
    fn add_to(self, command: Command) -> Command {
        let (seconds, milliseconds, time) = match self {
            Self::After(time) => ("EX", "PX", time),
            Self::At(time) => ("EXAT", "PXAT", time),
            Self::Keep => return command.arg("KEEPTTL"),
            Self::Never => return command.arg("PERSIST"),
        };
        match whole_seconds(time) {
            Some(time) => command.arg(seconds).arg(time),
            None => command.arg(milliseconds).arg(millis(time)),
        }
    }
}

/// When EXPIRE takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireIf {
    /// The key has an expiry: XX.
    HasExpiry,
    /// The new expiry is later, and the key has one: GT.
    Later,
    /// The key has no expiry: NX.
    NoExpiry,
    /// The new expiry is sooner, or the key has none: LT.
    Sooner,
}

impl ExpireIf {
    /// The option's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::HasExpiry => "XX",
            Self::Later => "GT",
            Self::NoExpiry => "NX",
            Self::Sooner => "LT",
        }
    }
}

/// Whole seconds, if that is exactly what the time is, and more than none.
pub(super) fn whole_seconds(time: Duration) -> Option<u64> {
    (time.subsec_nanos() == 0 && time.as_secs() > 0).then_some(time.as_secs())
}

/// Milliseconds, rounded up.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Seconds with a fraction, as blocking commands take them.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
