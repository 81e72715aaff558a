//! When a cluster counts as replaced: refreshes hear from another cluster, and from no known node.
//!
//! A single view of another cluster proves little: a node was reset or moved, or a name led
//! elsewhere for a moment. While any known node answers, its view counts and the count starts over.
//! Pure.

use crate::time::Timestamp;
use std::time::Duration;

/// Refreshes in a row that heard from another cluster only.
const REFRESHES_MIN: u32 = 3;
/// And they must last this long.
const DURATION_MIN: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReplacedCluster {
    /// When the first of these refreshes ended, and how many there were.
    seen: Option<(Timestamp, u32)>,
}

impl ReplacedCluster {
    /// A refresh has ended that got views. True once the known cluster counts as replaced.
    pub(crate) fn note(&mut self, only_foreign: bool, now: Timestamp) -> bool {
        if !only_foreign {
            self.seen = None;
            return false;
        }
        let (since, refreshes) = self.seen.unwrap_or((now, 0));
        self.seen = Some((since, refreshes + 1));
        let replaced = refreshes + 1 >= REFRESHES_MIN && now.since(since) >= DURATION_MIN;
        if replaced {
            self.seen = None;
        }
        replaced
    }

    /// Whether the last refresh heard from another cluster only.
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
        assert!(!foreign.note(true, at(900)), "three refreshes, but not for long enough");
        assert!(foreign.note(true, at(1000)));
        assert!(!foreign.is_suspected(), "it is the known one from now on");
        assert!(!foreign.note(true, at(5000)) && !foreign.note(true, at(9000)), "two refreshes");
        assert!(!foreign.note(false, at(9100)), "a known node answered");
        assert!(!foreign.note(true, at(9200)) && !foreign.note(true, at(19_000)));
    }
}
