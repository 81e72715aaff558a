//! Where a command goes, how it is split and its replies joined, and whether it is sent again.
//! Pure. Levels: `error_policy`, `fold`, `partial`, `split`, `session`, `transaction`,
//! `destination`, `target`, `plan`, `sweep`, `retry`, `read_from`.

pub(crate) mod acknowledgement;
pub(crate) mod destination;
pub(crate) mod error_policy;
pub(crate) mod fold;
pub(crate) mod partial;
pub(crate) mod plan;
pub(crate) mod read_from;
pub(crate) mod retry;
pub(crate) mod session;
pub(crate) mod split;
pub(crate) mod sweep;
pub(crate) mod target;
pub(crate) mod transaction;
