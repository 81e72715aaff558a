//! What servers have told about commands that the built-in table lacks, by name, so that a server
//! is asked once for each.
//!
//! What a server told is known for as long as the connection lives over which it was told: another
//! process at the same address may have other modules. That it does not tell is remembered alike.
//! If there is no answer at all, because a proxy hangs up on the question, none is asked for
//! `PAUSE`.
//! Limit: `NAMES_MAX` names; further ones stay unknown.
//! Spec: redis.io/commands/command-info.

use crate::command::{Command, Learned};
use crate::driver::link::link::Link;
use crate::lock::lock;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// More commands than any server adds. Callers could make up names without end.
const NAMES_MAX: usize = 512;

/// How long nothing is asked after a question without an answer: it costs other callers their
/// connection, if it was the cause.
const PAUSE: Duration = Duration::from_secs(60);

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct CommandInfoCache {
    /// Nothing is asked before this.
    not_before: Mutex<Timestamp>,
    /// By name in upper case.
    known: Mutex<BTreeMap<String, Known>>,
}

/// What is known of one name.
#[derive(Debug)]
struct Known {
    /// `None` if no server knows it, or tells.
    learned: Option<Arc<Learned>>,
    /// The connection over which it was told.
    told_over: Weak<Link>,
}

impl CommandInfoCache {
    /// Whether the last question had no answer, not long ago.
    pub(crate) fn is_unanswered(&self, now: Timestamp) -> bool {
        now < *lock(&self.not_before)
    }

    /// A question had no answer.
    pub(crate) fn note_unanswered(&self, now: Timestamp) {
        *lock(&self.not_before) = now.after(PAUSE);
    }

    /// Adds to a command what is known about it. False if a server has to be asked first.
    pub(crate) fn apply(&self, command: &mut Command) -> bool {
        let known = lock(&self.known);
        let full = known.len() >= NAMES_MAX;
        let is_current =
            |known: &&Known| known.told_over.upgrade().is_some_and(|link| !link.is_closed());
        let Some(known) = known.get(&command.name()).filter(is_current) else { return full };
        if let Some(learned) = &known.learned {
            command.learn(learned);
        }
        true
    }

    /// Remembers what a server told over this connection; `None` if it does not know the command,
    /// or does not tell.
    pub(crate) fn note(&self, command: &Command, learned: Option<Learned>, told_over: Weak<Link>) {
        let (mut known, name) = (lock(&self.known), command.name());
        if known.len() < NAMES_MAX || known.contains_key(&name) {
            known.insert(name, Known { learned: learned.map(Arc::new), told_over });
        }
    }
}
