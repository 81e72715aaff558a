//! CLUSTER SLOTS of real servers, and what no server should say.

use super::*;
use crate::endpoint::Endpoint;
use crate::topology::captured::{self, SERVERS, rule};
use crate::topology::parse::cluster_nodes::parse_nodes;
use crate::topology::parse::cluster_shards::parse_shards;
use std::collections::BTreeSet;

fn view(server: &str, scene: &str) -> Option<View> {
    captured::reply(server, scene, "SLOTS").map(|reply| parse_slots(&reply, rule(false)).unwrap())
}

/// Slots, primary's id and endpoint, replicas' ids: what both commands tell.
fn essence(view: &View) -> BTreeSet<(Vec<SlotRange>, String, BTreeSet<NodeId>)> {
    let owning = view.shards().iter().filter(|shard| !shard.slots.is_empty());
    owning
        .map(|shard| {
            let primary = shard.primary.as_ref().unwrap();
            let replicas = shard.replicas.iter().map(|node| node.id.clone()).collect();
            (shard.slots.clone(), format!("{} {:?}", primary.id, primary.endpoint), replicas)
        })
        .collect()
}

#[test]
fn every_server_is_understood_in_both_protocols() {
    let mut understood = 0;
    for it in captured::all() {
        if (it.command.as_str(), it.scene.as_str()) == ("SLOTS", "settled") {
            let view = parse_slots(&it.reply, rule(false)).unwrap();
            assert_eq!(view.coverage(), crate::topology::slot::SLOT_COUNT, "{}", it.server);
            assert_eq!((view.shards().len(), view.nodes().count()), (3, 6), "{}", it.server);
            understood += 1;
        }
    }
    assert_eq!(understood, 9, "six servers, three of them in both protocols");
}

#[test]
fn it_tells_what_shards_tells() {
    for (server, _) in SERVERS {
        for scene in ["settled", "failed-over", "hostname"] {
            let Some(shards) = captured::reply(server, scene, "SHARDS") else { continue };
            let shards = parse_shards(&shards, rule(false)).unwrap();
            let slots = view(server, scene).unwrap();
            assert_eq!(essence(&slots), essence(&shards), "{server} {scene}");
        }
    }
}

#[test]
fn metadata_is_read_from_a_map_and_from_an_array() {
    for it in captured::all() {
        if (it.command.as_str(), it.scene.as_str()) != ("SLOTS", "hostname") {
            continue;
        }
        let view = parse_slots(&it.reply, rule(false)).unwrap();
        let ips = view.nodes().filter_map(|node| node.aliases.first()).count();
        assert_eq!(ips, 6, "{} {}: each tells its address besides", it.server, it.protocol);
        let unknown = view.nodes().filter(|node| node.endpoint.is_none()).count();
        assert_eq!(unknown, 2, "two have no host name");
    }
    let view = view("valkey-9.1", "settled").unwrap();
    let zones: BTreeSet<_> = view.nodes().filter_map(|node| node.zone.as_deref()).collect();
    assert_eq!(zones, BTreeSet::from(["zone-a", "zone-b", "zone-c"]));
}

#[test]
fn the_only_port_told_is_the_right_one() {
    for (server, _) in SERVERS {
        let Some(reply) = captured::reply(server, "tls-only", "SLOTS") else { continue };
        let view = parse_slots(&reply, rule(true)).unwrap();
        let tls =
            |node: &NodeView| matches!(&node.endpoint, Some(Endpoint::Tcp { port: 7443, .. }));
        assert!(view.nodes().all(tls), "{server}");
    }
}

#[test]
fn a_lone_node_has_an_empty_view() {
    for (server, _) in SERVERS {
        let view = view(server, "fresh").unwrap();
        assert_eq!(view.nodes().count(), 0, "{server}");
    }
}

/// A reply of which nothing can be read. The error names the first part that cannot.
#[test]
fn a_reply_without_one_good_entry_is_an_error_that_names_the_part() {
    let table = [
        ("7", "malformed slot ranges: \"7\""),
        ("[7]", "malformed slot range: \"7\""),
        ("[[0,1]]", "a slot range's primary is missing"),
        ("[[0,1,[]]]", "node id is missing"),
        (r#"[[0,1,["?",1]]]"#, "node id is missing"),
        (r#"[[0,1,["h",1,null]]]"#, "node id is missing"),
        (r#"[[0,1,["h",1,""]]]"#, "malformed node id: \"\""),
        (r#"[[0,1,["h",1,"@h:1"]]]"#, "malformed node id: \"@h:1\""),
        (r#"[[5,4,["h",1,"a"]]]"#, "slot range 5-4 ends before it starts"),
        (r#"[[0,16384,["h",1,"a"]]]"#, "malformed slot: \"16384\""),
    ];
    for (json, text) in table {
        let reply: Value = serde_json::from_str(json).unwrap();
        let error = parse_slots(&reply, rule(false)).unwrap_err();
        assert_eq!(error.to_string(), text, "{json}");
    }
}

/// One odd entry is one entry: it is left out and counted, wherever it stands.
#[test]
fn what_cannot_be_read_is_left_out_and_the_rest_is_used() {
    // The entry, how many things are left out of it, and how many slots and nodes are read.
    let table = [
        ("7", 1, 0, 0),
        ("[0,1]", 1, 0, 0),
        ("[0,1,[]]", 1, 0, 0),
        (r#"[0,1,["h",1,""]]"#, 1, 0, 0),
        (r#"[5,4,["h",1,"a"]]"#, 1, 0, 0),
        (r#"[0,16384,["h",1,"a"]]"#, 1, 0, 0),
        (r#"[0,1,["h",1,"a"],7]"#, 1, 2, 1),
        (r#"[0,1,["h",1,"a"],["?",2]]"#, 1, 2, 1),
        (r#"[0,1,["h",1,"a"],["h",2,"@"],["h",3,"c"]]"#, 1, 2, 2),
        // Of a node only the id is needed.
        (r#"[0,1,["h",65536,"a"]]"#, 1, 2, 1),
        (r#"[0,1,["h",-1,"a"]]"#, 1, 2, 1),
        (r#"[0,1,[{},1,"a"]]"#, 1, 2, 1),
        (r#"[0,1,["h",1,"a",{"hostname":"a b"}]]"#, 1, 2, 1),
        (r#"[0,1,["h",1,"a",{"availability-zone":7}]]"#, 1, 2, 1),
        // Twice: a slot, and a node.
        (r#"[0,100,["h",1,"a"]]"#, 1, 100, 1),
        (r#"[0,1,["h",1,"a"],["h",1,"a"]]"#, 1, 2, 1),
        (r#"[0,1,["h",1,"a"],["10.0.0.7",7,"g"]]"#, 1, 2, 1),
    ];
    let good = r#"[100,200,["10.0.0.7",7,"g"]]"#;
    for (odd, left_out, slots, nodes) in table {
        for json in [format!("[{good},{odd}]"), format!("[{odd},{good}]")] {
            let view = parse_slots(&serde_json::from_str(&json).unwrap(), rule(false)).unwrap();
            assert_eq!(view.left_out, left_out, "{json}");
            assert_eq!(view.coverage(), 101 + slots, "{json}");
            assert_eq!(view.nodes().count(), 1 + nodes, "{json}");
            let other = view.nodes().find(|node| node.id.as_str() == "g").unwrap();
            assert_eq!(other.endpoint, Some(Endpoint::tcp("10.0.0.7", 7)), "{json}");
            assert_eq!(other.role, Role::Primary, "{json}");
        }
    }
}

/// Redis 3: nodes are known by their addresses until NODES tells their ids, whose lines have no
/// port of the bus, and no address of the node that was asked.
#[test]
fn nodes_without_ids_get_them_from_nodes() {
    let json = r#"[[0,99,["10.0.0.1",1],["10.0.0.2",2]],[100,16383,["",3],["10.0.0.4",4]]]"#;
    let view = || parse_slots(&serde_json::from_str(json).unwrap(), rule(false)).unwrap();
    let ids = |view: &View| -> BTreeSet<String> {
        view.nodes().map(|node| format!("{} {:?}", node.id, node.role)).collect()
    };
    let own = "asked.test:3";
    let nameless = ["@10.0.0.1:1 Primary", "@10.0.0.2:2 Replica", "@10.0.0.4:4 Replica"];
    let mut expected: BTreeSet<String> = nameless.map(str::to_owned).into();
    expected.insert(format!("@{own} Primary"));
    assert_eq!((ids(&view()), view().left_out, view().coverage()), (expected, 0, 16384));
    let text = "aa 10.0.0.1:1 master - 0 0 1 connected 0-99\n\
                bb 10.0.0.2:2 slave aa 0 0 1 connected\n\
                cc :3 myself,master - 0 0 2 connected 100-16383\n\
                dd 10.0.0.4:4 slave cc 0 0 2 connected\n";
    let nodes = |text: &str| parse_nodes(&Value::Blob(text.to_owned().into())).unwrap();
    let whole = view().with_epochs(nodes(text), rule(false)).unwrap();
    assert_eq!(
        ids(&whole),
        ["aa Primary", "bb Replica", "cc Primary", "dd Replica"].map(str::to_owned).into()
    );
    assert!(whole.nodes().all(|node| node.endpoint.is_some()));
    assert_eq!((whole.coverage(), whole.left_out), (16384, 0));
    assert_eq!(whole.told_by.as_ref().map(NodeId::as_str), Some("cc"));
    // A line that cannot be read: its node stays what it is by its address.
    let torn = view()
        .with_epochs(nodes(&text.replace("dd 10.0.0.4:4 slave", "dd 10.0.0.4:4")), rule(false));
    let torn = torn.unwrap();
    assert_eq!((torn.coverage(), torn.left_out, torn.nodes().count()), (16384, 1, 4));
    assert!(ids(&torn).contains("@10.0.0.4:4 Replica"), "{:?}", ids(&torn));
}

/// A million entries end at the limit, before one of them is read.
#[test]
fn a_million_entries_are_refused() {
    let many = Value::Array(vec![Value::Null; 1_000_000]);
    let error = parse_slots(&many, rule(false)).unwrap_err();
    assert_eq!(error, ViewError::TooMany { what: "slot ranges", max: 16_384 });
}

/// All forms of a missing host in one reply: nothing empty is dialled, and `?` not at all.
#[test]
fn hosts_that_are_left_out_are_mixed() {
    let json = r#"[[0,1,[null,1,"a"],["",2,"b"],["?",3,"c"],["0.0.0.0",4,"d"],["h",5,"e"]]]"#;
    let view = parse_slots(&serde_json::from_str(json).unwrap(), rule(false)).unwrap();
    let shown =
        |node: &NodeView| node.endpoint.as_ref().map_or("-".to_owned(), Endpoint::to_string);
    let endpoints: Vec<String> = view.nodes().map(shown).collect();
    assert_eq!(endpoints, ["asked.test:1", "asked.test:2", "-", "-", "h:5"]);
}
