//! The parts of a client that a build may leave out, for programs whose size counts.
//!
//! Each part is a feature of this crate. The linker drops what the program never calls
//! (subscriptions, transactions, scans, pipelines). It cannot drop these parts, because a URL or
//! the name of a command could need them. All code is compiled in any case. Without a feature, a
//! call that needs it fails with an error of kind `Config` that names the feature; nothing else
//! changes.
//!
//! Invariant: features are checked here, and nowhere else by `cfg`.

use crate::error::{Delivery, Error, ErrorKind};

/// Background tasks, if the transport has them: `background`. A transport without them does not
/// need the feature.
pub(crate) const BACKGROUND: bool = cfg!(feature = "background");
/// Clusters: `cluster`.
pub(crate) const CLUSTER: bool = cfg!(feature = "cluster");
/// Commands that concern several slots or nodes and are split or sent to each: `fan-out`.
pub(crate) const FAN_OUT: bool = cfg!(feature = "fan-out");
/// Subscriptions: `pubsub`. Publishing does not need it.
pub(crate) const PUBSUB: bool = cfg!(feature = "pubsub");
/// Reads from replicas: `read-policies`.
pub(crate) const READ_POLICIES: bool = cfg!(feature = "read-policies");
/// Deployments behind sentinels: `sentinel`.
pub(crate) const SENTINEL: bool = cfg!(feature = "sentinel");

/// The error of a call that needs a feature which is off.
pub(crate) fn left_out(what: &str, feature: &str) -> Error {
    let message = format!("{what}: this build of slotcar lacks the feature `{feature}`");
    Error::new(ErrorKind::Config, Delivery::NotSent, message)
}
