//! One attempt of a command, and what follows from how it ended.

pub(crate) mod next_step;
pub(crate) mod payload;
