//! What is believed, scene by scene. Views and maps are drawn, see `drawn`.

use super::*;
use crate::topology::drawn::{at, picture, slot, view, views};
use std::time::Duration;

const START: Timestamp = Timestamp::ZERO;

fn held(text: &str) -> ClusterMap {
    merge(None, &views(&[text]), 0, START).map
}

/// The map after views that were asked for just now.
fn after(held: &ClusterMap, texts: &[&str]) -> ClusterMap {
    merge(Some(held), &views(texts), held.version(), START).map
}

#[track_caller]
fn check(before: &str, texts: &[&str], expected: &str) {
    assert_eq!(picture(&after(&held(before), texts)), expected);
}

#[test]
fn the_higher_epoch_has_the_slot() {
    let before = "A@1 0-99 < C | B@2 100-16383 < D";
    // A failover: the replica is primary, the old one copies it or is down.
    check(before, &["C@3 0-99 < A | B@2 100-16383 < D"], "B@2 100-16383 < D | C@3 0-99 < A");
    check(before, &["A!@1 | C@3 0-99 | B@2 100-16383 < D"], "B@2 100-16383 < D | C@3 0-99 + A!");
    // One view that knows is worth more than two that do not.
    let old = "A@1 0-99 < C | B@2 100-16383 < D";
    let new = "A!@1 | C@3 0-99 | B@2 100-16383 < D";
    check(before, &[old, new, old], "B@2 100-16383 < D | C@3 0-99 + A!");
    // What is held is newer than all views.
    let failed_over = "C@3 0-99 < A | B@2 100-16383 < D";
    check(failed_over, &[old, old, old], "B@2 100-16383 < D | C@3 0-99 < A");
}

#[test]
fn without_epochs_most_views_decide() {
    let (ab, ba) = ("A 0-99 < C | B 100-16383", "B 0-16383 | A < C");
    check(ab, &[ba], "B 0-16383 + A + C");
    check(ab, &[ba, ba, ab], "B 0-16383 + A + C");
    check(ab, &[ba, ab], "A 0-99 < C | B 100-16383");
    check(ba, &[ba, ab], "B 0-16383 + A + C");
    // Nothing held: among equals the lower id, whatever comes first.
    assert_eq!(picture(&merge(None, &views(&[ba, ab]), 0, START).map), "A 0-99 < C | B 100-16383");
    // Views with epochs count for more than views without.
    let told = "A@1 0-99 < C | B@2 100-16383";
    check(told, &[ba, ba, told], "A@1 0-99 < C | B@2 100-16383");
    // Where epochs are no longer told, most views decide again: no slot keeps its old owner for
    // that reason.
    check(told, &[ba, ba], "B@2 0-16383 + A + C");
}

/// Equal epochs: clusters put together by hand have them until a conflict is resolved.
#[test]
fn equal_epochs_are_decided_by_most_views() {
    let (ab, ba) = ("A@0 0-99 | B@0 100-16383", "B@0 0-16383 | A@0");
    check(ab, &[ba, ba, ab], "B@0 0-16383 + A");
    check(ab, &[ba, ab], "A@0 0-99 | B@0 100-16383");
}

/// Two nodes claim the same slots with the same epoch: the one that lives wins, whatever most views
/// say, and whatever was known.
#[test]
fn among_equal_epochs_a_living_node_beats_a_dead_one() {
    let (a, b) = ("A@3 0-99 | B@3 100-16383", "B@3 0-16383 | A@3");
    let merged = |before: Option<&str>, texts: &[&str], unreachable: &[&str]| {
        let before = before.map(held);
        let unreachable = unreachable.iter().map(|name| crate::topology::drawn::id(name)).collect();
        let version = before.as_ref().map_or(0, ClusterMap::version);
        let of = |texts: &[&str]| {
            let views = views(texts);
            merge_by_evidence(before.as_ref(), &views, version, START, &unreachable).map
        };
        let turned: Vec<&str> = texts.iter().rev().copied().collect();
        assert_eq!(picture(&of(texts)), picture(&of(&turned)), "in any order");
        picture(&of(texts))
    };
    let (has_a, has_b) = ("A@3 0-99 | B@3 100-16383", "B@3 0-16383 + A");
    assert_eq!(merged(None, &[a, b], &["A"]), has_b);
    assert_eq!(merged(None, &[a, b], &["B"]), has_a);
    assert_eq!(merged(None, &[a, a, b], &["A"]), has_b, "although most views have A");
    assert_eq!(merged(Some(a), &[a, b], &["A"]), has_b, "although A was known");
    assert_eq!(merged(Some(a), &[b, b, b], &["B"]), has_b, "nobody says A any more");
    assert_eq!(merged(Some(a), &[a, b], &["A", "B"]), has_a, "both are dead: as before");
    // The same where the servers say it.
    let b_says = "B@3 0-16383 | A!@3";
    let a_says = "A!@3 0-99 | B@3 100-16383";
    assert_eq!(merged(Some(a), &[a_says, b_says], &[]), "B@3 0-16383 + A!");
    // A node that answers itself is not dead.
    let itself = "A: A@3 0-99 | B@3 100-16383";
    assert_eq!(merged(Some(a), &[itself, b], &["A"]), has_a);
    // Without epochs alike. A later epoch stands above all evidence.
    let (a, b) = ("A 0-99 | B 100-16383", "B 0-16383 | A");
    assert_eq!(merged(None, &[a, b], &["A"]), "B 0-16383 + A");
    let (a, b) = ("A@4 0-99 | B@3 100-16383", "B@3 0-16383 | A@4");
    assert_eq!(merged(None, &[a, b], &["A"]), "A@4 0-99 | B@3 100-16383");
}

/// The known owner has failed in every view, nobody reaches it, and its slots were given away by
/// hand.
#[test]
fn an_owner_that_all_give_up_is_given_up() {
    let before = "A@9 0-99 | B@3 100-16383";
    let merged = |texts: &[&str], unreachable: &[&str]| {
        let unreachable = unreachable.iter().map(|name| crate::topology::drawn::id(name)).collect();
        picture(&merge_by_evidence(Some(&held(before)), &views(texts), 1, START, &unreachable).map)
    };
    let fixed = "B@3 0-16383 | A!@9";
    let (given_up, kept) = ("B@3 0-16383 + A!", "A!@9 0-99 | B@3 100-16383");
    assert_eq!(merged(&[fixed, fixed], &["A"]), given_up);
    assert_eq!(merged(&[fixed, fixed], &[]), kept, "the client reaches it, or has not tried");
    assert_eq!(merged(&[fixed], &["A"]), kept, "one view may be old");
    assert_eq!(merged(&[fixed, before], &["A"]), before, "one view has it alive");
    // Nobody else has its slots: they stay its own, for when it comes back.
    assert_eq!(merged(&[kept, kept], &["A"]), kept);
}

/// Half of the servers know a node's new address. Nobody answers at the known one.
#[test]
fn an_address_at_which_nobody_answers_gives_way() {
    let (old, new) = ("A=old 0-16383 < B", "A=new 0-16383 < B");
    let unreachable = [crate::topology::drawn::id("A")].into_iter().collect();
    for texts in [[old, new, old].as_slice(), &[new, old], &[new]] {
        let map = held(old);
        let next = merge_by_evidence(Some(&map), &views(texts), 1, START, &unreachable);
        assert_eq!(picture(&next.map), new, "{texts:?}");
    }
    let next = merge_by_evidence(Some(&held(old)), &views(&[old]), 1, START, &unreachable);
    assert_eq!(picture(&next.map), old, "no other one is known");
}

#[test]
fn empty_foreign_and_smaller_views_take_nothing_away() {
    let before = "A@1 0-99 < C | B@2 100-16383 < D";
    check(before, &[""], before);
    check(before, &["A: A@0"], before);
    check(before, &["X@90 0-16383 < Y"], before);
    // A node that sees a part only: the rest stays, and it is not marked, since others know better.
    check(before, &["A@1 0-99 < C | B@2 100-199 < D", before, before], before);
    check(before, &["A@1 0-99 < C"], "A@1 0-99 < C | B@2 100-16383 < D - 100-16383");
    let decision = merge(Some(&held(before)), &views(&["", "X 0-16383", before]), 1, START);
    assert_eq!(decision.rejections, [Some(Rejection::Empty), Some(Rejection::Foreign), None]);
    assert_eq!(decision.map, held(before));
}

/// A cluster that was built anew behind the same names: nobody of the old one is left.
#[test]
fn a_replaced_cluster_is_told_from_a_stray_view() {
    let held = held("A@50 0-99 < C | B@51 100-16383 < D");
    let new = "X@1 0-8191 | Y@2 8192-16383";
    let foreign =
        |texts: &[&str]| merge(Some(&held), &views(texts), held.version(), START).is_foreign();
    assert!(foreign(&[new]) && foreign(&[new, "", new]));
    assert!(!foreign(&[new, "A@50 0-99 | B@51 100-16383"]));
    assert!(!foreign(&[""]) && !foreign(&[]));
    assert_eq!(picture(&merge(None, &views(&[new]), 0, START).map), new);
}

/// A node that was reset and joined another cluster knows nobody of the old one but itself.
#[test]
fn a_node_that_changed_clusters_does_not_bring_the_new_one_along() {
    let before = "A@1 0-99 < C | B@2 100-16383 < D";
    check(before, &["A: X@50 0-9999 | Y@51 10000-16383 < A"], before);
    check(before, &["A: A@50 0-5460 | X@51 5461-10922 | Y@52 10923-16383"], before);
    // Asked together with a true member, it is out of place even where nobody knows who told.
    let moved = "X@50 0-9999 | Y@51 10000-16383 < A";
    check(before, &[moved, before], before);
    // But a cluster may shrink to what was asked.
    check("A@1 0-16383 < B", &["A: A@1 0-16383"], "A@1 0-16383");
    check("A@1 0-16383 < B", &["A: A@1 0-16383 < N"], "A@1 0-16383 < N");
}

#[test]
fn with_nothing_held_the_largest_cluster_is_taken() {
    let (one, other) = ("A@1 0-99 | B@2 100-16383", "X@8 0-5000 | Y@9 5001-16383");
    let take = |texts: &[&str]| picture(&merge(None, &views(texts), 0, START).map);
    assert_eq!(take(&[one, other, one]), one);
    assert_eq!(take(&[other, one, other]), other);
    assert_eq!(take(&["A@1 0-99", other]), other, "of as many views: more slots");
    assert_eq!(take(&[one, other]), one, "of as many slots: the lower id");
    // Views that overlap in part are of one cluster.
    let parts = ["A@9 0-99", "A@9 0-99 | X@8", "X@8 100-16383", "L 0-16383", "M 0-16383"];
    assert_eq!(take(&parts), "A@9 0-99 | X@8 100-16383 - 100-16383");
}

#[test]
fn a_slot_that_the_cluster_lacks_keeps_its_owner_and_is_marked() {
    let before = "A@1 0-99 | B@2 100-16383";
    let hole = "A@1 0-98 | B@2 100-16383";
    let later = START.after(Duration::from_secs(5));
    let first = merge(Some(&held(before)), &views(&[hole, hole, before]), 1, later);
    assert_eq!(picture(&first.map), "A@1 0-99 | B@2 100-16383 - 99");
    assert_eq!(first.map.uncovered_since(slot(99)), Some(later));
    assert_eq!((held(before).coverage(), first.map.coverage()), (16384, 16383));
    // Asked again later, it is still uncovered since then.
    let again = merge(Some(&first.map), &views(&[hole]), 2, later.after(Duration::from_secs(1)));
    assert_eq!(again.map, first.map);
    // Half of the views is not most of them, and one that covers it again takes the mark away.
    assert_eq!(picture(&after(&first.map, &[hole, before])), before);
    let taken = "A@1 0-98 | B@2 99-16383";
    assert_eq!(picture(&after(&first.map, &[taken])), taken);
}

/// A node's own word about what it does not own.
#[test]
fn nobody_owns_what_it_denies_itself() {
    // B lost slot 50 to A, then failed over and back: its epoch is high. C has not heard of A's.
    let (a, b) = ("A@11 0-99 | B@13 100-16383 < C", "B: A@11 0-99 | B@13 100-16383 < C");
    let c = "A@11 0-49 51-99 | B@13 50 100-16383 < C";
    check(a, &[c, b], "A@11 0-99 | B@13 100-16383 < C");
    assert_eq!(picture(&merge(None, &views(&[c, b]), 0, START).map), a);
    // Slots given to another node by hand, without a new epoch: the old owner says so itself.
    let by_hand = "A: A@11 0-49 51-99 | B@3 50 100-16383";
    check("A@11 0-99 | B@3 100-16383", &[by_hand], "A@11 0-49 51-99 | B@3 50 100-16383");
    // An older word does not count.
    let old = "A: A@9 0-49 | B@3 50-16383";
    check("A@11 0-99 | B@3 100-16383", &[old], "A@11 0-99 | B@3 100-16383");
}

/// A node that was removed from the cluster, whose slots were given away by hand.
#[test]
fn what_a_removed_node_owned_can_be_taken() {
    let before = "A@11 0-99 | B@3 100-16383 | C@2";
    let without = "B@3 0-16383 | C@2";
    check(before, &[without, without], "B@3 0-16383 + C");
    // One view alone might be too old to know it.
    check(before, &[without], "A@11 0-99 | B@3 100-16383 + C");
}

#[test]
fn a_redirect_is_not_undone_by_a_refresh_that_began_before_it() {
    let before = held("A@5 0-99 | B@3 100-16383");
    let began = before.version();
    let redirected = before.patch(slot(50), &at("b")).unwrap();
    let old = views(&["A@5 0-99 | B@3 100-16383"; 3]);
    let moved = "A@5 0-49 51-99 | B@3 50 100-16383";
    let kept = merge(Some(&redirected), &old, began, START);
    assert_eq!(picture(&kept.map), moved);
    // A refresh that began later but asked nodes that lag behind: their epoch is not above that of
    // the owner who sent callers away.
    let kept = merge(Some(&kept.map), &old, kept.map.version(), START);
    assert_eq!(picture(&kept.map), moved);
    // A view with a newer epoch is believed, and the redirect is forgotten.
    let settled = after(&kept.map, &["A@5 0-49 51-99 | B@6 50 100-16383"]);
    assert_eq!(picture(&settled), "A@5 0-49 51-99 | B@6 50 100-16383");
    assert!(settled.patches().is_empty());
    assert_eq!(
        picture(&after(&kept.map, &["A@7 0-99 | B@3 100-16383"])),
        "A@7 0-99 | B@3 100-16383"
    );
    // So is the target itself, when it says that the slot is not its own.
    let denied = after(&kept.map, &["B: A@5 0-99 | B@3 100-16383"]);
    assert_eq!(picture(&denied), "A@5 0-99 | B@3 100-16383");
}

/// Two nodes that send callers to each other do not raise a wall against the truth.
#[test]
fn bouncing_redirects_leave_no_trace() {
    let mut map = held("A@5 0-99 | B@3 100-16383");
    for round in 0..20 {
        map = map.patch(slot(50), &at(if round % 2 == 0 { "b" } else { "a" })).unwrap();
    }
    let settled = after(&map, &["A@5 0-49 51-99 | B@6 50 100-16383"]);
    assert_eq!(picture(&settled), "A@5 0-49 51-99 | B@6 50 100-16383");
    assert!(settled.patches().is_empty());
}

#[test]
fn a_node_that_a_redirect_made_known_gets_its_name() {
    let before = held("A@1 0-99 | B@2 100-16383");
    let redirected = before.patch(slot(5), &at("n")).unwrap();
    let redirected = redirected.patch(slot(6), &at("n")).unwrap();
    let named = "A@1 0-4 7-99 | B@2 100-16383 | N@3 5-6";
    // The refresh began before the redirects, and its views do not know yet which slots moved.
    let old = views(&["A@1 0-99 | B@2 100-16383 | N@0"]);
    let kept = merge(Some(&redirected), &old, before.version(), START);
    assert_eq!(picture(&kept.map), "A@1 0-4 7-99 | B@2 100-16383 | N@0 5-6");
    assert_eq!(picture(&after(&kept.map, &[named])), named);
    assert_eq!(picture(&after(&redirected, &[named])), named);
    // Never named, and no longer the target: it is forgotten.
    let back = "A@2 0-99 | B@2 100-16383";
    assert_eq!(picture(&after(&redirected, &[back])), back);
    // Known before under another address: the same node.
    let moved = held("A@1 0-99 | B@2 100-16383 < N=old").patch(slot(5), &at("n")).unwrap();
    let text = "A@1 0-4 6-99 | B@2 100-16383 | N@3 5";
    assert_eq!(picture(&after(&moved, &[text])), text);
}

#[test]
fn nodes_are_where_the_newest_views_put_them() {
    let before = "A@1 0-99 < C D | B@2 100-16383 < E";
    // C took over; a lagging view still has D copy A.
    let new = "C@5 0-99 < A | B@2 100-16383 < E";
    check(before, &[new, before], "B@2 100-16383 < E | C@5 0-99 < A D");
    // A replica that changed shards, and one that is new.
    check(
        before,
        &["A@1 0-99 < C | B@2 100-16383 < D E F"],
        "A@1 0-99 < C | B@2 100-16383 < D E F",
    );
    // Gone from all views.
    check(before, &["A@1 0-99 < C | B@2 100-16383 < E"], "A@1 0-99 < C | B@2 100-16383 < E");
    // Its primary is unknown to the node asked: it stays where it was.
    check(before, &["A@1 0-99 < C | B@2 100-16383 < E | 0 < D"], before);
    // Nobody tells of the shard any more: it stays as it was, with its replicas.
    check(before, &["B@2 100-16383 < E"], "A@1 0-99 < C D | B@2 100-16383 < E - 0-99");
}

/// Servers learn a node's new address one after the other, and may flip between two.
#[test]
fn addresses_follow_most_views_and_stay_among_equals() {
    let (old, new) = ("A=old 0-16383 < B", "A=new 0-16383 < B");
    let place = |texts: &[&str]| picture(&after(&held(old), texts));
    assert_eq!(place(&[old, new]), "A=old 0-16383 < B");
    assert_eq!(place(&[new, old, new]), "A=new 0-16383 < B");
    assert_eq!(place(&[new]), "A=new 0-16383 < B");
    // Where the servers do not say, the last that was known is better than nothing.
    assert_eq!(place(&["A=? 0-16383 < B"]), "A=old 0-16383 < B");
    let health = |texts: &[&str]| picture(&after(&held("A 0-16383 < B"), texts));
    let (up, down) = ("A 0-16383 < B", "A 0-16383 < B!");
    assert_eq!(health(&[down, up, down]), "A 0-16383 < B!");
    assert_eq!(health(&[down, up]), "A 0-16383 < B");
}

/// The minority side of a partition: it has its old primary, and says that the others are down.
#[test]
fn the_majority_side_wins_when_both_are_heard() {
    let before = "A@1 0-99 < D | B@2 100-199 < E | C@3 200-16383 < F";
    let minority = "A: A@1 0-99 < D! | B!@2 100-199 < E! | C!@3 200-16383 < F!";
    let majority = "D@4 0-99 | A!@1 | B@2 100-199 < E | C@3 200-16383 < F";
    let both = "B@2 100-199 < E | C@3 200-16383 < F | D@4 0-99 + A!";
    let map = held(before);
    assert_eq!(picture(&after(&map, &[minority, majority, majority])), both);
    // Alone, the minority is still served; and it does not undo what was learned.
    let learned = after(&map, &[majority]);
    assert_eq!(picture(&learned), both);
    let cut_off = after(&learned, &[minority]);
    assert_eq!(cut_off.slots().owned(), 16_384);
    assert_eq!(cut_off.owner(slot(0)).unwrap().id, crate::topology::drawn::id("D"));
}

#[test]
fn a_version_is_a_state_of_the_routing() {
    let text = "A@1 0-99 < C | B@2 100-16383";
    let map = held(text);
    assert_eq!(map.version(), 1);
    assert_eq!(after(&map, &[text, text]), map);
    // Offsets grow all the time; they are kept, but they are no news.
    let mut shards = view(text).into_shards();
    shards[0].replicas[0].offset = Some(7);
    let more = View::checked(None, shards).unwrap();
    let next = merge(Some(&map), &[more], 1, START);
    assert_eq!(next.map.version(), 1);
    let offsets = next.map.nodes().iter().filter_map(|node| node.offset);
    assert_eq!(offsets.collect::<Vec<_>>(), [7]);
    assert_eq!(after(&map, &["A@1 0-99 | B@2 100-16383"]).version(), 2);
    let nothing = merge(None, &[], 0, START);
    assert_eq!(nothing.map, ClusterMap::empty());
}

/// Maps are compared by ids and owners, in whatever order views name them.
#[test]
fn places_change_with_nodes_addresses_roles_and_owners() {
    let old = "A@1 0-99 < C | B@2 100-16383 < D";
    let table = [
        (old, true),
        ("B@9 100-16383 < D | A@8 0-99 < C", true),
        ("A@1 0-99 < C E | B@2 100-16383 < D", false),
        ("A@1 0-99 | B@2 100-16383 < D", false),
        ("A=x@1 0-99 < C | B@2 100-16383 < D=?", false),
        ("C@3 0-99 < A | B@2 100-16383 < D", false),
        ("A@1 0-49 80-99 < C | B@3 50-79 100-16383 < D", false),
        ("A@1 0-99 < C | B@2 100-16380 < D", false),
    ];
    for (new, same) in table {
        assert_eq!(same_places(&held(old), &held(new)), same, "{new}");
    }
    assert!(!same_places(&ClusterMap::empty(), &held(old)));
}
