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

/// A reply of which no line can be read. The error names the first part that cannot.
#[test]
fn a_reply_without_one_good_line_is_an_error_that_names_the_part() {
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
    ];
    for (text, shown) in table {
        assert_eq!(line(&text).unwrap_err().to_string(), shown, "{text}");
    }
    let error = parse_nodes(&Value::Array(Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "malformed nodes: \"(a value of another type)\"");
    let many: String =
        (0..=NODES_MAX).map(|n| good.replace("a h", &format!("a{n} h")) + "\n").collect();
    assert_eq!(line(&many).unwrap_err(), ViewError::TooMany { what: "nodes", max: NODES_MAX });
}

/// One odd line is one line: it is left out and counted, wherever it stands.
#[test]
fn what_cannot_be_read_is_left_out_and_the_rest_is_used() {
    let good = "g 10.0.0.7:7@17 myself,master - 0 0 9 connected 100-200";
    let own = "a h:1@2 master - 0 0 1 connected 0-9";
    // The line, how many things are left out, and how many slots and nodes are read of it.
    let table = [
        (own.replace("master", "noflags"), 1, 0, 0),
        (own.replace("master", "noaddr"), 1, 0, 0),
        ("vars currentEpoch 9 lastVoteEpoch 0".to_owned(), 1, 0, 0),
        ("a h:1".to_owned(), 1, 0, 0),
        (own.replace("h:1@2", "h"), 1, 0, 0),
        (own.replace(" 1 ", " x "), 1, 0, 0),
        (format!("{own} 16384"), 1, 0, 0),
        (format!("{own} 150-250"), 1, 60, 1),
        (format!("{own}\n{own}"), 1, 10, 1),
        // The newer line of a node is the one that is in better health; slots of both are its own.
        (format!("{own}\n{}", own.replace("master", "master,fail")), 1, 10, 1),
        (format!("{}\n{own}", own.replace("master", "slave,fail").replace("0-9", "")), 1, 10, 1),
        (format!("{own}\n{}", own.replace("0-9", "20-29")), 1, 20, 1),
        (good.replace("myself,master", "master,fail").replace("100-200", ""), 1, 0, 0),
    ];
    for (odd, left_out, slots, nodes) in table {
        for text in [format!("{good}\n{odd}"), format!("{odd}\n{good}")] {
            let view = line(&text).unwrap();
            assert_eq!(view.left_out, left_out, "{text}");
            assert_eq!((view.coverage(), view.nodes().count()), (101 + slots, 1 + nodes), "{text}");
            let other = view.nodes().find(|node| node.id.as_str() == "g").unwrap();
            assert_eq!(other.health, ReportedHealth::Online, "{text}");
            assert!(view.nodes().all(|node| node.health == ReportedHealth::Online), "{text}");
            assert_eq!(view.told_by.as_ref().map(NodeId::as_str), Some("g"), "{text}");
        }
    }
}

/// Two lines claim a slot: the one with the higher config epoch has it.
#[test]
fn of_two_owners_the_one_with_the_higher_epoch_has_the_slot() {
    let (old, new) =
        ("a h:1@2 master - 0 0 3 connected 0-9", "b h:2@3 master - 0 0 4 connected 5-9");
    for text in [format!("{old}\n{new}"), format!("{new}\n{old}")] {
        let view = line(&text).unwrap();
        assert_eq!(outline(&view).len(), 2);
        let slots_of = |id: &str| {
            let is = |shard: &&ShardView| shard.primary.as_ref().unwrap().id.as_str() == id;
            let ranges = &view.shards().iter().find(is).unwrap().slots;
            ranges.iter().map(|range| range.count()).sum::<u16>()
        };
        assert_eq!((slots_of("a"), slots_of("b"), view.left_out), (5, 5, 1), "{text}");
    }
}

/// A node whose line cannot be read stays as the other reply shows it; one without a line is gone.
#[test]
fn a_join_keeps_a_node_whose_line_cannot_be_read() {
    for (server, _) in SERVERS {
        let Some(reply) = captured::reply(server, "settled", "SHARDS") else { continue };
        let view = parse_shards(&reply, rule(false)).unwrap();
        let text = captured::reply(server, "settled", "NODES").unwrap();
        let text = text.as_str().unwrap();
        for (number, own) in text.lines().enumerate() {
            let odd = own.replace("master", "noflags").replace("slave", "noflags");
            let without = |replacement: &str| {
                let lines = text.lines().enumerate();
                let kept = lines.map(|(n, line)| if n == number { replacement } else { line });
                let text = kept.collect::<Vec<_>>().join("\n");
                let nodes = parse_nodes(&Value::Blob(text.into())).unwrap();
                view.clone().with_epochs(nodes, rule(false)).unwrap()
            };
            let joined = without(&odd);
            assert_eq!((joined.nodes().count(), joined.left_out), (6, 1), "{server}: {odd}");
            assert_eq!(joined.coverage(), crate::topology::slot::SLOT_COUNT, "{server}: {odd}");
            let endpoints = |view: &View| {
                let mut all: Vec<_> =
                    view.nodes().map(|n| (n.id.clone(), n.endpoint.clone())).collect();
                all.sort();
                all
            };
            assert_eq!(endpoints(&joined), endpoints(&view), "{server}: {odd}");
            assert_eq!(without("").nodes().count(), 5, "{server}: it is gone");
        }
    }
}
