//! Reads under a read policy: which replica is chosen, and what happens when it does not
//! answer.

pub(crate) mod health_check;
pub(crate) mod policy;
pub(crate) mod read;
pub(crate) mod select;
