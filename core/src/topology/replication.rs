//! Where nodes stand in the replication stream, and how old a replica's data can be at most.
//!
//! A primary is asked for its place in the stream; everything that was written before the question
//! was sent lies before that place. A replica that is at that place or beyond has all of it. So its
//! data is known to be as new as the last question whose answer it has reached, on this client's
//! clock alone: no server's clock is read, and a broken link shows by itself, since the replica
//! stops moving while the primary goes on.
//!
//! Places are comparable within one history (`replid`); when the primary's changes, as after a
//! failover, what was known is forgotten. Pure. Limit: `OFFSETS_MAX` questions are remembered.
//! Spec: INFO, section replication; redis.io/docs, "Redis replication", "How Redis replication
//! works". Called by `driver/checkup.rs`.

use crate::time::Timestamp;
use std::collections::VecDeque;

/// Questions that are remembered: at four within the bound, enough for a lag of four bounds.
const OFFSETS_MAX: usize = 16;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicationInfo {
    /// It takes writes.
    pub(crate) is_primary: bool,
    /// A replica's link to its primary is up.
    pub(crate) link_up: bool,
    /// Names the history that `offset` belongs to.
    pub(crate) replid: String,
    /// How much of the stream it has: of a replica, what it has applied.
    pub(crate) offset: Option<u64>,
}

/// Reads the reply to INFO replication; `None` if it is none.
pub(crate) fn parse_replication(info: &str) -> Option<ReplicationInfo> {
    let mut standing = ReplicationInfo::default();
    let (mut role, mut own, mut applied) = (None, None, None);
    for line in info.lines() {
        let Some((name, value)) = line.trim_end().split_once(':') else { continue };
        match name {
            "role" => role = Some(value),
            "master_link_status" => standing.link_up = value == "up",
            "master_replid" => value.clone_into(&mut standing.replid),
            "master_repl_offset" => own = value.parse().ok(),
            "slave_repl_offset" => applied = value.parse().ok(),
            _ => {}
        }
    }
    standing.is_primary = role? == "master";
    standing.offset = if standing.is_primary { own } else { applied };
    Some(standing)
}

/// The value of a field of any section of INFO, if it is not empty.
pub(crate) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let field = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(field).filter(|value| !value.is_empty())
}

/// Where a primary stood, and when it was asked.
#[derive(Debug, Default)]
pub(crate) struct PrimaryOffsets {
    /// The history.
    replid: String,
    /// When the question was sent, and the answer; both ascend.
    asked: VecDeque<(Timestamp, u64)>,
}

impl PrimaryOffsets {
    /// Notes what a primary answered to a question that was sent at `at`.
    pub(crate) fn note(&mut self, at: Timestamp, standing: &ReplicationInfo) {
        let Some(offset) = standing.offset.filter(|_| standing.is_primary) else { return };
        let goes_on = self.asked.back().is_none_or(|(_, last)| *last <= offset);
        if self.replid != standing.replid || !goes_on {
            self.asked.clear();
            self.replid.clone_from(&standing.replid);
        }
        if self.asked.back().is_some_and(|(last, _)| *last > at) {
            return;
        }
        if self.asked.len() == OFFSETS_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((at, offset));
    }

    /// The moment up to which a replica that stands so has everything; `None` if that is not known.
    pub(crate) fn reached_by(&self, standing: &ReplicationInfo) -> Option<Timestamp> {
        if standing.is_primary || standing.replid != self.replid {
            return None;
        }
        let has = standing.offset?;
        let reached = self.asked.iter().rev().find(|(_, offset)| *offset <= has);
        reached.map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(ms))
    }

    fn primary(replid: &str, offset: u64) -> ReplicationInfo {
        let replid = replid.to_owned();
        ReplicationInfo { is_primary: true, link_up: false, replid, offset: Some(offset) }
    }

    fn replica(replid: &str, offset: u64) -> ReplicationInfo {
        ReplicationInfo { is_primary: false, link_up: true, ..primary(replid, offset) }
    }

    // spec: INFO, section replication, as Redis 7 and Valkey 8 write it.
    #[test]
    fn both_roles_are_read() {
        let said = "# Replication\r\nrole:slave\r\nmaster_host:127.0.0.1\r\n\
            master_link_status:up\r\nmaster_last_io_seconds_ago:0\r\nslave_read_repl_offset:99\r\n\
            slave_repl_offset:90\r\nmaster_replid:abc\r\nmaster_repl_offset:90\r\n";
        assert_eq!(parse_replication(said), Some(replica("abc", 90)));
        let said = "role:master\r\nconnected_slaves:1\r\nmaster_replid:abc\r\n\
            master_repl_offset:120\r\n";
        assert_eq!(parse_replication(said), Some(primary("abc", 120)));
        let down = parse_replication("role:slave\nmaster_link_status:down\n").unwrap();
        assert!(!down.link_up && down.offset.is_none());
        assert_eq!(parse_replication("# Server\r\n"), None);
    }

    #[test]
    fn a_zone_is_read_from_info() {
        let said = "# Server\r\nos:Linux\r\navailability_zone:eu-1a\r\nio_threads:1\r\n";
        assert_eq!(info_field(said, "availability_zone"), Some("eu-1a"));
        assert_eq!(info_field("availability_zone:\r\n", "availability_zone"), None);
        assert_eq!(info_field(said, "zone"), None);
    }

    #[test]
    fn a_replica_is_as_new_as_the_last_question_that_it_has_reached() {
        let mut offsets = PrimaryOffsets::default();
        assert_eq!(offsets.reached_by(&replica("a", 5)), None, "nothing is known");
        for (ms, offset) in [(10, 100), (20, 200), (30, 200), (40, 300)] {
            offsets.note(at(ms), &primary("a", offset));
        }
        let table =
            [(99, None), (100, Some(10)), (199, Some(10)), (200, Some(30)), (301, Some(40))];
        for (offset, expected) in table {
            assert_eq!(offsets.reached_by(&replica("a", offset)), expected.map(at), "{offset}");
        }
        assert_eq!(offsets.reached_by(&replica("b", 300)), None, "of another history");
        assert_eq!(offsets.reached_by(&primary("a", 300)), None, "no replica");
    }

    #[test]
    fn another_history_or_a_step_back_forgets_what_was_known() {
        let mut offsets = PrimaryOffsets::default();
        offsets.note(at(10), &primary("a", 100));
        offsets.note(at(20), &primary("b", 150));
        assert_eq!(offsets.reached_by(&replica("a", 100)), None);
        assert_eq!(offsets.reached_by(&replica("b", 150)), Some(at(20)));
        offsets.note(at(30), &primary("b", 50));
        assert_eq!(offsets.reached_by(&replica("b", 150)), Some(at(30)), "reckoned from there");
        assert_eq!(offsets.reached_by(&replica("b", 49)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut offsets = PrimaryOffsets::default();
        (0..1000).for_each(|n| offsets.note(at(n), &primary("a", n)));
        assert_eq!(offsets.asked.len(), OFFSETS_MAX);
        assert_eq!(offsets.reached_by(&replica("a", 10)), None);
    }
}
