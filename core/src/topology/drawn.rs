//! Views and maps as one line of text, for tests.
//!
//! `A: A@5 0-9 300 < C D! | B 10-20` is A's view of two shards: A with epoch 5, two ranges and the
//! replicas C and D, of which D failed; and B without an epoch. Without `A:` it is not known which
//! node told the view. `0` as a shard's name is one whose primary is unknown. Node X listens at
//! x:7000; `X=y` at y:7000; `X=?` at an unknown address.

use super::cluster_map::ClusterMap;
use super::node_id::NodeId;
use super::slot::Slot;
use super::slot_map::Shard;
use super::slot_range::{SlotRange, every_slot, runs};
use super::view::{NodeView, ReportedHealth, Role, ShardView, View};
use crate::endpoint::Endpoint;

/// Where a node of this name listens.
pub(super) fn at(name: &str) -> Endpoint {
    Endpoint::tcp(&name.to_lowercase(), 7000)
}

pub(super) fn id(name: &str) -> NodeId {
    NodeId::told(name).unwrap()
}

pub(super) fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// The view of a line, unchecked parts checked.
pub(super) fn view(text: &str) -> View {
    let (teller, shards) = match text.split_once(": ") {
        Some((teller, shards)) => (Some(id(teller)), shards),
        None => (None, text),
    };
    let shards = shards.split('|').map(str::trim).filter(|text| !text.is_empty());
    View::checked(teller, shards.map(shard).collect()).unwrap()
}

pub(super) fn views(texts: &[&str]) -> Vec<View> {
    texts.iter().map(|text| view(text)).collect()
}

fn shard(text: &str) -> ShardView {
    let (head, replicas) = text.split_once('<').unwrap_or((text, ""));
    let mut words = head.split_whitespace();
    let (name, epoch) = match words.next().unwrap().split_once('@') {
        Some((name, epoch)) => (name, Some(epoch.parse().unwrap())),
        None => (head.split_whitespace().next().unwrap(), None),
    };
    let range = |text: &str| {
        let (start, end) = text.split_once('-').unwrap_or((text, text));
        SlotRange::new(slot(start.parse().unwrap()), slot(end.parse().unwrap())).unwrap()
    };
    ShardView {
        slots: words.map(range).collect(),
        epoch,
        primary: (name != "0").then(|| node(name, Role::Primary)),
        replicas: replicas.split_whitespace().map(|name| node(name, Role::Replica)).collect(),
    }
}

/// The node of a word such as `A`, `A!`, `A=b` or `A=?`.
pub(super) fn node(text: &str, role: Role) -> NodeView {
    let (bare, failed) = text.strip_suffix('!').map_or((text, false), |bare| (bare, true));
    let (name, place) = bare.split_once('=').unwrap_or((bare, bare));
    let endpoint = (place != "?").then(|| at(place));
    NodeView {
        id: id(name),
        announced: endpoint.clone(),
        endpoint,
        aliases: Vec::new(),
        role,
        zone: None,
        offset: None,
        health: if failed { ReportedHealth::Failed } else { ReportedHealth::Online },
        link_up: true,
    }
}

/// A map as a line: shards by their primaries' names, then nodes without a shard behind `+`, then
/// the slots that no node serves behind `-`.
pub(super) fn picture(map: &ClusterMap) -> String {
    let name = |index: &usize| show(map.node(*index));
    let owned = runs(every_slot().map(|slot| (slot, map.slots().shard_at(slot))));
    let shard = |(shard, epoch): (&Shard, Option<u64>)| {
        let mut text = name(&shard.primary);
        text.extend(epoch.map(|epoch| format!("@{epoch}")));
        let ranges = owned.iter().filter(|(_, owner)| *owner == shard);
        text.extend(ranges.map(|(range, _)| format!(" {range}")));
        let mut replicas: Vec<String> = shard.replicas.iter().map(name).collect();
        replicas.sort();
        if !replicas.is_empty() {
            text.push_str(" < ");
            text.push_str(&replicas.join(" "));
        }
        text
    };
    let mut shards: Vec<String> = map.shards().map(shard).collect();
    shards.sort();
    let mut text = shards.join(" | ");
    let housed = |index: &usize| {
        map.shards().any(|(shard, _)| shard.primary == *index || shard.replicas.contains(index))
    };
    let stray = (0..map.nodes().len()).filter(|index| !housed(index));
    text.extend(stray.map(|index| format!(" + {}", name(&index))));
    let uncovered = runs(map.uncovered().keys().map(|slot| (*slot, Some(()))));
    text.extend(uncovered.iter().map(|(range, ())| format!(" - {range}")));
    text
}

fn show(node: &NodeView) -> String {
    let failed = if node.health == ReportedHealth::Failed { "!" } else { "" };
    let usual = node.id.is_provisional() || node.endpoint == Some(at(node.id.as_str()));
    let place = match &node.endpoint {
        _ if usual => String::new(),
        Some(Endpoint::Tcp { host, .. }) => format!("={host}"),
        _ => "=?".to_owned(),
    };
    format!("{}{place}{failed}", node.id)
}
