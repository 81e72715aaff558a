//! The switch of the read settings while reads run (`core/src/driver/replica/policy.rs`).
//!
//! A change that makes these models fail: `set` takes no lock. `arc_swap` is not one of `loom`'s
//! types: its steps are never interrupted, so the order of the two stores is not checked.

use crate::config::{Config, ReadFrom};
use crate::driver::policy::{ReadSettings, SelectionMode, SharedReadSettings};
use crate::explore;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

fn config(read_from: ReadFrom) -> Config {
    Config {
        max_staleness: None,
        primary_fallback_percent_max: 100,
        progress_timeout: Duration::from_secs(1),
        read_from,
    }
}

fn settings(read_from: ReadFrom) -> ReadSettings {
    ReadSettings::of(&config(read_from))
}

/// A read that is told to select a replica finds settings that say how.
pub fn a_read_never_finds_settings_older_than_its_mode() {
    explore(|| {
        let reads = Arc::new(SharedReadSettings::new(&config(ReadFrom::Primary)));
        let setting = Arc::clone(&reads);
        let setting = thread::spawn(move || setting.set(settings(ReadFrom::Replica)));
        if reads.selection_mode() != SelectionMode::Primary {
            assert_eq!(reads.settings().policy, ReadFrom::Replica);
        }
        setting.join().expect("no model panics");
        assert_eq!(
            reads.selection_mode(),
            SelectionMode::LessLoadedReplica,
            "in force once it has returned"
        );
    });
}

/// Two switches at the same time: settings and mode are of the same one at the end.
pub fn two_switches_do_not_mix() {
    explore(|| {
        let reads = Arc::new(SharedReadSettings::new(&config(ReadFrom::Primary)));
        let other = Arc::clone(&reads);
        let other = thread::spawn(move || other.set(settings(ReadFrom::Replica)));
        reads.set(settings(ReadFrom::Zone(1)));
        other.join().expect("no model panics");
        assert_eq!(reads.selection_mode(), reads.settings().selection_mode());
    });
}
