//! Replication offsets, and how old a replica's data can be at most.
//!
//! A primary is asked for its offset; everything that was written before the command was sent lies
//! before that offset. A replica that has reached the offset has all of it. So its data is at least
//! as new as the last such command whose offset it has reached, on this client's clock alone: no
//! server's clock is read. A broken link shows by itself: the replica's offset stays, the primary's
//! grows.
//!
//! Offsets are comparable within one history (`replid`). When the primary's history changes, as
//! after a failover, the offsets are forgotten. Pure. Limit: `OFFSETS_MAX` answers are remembered.
//! Spec: INFO, section replication; redis.io/docs, "Redis replication", "How Redis replication
//! works".

use crate::time::Timestamp;
use std::collections::VecDeque;

/// How many answers of a primary are remembered. A staleness bound asks for four within the bound,
/// so that a lag of four bounds can still be told.
const OFFSETS_MAX: usize = 16;

/// What a node reports about its replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicationInfo {
    /// It takes writes.
    pub(crate) is_primary: bool,
    /// A replica's link to its primary is up.
    pub(crate) link_up: bool,
    /// The id of the history that `offset` belongs to.
    pub(crate) replid: String,
    /// How many bytes of the stream it has: of a replica, how many it has applied.
    pub(crate) offset: Option<u64>,
}

/// Reads the reply to INFO replication; `None` if it is none.
pub(crate) fn parse_replication(reply: &str) -> Option<ReplicationInfo> {
    let mut info = ReplicationInfo::default();
    let (mut role, mut own, mut applied) = (None, None, None);
    for line in reply.lines() {
        let Some((name, value)) = line.trim_end().split_once(':') else { continue };
        match name {
            "role" => role = Some(value),
            "master_link_status" => info.link_up = value == "up",
            "master_replid" => value.clone_into(&mut info.replid),
            "master_repl_offset" => own = value.parse().ok(),
            "slave_repl_offset" => applied = value.parse().ok(),
            _ => {}
        }
    }
    info.is_primary = role? == "master";
    info.offset = if info.is_primary { own } else { applied };
    Some(info)
}

/// The value of a field of any section of INFO, if it is not empty.
pub(crate) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let field = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(field).filter(|value| !value.is_empty())
}

/// A primary's offsets, and when it was asked for them.
#[derive(Debug, Default)]
pub(crate) struct PrimaryOffsets {
    /// The id of the history.
    replid: String,
    /// When the primary was asked, and its offset; both ascend.
    asked: VecDeque<(Timestamp, u64)>,
}

impl PrimaryOffsets {
    /// Adds what a primary answered to a command that was sent at `at`.
    pub(crate) fn note(&mut self, at: Timestamp, info: &ReplicationInfo) {
        let Some(offset) = info.offset.filter(|_| info.is_primary) else { return };
        let goes_on = self.asked.back().is_none_or(|(_, last)| *last <= offset);
        if self.replid != info.replid || !goes_on {
            self.asked.clear();
            self.replid.clone_from(&info.replid);
        }
        if self.asked.back().is_some_and(|(last, _)| *last > at) {
            return;
        }
        if self.asked.len() == OFFSETS_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((at, offset));
    }

    /// The time up to which this replica has everything; `None` if that is not known.
    pub(crate) fn reached_by(&self, info: &ReplicationInfo) -> Option<Timestamp> {
        if info.is_primary || info.replid != self.replid {
            return None;
        }
        let has = info.offset?;
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
