//! Where a command goes, and whether it goes again. Pure.
//! Levels: `retry`.

pub(crate) mod retry;
