//! CLUSTER SHARDS of real servers, and what no server should say.

use super::*;
use crate::topology::captured::{self, SERVERS, rule};
use crate::topology::view::ReportedHealth;

/// `primary-ranges <- replicas`, nodes by the last number of their address.
fn outline(view: &View) -> Vec<String> {
    let name = |node: &NodeView| {
        let endpoint = node.endpoint.as_ref().unwrap().to_string();
        endpoint.split([':', '.']).nth(3).unwrap().to_owned()
    };
    let shard = |shard: &ShardView| {
        let ranges: Vec<String> = shard.slots.iter().map(SlotRange::to_string).collect();
        let replicas: Vec<String> = shard.replicas.iter().map(name).collect();
        let primary = shard.primary.as_ref().map_or("none".to_owned(), name);
        format!("{primary} {} <- {}", ranges.join(","), replicas.join(","))
    };
    let mut outline: Vec<String> = view.shards().iter().map(shard).collect();
    outline.sort();
    outline
}

fn view(server: &str, scene: &str) -> Option<View> {
    captured::reply(server, scene, "SHARDS").map(|reply| parse_shards(&reply, rule(false)).unwrap())
}

#[test]
fn every_server_is_understood_in_both_protocols() {
    let mut versions = 0;
    for it in captured::all() {
        if (it.command.as_str(), it.scene.as_str()) == ("SHARDS", "settled") {
            let view = parse_shards(&it.reply, rule(false)).unwrap();
            let settled = ["1 0-5460 <- 4", "2 5461-10922 <- 5", "3 10923-16383 <- 6"];
            assert_eq!(outline(&view), settled, "{} {}", it.server, it.protocol);
            assert!(view.nodes().all(|node| node.health == ReportedHealth::Online));
            assert!(view.nodes().all(|node| node.offset > Some(0)));
            versions += 1;
        }
    }
    assert_eq!(versions, 7, "five servers, two of them in both protocols");
}

#[test]
fn zones_and_other_names_are_taken_along() {
    let view = view("valkey-9.1", "settled").unwrap();
    let node =
        view.nodes().find(|n| n.endpoint == Some(Endpoint::tcp("127.77.6.2", 7000))).unwrap();
    assert_eq!(node.zone.as_deref(), Some("zone-b"));
    assert_eq!(node.aliases, [Endpoint::tcp("node-2.cluster.test", 7000)]);
}

use crate::endpoint::Endpoint;

/// After a failover some servers list two masters in one entry, the failed one first; the other
/// ones give the failed master an entry of its own.
#[test]
fn the_primary_that_is_up_has_the_slots() {
    for (server, _) in SERVERS {
        let Some(view) = view(server, "failed-over") else { continue };
        let shards =
            ["1 0-99,101-5460 <- 4", "2 100,5461-10922 <- 5", "3  <- ", "6 10923-16383 <- "];
        assert_eq!(outline(&view), shards, "{server}");
    }
}

/// The preferred endpoint decides; where it is missing, the node is not dialled.
#[test]
fn preferred_endpoints_are_obeyed() {
    for server in ["redis-7.0", "valkey-9.1"] {
        let endpoints = |scene| {
            let view = view(server, scene).unwrap();
            let show = |node: &NodeView| node.endpoint.as_ref().map(Endpoint::to_string);
            let mut endpoints: Vec<_> = view.nodes().map(show).collect();
            endpoints.sort();
            endpoints
        };
        let host = |n| Some(format!("node-{n}.cluster.test:7000"));
        assert_eq!(endpoints("hostname"), [None, None, host(1), host(2), host(3), host(4)]);
        // All nodes of this cluster use one port, so "the host of the node asked" is one for all.
        let reply = captured::reply(server, "unknown-endpoint", "SHARDS").unwrap();
        let error = parse_shards(&reply, rule(false)).unwrap_err();
        assert!(matches!(error, ViewError::Folded { .. }), "{error}");
    }
}

#[test]
fn tls_ports_are_chosen_by_the_connection() {
    let ports = |server, scene, tls| {
        let reply = captured::reply(server, scene, "SHARDS").unwrap();
        let view = parse_shards(&reply, rule(tls)).unwrap();
        let port = |node: &NodeView| match &node.endpoint {
            Some(Endpoint::Tcp { port, .. }) => *port,
            _ => 0,
        };
        view.nodes().map(port).collect::<Vec<_>>()
    };
    for server in ["redis-7.0", "valkey-9.1"] {
        assert_eq!(ports(server, "tls", true), [7443; 6]);
        assert_eq!(ports(server, "tls", false), [7000; 6]);
        assert_eq!(ports(server, "tls-only", true), [7443; 6]);
        assert_eq!(ports(server, "tls-only", false), [0; 6], "nobody answers there");
    }
}

#[test]
fn a_lone_node_has_a_view_without_slots() {
    for (server, _) in SERVERS {
        let Some(view) = view(server, "fresh") else { continue };
        assert_eq!((view.coverage(), view.nodes().count()), (0, 1), "{server}");
        let node = view.nodes().next().unwrap();
        assert_eq!(node.endpoint, Some(Endpoint::tcp("asked.test", 7000)));
    }
}

/// A reply, from JSON: objects become maps.
fn reply(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// A reply of which nothing can be read. The error names the first part that cannot.
#[test]
fn a_reply_without_one_good_entry_is_an_error_that_names_the_part() {
    let nodes = |node: &str| format!(r#"[{{"slots":[],"nodes":[{node}]}}]"#);
    let table = [
        ("7".to_owned(), "malformed shards: \"7\""),
        ("null".to_owned(), "shards is missing"),
        ("[{}]".to_owned(), "nodes is missing"),
        (nodes("{}"), "role is missing"),
        (nodes(r#"{"role":"master"}"#), "id is missing"),
        (nodes(r#"{"id":"a","role":"king"}"#), "malformed role: \"king\""),
        (nodes(r#"{"id":"a b","role":"master"}"#), "malformed node id: \"a b\""),
        (nodes("null"), "role is missing"),
    ];
    for (json, text) in table {
        let error = parse_shards(&reply(&json), rule(false)).unwrap_err();
        assert_eq!(error.to_string(), text, "{json}");
    }
}

/// One odd entry is one entry: it is left out and counted, wherever it stands.
#[test]
fn what_cannot_be_read_is_left_out_and_the_rest_is_used() {
    let good = r#"{"slots":[100,200],"nodes":[
        {"id":"g","port":7,"ip":"10.0.0.7","role":"master","health":"online"}]}"#;
    let node = |fields: &str| {
        format!(r#"{{"slots":[0,9],"nodes":[{{"id":"a","role":"master",{fields}}}]}}"#)
    };
    let slots = |slots: &str| node(r#""port":1,"ip":"h""#).replace("[0,9]", slots);
    // The entry, how many things are left out of it, and what is read: slots and node `a`.
    let table = [
        ("{}".to_owned(), 2, 0, None),
        ("null".to_owned(), 2, 0, None),
        ("[]".to_owned(), 2, 0, None),
        (r#"{"slots":[0,9],"nodes":[{}]}"#.to_owned(), 1, 0, None),
        (r#"{"slots":[0,9],"nodes":[{"id":"a"}]}"#.to_owned(), 1, 0, None),
        (node(r#""port":1,"ip":"h""#).replace("master", "king"), 1, 0, None),
        (node(r#""port":1,"ip":"h""#).replace(r#""slots":[0,9],"#, ""), 1, 0, Some("h:1")),
        (slots("[0]"), 1, 0, Some("h:1")),
        (slots("[0,9,20]"), 1, 10, Some("h:1")),
        (slots("[5,4,0,9]"), 1, 10, Some("h:1")),
        (slots("[0,16384,0,9]"), 1, 10, Some("h:1")),
        (slots(r#"[0,9,-1,"x"]"#), 1, 10, Some("h:1")),
        (slots("[0,9,9,12]"), 1, 13, Some("h:1")),
        (slots("[0,9,150,250]"), 1, 60, Some("h:1")),
        // Of a node only id and role are needed.
        (node(r#""port":65536,"ip":"h""#), 1, 10, Some("-")),
        (node(r#""port":1,"tls-port":-1,"ip":"h""#), 1, 10, Some("h:1")),
        (node(r#""port":1,"ip":"a b""#), 1, 10, Some("-")),
        (node(r#""port":1,"ip":"h","endpoint":{}"#), 1, 10, Some("-")),
        (node(r#""port":1,"ip":"h","hostname":"a b""#), 1, 10, Some("h:1")),
        (node(r#""port":1,"ip":"h","availability-zone":[]"#), 1, 10, Some("h:1")),
        (node(r#""port":1,"ip":"h","replication-offset":"x""#), 0, 10, Some("h:1")),
        (node(r#""port":1,"ip":"0.0.0.0""#), 0, 10, Some("-")),
    ];
    for (odd, left_out, own_slots, place) in table {
        for json in [format!("[{good},{odd}]"), format!("[{odd},{good}]")] {
            let view = parse_shards(&reply(&json), rule(false)).unwrap();
            assert_eq!(view.left_out, left_out, "{json}");
            let other = view.nodes().find(|node| node.id.as_str() == "g").unwrap();
            assert_eq!(other.endpoint, Some(Endpoint::tcp("10.0.0.7", 7)), "{json}");
            assert_eq!(view.coverage(), 101 + own_slots, "{json}");
            let odd = view.nodes().find(|node| node.id.as_str() == "a");
            let shown = odd.map(|n| n.endpoint.as_ref().map_or("-".into(), Endpoint::to_string));
            assert_eq!(shown.as_deref(), place, "{json}");
        }
    }
}

#[test]
fn ports_of_zero_and_keys_to_come_are_no_errors() {
    let json = r#"[{"slots":[0,9],"wheels":[4],"nodes":[
        {"id":"a","port":0,"ip":"h","role":"master","health":"dizzy","mood":{"x":[1]}}]}]"#;
    let view = parse_shards(&reply(json), rule(false)).unwrap();
    let node = view.nodes().next().unwrap();
    assert_eq!((node.endpoint.as_ref(), node.health), (None, ReportedHealth::Unknown));
}

#[test]
fn an_error_reply_says_so() {
    let text = "ERR unknown subcommand 'SHARDS'";
    let refusal = Value::Error(crate::resp::ServerError::from_text(text.as_bytes()));
    let error = parse_shards(&refusal, rule(false)).unwrap_err();
    assert!(matches!(error, ViewError::Refused(_)), "{error}");
    assert_eq!(
        error.to_string(),
        format!("the server answered \"{}\"", "ERR unknown subcommand \\'SHARDS\\'")
    );
}

#[test]
fn slots_of_nobody_are_left_out() {
    let json = r#"[{"slots":[0,9],"nodes":[{"id":"a","port":1,"ip":"h","role":"replica"}]}]"#;
    let view = parse_shards(&reply(json), rule(false)).unwrap();
    assert_eq!((view.coverage(), view.nodes().count()), (0, 1));
}

#[test]
fn more_than_a_cluster_can_have_is_refused() {
    let shard = reply(r#"{"slots":[],"nodes":[]}"#);
    let many = Value::Array(vec![shard; NODES_MAX + 1]);
    let error = parse_shards(&many, rule(false)).unwrap_err();
    assert_eq!(error, ViewError::TooMany { what: "shards", max: NODES_MAX });
}
