//! From a command or an item to its shard, its slot and the shard's nodes.
//!
//! Pure look-ups in the current routes: no lock, no wait.

use crate::command::Command;
use crate::driver::attempt::item::Item;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::routing::read_from::ROWS_MAX;
use crate::time::Timestamp;
use crate::topology::slot::Slot;
use crate::topology::slot_map::Shard;

/// The shard that a read may use: that of its key or, without a key, the only one.
#[inline]
pub(crate) fn shard_of<'r>(routes: &'r Routes, command: &Command) -> Option<&'r Shard> {
    let slots = routes.map.slots();
    match command.first_key() {
        Some(key) => slots.shard_of(key),
        None => match slots.shards() {
            [only] => Some(only),
            _ => None,
        },
    }
}

/// A shard's nodes in the order of the table: the primary, then the replicas.
pub(crate) fn members(shard: &Shard) -> impl Iterator<Item = usize> {
    std::iter::once(shard.primary).chain(shard.replicas.iter().copied()).take(ROWS_MAX)
}

/// The zone of a node: from the topology, from the node itself, or from the configuration.
pub(crate) fn zone_of<'r>(routes: &'r Routes, index: usize, node: &'r Node) -> Option<&'r str> {
    let of_map = routes.map.nodes().get(index).and_then(|view| view.zone.as_deref());
    let reported = || node.health().zone()?.as_deref();
    of_map.or_else(reported).or_else(|| node.zone())
}

/// The slot of a command's key, for errors; the first one without a key.
pub(crate) fn slot_of(command: &Command) -> Slot {
    command.first_key().map_or(Slot::FIRST, Slot::of)
}

/// The shard that an item reads from.
pub(crate) fn shard_for<'r>(
    routes: &'r Routes,
    item: Item<'_>,
    now: Timestamp,
) -> Option<&'r Shard> {
    let slots = routes.map.slots();
    match item.slot() {
        Some(slot) => slots.shard_at(slot),
        // Without a key, any shard will do.
        None => shard_of(routes, item.command).or_else(|| {
            let keyless = item.command.first_key().is_none();
            let at = now.nanos() / 1000 % (slots.shards().len().max(1) as u64);
            slots.shards().get(at as usize).filter(|_| keyless)
        }),
    }
}
