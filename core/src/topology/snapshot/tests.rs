//! Out to data and back.

use super::*;
use crate::topology::drawn::{at, picture, slot, views};

fn map(text: &str) -> ClusterMap {
    merge(None, &views(&[text]), 0, Timestamp::ZERO).map
}

#[test]
fn the_form_is_small_and_stable() {
    let topology =
        Topology::of(&map("A@7 0-9 12 < B! | C=? 13-16383"), Some(Duration::from_secs(2)));
    let json = serde_json::to_string(&topology).unwrap();
    let expected = r#"{"version":1,"age":{"secs":2,"nanos":0},"shards":[
        {"slots":[[0,9],[12,12]],"epoch":7,
         "primary":{"id":"A","endpoint":"a:7000","health":"online"},
         "replicas":[{"id":"B","endpoint":"b:7000","health":"failed"}]},
        {"slots":[[13,16383]],"primary":{"id":"C","health":"online"}}]}"#;
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(json, squeeze(expected));
    assert_eq!(serde_json::from_str::<Topology>(&json).unwrap(), topology);
    assert_eq!(topology.coverage(), 16_382);
}

#[test]
fn a_map_comes_back_as_it_went() {
    let maps = [
        "A@1 0-5460 < D | B@2 5461-10922 < E | C@3 10923-16383 < F",
        "A 0-99 < B! | C@9 200-300 500",
        "A@1 0-16383 | B!@2",
        "A=? 0-16383 < B=?",
    ];
    for text in maps {
        let before = map(text);
        let json = serde_json::to_string(&Topology::of(&before, None)).unwrap();
        let after: Topology = serde_json::from_str(&json).unwrap();
        let after = after.to_map(Timestamp::ZERO).unwrap();
        assert_eq!(picture(&after), picture(&before), "{text}");
        assert_eq!(after.slots(), before.slots());
    }
}

/// A node that is known from a redirect only is kept, named by its endpoint.
#[test]
fn provisional_nodes_and_spent_shards_survive() {
    let before = map("A@1 0-99 | B@2 100").patch(slot(100), &at("n")).unwrap();
    let topology = Topology::of(&before, None);
    assert_eq!(topology.idle.iter().map(|node| node.id.as_str()).collect::<Vec<_>>(), ["B"]);
    let after = topology.to_map(Timestamp::ZERO).unwrap();
    let uncovered = " - 101-16383";
    assert_eq!(picture(&after), format!("@n:7000 100 | A@1 0-99 + B{uncovered}"));
}

#[test]
fn what_was_edited_or_written_by_another_version_is_refused() {
    let topology = Topology::of(&map("A@1 0-99 | B@2 100"), None);
    let json = serde_json::to_string(&topology).unwrap();
    let table = [
        (json.replace("\"version\":1", "\"version\":2"), "topology of version 2"),
        (json.replace("[100,100]", "[99,100]"), "slot 99 has two owners"),
        (json.replace("\"id\":\"B\"", "\"id\":\"A\""), "node A appears twice"),
        (json.replace("b:7000", "a:7000"), "nodes A and B are both reached at a:7000"),
    ];
    for (json, text) in table {
        let topology: Topology = serde_json::from_str(&json).unwrap();
        let error = topology.to_map(Timestamp::ZERO).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
    let unreadable = [
        json.replace("[100,100]", "[100,99]"),
        json.replace("[100,100]", "[100,16384]"),
        json.replace("b:7000", "b:0"),
        json.replace("b:7000", ":7000"),
        json.replace("b:7000", "b"),
        json.replace("\"B\"", "\"\""),
    ];
    for json in unreadable {
        assert!(serde_json::from_str::<Topology>(&json).is_err(), "{json}");
    }
    let more = json.replace("\"version\":1", "\"version\":1,\"mood\":\"good\"");
    assert_eq!(serde_json::from_str::<Topology>(&more).unwrap(), topology);
}

#[test]
fn endpoints_of_every_kind_are_text() {
    let nodes = [Endpoint::tcp("::1", 7000), Endpoint::tcp("h", 1), Endpoint::unix("/run/s.sock")];
    for endpoint in nodes {
        let map = ClusterMap::single(NodeView::provisional(&endpoint), Vec::new());
        let json = serde_json::to_string(&Topology::of(&map, None)).unwrap();
        let back: Topology = serde_json::from_str(&json).unwrap();
        assert_eq!(back.shards[0].primary.endpoint, Some(endpoint));
    }
}

#[test]
fn nothing_known_is_nothing_held() {
    let topology = Topology::of(&ClusterMap::empty(), None);
    assert_eq!((topology.coverage(), topology.shards.len()), (0, 0));
    assert_eq!(topology.to_map(Timestamp::ZERO).unwrap(), ClusterMap::empty());
}
