//! What a program imports to call commands: `use slotcar::prelude::*`.
//!
//! The traits come without their names, so that a program may use these names itself.
//! Invariant: every trait of [`commands`](crate::commands) is here, and nothing else.

pub use crate::client::commands::{
    CounterCommands as _, Execute as _, ExpiryCommands as _, HashCommands as _, KeyCommands as _,
    ListCommands as _, PublishCommands as _, ScriptCommands as _, ServerCommands as _,
    SetCommands as _, SortedSetCommands as _, StringCommands as _,
};
