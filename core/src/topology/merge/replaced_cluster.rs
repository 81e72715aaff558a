//! When a cluster counts as replaced: looks go on hearing of another one, and of that alone.
//!
//! A single foreign view is a stray sibling: a node that was reset or moved, a name that led
//! elsewhere for a moment. While any known node answers, its word counts and this starts over.
//! Pure. Called by `driver/look.rs` with what `merge` said.

use crate::time::Timestamp;
use std::time::Duration;

/// Looks in a row that heard of another cluster only.
const LOOKS: u32 = 3;
/// And for this long.
const LASTING: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReplacedCluster {
    /// When the first of the looks ended, and how many there were.
    seen: Option<(Timestamp, u32)>,
}

impl ReplacedCluster {
    /// A look has ended that brought views. True once the cluster that is held was replaced.
    pub(crate) fn note(&mut self, only_foreign: bool, now: Timestamp) -> bool {
        if !only_foreign {
            self.seen = None;
            return false;
        }
        let (since, looks) = self.seen.unwrap_or((now, 0));
        self.seen = Some((since, looks + 1));
        let replaced = looks + 1 >= LOOKS && now.since(since) >= LASTING;
        if replaced {
            self.seen = None;
        }
        replaced
    }

    /// Whether the last look heard of another cluster only.
    pub(crate) fn is_suspected(&self) -> bool {
        self.seen.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_and_is_not_contradicted_is_believed() {
        let at = |millis| Timestamp::from_duration(Duration::from_millis(millis));
        let mut foreign = ReplacedCluster::default();
        assert!(!foreign.note(true, at(0)) && foreign.is_suspected());
        assert!(!foreign.note(true, at(400)));
        assert!(!foreign.note(true, at(900)), "three looks, but not for long enough");
        assert!(foreign.note(true, at(1000)));
        assert!(!foreign.is_suspected(), "it is the held one from now on");
        assert!(!foreign.note(true, at(5000)) && !foreign.note(true, at(9000)), "two looks");
        assert!(!foreign.note(false, at(9100)), "a known node answered");
        assert!(!foreign.note(true, at(9200)) && !foreign.note(true, at(19_000)));
    }
}
