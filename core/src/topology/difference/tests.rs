//! What is news between two maps.

use super::*;
use crate::time::Timestamp;
use crate::topology::drawn::{at, id, slot, views};
use crate::topology::merge::merge;

fn map(text: &str) -> ClusterMap {
    merge(None, &views(&[text]), 0, Timestamp::ZERO).map
}

/// Differences as text: `+added -removed id:from>to id=role range:from>to` (`~` within the shard).
fn news(old: &ClusterMap, new: &ClusterMap) -> String {
    let difference = Difference::between(old, new);
    let place = |endpoint: &Option<Endpoint>| match endpoint {
        Some(Endpoint::Tcp { host, .. }) => host.clone(),
        _ => "?".to_owned(),
    };
    let name = |id: &Option<NodeId>| id.as_ref().map_or("none".to_owned(), NodeId::to_string);
    let mut news: Vec<String> = Vec::new();
    news.extend(difference.added.iter().map(|id| format!("+{id}")));
    news.extend(difference.removed.iter().map(|id| format!("-{id}")));
    news.extend(difference.relocated.iter().map(|relocated| {
        format!("{}:{}>{}", relocated.id, place(&relocated.from), place(&relocated.to))
    }));
    news.extend(difference.roles.iter().map(|(id, role)| format!("{id}={role:?}")));
    news.extend(difference.slots.iter().map(|change| {
        let tilde = if change.within_shard { "~" } else { "" };
        format!("{tilde}{}:{}>{}", change.slots, name(&change.from), name(&change.to))
    }));
    if difference.coverage_before != difference.coverage_after {
        news.push(format!("{}>{}", difference.coverage_before, difference.coverage_after));
    }
    assert_eq!(difference.is_empty(), news.is_empty());
    news.join(" ")
}

#[test]
fn maps_are_compared_by_ids() {
    let old = "A@1 0-99 < C | B@2 100-16383 < D";
    let table = [
        (old, ""),
        ("B@9 100-16383 < D | A@8 0-99 < C", ""),
        ("A@1 0-99 < C E | B@2 100-16383 < D", "+E"),
        ("A@1 0-99 | B@2 100-16383 < D", "-C"),
        ("A=x@1 0-99 < C | B@2 100-16383 < D=?", "A:a>x D:d>?"),
        ("C@3 0-99 < A | B@2 100-16383 < D", "A=Replica C=Primary ~0-99:A>C"),
        ("A@1 0-49 80-99 < C | B@3 50-79 100-16383 < D", "50-79:A>B"),
        ("A@1 0-99 < C | B@2 100-16380 < D", "16381-16383:B>none 16384>16381"),
        ("A@1 0-99 < C D | B@2 100-16383", ""),
    ];
    for (new, expected) in table {
        assert_eq!(news(&map(old), &map(new)), expected, "{new}");
    }
    let everything = "+A +B +C +D 0-99:none>A 100-16383:none>B 0>16384";
    assert_eq!(news(&ClusterMap::empty(), &map(old)), everything);
}

/// A node that a redirect made known is the same node once a view names it.
#[test]
fn a_new_name_is_not_a_new_node() {
    let old = map("A@1 0-16383");
    let redirected = old.patch(slot(7), &at("n")).unwrap();
    assert_eq!(news(&old, &redirected), "+@n:7000 7:A>@n:7000");
    let named = map("A@1 0-6 8-16383 | N@2 7");
    assert_eq!(news(&redirected, &named), "");
    assert!(named.nodes().iter().any(|node| node.id == id("N")));
}
