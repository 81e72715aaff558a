//! The command that is being built: its name and arguments come one by one, as text or as bytes.
//!
//! Text is copied into the module's memory once, by the glue, and from there into the command.
//! Invariant: the command is taken by the next send, so that none is sent twice.

use slotcar_core::{Command, cmd};
use std::cell::Cell;
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    /// The command that is being built.
    static BUILDING: Cell<Option<Command>> = const { Cell::new(None) };
}

/// Begins a command by its name.
#[wasm_bindgen]
pub fn begin(name: &str) {
    BUILDING.set(Some(cmd(name)));
}

/// Appends an argument in UTF-8.
#[wasm_bindgen]
pub fn text(value: &str) {
    BUILDING.set(BUILDING.take().map(|command| command.arg(value)));
}

/// Appends an argument of any bytes.
#[wasm_bindgen]
pub fn bytes(value: &[u8]) {
    BUILDING.set(BUILDING.take().map(|command| command.arg(value)));
}

/// The command that was built; one without a name, which servers refuse, if none was begun.
pub(crate) fn take() -> Command {
    BUILDING.take().unwrap_or_else(|| cmd(""))
}
