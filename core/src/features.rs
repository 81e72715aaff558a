//! The parts of a client that a build may leave out, for programs whose size counts.
//!
//! Each is a feature of this crate, on by default. The linker drops by itself what nothing calls
//! (subscriptions, transactions, scans, pipelines); these are what it cannot know to be
//! superfluous, since a URL or a command's name could ask for it. All code is compiled either way,
//! and leaving a part out changes nothing but that: who asks for it gets an error of kind `Config`
//! that names the feature.
//!
//! Invariant: a part is asked for here and nowhere by `cfg`. Called by `client` and `driver`.

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
