//! The parts of a client that a build may leave out, for programs whose size counts.
//!
//! Each is a feature of this crate, on by default. The linker drops what nothing calls
//! (subscriptions, transactions, scans, pipelines). It cannot drop these parts, since a URL or the
//! name of a command could need them. All code is compiled either way. Without a feature, a call
//! that needs the part fails with an error of kind `Config` that names the feature; nothing else
//! changes.
//!
//! Invariant: other files read these constants and use no `cfg` of their own.

use crate::error::{Delivery, Error, ErrorKind};

/// Tasks in the background, where the transport has one: `background`. A transport that has none
/// need not ask for it.
pub(crate) const BACKGROUND: bool = cfg!(feature = "background");
/// Commands that concern several slots or nodes, cut up or sent to each: `fan-out`.
pub(crate) const FAN_OUT: bool = cfg!(feature = "fan-out");
/// Reads from replicas: `read-policies`.
pub(crate) const READ_POLICIES: bool = cfg!(feature = "read-policies");
/// Deployments behind sentinels: `sentinel`.
pub(crate) const SENTINEL: bool = cfg!(feature = "sentinel");

/// What is asked for is not in this build.
pub(crate) fn left_out(what: &str, feature: &str) -> Error {
    let message = format!("{what}: this build of slotcar lacks the feature `{feature}`");
    Error::new(ErrorKind::Config, Delivery::NotSent, message)
}
