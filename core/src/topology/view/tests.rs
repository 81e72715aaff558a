//! When several nodes behind one endpoint are a mistake, and when they are not.

use super::*;
use crate::topology::drawn::{at, node, view};

/// Shards of one primary each; `nodes` are drawn, and owners get a slot.
fn shards(owners: &[NodeView], replicas: &[NodeView]) -> Vec<ShardView> {
    let mut slots = super::super::slot_range::every_slot().map(SlotRange::one);
    let mut shards: Vec<ShardView> = owners
        .iter()
        .map(|primary| ShardView {
            slots: slots.next().into_iter().collect(),
            epoch: None,
            primary: Some(primary.clone()),
            replicas: Vec::new(),
        })
        .collect();
    if let Some(first) = shards.first_mut() {
        first.replicas = replicas.to_vec();
    }
    shards
}

/// A node that is announced at its own address and dialled elsewhere.
fn mapped(text: &str) -> NodeView {
    let node = node(text, Role::Primary);
    NodeView { announced: Some(at(node.id.as_str())), ..node }
}

#[test]
fn nodes_folded_into_one_endpoint_are_found_out() {
    let owner = |text| node(text, Role::Primary);
    let copy = |text| node(text, Role::Replica);
    let table = [
        // All that are up are reached at one place.
        (shards(&[owner("A=x"), owner("B=x"), owner("C=x")], &[]), Some(("A", "B"))),
        (shards(&[owner("A=x")], &[copy("B=x")]), Some(("A", "B"))),
        // The map leads two owners to one place, a third one elsewhere.
        (shards(&[mapped("A=x"), mapped("B=x"), owner("C")], &[]), Some(("A", "B"))),
        // The servers say so themselves of two: that is old news of one, and it will pass.
        (shards(&[owner("A=x"), owner("B=x"), owner("C")], &[]), None),
        // The address of a failed node may be somebody else's by now.
        (shards(&[owner("A=x"), owner("B=x!")], &[]), None),
        (shards(&[owner("A=x"), owner("B=?"), owner("C=?")], &[]), None),
        (shards(&[owner("A")], &[]), None),
    ];
    for (shards, folded) in table {
        let expected = folded.map(|(first, second)| ViewError::Folded {
            endpoint: at("x"),
            first: NodeId::told(first).unwrap(),
            second: NodeId::told(second).unwrap(),
        });
        assert_eq!(View::checked(None, shards.clone()).err(), expected, "{shards:?}");
    }
}

/// A managed service may give primary and replica one host name and two ports.
#[test]
fn one_host_with_several_ports_is_no_fold() {
    let port = |text, port| NodeView {
        endpoint: Some(Endpoint::tcp("service.test", port)),
        ..node(text, Role::Primary)
    };
    let replica = NodeView { role: Role::Replica, ..port("B", 7001) };
    assert!(View::checked(None, shards(&[port("A", 7000)], &[replica])).is_ok());
}

#[test]
fn errors_say_what_to_look_at() {
    let folded =
        View::checked(None, shards(&[node("A=x", Role::Primary), node("B=x", Role::Primary)], &[]));
    let text = folded.unwrap_err().to_string();
    assert!(text.contains("A and B are both reached at x:7000"), "{text}");
    assert!(text.contains("address_map"), "{text}");
}

#[test]
fn coverage_counts_slots() {
    assert_eq!(view("A 0-9 20 | B 100-199").coverage(), 111);
    assert_eq!(view("").coverage(), 0);
}
