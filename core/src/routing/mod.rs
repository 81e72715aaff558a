//! Where a command goes, how it is cut and put together, and whether it goes again. Pure.
//! Levels: `fold`, `partial`, `split`, `session`, `transaction`, `plan`, `aim`, `sweep`, `retry`,
//! `read_from`.

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
pub(crate) mod transaction;
