//! Placement: the node that a channel is subscribed at.
//!
//! A sharded channel belongs to its slot: to the owner or, under a read policy, to a node of that
//! shard. Every other channel may be at any node of the deployment: channels are spread as if their
//! names had slots, and a channel stays at its node for as long as that is a member. A channel that
//! tells of keys is at every primary of a cluster, under any read policy: a replica tells `del`
//! where its primary tells `expired` or `evicted`.
//!
//! Invariants: nothing here waits or sends; a node that could not be reached the last time is
//! chosen only if it alone can serve the channel.

use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::select::{SelectionContext, choice, table};
use crate::driver::replica::shard_lookup::members;
use crate::error::Error;
use crate::sorted::SortedMap;
use crate::subscription::kind::ChannelKind;
use crate::time::Timestamp;
use crate::topology::slot::Slot;
use crate::topology::slot_range::every_slot;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The nodes that the last attempt could not connect to, by their numbers, and its errors.
pub(super) type Unreachable = SortedMap<u64, Error>;

/// The primaries, which tell of keys: each that serves a slot, whether it answers or not. `None`
/// for those that cannot be dialled, and where none is known. The last owner of slots that no node
/// serves may be a replica by now, and would tell of the keys of another primary.
pub(super) fn primaries(routes: &Routes) -> Vec<Option<Arc<Node>>> {
    let (map, shards) = (&routes.map, routes.map.slots().shards());
    let mut serves = vec![false; shards.len()];
    for slot in every_slot() {
        if let Some(serves) = serves.get_mut(usize::from(map.slots().owner_at(slot))) {
            *serves = *serves || map.uncovered_since(slot).is_none();
        }
    }
    let serving = shards.iter().zip(serves).filter(|(_, serves)| *serves);
    let mut found: Vec<_> = serving.map(|(shard, _)| routes.node(shard.primary).cloned()).collect();
    if found.is_empty() {
        found.push(None);
    }
    found
}

/// The node for a channel where reads go to primaries. `current` is its node until now.
pub(super) fn by_slot<'r>(
    kind: ChannelKind,
    slot: Slot,
    current: Option<&'r Arc<Node>>,
    unreachable: &Unreachable,
    routes: &'r Routes,
) -> Option<&'r Arc<Node>> {
    let owner = routes.owner(slot);
    let is_single = routes.map.slots().shards().len() == 1;
    if kind == ChannelKind::Sharded || is_single {
        return owner;
    }
    let is_member = |node: &&Arc<Node>| routes.contains(node);
    let is_well =
        |node: &&Arc<Node>| !unreachable.contains_key(&node.number()) && !node.is_failing();
    current
        .filter(is_member)
        .or(owner.filter(is_well))
        .or_else(|| routes.primaries().find(is_well))
        .or_else(|| routes.dialable().find(is_well))
        .or(owner)
}

/// The node for a channel, of any kind, where a policy lets reads go to replicas: the node of the
/// shard that the policy chooses, and then the same for as long as the policy allows it. A replica
/// sends what its primary sends.
// spec: SSUBSCRIBE, "in a Redis cluster, shard channels": a primary or any replica of the shard
pub(super) fn by_read_policy<'r>(
    slot: Slot,
    current: Option<&'r Arc<Node>>,
    unreachable: &Unreachable,
    routes: &'r Routes,
    settings: &Arc<ReadSettings>,
    now: Timestamp,
) -> Option<&'r Arc<Node>> {
    let shard = routes.map.slots().shard_at(slot)?;
    let mut allowed = members(shard)
        .skip(usize::from(!settings.may_use_primary()))
        .filter_map(|index| routes.node(index))
        .filter(|node| !unreachable.contains_key(&node.number()));
    if let Some(current) = current.filter(|node| allowed.any(|other| Arc::ptr_eq(other, node))) {
        return Some(current);
    }
    let of_shard = members(shard).filter_map(|index| routes.node(index));
    let tried = of_shard.filter(|node| unreachable.contains_key(&node.number()));
    let tried: Vec<Arc<Node>> = tried.cloned().collect();
    let context = SelectionContext { settings, tried: &tried, capped: false, now };
    let (rows, nodes) = table(routes, shard, &context);
    let turn = routes.node(shard.primary)?.health().next_choice();
    let choice = choice(routes, shard, &context, &rows, turn)?;
    nodes.get(choice.index).copied()
}
