//! A view of shards that do not agree with each other: what is doubtful is left out.
//!
//! Rules, each with the reason:
//! - a node that is named twice is where it owns slots, else where it is in better health, else
//!   where it has an address: the other entry is of the past. Slots of both are its own;
//! - a slot with two owners belongs to the one with the higher config epoch, else to the first one
//!   in the reply. If that is wrong, the owner that answers sends a redirect.

use super::{NodeView, ReportedHealth, Role, ShardView, View};
use crate::sorted::{SortedMap, sort_by_key};
use crate::topology::node_id::NodeId;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::slot_range::SlotRange;
use crate::topology::view_error::ViewError;
use std::cmp::Reverse;
use std::mem;

/// How much an entry of a node is worth beside another one of the same node: the greater is taken.
fn worth(shard: &ShardView, node: &NodeView) -> (bool, Reverse<ReportedHealth>, bool, bool) {
    let owns = node.role == Role::Primary && !shard.slots.is_empty();
    (owns, Reverse(node.health), node.endpoint.is_some(), node.link_up)
}

impl View {
    /// A view of what these shards agree on. `left_out`: entries that were left out before.
    ///
    /// # Errors
    /// `TooMany` or `Folded`.
    pub(crate) fn mended(
        told_by: Option<NodeId>,
        mut shards: Vec<ShardView>,
        left_out: u32,
    ) -> Result<Self, ViewError> {
        let more = leave_out_twins(&mut shards) + leave_out_overlaps(&mut shards);
        let view = Self::checked(told_by, shards)?;
        Ok(Self { left_out: left_out.saturating_add(more), ..view })
    }
}

/// Leaves one entry of each node. Returns how many entries were left out.
fn leave_out_twins(shards: &mut [ShardView]) -> u32 {
    // Where the best entry of each node is: the shard, and the number among its nodes.
    let mut best: SortedMap<NodeId, (usize, usize)> = SortedMap::new();
    let mut twins = Vec::new();
    for (at, shard) in shards.iter().enumerate() {
        for (number, node) in shard.nodes().enumerate() {
            let place = (at, number);
            let known = best.get_or_insert_with(node.id.clone(), || place);
            if *known == place {
                continue;
            }
            let there = shards[known.0].nodes().nth(known.1);
            let is_better = there.is_some_and(|t| worth(shard, node) > worth(&shards[known.0], t));
            let worse = if is_better { mem::replace(known, place) } else { place };
            twins.push((worse, node.id.clone()));
        }
    }
    // From behind, so that the numbers before stay right.
    sort_by_key(&mut twins, |(place, _)| Reverse(*place));
    let count = twins.len();
    for ((at, number), id) in twins {
        let shard = &mut shards[at];
        let Some(primary) = number.checked_sub(usize::from(shard.primary.is_some())) else {
            shard.primary = None;
            let slots = mem::take(&mut shard.slots);
            if let Some((there, 0)) = best.get(&id) {
                shards[*there].slots.extend(slots);
            }
            continue;
        };
        shard.replicas.remove(primary);
    }
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Leaves one owner to each slot. Returns how many ranges were left out, or made shorter.
fn leave_out_overlaps(shards: &mut [ShardView]) -> u32 {
    let mut order: Vec<usize> = (0..shards.len()).collect();
    sort_by_key(&mut order, |at| (Reverse(shards[*at].epoch), *at));
    let mut owned = vec![false; usize::from(SLOT_COUNT)];
    let mut count = 0_u32;
    for at in order {
        let shard = &mut shards[at];
        if shard.primary.is_none() {
            continue;
        }
        for range in mem::take(&mut shard.slots) {
            let entries = owned.get_mut(range.as_indexes()).expect("as many as slots");
            if !entries.contains(&true) {
                entries.fill(true);
                shard.slots.push(range);
                continue;
            }
            count = count.saturating_add(1);
            let free = range.slots().zip(entries).filter(|(_, is_owned)| !**is_owned);
            shard.slots.extend(free.map(|(slot, is_owned)| {
                *is_owned = true;
                SlotRange::one(slot)
            }));
        }
    }
    count
}
