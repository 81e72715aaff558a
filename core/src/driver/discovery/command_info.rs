//! What servers have told about commands that the built-in table lacks, by name, so that a server
//! is asked once for each.
//!
//! Limit: `NAMES_MAX` names; further ones stay unknown.
//! Spec: redis.io/commands/command-info.

use crate::command::{Command, Learned};
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// More commands than any server adds. Callers could make up names without end.
const NAMES_MAX: usize = 512;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct CommandInfoCache {
    /// By name in upper case; `None` for a name that no server knows.
    known: Mutex<BTreeMap<String, Option<Arc<Learned>>>>,
}

impl CommandInfoCache {
    /// Adds to a command what is known about it. False if a server has to be asked first.
    pub(crate) fn apply(&self, command: &mut Command) -> bool {
        let known = lock(&self.known);
        let full = known.len() >= NAMES_MAX;
        match known.get(&command.name()).cloned() {
            None => return full,
            Some(None) => {}
            Some(Some(learned)) => command.learn(&learned),
        }
        true
    }

    /// Remembers what a server told; `None` if it does not know the command.
    pub(crate) fn note(&self, command: &Command, learned: Option<Learned>) {
        let mut known = lock(&self.known);
        if known.len() < NAMES_MAX {
            known.insert(command.name(), learned.map(Arc::new));
        }
    }
}
