//! Chooses the node of a shard that a read goes to, from a table with a row for each node.
//!
//! A row says what is known of one node and, if the node is skipped, why. A policy is a list of
//! sets of nodes; the first set that is not empty is used. Within it the policy takes the next in
//! turn, any, the nearest, or the less loaded of two. First of all comes a node of the set that has
//! to be checked: one whose quarantine is over (`CheckDue::Trial`), or one whose latency the policy
//! needs and that has not answered recently (`CheckDue::Probe`).
//!
//! **Invariants**: pure; the same table, turn and chance give the same choice; a skipped row is
//! never chosen; the primary is chosen only by policies that name it, and `ChosenFor::Fallback`
//! marks the choices that have a cap. Limit: `ROWS_MAX` nodes of a shard.
//! Spec: Mitzenmacher 2001, "The power of two choices in randomized load balancing".

use crate::config::{Among, Candidate, ReadFrom};
use smallvec::SmallVec;
use std::fmt;

/// The most nodes of a shard that are considered; more than any shard has.
pub(crate) const ROWS_MAX: usize = 64;

/// Latencies and weights that differ by less than this part of the better one count as equal.
const ALIKE: u64 = 4;

/// A table. Most shards have at most eight nodes.
pub(crate) type NodeRows = SmallVec<[NodeRow; 8]>;

/// What is known of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeRow {
    /// The shard's primary.
    pub(crate) is_primary: bool,
    /// It is in the zone that the policy names.
    pub(crate) in_zone: bool,
    /// What has to be checked.
    pub(crate) due: CheckDue,
    /// Why it is skipped, if it is.
    pub(crate) skip: Option<SkipReason>,
    /// It has lost its primary: it is used when no other node can be.
    pub(crate) is_spare: bool,
    /// Commands in flight.
    pub(crate) in_flight: u32,
    /// Latency in nanoseconds; 0 if unknown.
    pub(crate) latency: u64,
}

/// What has to be checked on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckDue {
    /// Nothing.
    Not,
    /// Its latency.
    Probe,
    /// Whether it works again.
    Trial,
}

/// Why a node is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// Its lag is unknown, and `max_staleness` is set.
    LagUnknown,
    /// The node says that it is a primary.
    NoReplica,
    /// It failed recently.
    Quarantined,
    /// A reply of it is overdue.
    Silent,
    /// Its lag is greater than `max_staleness`.
    Stale,
    /// This call has failed there.
    Tried,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LagUnknown => "its lag is not known",
            Self::NoReplica => "it says that it is no replica",
            Self::Quarantined => "it failed recently",
            Self::Silent => "a reply of it is overdue",
            Self::Stale => "its lag is beyond max_staleness",
            Self::Tried => "this call has failed there",
        })
    }
}

/// The node that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeChoice {
    /// The index of its row.
    pub(crate) index: usize,
    /// The reason.
    pub(crate) how: ChosenFor,
}

/// What a node was chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChosenFor {
    /// The policy prefers it.
    Policy,
    /// It is the primary, and no replica can answer.
    Fallback,
    /// To measure its latency.
    Probe,
    /// To check whether it works again.
    Trial,
}

/// How to take one of several.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    /// Each in turn.
    Turn,
    /// Any.
    Any,
    /// The one with the least latency.
    Nearest,
    /// The less loaded of two.
    Lighter,
}

/// The node that a read goes to, or `None` when no node that the policy allows can answer. `turn`
/// grows by one with each choice for the shard; `chance` is a random number. A custom policy has a
/// function of its own (`choose_custom`).
pub(crate) fn choose(
    policy: &ReadFrom,
    rows: &[NodeRow],
    turn: u64,
    chance: u64,
) -> Option<NodeChoice> {
    let with = |spares| choose_with(policy, rows, spares, turn, chance);
    with(false).or_else(|| if rows.iter().any(|row| row.is_spare) { with(true) } else { None })
}

/// The same, with or without nodes that have lost their primary.
#[inline]
fn choose_with(
    policy: &ReadFrom,
    rows: &[NodeRow],
    spares: bool,
    turn: u64,
    chance: u64,
) -> Option<NodeChoice> {
    let set = |wanted: &dyn Fn(&NodeRow) -> bool| {
        set(rows, |row| wanted(row) && (spares || !row.is_spare))
    };
    let among = |among: &Among, take| {
        let wanted = |row: &NodeRow| *among == Among::All || !row.is_primary;
        pick(rows, set(&wanted), take, turn, chance)
    };
    let replicas = |take| pick(rows, set(&|row| !row.is_primary), take, turn, chance);
    let fallback = || {
        let primary = set(&|row| row.is_primary);
        let choice = pick(rows, primary, Take::Any, turn, chance)?;
        Some(NodeChoice { how: ChosenFor::Fallback, ..choice })
    };
    match policy {
        ReadFrom::Primary => {
            let index = rows.iter().position(|row| row.is_primary)?;
            Some(NodeChoice { index, how: ChosenFor::Policy })
        }
        ReadFrom::Replica => replicas(Take::Lighter),
        ReadFrom::PreferReplica => replicas(Take::Lighter).or_else(fallback),
        ReadFrom::RoundRobin(nodes) => among(nodes, Take::Turn),
        ReadFrom::Random(nodes) => among(nodes, Take::Any),
        ReadFrom::Nearest(nodes) => among(nodes, Take::Nearest),
        ReadFrom::LeastLoaded(nodes) => among(nodes, Take::Lighter),
        ReadFrom::Zone(_) => {
            let here = |is_primary| {
                let wanted = |row: &NodeRow| row.in_zone && row.is_primary == is_primary;
                pick(rows, set(&wanted), Take::Lighter, turn, chance)
            };
            let near = || here(false).or_else(|| here(true));
            near().or_else(|| replicas(Take::Lighter)).or_else(fallback)
        }
        ReadFrom::Custom(_) => None,
    }
}

/// The choice of a custom policy, which also sees quarantined nodes. `rows` and `candidates` are
/// the same nodes in the same order.
pub(crate) fn choose_custom(
    policy: &ReadFrom,
    rows: &[NodeRow],
    candidates: &[Candidate<'_>],
    turn: u64,
) -> Option<NodeChoice> {
    let ReadFrom::Custom(custom) = policy else { return None };
    let barred = |row: &NodeRow| {
        matches!(row.skip, Some(SkipReason::Tried | SkipReason::Stale | SkipReason::LagUnknown))
    };
    let open: SmallVec<[usize; 8]> =
        rows.iter().enumerate().filter(|(_, row)| !barred(row)).map(|(index, _)| index).collect();
    let shown: SmallVec<[Candidate<'_>; 8]> =
        open.iter().filter_map(|index| candidates.get(*index)).copied().collect();
    let index = *open.get(custom.policy().choose(&shown, turn)?)?;
    Some(NodeChoice { index, how: ChosenFor::Policy })
}

/// The load of a node, to find the less loaded of two: lower is better. Without a latency it is the
/// number of commands in flight.
pub(crate) fn weight(row: &NodeRow) -> u64 {
    weight_of((row.in_flight, row.latency))
}

#[inline]
fn weight_of((in_flight, latency): (u32, u64)) -> u64 {
    u64::from(in_flight + 1).saturating_mul(latency.max(1))
}

/// Which of two healthy nodes is chosen, by commands in flight and latency: the same choice that
/// `choose` makes for a policy that takes the less loaded.
#[inline]
pub(crate) fn lighter_of_two(loads: [(u32, u64); 2], chance: u64) -> usize {
    let first = usize::from(chance & 1 == 1);
    if is_lighter(loads[1 - first], loads[first]) { 1 - first } else { first }
}

/// Whether `other` is clearly less loaded than `one`.
#[inline]
fn is_lighter(other: (u32, u64), one: (u32, u64)) -> bool {
    if one.1 == 0 || other.1 == 0 {
        other.0 < one.0
    } else {
        weight_of(other) < weight_of(one) - weight_of(one) / ALIKE
    }
}

/// The rows that are not skipped and that `wanted` accepts, one bit for each.
#[inline]
fn set(rows: &[NodeRow], wanted: impl Fn(&NodeRow) -> bool) -> u64 {
    debug_assert!(rows.len() <= ROWS_MAX, "a table has a bit for each row");
    let bit = |(index, row): (usize, &NodeRow)| {
        u64::from(row.skip.is_none() && wanted(row)) << (index % ROWS_MAX)
    };
    rows.iter().enumerate().map(bit).fold(0, |all, bit| all | bit)
}

/// One of a set.
#[inline]
fn pick(rows: &[NodeRow], set: u64, take: Take, turn: u64, chance: u64) -> Option<NodeChoice> {
    let count = u64::from(set.count_ones());
    if count == 0 {
        return None;
    }
    let first = |due| indexes(set).find(|index| rows[*index].due == due);
    if let Some(index) = first(CheckDue::Trial) {
        return Some(NodeChoice { index, how: ChosenFor::Trial });
    }
    let by_latency = matches!(take, Take::Nearest | Take::Lighter);
    if by_latency && let Some(index) = first(CheckDue::Probe) {
        return Some(NodeChoice { index, how: ChosenFor::Probe });
    }
    let draw = chance & u64::from(u32::MAX);
    let index = match take {
        _ if count == 1 => nth(set, 0),
        Take::Turn => nth(set, turn % count),
        Take::Any => nth(set, draw % count),
        Take::Nearest => {
            let known = indexes(set).map(|index| rows[index].latency).filter(|known| *known != 0);
            let limit = known.min().map_or(u64::MAX, |best| best.saturating_add(best / ALIKE));
            // A node of unknown latency counts as far, unless no latency is known.
            let is_near = |index: &usize| match rows[*index].latency {
                0 => limit == u64::MAX,
                known => known <= limit,
            };
            let near = indexes(set).filter(is_near).fold(0_u64, |all, index| all | 1 << index);
            nth(near, draw % u64::from(near.count_ones()).max(1))
        }
        Take::Lighter => {
            let one = draw % count;
            let other = (one + 1 + (chance >> 32) % (count - 1)) % count;
            let (one, other) = (nth(set, one), nth(set, other));
            lighter(rows, one, other)
        }
    };
    Some(NodeChoice { index, how: ChosenFor::Policy })
}

fn lighter(rows: &[NodeRow], one: usize, other: usize) -> usize {
    let load = |index: usize| (rows[index].in_flight, rows[index].latency);
    if is_lighter(load(other), load(one)) { other } else { one }
}

/// The indexes of a set.
fn indexes(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (index < ROWS_MAX).then_some(index)
    })
}

/// The index number `n`, from 0, of a set that has more than `n`.
fn nth(mut set: u64, n: u64) -> usize {
    for _ in 0..n {
        set &= set.wrapping_sub(1);
    }
    set.trailing_zeros() as usize
}

#[cfg(test)]
mod tests;
