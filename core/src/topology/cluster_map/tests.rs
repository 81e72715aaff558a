//! Redirects on a map.

use super::*;
use crate::topology::drawn::{at, id, node, picture, slot, views};
use crate::topology::merge::merge;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::slot_range::every_slot;
use proptest::prelude::*;

fn map(text: &str) -> ClusterMap {
    merge(None, &views(&[text]), 0, Timestamp::ZERO).map
}

#[test]
fn a_redirect_moves_one_slot_and_nothing_else() {
    let start = map("A@1 0-99 < C | B@2 100-16383 < D");
    let table = [
        // (slot, to, what comes of it)
        (5, "b", "A@1 0-4 6-99 < C | B@2 5 100-16383 < D"),
        (5, "x", "@x:7000 5 | A@1 0-4 6-99 < C | B@2 100-16383 < D"),
        // A replica that was promoted: for this slot now, for the others when it is known.
        (5, "c", "A@1 0-4 6-99 | B@2 100-16383 < D | C 5"),
    ];
    for (number, to, picture_after) in table {
        let next = start.patch(slot(number), &at(to)).unwrap();
        assert_eq!(picture(&next), picture_after);
        assert_eq!(next.version(), start.version() + 1);
        assert_eq!(next.owner(slot(number)).unwrap().endpoint, Some(at(to)));
        assert_eq!(next.owner(slot(number)).unwrap().role, Role::Primary);
        assert_eq!(next.patch(slot(number), &at(to)), None, "that is no news");
        for (before, after) in start.nodes().iter().zip(next.nodes()) {
            assert_eq!(before.id, after.id, "indexes of nodes stay");
        }
    }
    assert_eq!(start.patch(slot(5), &at("a")), None);
}

#[test]
fn a_slot_that_nobody_had_is_taught_by_a_redirect() {
    let holed = map("A@1 0-99 | B@2 200-16383");
    assert_eq!(holed.owner(slot(150)), None);
    assert_eq!(holed.uncovered_since(slot(150)), Some(Timestamp::ZERO));
    let next = holed.patch(slot(150), &at("b")).unwrap();
    assert_eq!(next.owner(slot(150)).unwrap().id, id("B"));
    assert_eq!(next.uncovered_since(slot(150)), None);
    assert_eq!(next.coverage(), holed.coverage() + 1);
}

/// A redirect may use the address where the topology uses the name, or the other way round.
#[test]
fn a_node_is_known_by_its_aliases_too() {
    let (mut a, b) = (node("A", Role::Primary), node("B", Role::Replica));
    a.aliases = vec![at("10.0.0.1"), at("shared")];
    let mut b = NodeView { aliases: vec![at("shared")], ..b };
    b.endpoint = None;
    b.aliases.push(at("10.0.0.2"));
    let single = ClusterMap::single(a, vec![b]);
    assert_eq!(single.node_at(&at("a")), Some(0));
    assert_eq!(single.node_at(&at("10.0.0.1")), Some(0));
    assert_eq!(single.node_at(&at("10.0.0.2")), Some(1));
    assert_eq!(single.node_at(&at("shared")), None, "that could be either");
    let next = single.patch(slot(1), &at("10.0.0.2")).unwrap();
    let promoted = next.owner(slot(1)).unwrap();
    assert_eq!((&promoted.id, &promoted.endpoint), (&id("B"), &Some(at("10.0.0.2"))));
    assert_eq!(next.owner(slot(2)).unwrap().id, id("A"));
}

/// A server that sends callers to ever new places costs a bounded amount.
#[test]
fn redirects_to_ever_new_places_end_somewhere() {
    let mut map = map("A@1 0-16383");
    for port in 1..=u16::MAX {
        let Some(next) = map.patch(slot(0), &Endpoint::tcp("x", port)) else { break };
        map = next;
    }
    assert_eq!(map.nodes().len(), 1 + UNNAMED_MAX);
    assert!(map.patch(slot(0), &at("a")).is_some(), "known nodes are found all the same");
    let settled = merge(Some(&map), &views(&["A@2 0-16383"]), map.version(), Timestamp::ZERO);
    assert_eq!(settled.map.nodes().len(), 1, "a refresh makes room");
}

#[test]
fn one_shard_without_slots_serves_every_key() {
    let single = ClusterMap::single(node("A", Role::Replica), vec![node("B", Role::Primary)]);
    assert_eq!(picture(&single), "A 0-16383 < B");
    assert_eq!((single.coverage(), single.version()), (SLOT_COUNT, 1));
    assert_eq!(single.slots().shard_of(b"any").map(|shard| shard.primary), Some(0));
    let empty = ClusterMap::empty();
    assert_eq!((empty.coverage(), empty.version(), empty.owner(slot(0))), (0, 0, None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Patch by patch, or all at once: the owners are the same.
    #[test]
    fn patches_add_up_to_a_rebuild(
        moves in prop::collection::vec((0..SLOT_COUNT, 0..6_usize), 0..40),
    ) {
        let start = map("A@1 0-5460 < D | B@2 5461-10922 < E | C@3 10923-16000 < F");
        let places = ["a", "b", "c", "d", "x", "y"];
        let (mut map, mut expected) = (start.clone(), Vec::new());
        expected.extend(every_slot().map(|s| start.owner(s).and_then(|n| n.endpoint.clone())));
        for (number, place) in moves {
            let to = at(places[place]);
            expected[usize::from(number)] = Some(to.clone());
            map = map.patch(slot(number), &to).unwrap_or(map);
        }
        let owners = every_slot().map(|s| map.owner(s).and_then(|node| node.endpoint.clone()));
        prop_assert_eq!(owners.collect::<Vec<_>>(), expected);
        let owned = every_slot().filter(|slot| map.owner(*slot).is_some()).count();
        prop_assert_eq!(usize::from(map.slots().owned()), owned);
    }
}

/// Whatever is looked for among many nodes is what a look at each of them would find; and a
/// redirect to a primary that owns slots copies no node and no shard.
#[test]
fn nodes_are_found_without_a_look_at_each() {
    let mut views: Vec<NodeView> = (0..300)
        .map(|n| NodeView {
            aliases: vec![at(&format!("alias{}", n / 2))],
            ..node(&format!("N{n}"), Role::Replica)
        })
        .collect();
    views[7].endpoint = Some(at("n8"));
    views[9].endpoint = None;
    let first = node("A", Role::Primary);
    let start = ClusterMap::single(first, views);
    let places = (0..300).flat_map(|n| [format!("n{n}"), format!("alias{n}"), format!("no{n}")]);
    for place in places.chain(["a".to_owned()]) {
        let endpoint = at(&place);
        let own = |node: &NodeView| node.endpoint.as_ref() == Some(&endpoint);
        let of = |node: &NodeView| own(node) || node.aliases.contains(&endpoint);
        let nodes = start.nodes().iter().enumerate();
        let known: Vec<usize> = nodes.filter(|(_, node)| of(node)).map(|(at, _)| at).collect();
        let mut found: Vec<usize> = start.nodes_at(&endpoint).map(|(index, _)| index).collect();
        let flags: Vec<bool> = start.nodes_at(&endpoint).map(|(_, is_alias)| is_alias).collect();
        assert!(flags.is_sorted(), "those that are dialled there come first: {place}");
        found.sort_unstable();
        assert_eq!(found, known, "{place}");
    }
    for (index, node) in start.nodes().iter().enumerate() {
        assert_eq!(start.node_with_id(&node.id), Some(index));
        assert_eq!(start.shard_led_by(index).is_some(), index == 0);
    }
    assert_eq!(start.node_with_id(&id("Z")), None);
    let several = map("A@1 0-99 < C | B@2 100-16383 < D");
    let moved = several.patch(slot(5), &at("b")).unwrap();
    assert!(moved.has_nodes_of(&several));
    assert_eq!(moved.slots().changed_since(several.slots()), [slot(5)]);
    let promoted = moved.patch(slot(6), &at("c")).unwrap();
    assert!(!promoted.has_nodes_of(&moved), "a replica has become a primary");
    assert!(promoted.slots().owns_any(0) && !promoted.slots().owns_any(9));
}
