//! One attempt of a command: what is sent, what it waits for, and what follows from its end.
//! Knows the rooms up to `discovery`.

pub(crate) mod confirm;
pub(crate) mod item;
pub(crate) mod next_step;
pub(crate) mod payload;
pub(crate) mod redirect;
pub(crate) mod waiting;
