//! CLUSTER NODES of real servers, alone and joined, and what no server should say.

use super::*;
use crate::endpoint::Endpoint;
use crate::topology::captured::{self, SERVERS, rule};
use crate::topology::parse::cluster_shards::parse_shards;
use crate::topology::parse::cluster_slots::parse_slots;

fn nodes(server: &str, scene: &str) -> NodesReply {
    parse_nodes(&captured::reply(server, scene, "NODES").unwrap()).unwrap()
}

/// `primary@epoch ranges <- replicas`, nodes by the last number of their address.
fn outline(view: &View) -> Vec<String> {
    let name = |node: &NodeView| match &node.endpoint {
        Some(Endpoint::Tcp { host, .. }) => host.rsplit('.').next().unwrap().to_owned(),
        _ => "?".to_owned(),
    };
    let shard = |shard: &ShardView| {
        let ranges: Vec<String> = shard.slots.iter().map(SlotRange::to_string).collect();
        let replicas: Vec<String> = shard.replicas.iter().map(name).collect();
        let primary = name(shard.primary.as_ref().unwrap());
        let (epoch, ranges) = (shard.epoch.unwrap(), ranges.join(","));
        format!("{primary}@{epoch} {ranges} <- {}", replicas.join(","))
    };
    let mut outline: Vec<String> = view.shards().iter().map(shard).collect();
    outline.sort();
    outline
}

#[test]
fn alone_it_is_a_whole_view() {
    for (server, _) in SERVERS {
        let view = nodes(server, "settled").into_view(rule(false)).unwrap();
        let settled = ["1@1 0-5460 <- 4", "2@2 5461-10922 <- 5", "3@3 10923-16383 <- 6"];
        assert_eq!(outline(&view), settled, "{server}");
        let teller = view.nodes().find(|node| Some(&node.id) == view.told_by.as_ref()).unwrap();
        assert_eq!(teller.role, Role::Primary, "node 1 was asked");
        assert!(view.nodes().all(|node| node.health == ReportedHealth::Online && node.link_up));
    }
}

#[test]
fn slots_on_the_move_are_still_where_they_were() {
    for (server, _) in SERVERS {
        for scene in ["migrating", "importing"] {
            let view = nodes(server, scene).into_view(rule(false)).unwrap();
            let first = "1@1 0-5460 <- 4";
            assert_eq!(outline(&view).first().unwrap(), first, "{server} {scene}");
        }
        let hole = nodes(server, "hole").into_view(rule(false)).unwrap();
        assert_eq!(hole.coverage(), crate::topology::slot::SLOT_COUNT - 1, "{server}");
    }
}

/// What a failover and a lost shard look like after the join: right on every server, whatever its
/// SHARDS says.
#[test]
fn joined_views_tell_roles_and_epochs() {
    let scenes: [(&str, &[&str]); 2] = [
        (
            "failed-over",
            &[
                "1@1 0-99,101-5460 <- 4",
                "2@7 100,5461-10922 <- 5",
                "3@3  <- ",
                "6@8 10923-16383 <- ",
            ],
        ),
        (
            "shard-lost",
            &[
                "1@1 0-99,101-5460 <- 4",
                "2@7 100,5461-10922 <- 5",
                "3@3  <- ",
                "6@8 10923-16383 <- ",
            ],
        ),
    ];
    for (server, _) in SERVERS {
        for (scene, shards) in scenes {
            let Some(reply) = captured::reply(server, scene, "SHARDS") else { continue };
            let view = parse_shards(&reply, rule(false)).unwrap();
            let joined = view.with_epochs(nodes(server, scene), rule(false)).unwrap();
            assert_eq!(outline(&joined), shards, "{server} {scene}");
            let failed =
                joined.nodes().filter(|node| node.health == ReportedHealth::Failed).count();
            assert_eq!(failed, if scene == "shard-lost" { 3 } else { 1 }, "{server} {scene}");
            assert!(joined.told_by.is_some());
        }
        // CLUSTER SLOTS leaves the dead out: they are known, but not where.
        let reply = captured::reply(server, "failed-over", "SLOTS").unwrap();
        let view = parse_slots(&reply, rule(false)).unwrap();
        let joined = view.with_epochs(nodes(server, "failed-over"), rule(false)).unwrap();
        assert!(outline(&joined).contains(&"?@3  <- ".to_owned()), "{server}");
        // A redirect may lead to it by any name that NODES tells.
        let unplaced: Vec<_> = joined.nodes().filter(|node| node.endpoint.is_none()).collect();
        assert!(!unplaced.is_empty(), "{server}");
        assert!(unplaced.iter().all(|node| !node.aliases.is_empty()), "{server}: {unplaced:?}");
    }
}

/// The join takes the preferred endpoints, zones and offsets from the other reply.
#[test]
fn a_join_keeps_what_only_the_other_reply_tells() {
    let reply = captured::reply("valkey-9.1", "settled", "SHARDS").unwrap();
    let before = parse_shards(&reply, rule(false)).unwrap();
    let joined = before.clone().with_epochs(nodes("valkey-9.1", "settled"), rule(false)).unwrap();
    for node in before.nodes() {
        let same = joined.nodes().find(|other| other.id == node.id).unwrap();
        assert_eq!(same, node);
    }
}

fn line(text: &str) -> Result<View, ViewError> {
    parse_nodes(&Value::Blob(text.to_owned().into()))?.into_view(rule(false))
}

#[test]
fn addresses_come_in_many_forms() {
    let table = [
        ("10.0.0.1:7000@17000", Some("10.0.0.1:7000")),
        ("10.0.0.1:7000", Some("10.0.0.1:7000")),
        ("fe80::1:7000@17000", Some("[fe80::1]:7000")),
        (":7000@17000", Some("asked.test:7000")),
        (":0@0", None),
        ("10.0.0.1:7000@17000,host-1", Some("10.0.0.1:7000")),
        ("10.0.0.1:7000@17000,host-1,shard-id=9,zone=b", Some("10.0.0.1:7000")),
        ("10.0.0.1:7000@17000,,tls-port=0,shard-id=9", Some("10.0.0.1:7000")),
    ];
    for (address, endpoint) in table {
        let view = line(&format!("a {address} master,noflags - 0 0 1 connected")).unwrap();
        let node = view.nodes().next().unwrap();
        assert_eq!(node.endpoint.as_ref().map(Endpoint::to_string).as_deref(), endpoint);
        let named = address.contains("host-1").then(|| Endpoint::tcp("host-1", 7000));
        assert_eq!(node.aliases, Vec::from_iter(named), "{address}");
    }
}

#[test]
fn flags_and_links_are_read() {
    let text = "a h:1@2 myself,master - 0 0 7 connected 0-9 [5->-b] [6-<-c]\n\
                b h:2@2 slave,fail? a 0 0 7 disconnected\n\
                c h:3@2 master,fail - 0 0 3 disconnected 11\n\
                d h:4@2 handshake - 0 0 0 disconnected\n\
                e :0@0 slave,noaddr gone 0 0 0 disconnected\n\n";
    let view = line(text).unwrap();
    let shown = |node: &NodeView| format!("{} {:?} {}", node.id, node.health, node.link_up);
    let nodes: Vec<String> = view.nodes().map(shown).collect();
    let expected = ["a Online true", "b Suspected false", "c Failed false", "e Online false"];
    assert_eq!(nodes, expected);
    assert_eq!((view.told_by.clone().unwrap().as_str(), view.coverage()), ("a", 11));
    assert_eq!(view.shards().last().unwrap().primary, None, "e copies an unknown node");
}

#[test]
fn what_no_server_should_say_is_an_error_that_names_it() {
    let good = "a h:1@2 master - 0 0 1 connected";
    let table = [
        ("a".to_owned(), "address is missing"),
        ("a h:1 master - 0 0 1".to_owned(), "link state is missing"),
        (good.replace("master", "king"), "malformed flags: \"king\""),
        (good.replace("h:1@2", "h"), "malformed address: \"h\""),
        (good.replace("h:1@2", "h:"), "malformed address: \"h:\""),
        (good.replace("h:1@2", "h:+1"), "malformed address: \"h:+1\""),
        (good.replace("h:1@2", "h:65536@1"), "malformed address: \"h:65536@1\""),
        (good.replace("a h", "@a h"), "malformed node id: \"@a\""),
        (good.replace(" 1 ", " -1 "), "malformed config epoch: \"-1\""),
        (format!("{good} 0-16384"), "malformed slot: \"0-16384\""),
        (format!("{good} +5"), "malformed slot: \"+5\""),
        (format!("{good} 5-4"), "slot range 5-4 ends before it starts"),
        (format!("{good} 1-5 5"), "slot 5 has two owners"),
        (format!("{good}\n{good}"), "node a appears twice"),
    ];
    for (text, shown) in table {
        assert_eq!(line(&text).unwrap_err().to_string(), shown, "{text}");
    }
    let error = parse_nodes(&Value::Array(Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "malformed nodes: \"(a value of another type)\"");
    let many = format!("{good}\n").repeat(NODES_MAX + 1);
    assert_eq!(line(&many).unwrap_err(), ViewError::TooMany { what: "nodes", max: NODES_MAX });
}
