//! Channels that tell of keys, at every primary: what is asked where, and what readers are told.

use super::super::*;
use super::{A, ADA, B, at, error, shown, told};
use ChannelKind::{Classic, Pattern, Sharded};

const C: ConnectionId = ConnectionId(3);
const NAME: &[u8] = b"__keyevent@0__:del";
const BEN: ReaderId = ReaderId(8);

fn endpoint(id: ConnectionId) -> Arc<Endpoint> {
    Arc::new(Endpoint::tcp("h", id.0 as u16))
}

fn owner(id: ConnectionId) -> Primary {
    Some(endpoint(id))
}

/// A table with these primaries, connected to three nodes.
fn table(primaries: &[Primary]) -> ChannelTable {
    let mut table = super::table();
    table.open(C, endpoint(C));
    table.follow_primaries(primaries.to_vec(), at(0), at(0));
    table
}

/// A plan, where each primary has the connection that is named like it.
fn plan(table: &mut ChannelTable, millis: u64) -> String {
    let primaries = table.primaries.clone();
    let connection =
        |wanted: &Arc<Endpoint>| [A, B, C].into_iter().find(|id| endpoint(*id) == *wanted);
    shown(&table.plan(at(millis), |query| match query.primary {
        Some(primary) => primaries[primary].as_ref().and_then(connection),
        None => Some(A),
    }))
}

fn confirm(table: &mut ChannelTable, id: ConnectionId, millis: u64) {
    table.handle_subscribed(id, Classic, NAME, at(millis)).unwrap();
    table.handle_marker(id, at(millis)).unwrap();
}

fn follow(table: &mut ChannelTable, primaries: &[Primary], known_at: u64, now: u64) {
    table.follow_primaries(primaries.to_vec(), at(known_at), at(now));
    table.handle_owner_change(at(now), at(known_at));
}

/// A table with a channel that `A` and `B` have confirmed.
fn subscribed() -> ChannelTable {
    let mut r = table(&[owner(A), owner(B)]);
    r.subscribe(Classic, NAME, ADA);
    plan(&mut r, 0);
    confirm(&mut r, A, 1);
    confirm(&mut r, B, 1);
    told(&mut r);
    r
}

#[test]
fn every_primary_is_asked_and_the_last_confirmation_is_told() {
    let mut r = table(&[owner(A), owner(B), owner(C)]);
    r.subscribe(Classic, NAME, ADA);
    assert_eq!(
        plan(&mut r, 0),
        "1:+__keyevent@0__:del 2:+__keyevent@0__:del 3:+__keyevent@0__:del"
    );
    assert_eq!(plan(&mut r, 0), "", "asked once");
    confirm(&mut r, C, 1);
    confirm(&mut r, A, 1);
    assert_eq!(told(&mut r), "");
    assert!(r.unconfirmed(ADA, 0).is_some());
    assert_eq!(r.readers(Classic, NAME, A).len(), 1, "what comes is delivered");
    confirm(&mut r, B, 2);
    assert_eq!(told(&mut r), "+__keyevent@0__:del");
    assert_eq!(r.unconfirmed(ADA, 0), None);
    r.subscribe(Classic, NAME, BEN);
    assert_eq!(told(&mut r), "+__keyevent@0__:del", "at once");
    r.remove_reader(ADA);
    assert_eq!(plan(&mut r, 3), "");
    r.remove_reader(BEN);
    assert_eq!(
        plan(&mut r, 4),
        "1:-__keyevent@0__:del 2:-__keyevent@0__:del 3:-__keyevent@0__:del"
    );
    assert!(r.entries.iter().all(Option::is_none), "nothing is left of it");
    assert!([A, B, C].iter().all(|id| !r.is_in_use(*id)));
}

/// Only names and patterns that tell of keys, and only where there are slots.
#[test]
fn other_channels_are_at_one_node() {
    for (kind, name, everywhere) in [
        (Classic, "__keyspace@0__:k", true),
        (Pattern, "__key*__:*", true),
        (Pattern, "*", false),
        (Classic, "news", false),
        (Sharded, "__keyspace@0__:k", false),
    ] {
        for has_slots in [true, false] {
            let pauses = (Duration::from_millis(20), Duration::from_secs(2));
            let mut r = ChannelTable::new(has_slots, pauses, Rng::new(1));
            for id in [A, B] {
                r.open(id, endpoint(id));
            }
            r.follow_primaries(vec![owner(A), owner(B)], at(0), at(0));
            r.subscribe(kind, name.as_bytes(), ADA);
            let asked = plan(&mut r, 0);
            let expected = if everywhere && has_slots {
                format!("1:+{name} 2:+{name}")
            } else {
                format!("1:+{name}")
            };
            assert_eq!(asked, expected, "{kind:?}, slots: {has_slots}");
        }
    }
}

/// Two primaries are lost, one after the other: one gap, from the first loss on, when both are
/// back. The third goes on to be heard meanwhile.
#[test]
fn losses_are_one_gap_and_others_are_heard_meanwhile() {
    let mut r = table(&[owner(A), owner(B), owner(C)]);
    r.subscribe(Classic, NAME, ADA);
    plan(&mut r, 0);
    [A, B, C].iter().for_each(|id| confirm(&mut r, *id, 1));
    told(&mut r);
    r.close(A, at(10), GapCause::ConnectionLost);
    r.close(B, at(5), GapCause::Silent);
    assert_eq!(r.readers(Classic, NAME, A).len(), 1);
    r.subscribe(Classic, NAME, BEN);
    assert_eq!(told(&mut r), "");
    r.open(A, endpoint(A));
    r.recheck_all_waiting();
    assert_eq!(plan(&mut r, 20), "1:+__keyevent@0__:del");
    confirm(&mut r, A, 21);
    assert_eq!(told(&mut r), "", "B is missing");
    r.open(B, endpoint(B));
    r.recheck_all_waiting();
    assert_eq!(plan(&mut r, 30), "2:+__keyevent@0__:del");
    confirm(&mut r, B, 35);
    assert_eq!(told(&mut r), "gap __keyevent@0__:del 30ms, +__keyevent@0__:del");
}

/// A replica takes over: it is asked, the former primary is left, and the readers are told.
#[test]
fn a_failover_is_followed_and_told_once() {
    let mut r = subscribed();
    follow(&mut r, &[owner(A), owner(C)], 50, 100);
    assert_eq!(plan(&mut r, 100), "2:-__keyevent@0__:del 3:+__keyevent@0__:del");
    assert!(!r.is_in_use(B));
    assert_eq!(told(&mut r), "");
    assert!(r.unconfirmed(ADA, 0).is_some());
    confirm(&mut r, C, 110);
    assert_eq!(told(&mut r), "gap __keyevent@0__:del 60ms");
    r.handle_unsubscribed(B, Classic, NAME, at(111)).unwrap();
    r.handle_marker(B, at(111)).unwrap();
    r.close(B, at(120), GapCause::NodeLeft);
    assert_eq!((told(&mut r), plan(&mut r, 121)), (String::new(), String::new()));
}

/// All slots of a primary go to another one that is subscribed to: nothing is missing.
#[test]
fn a_primary_that_leaves_makes_no_gap() {
    let mut r = subscribed();
    follow(&mut r, &[owner(A)], 50, 100);
    assert_eq!(plan(&mut r, 100), "2:-__keyevent@0__:del");
    assert_eq!(told(&mut r), "");
    assert_eq!(r.unconfirmed(ADA, 0), None);
}

/// The primary that was lost leaves: what was missing is told then.
#[test]
fn a_lost_primary_that_leaves_ends_the_gap() {
    let mut r = subscribed();
    r.close(B, at(90), GapCause::ConnectionLost);
    follow(&mut r, &[owner(A)], 50, 100);
    assert_eq!(told(&mut r), "gap __keyevent@0__:del 10ms");
    assert_eq!(plan(&mut r, 100), "");
}

/// A node comes to own slots: its events are missing from the time on when the owners were last
/// known to be the others.
#[test]
fn a_new_primary_is_a_gap() {
    let mut r = subscribed();
    follow(&mut r, &[owner(C), owner(A), owner(B)], 130, 140);
    assert_eq!(plan(&mut r, 140), "3:+__keyevent@0__:del");
    assert!(r.unconfirmed(ADA, 0).is_some());
    confirm(&mut r, C, 150);
    assert_eq!(told(&mut r), "gap __keyevent@0__:del 20ms");
    // It is lost, and another order of the same primaries changes nothing.
    r.close(C, at(160), GapCause::ConnectionLost);
    follow(&mut r, &[owner(B), owner(C), owner(A)], 165, 170);
    r.open(C, endpoint(C));
    r.recheck_all_waiting();
    assert_eq!(plan(&mut r, 171), "3:+__keyevent@0__:del");
    confirm(&mut r, C, 172);
    assert_eq!(told(&mut r), "gap __keyevent@0__:del 12ms");
}

/// Without a primary, or with one that cannot be dialled, the subscription is not complete.
#[test]
fn an_unknown_primary_is_waited_for() {
    let mut r = super::table();
    r.subscribe(Classic, NAME, ADA);
    let mut queries = 0;
    r.plan(at(0), |query| {
        queries += usize::from(query.primary == Some(0));
        None
    });
    assert_eq!(queries, 1, "the caller learns that a primary is missing");
    follow(&mut r, &[owner(A), None], 0, 5);
    assert_eq!(plan(&mut r, 5), "1:+__keyevent@0__:del");
    confirm(&mut r, A, 6);
    assert_eq!((told(&mut r), r.unconfirmed(ADA, 0).is_some()), (String::new(), true));
    follow(&mut r, &[owner(A)], 6, 7);
    assert_eq!(told(&mut r), "+__keyevent@0__:del");
}

/// Every primary refuses the channel: told once. A second reader lets all be asked again.
#[test]
fn a_refusal_by_every_primary_is_told_once() {
    let mut r = table(&[owner(A), owner(B)]);
    r.subscribe(Classic, NAME, ADA);
    plan(&mut r, 0);
    for id in [A, B] {
        r.handle_error(id, &error("NOPERM no"), at(1)).unwrap();
        r.handle_marker(id, at(1)).unwrap();
    }
    assert_eq!(told(&mut r), "refused __keyevent@0__:del NOPERM");
    assert!(r.refusal(ADA).is_some());
    assert_eq!(plan(&mut r, 1), "", "not at once");
    r.subscribe(Classic, NAME, BEN);
    assert_eq!(plan(&mut r, 1), "1:+__keyevent@0__:del 2:+__keyevent@0__:del");
    confirm(&mut r, A, 2);
    r.handle_error(B, &error("NOPERM no"), at(2)).unwrap();
    r.handle_marker(B, at(2)).unwrap();
    assert_eq!(told(&mut r), "refused __keyevent@0__:del NOPERM", "the second reader");
    assert_eq!(plan(&mut r, 2), "", "not at once");
    let again = r.next().expect("it is asked for again");
    assert_eq!(plan(&mut r, again.since_epoch().as_millis() as u64 + 1), "2:+__keyevent@0__:del");
    confirm(&mut r, B, 5000);
    assert_eq!(told(&mut r), "+__keyevent@0__:del, +__keyevent@0__:del");
    assert!(r.refusal(ADA).is_none());
}

/// Entries are reused: the index that the last message was found at may be that of a part by now.
#[test]
fn a_message_finds_its_readers_whatever_indexes_are_reused() {
    let mut r = subscribed();
    for round in 0..6 {
        assert_eq!(r.readers(Classic, NAME, A).len(), 1, "round {round}");
        r.remove_reader(ADA);
        plan(&mut r, 10 * round);
        for id in [A, B] {
            r.handle_unsubscribed(id, Classic, NAME, at(0)).unwrap();
            r.handle_marker(id, at(0)).unwrap();
        }
        // Another channel takes an index, so that the others shift.
        r.subscribe(Classic, format!("other{round}").as_bytes(), BEN);
        r.subscribe(Classic, NAME, ADA);
        let asked = plan(&mut r, 10 * round + 1);
        assert!(asked.contains("2:+"), "{asked}");
        let other = format!("other{round}");
        r.handle_subscribed(A, Classic, other.as_bytes(), at(0)).unwrap();
        confirm(&mut r, A, 0);
        confirm(&mut r, B, 0);
    }
}
