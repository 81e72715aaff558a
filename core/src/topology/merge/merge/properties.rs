//! What holds for all views, not only for those thought of.
//!
//! Views are made of a small cluster's ids, so that they overlap, contradict each other and what is
//! held. Test code only.

use super::*;
use crate::resp::Value;
use crate::sorted::SortedMap;
use crate::topology::captured;
use crate::topology::drawn::{at, id, node, slot};
use crate::topology::merge::slot_owners::decide;
use crate::topology::parse::cluster_nodes::parse_nodes;
use crate::topology::parse::cluster_shards::parse_shards;
use crate::topology::parse::cluster_slots::parse_slots;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::slot_range::{SlotRange, every_slot};
use crate::topology::view::{Role, ShardView};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NAMES: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];

/// A view in which each part of the slots goes to one of the names, or to nobody.
fn arbitrary_view(epochs: bool) -> impl Strategy<Value = View> {
    let owners = prop::collection::vec(prop::option::weighted(0.9, 0..NAMES.len()), 8);
    let epoch = prop::collection::vec(0_u64..6, NAMES.len());
    let homes = prop::collection::vec(prop::option::weighted(0.8, 0..NAMES.len()), NAMES.len());
    let teller = prop::option::of(0..NAMES.len());
    (owners, epoch, homes, teller).prop_map(move |(owners, epoch, homes, teller)| {
        let part = SLOT_COUNT / 8;
        let owning: BTreeSet<usize> = owners.iter().flatten().copied().collect();
        let primary = |name: usize| owning.contains(&name) || homes[name].is_none();
        let shards = (0..NAMES.len()).filter(|name| primary(*name)).map(|name| {
            let mine = owners.iter().zip(0_u16..).filter(|(owner, _)| **owner == Some(name));
            let range = |index: u16| {
                SlotRange::new(slot(index * part), slot(index * part + part - 1)).unwrap()
            };
            let copies = |other: &usize| !primary(*other) && homes[*other] == Some(name);
            ShardView {
                slots: mine.map(|(_, index)| range(index)).collect(),
                epoch: epochs.then(|| epoch[name]),
                primary: Some(node(NAMES[name], Role::Primary)),
                replicas: (0..NAMES.len())
                    .filter(copies)
                    .map(|other| node(NAMES[other], Role::Replica))
                    .collect(),
            }
        });
        View::checked(teller.map(|name| id(NAMES[name])), shards.collect()).unwrap()
    })
}

/// The owner of each slot.
fn owners(map: &ClusterMap) -> Vec<Option<&NodeId>> {
    every_slot().map(|slot| map.owner(slot).map(|node| &node.id)).collect()
}

fn arbitrary_views(epochs: bool) -> impl Strategy<Value = Vec<View>> {
    prop::collection::vec(arbitrary_view(epochs), 0..5)
}

/// What a client may hold: merged from views, with redirects on top.
fn arbitrary_map() -> impl Strategy<Value = ClusterMap> {
    let patches = prop::collection::vec((0..SLOT_COUNT, 0..NAMES.len() + 1), 0..6);
    (arbitrary_views(true), patches).prop_map(|(views, patches)| {
        let mut map = merge(None, &views, 0, Timestamp::ZERO).map;
        for (number, name) in patches {
            let to = NAMES.get(name).copied().unwrap_or("unheard");
            map = map.patch(slot(number), &at(to)).unwrap_or(map);
        }
        map
    })
}

/// The epoch of a slot's owner.
fn epoch_at(map: &ClusterMap, at: crate::topology::slot::Slot) -> Option<u64> {
    map.shards().nth(usize::from(map.slots().owner_at(at))).and_then(|(_, epoch)| epoch)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_views_does_not_matter(
        held in arbitrary_map(),
        views in arbitrary_views(true),
        more in arbitrary_views(false),
        began in 0_u64..6,
        turn in 0_usize..8,
    ) {
        let views: Vec<View> = views.into_iter().chain(more).collect();
        let mut turned = views.clone();
        turned.rotate_left(turn % views.len().max(1));
        let mut backwards = views.clone();
        backwards.reverse();
        for held in [Some(&held), None] {
            let straight = merge(held, &views, began, Timestamp::ZERO);
            for other in [&turned, &backwards] {
                let other = merge(held, other, began, Timestamp::ZERO);
                prop_assert_eq!(&other.map, &straight.map);
            }
        }
    }

    #[test]
    fn no_slot_loses_its_owner(
        held in arbitrary_map(),
        views in arbitrary_views(true),
        more in arbitrary_views(false),
        began in 0_u64..6,
    ) {
        let views: Vec<View> = views.into_iter().chain(more).collect();
        let next = merge(Some(&held), &views, began, Timestamp::ZERO).map;
        for slot in every_slot() {
            prop_assert!(held.owner(slot).is_none() || next.owner(slot).is_some(), "{slot}");
        }
        prop_assert!(next.version() >= held.version());
    }

    /// Where nobody denies anything, the epoch of a slot's owner never falls; a slot that a
    /// redirect gave away has an owner whose epoch is not told yet.
    #[test]
    fn epochs_never_fall(held in arbitrary_map(), views in arbitrary_views(true)) {
        let mut views = views;
        views.iter_mut().for_each(|view| view.told_by = None);
        let next = merge(Some(&held), &views, held.version(), Timestamp::ZERO);
        let counted: Vec<&View> = views.iter().zip(&next.rejections)
            .filter(|(_, rejection)| rejection.is_none()).map(|(view, _)| view).collect();
        let named: BTreeSet<_> = counted.iter().flat_map(|v| v.nodes().map(|n| &n.id)).collect();
        for slot in every_slot().step_by(64) {
            let known = held.owner(slot).is_none_or(|owner| named.contains(&owner.id));
            if known || counted.len() < 2 {
                prop_assert!(epoch_at(&next.map, slot) >= epoch_at(&held, slot), "{slot}");
            }
        }
    }

    #[test]
    fn redirects_since_the_refresh_began_stand(
        held in arbitrary_map(),
        views in arbitrary_views(true),
        number in 0..SLOT_COUNT,
        to in 0..NAMES.len(),
    ) {
        let to = at(NAMES[to]);
        let Some(redirected) = held.patch(slot(number), &to) else { return Ok(()) };
        let next = merge(Some(&redirected), &views, held.version(), Timestamp::ZERO).map;
        prop_assert_eq!(&next.owner(slot(number)).unwrap().endpoint, &Some(to));
    }

    /// The same views again say nothing new.
    #[test]
    fn a_merge_settles(held in arbitrary_map(), views in arbitrary_views(true)) {
        let once = merge(Some(&held), &views, held.version(), Timestamp::ZERO).map;
        let twice = merge(Some(&once), &views, once.version(), Timestamp::ZERO).map;
        prop_assert_eq!(owners(&twice), owners(&once));
    }

    /// Replies of real servers with some bytes changed: an error or a view, and a map either way.
    #[test]
    fn mutated_replies_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let captured = captured::all();
        let it = which.get(&captured);
        let reply = mutate(&it.reply, &changes, cut);
        let rule = captured::rule(false);
        let nodes = parse_nodes(&reply);
        let views: Vec<View> = [
            parse_shards(&reply, rule),
            parse_slots(&reply, rule),
            nodes.and_then(|nodes| nodes.into_view(rule)),
        ].into_iter().flatten().collect();
        let held = merge(None, &views, 0, Timestamp::ZERO).map;
        let again = merge(Some(&held), &views, 0, Timestamp::ZERO).map;
        prop_assert_eq!(owners(&again), owners(&held));
    }
}

/// Changes leaves of a value: bytes of texts, digits of numbers; cuts one list short.
fn mutate(
    value: &Value,
    changes: &[(prop::sample::Index, u8)],
    cut: Option<prop::sample::Index>,
) -> Value {
    let mut value = value.clone();
    for (index, byte) in changes {
        let leaves = count(&value, false).max(1);
        let mut left = index.index(leaves);
        change(&mut value, &mut left, *byte, false);
    }
    if let Some(cut) = cut {
        let lists = count(&value, true).max(1);
        let mut left = cut.index(lists);
        change(&mut value, &mut left, 0, true);
    }
    value
}

/// How many leaves, or lists, there are.
fn count(value: &Value, lists: bool) -> usize {
    match value {
        Value::Array(elements) => {
            usize::from(lists) + elements.iter().map(|element| count(element, lists)).sum::<usize>()
        }
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| count(key, lists) + count(value, lists));
            usize::from(lists) + pairs.sum::<usize>()
        }
        _ => usize::from(!lists),
    }
}

/// Changes the leaf, or cuts the list, that is `left` steps away.
fn change(value: &mut Value, left: &mut usize, byte: u8, lists: bool) {
    let here = matches!(value, Value::Array(_) | Value::Map(_)) == lists;
    if here {
        if *left == 0 {
            *value = changed(value, byte);
            *left = usize::MAX;
            return;
        }
        *left -= 1;
    }
    let elements: Vec<&mut Value> = match value {
        Value::Array(elements) => elements.iter_mut().collect(),
        Value::Map(pairs) => pairs.iter_mut().flat_map(|(key, value)| [key, value]).collect(),
        _ => return,
    };
    for element in elements {
        if *left != usize::MAX {
            change(element, left, byte, lists);
        }
    }
}

fn changed(value: &Value, byte: u8) -> Value {
    match value {
        Value::Array(elements) => Value::Array(elements[..elements.len() / 2].to_vec()),
        Value::Map(pairs) => Value::Map(pairs[..pairs.len() / 2].to_vec()),
        _ if byte.is_multiple_of(11) => Value::Null,
        _ if byte.is_multiple_of(7) => Value::Int(i64::from(byte) - 100),
        Value::Int(number) => Value::Int(number ^ (1 << (byte % 63))),
        other => {
            let mut bytes = other.as_bytes().unwrap_or_default().to_vec();
            let at = usize::from(byte) * bytes.len().max(1) / 256;
            match bytes.get_mut(at) {
                Some(place) => *place = byte,
                None => bytes.push(byte),
            }
            // Words of a line that change places say other things than noise does.
            if byte.is_multiple_of(5) {
                bytes.truncate(at);
            }
            Value::Blob(bytes.into())
        }
    }
}

/// `decide` alone, on the largest input that the limits allow: it ends, and in reasonable time.
#[test]
fn the_largest_views_are_merged() {
    let shard = |name: usize| ShardView {
        slots: vec![SlotRange::one(slot(u16::try_from(name).unwrap()))],
        epoch: Some(name as u64),
        primary: Some(node(&format!("N{name}"), Role::Primary)),
        replicas: Vec::new(),
    };
    let view = View::checked(None, (0..usize::from(SLOT_COUNT)).map(shard).collect()).unwrap();
    let decided = decide(
        &ClusterMap::empty(),
        &[&view, &view],
        &SortedMap::new(),
        0,
        &std::iter::empty().collect(),
    );
    assert!(decided.denied.is_empty());
    let map = merge(None, &[view.clone(), view], 0, Timestamp::ZERO).map;
    assert_eq!((map.coverage(), map.nodes().len()), (SLOT_COUNT, usize::from(SLOT_COUNT)));
}
