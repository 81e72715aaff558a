//! Checks that no write went back to a primary of an earlier failover, judged by what the sentinels
//! reported.
//!
//! Every failover has an epoch, and a server has a reign for each epoch in which sentinels named it
//! primary. Epochs are compared within an era. A new era begins when all sentinels have forgotten
//! the last failover and agree on an earlier primary. Then no sentinel has newer knowledge, and a
//! client that has lost its primary has to believe them.
//!
//! What a client knows when it makes a write follows from the replies that it had before. Each came
//! from a server that the client took for the primary of some reign, and of no reign before those
//! it knew then. A write has gone back when its server never had a reign at or after those. A
//! client that missed a failover and its reversal knows of neither, and may still learn of the
//! first one.
//!
//! **Invariants**: one sentinel that remembers keeps the era. Pure functions.

use slotcar::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// An era, and an epoch of it.
type Reign = (u64, u64);

/// A marked write that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Write<'a> {
    /// The server that ran it.
    pub(super) server: &'a str,
    /// When the call was made.
    pub(super) made: Timestamp,
    /// When it ran.
    pub(super) ran: Timestamp,
    /// When its caller had the reply.
    pub(super) answered: Option<Timestamp>,
}

/// The reigns of each server, and since when.
#[derive(Debug, Default)]
pub(super) struct Reigns {
    /// By server, in order of time.
    named: BTreeMap<String, Vec<(Timestamp, Reign)>>,
}

impl Reigns {
    /// From the reports of sentinels, in order: since when, the sentinel, the epoch and the
    /// primary.
    pub(super) fn of(opinions: &[(Timestamp, String, u64, String)]) -> Self {
        let mut reigns = Self::default();
        let mut held: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        let (mut era, mut newest) = (0, 0);
        let sentinels: BTreeSet<&String> = opinions.iter().map(|(_, who, ..)| who).collect();
        for (at, who, epoch, primary) in opinions {
            held.insert(who, (*epoch, primary));
            let latest = held.values().map(|(epoch, _)| *epoch).max().unwrap_or(0);
            let agreed = held.values().all(|(_, other)| other == primary);
            if agreed && latest < newest && held.len() == sentinels.len() {
                era += 1;
                newest = latest;
                reigns.name(primary, *at, (era, latest));
            }
            newest = newest.max(*epoch);
            reigns.name(primary, *at, (era, *epoch));
        }
        reigns
    }

    fn name(&mut self, server: &str, at: Timestamp, reign: Reign) {
        let named = self.named.entry(server.to_owned()).or_default();
        if named.last().is_none_or(|(_, last)| *last < reign) {
            named.push((at, reign));
        }
    }

    /// The first reign of a server that is not before `least`, of those reported by then; if there
    /// is none, its last one.
    fn reign_at(&self, server: &str, at: Timestamp, least: Reign) -> Result<Reign, Reign> {
        let named = self.named.get(server).map_or(&[][..], |named| named);
        let reported = || named.iter().filter(|(since, _)| *since <= at).map(|(_, reign)| *reign);
        let fits = reported().find(|reign| *reign >= least);
        fits.ok_or_else(|| reported().next_back().unwrap_or_default())
    }

    /// The numbers of the writes that went back to an earlier reign than was known from replies.
    pub(super) fn went_back(&self, writes: &[Write<'_>]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..writes.len()).collect();
        order.sort_by_key(|index| writes[*index].made);
        let mut known: Vec<(Timestamp, Reign)> = Vec::new();
        let mut back = Vec::new();
        for index in order {
            let write = &writes[index];
            let heard = known.iter().filter(|(at, _)| *at < write.made);
            let least = heard.map(|(_, reign)| *reign).max().unwrap_or_default();
            let fitting = self.reign_at(write.server, write.ran, least);
            if fitting.is_err() {
                back.push(index);
            }
            let (Ok(reign) | Err(reign)) = fitting;
            known.extend(write.answered.map(|at| (at, reign)));
        }
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(millis))
    }

    /// Reports of sentinels: the time, the sentinel, the epoch, the primary.
    fn reigns_of(rows: &[(u64, &str, u64, &str)]) -> Reigns {
        let start = ["s1", "s2", "s3"].map(|who| (0, who, 0, "a"));
        let rows = start.iter().chain(rows);
        let each = rows.map(|(millis, who, epoch, primary)| {
            (at(*millis), (*who).to_owned(), *epoch, (*primary).to_owned())
        });
        Reigns::of(&each.collect::<Vec<_>>())
    }

    /// Writes that take a millisecond each: when they were made, and on which server.
    fn back(reigns: &Reigns, rows: &[(u64, &'static str)]) -> Vec<u64> {
        let write = |(made, server): &(u64, &'static str)| Write {
            server,
            made: at(*made),
            ran: at(*made),
            answered: Some(at(made + 1)),
        };
        let writes: Vec<_> = rows.iter().map(write).collect();
        reigns.went_back(&writes).into_iter().map(|index| rows[index].0).collect()
    }

    #[test]
    fn a_write_goes_back_once_the_successor_has_answered() {
        let reigns = reigns_of(&[(10, "s1", 1, "b"), (12, "s2", 1, "b"), (13, "s3", 1, "b")]);
        assert_eq!(back(&reigns, &[(5, "a"), (20, "a"), (30, "b"), (40, "a")]), [40]);
        let reigns = reigns_of(&[(10, "s1", 1, "b"), (20, "s2", 2, "a")]);
        assert_eq!(back(&reigns, &[(15, "b"), (30, "a"), (40, "b")]), [40], "a has come back");
    }

    /// It wrote to a all the time, and then gets what a sentinel reported before all forgot it.
    #[test]
    fn a_client_that_missed_a_failover_and_its_reversal_may_learn_of_it() {
        let rows = [(10, "s1", 1, "b"), (20, "s1", 0, "a"), (30, "s1", 2, "c")];
        let reigns = reigns_of(&rows);
        assert!(back(&reigns, &[(5, "a"), (25, "a"), (27, "b"), (40, "c")]).is_empty());
        assert_eq!(back(&reigns, &[(15, "b"), (25, "a"), (27, "b"), (40, "c")]), [27]);
    }

    #[test]
    fn one_sentinel_that_remembers_keeps_the_era() {
        let three = [(10, "s1", 1, "b"), (12, "s2", 1, "b"), (13, "s3", 1, "b")];
        let mut rows = three.to_vec();
        rows.extend([(20, "s2", 0, "a"), (21, "s3", 0, "a")]);
        assert_eq!(back(&reigns_of(&rows), &[(15, "b"), (40, "a")]), [40]);
        rows.push((22, "s1", 0, "a"));
        assert!(
            back(&reigns_of(&rows), &[(15, "b"), (40, "a")]).is_empty(),
            "no sentinel remembers"
        );
        rows.push((50, "s1", 1, "c"));
        assert_eq!(back(&reigns_of(&rows), &[(15, "b"), (60, "c"), (70, "b")]), [70]);
    }

    #[test]
    fn an_agreement_that_goes_forward_ends_no_era() {
        let rows = [(10, "s1", 1, "b"), (20, "s2", 2, "c"), (30, "s1", 2, "c"), (31, "s3", 2, "c")];
        assert_eq!(back(&reigns_of(&rows), &[(15, "b"), (25, "c"), (40, "b")]), [40]);
    }
}
