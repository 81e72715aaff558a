//! From a command or an item to its shard, its slot and the shard's nodes.
//!
//! Look-ups in the current routes: no wait.

use crate::command::Command;
use crate::driver::attempt::item::Item;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
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

/// Why a replica that does not take READONLY serves no reads.
pub(super) const LACKS_READONLY: &str = "it refuses READONLY, without which a cluster's replica \
     serves no reads: allow the user READONLY, or read from the primary";

/// The error of a read for which there is no node because replicas do not take READONLY, the others
/// cannot be reached, and the policy allows no primary, which would come back.
pub(super) fn lacks_readonly(
    routes: &Routes,
    shard: &Shard,
    settings: &ReadSettings,
    item: Item<'_>,
) -> Option<Error> {
    if settings.may_use_primary() {
        return None;
    }
    let mut found = None;
    for node in members(shard).skip(1).filter_map(|index| routes.node(index)) {
        match node.target().lacks_readonly() {
            Some(refusal) => found = Some((node, refusal)),
            None if node.is_failing() => {}
            None => return None,
        }
    }
    let (node, refusal) = found?;
    let slot = item.slot().unwrap_or_else(|| slot_of(item.command)).number();
    let message = format!("no replica serves reads of slot {slot}: {LACKS_READONLY}");
    let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message)
        .with_detail(ErrorDetail::NoReplica { slot })
        .with_endpoint(node.endpoint());
    Some(match refusal {
        Some(refusal) => error.with_server_error(refusal),
        None => error,
    })
}
