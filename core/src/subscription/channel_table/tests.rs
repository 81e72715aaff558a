//! The table against tables, and against servers that move slots, refuse and disappear.

mod every_primary;
mod every_primary_model;
mod model;

use super::*;
use ChannelKind::{Classic, Sharded};

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);
const ADA: ReaderId = ReaderId(7);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_duration(Duration::from_millis(millis))
}

fn table() -> ChannelTable {
    let pauses = (Duration::from_millis(20), Duration::from_secs(2));
    let mut table = ChannelTable::new(true, pauses, Rng::new(1));
    for (id, port) in [(A, 1), (B, 2)] {
        table.open(id, Arc::new(Endpoint::tcp("h", port)));
    }
    table
}

/// A plan in words: `1:+a,b 2:-c`.
fn shown(plan: &Plan) -> String {
    let mut words = Vec::new();
    for (id, commands) in plan {
        for command in commands.iter().flatten() {
            let sign = if command.subscribe { '+' } else { '-' };
            let names = command.names.iter().map(|name| String::from_utf8_lossy(name));
            words.push(format!("{}:{sign}{}", id.0, names.collect::<Vec<_>>().join(",")));
        }
    }
    words.join(" ")
}

fn plan(table: &mut ChannelTable, millis: u64, to: ConnectionId) -> String {
    shown(&table.plan(at(millis), |_| Some(to)))
}

/// What was told, in words.
pub(super) fn told(table: &mut ChannelTable) -> String {
    let words = table.take_updates().into_iter().map(|(_, update)| match update {
        Update::Subscribed { channel, .. } => format!("+{channel}"),
        Update::Unsubscribed { channel } => format!("-{channel}"),
        Update::Moved { channel, .. } => format!("moved {channel}"),
        Update::Gap { channel, duration, .. } => format!("gap {channel} {duration:?}"),
        Update::Refused { channel, error } => format!("refused {channel} {}", error.code()),
        other => panic!("nothing else is told: {other:?}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn error(text: &str) -> ServerError {
    ServerError::from_text(text.as_bytes())
}

#[test]
fn one_command_for_each_slot() {
    let mut r = table();
    for name in ["{x}1", "{y}1", "{x}2"] {
        r.subscribe(Sharded, name.as_bytes(), ADA);
    }
    r.subscribe(Classic, b"n", ADA);
    r.subscribe(Classic, b"m", ADA);
    let commands = &r.plan(at(0), |_| Some(A))[&A][0];
    let sizes: Vec<_> = commands.iter().map(|o| (o.kind, o.names.len())).collect();
    assert_eq!(sizes.len(), 3, "{commands:?}");
    assert_eq!(sizes.iter().map(|(_, n)| n).sum::<usize>(), 5);
    assert_eq!(plan(&mut r, 0, A), "", "asked once");
}

/// The server drops the channel of a slot that moved; the old owner names the new one.
#[test]
fn a_dropped_channel_is_asked_for_again_and_its_gap_told_once() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    assert_eq!(plan(&mut r, 0, A), "1:+a");
    r.handle_subscribed(A, Sharded, b"a", at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    assert_eq!(told(&mut r), "+a");
    r.handle_unsubscribed(A, Sharded, b"a", at(100)).unwrap();
    assert_eq!(r.readers(Sharded, b"a", A).len(), 0);
    assert_eq!(plan(&mut r, 100, A), "1:+a");
    r.handle_error(A, &error("MOVED 1 h:2"), at(101)).unwrap();
    r.handle_marker(A, at(101)).unwrap();
    assert_eq!(plan(&mut r, 101, B), "2:+a", "at once");
    r.handle_subscribed(B, Sharded, b"a", at(110)).unwrap();
    r.handle_marker(B, at(110)).unwrap();
    assert_eq!(told(&mut r), "moved a, gap a 10ms");
    assert_eq!(plan(&mut r, 111, B), "");
    assert_eq!(r.readers(Sharded, b"a", B).len(), 1);
}

#[test]
fn the_new_owner_confirms_before_the_old_one_is_left() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.handle_subscribed(A, Sharded, b"a", at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    told(&mut r);
    r.handle_owner_change(at(2), at(1));
    assert_eq!(plan(&mut r, 2, B), "2:+a");
    assert_eq!(r.readers(Sharded, b"a", A).len(), 1, "still live at the old one");
    r.handle_subscribed(B, Sharded, b"a", at(3)).unwrap();
    assert_eq!(told(&mut r), "moved a, gap a 2ms", "what the new owner sent before is missing");
    assert_eq!(plan(&mut r, 3, B), "1:-a");
    assert!(!r.is_in_use(A));
    r.handle_unsubscribed(A, Sharded, b"a", at(4)).unwrap();
    assert_eq!(told(&mut r), "");
    assert_eq!(r.readers(Sharded, b"a", B).len(), 1);
}

/// What the old owner sent before the gap arrives behind newer messages of the new one: it is not
/// delivered. Where no gap is told, what the old connection brings is not late.
#[test]
fn what_an_old_connection_brings_behind_a_gap_is_late() {
    for (kind, gap) in [(Sharded, true), (Classic, false)] {
        let mut r = table();
        r.subscribe(kind, b"a", ADA);
        plan(&mut r, 0, A);
        r.handle_subscribed(A, kind, b"a", at(1)).unwrap();
        r.handle_marker(A, at(1)).unwrap();
        r.handle_owner_change(at(2), at(1));
        plan(&mut r, 2, B);
        assert_eq!(r.readers(kind, b"a", A).len(), 1, "it is live there");
        r.handle_subscribed(B, kind, b"a", at(3)).unwrap();
        assert_eq!(told(&mut r).contains("gap"), gap);
        assert_eq!(r.readers(kind, b"a", A).len(), usize::from(!gap));
        assert_eq!(r.readers(kind, b"a", B).len(), 1);
        plan(&mut r, 3, B);
        r.handle_unsubscribed(A, kind, b"a", at(4)).unwrap();
        r.handle_marker(A, at(4)).unwrap();
        // And back, because the connection is lost.
        r.close(B, at(5), GapCause::ConnectionLost);
        assert_eq!(r.readers(kind, b"a", A).len(), 0, "it is live nowhere");
        assert!(!plan(&mut r, 5, A).is_empty());
        r.handle_subscribed(A, kind, b"a", at(6)).unwrap();
        assert!(told(&mut r).contains("gap"));
        assert_eq!(r.readers(kind, b"a", A).len(), 1);
        assert_eq!(r.readers(kind, b"a", B).len(), 0);
    }
}

/// The old owner dropped the channel when it ceased to be, and took it again as a replica of the
/// new one: that was told, and nothing is missing since.
#[test]
fn a_change_of_owners_that_the_old_one_told_is_told_once() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.handle_subscribed(A, Sharded, b"a", at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    r.handle_unsubscribed(A, Sharded, b"a", at(5)).unwrap();
    assert_eq!(plan(&mut r, 5, A), "1:+a");
    r.handle_subscribed(A, Sharded, b"a", at(6)).unwrap();
    r.handle_marker(A, at(6)).unwrap();
    assert_eq!(told(&mut r), "+a, gap a 1ms");
    r.handle_owner_change(at(7), at(2));
    assert_eq!(plan(&mut r, 7, B), "2:+a");
    r.handle_subscribed(B, Sharded, b"a", at(8)).unwrap();
    assert_eq!(told(&mut r), "moved a");
}

#[test]
fn several_losses_before_the_next_confirmation_are_one_gap() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.handle_subscribed(A, Sharded, b"a", at(1)).unwrap();
    told(&mut r);
    r.close(A, at(10), GapCause::ConnectionLost);
    assert_eq!(plan(&mut r, 20, B), "2:+a");
    r.close(B, at(30), GapCause::Silent);
    r.open(A, Arc::new(Endpoint::tcp("h", 1)));
    r.subscribe(Sharded, b"a", ReaderId(8));
    assert_eq!(plan(&mut r, 40, A), "1:+a");
    r.handle_subscribed(A, Sharded, b"a", at(50)).unwrap();
    assert_eq!(told(&mut r), "gap a 40ms, +a", "the second reader missed nothing");
}

/// One of three channels is forbidden: the others do not wait for it.
#[test]
fn a_refusal_is_told_once_and_delays_no_other_channel() {
    let mut r = table();
    for name in ["a", "b", "c"] {
        r.subscribe(Classic, name.as_bytes(), ADA);
    }
    assert_eq!(plan(&mut r, 0, A), "1:+a,b,c");
    r.handle_error(A, &error("NOPERM no"), at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    assert_eq!(plan(&mut r, 1, A), "1:+a 1:+b 1:+c");
    r.handle_subscribed(A, Classic, b"a", at(2)).unwrap();
    r.handle_error(A, &error("NOPERM no"), at(2)).unwrap();
    r.handle_subscribed(A, Classic, b"c", at(2)).unwrap();
    r.handle_marker(A, at(2)).unwrap();
    assert_eq!(told(&mut r), "+a, refused b NOPERM, +c");
    assert_eq!(plan(&mut r, 2, A), "", "not at once");
    let again = r.next().expect("it is asked for again");
    assert!(again > at(2));
    assert_eq!(shown(&r.plan(again, |_| Some(A))), "1:+b");
    r.handle_error(A, &error("NOPERM no"), again).unwrap();
    assert_eq!(told(&mut r), "");
    assert!(r.refusal(ADA).is_some());
}

#[test]
fn what_was_removed_is_ended_and_what_was_added_again_is_asked_for_after() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.unsubscribe(Sharded, b"a", ADA);
    r.subscribe(Sharded, b"a", ADA);
    assert_eq!(plan(&mut r, 1, A), "1:-a 1:+a");
    // The confirmation of the first request is none of the second's.
    r.handle_subscribed(A, Sharded, b"a", at(2)).unwrap();
    r.handle_marker(A, at(2)).unwrap();
    assert_eq!(told(&mut r), "-a");
    r.handle_unsubscribed(A, Sharded, b"a", at(2)).unwrap();
    r.handle_marker(A, at(2)).unwrap();
    r.handle_subscribed(A, Sharded, b"a", at(2)).unwrap();
    r.handle_marker(A, at(2)).unwrap();
    assert_eq!(told(&mut r), "+a");
    r.remove_reader(ADA);
    assert_eq!(plan(&mut r, 3, A), "1:-a");
    assert!(r.names.iter().all(HashMap::is_empty));
}

/// A connection that is lost takes its commands along; nothing is left to send to it.
#[test]
fn a_lost_connection_leaves_nothing_behind() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.close(A, at(1), GapCause::ConnectionLost);
    r.unsubscribe(Sharded, b"a", ADA);
    assert_eq!(plan(&mut r, 1, B), "");
    assert_eq!(told(&mut r), "-a");
    r.handle_subscribed(A, Sharded, b"a", at(2)).unwrap();
    assert_eq!(told(&mut r), "");
}

/// The old owner dropped the channel at an earlier move, not at this one: messages that the new
/// owner sent before this client knew are missing.
#[test]
fn a_drop_by_an_earlier_owner_says_nothing_about_this_one() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.handle_subscribed(A, Sharded, b"a", at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    r.handle_unsubscribed(A, Sharded, b"a", at(5)).unwrap();
    assert_eq!(plan(&mut r, 5, B), "2:+a");
    r.handle_subscribed(B, Sharded, b"a", at(6)).unwrap();
    r.handle_marker(B, at(6)).unwrap();
    assert_eq!(told(&mut r), "+a, moved a, gap a 1ms");
    r.handle_owner_change(at(9), at(2));
    assert_eq!(plan(&mut r, 9, A), "1:+a");
    r.handle_subscribed(A, Sharded, b"a", at(10)).unwrap();
    assert_eq!(told(&mut r), "moved a, gap a 8ms");
}

/// A connection that has confirmed what was not asked for is not trusted, and neither is one that
/// has not confirmed what was.
#[test]
fn confirmations_that_do_not_fit_are_told() {
    let asked = || {
        let mut r = table();
        r.subscribe(Classic, b"a", ADA);
        r.subscribe(Classic, b"b", ADA);
        assert_eq!(plan(&mut r, 0, A), "1:+a,b");
        r
    };
    let mut r = asked();
    r.handle_subscribed(A, Classic, b"a", at(1)).unwrap();
    r.handle_marker(A, at(1)).expect_err("one too few");
    let mut r = asked();
    r.handle_marker(A, at(1)).expect_err("none");
    let mut r = asked();
    r.handle_subscribed(A, Classic, b"c", at(1)).expect_err("another channel");
    let mut r = asked();
    r.handle_subscribed(A, Sharded, b"a", at(1)).expect_err("another kind");
    let mut r = asked();
    r.handle_subscribed(A, Classic, b"a", at(1)).unwrap();
    r.handle_subscribed(A, Classic, b"a", at(1)).expect_err("twice");
    let mut r = asked();
    r.handle_subscribed(A, Classic, b"a", at(1)).unwrap();
    r.handle_error(A, &error("NOPERM no"), at(1)).expect_err("confirmed and refused");
    let mut r = asked();
    r.handle_error(A, &error("NOPERM no"), at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    let mut r = asked();
    r.handle_unsubscribed(A, Classic, b"a", at(1)).expect_err("no server drops these unasked");
    let mut r = asked();
    for name in [b"a", b"b"] {
        r.handle_subscribed(A, Classic, name, at(1)).unwrap();
    }
    r.handle_marker(A, at(1)).unwrap();
    r.unsubscribe(Classic, b"a", ADA);
    assert_eq!(plan(&mut r, 2, A), "1:-a");
    r.handle_marker(A, at(3)).expect_err("an end that was not confirmed");
}

/// A slot moves while its channel is being left: the drop comes unasked and is taken for the
/// answer, then the command is refused. The channel that is asked for behind it is not disturbed.
#[test]
fn a_refused_end_is_none_of_the_next_write() {
    let mut r = table();
    r.subscribe(Sharded, b"a", ADA);
    plan(&mut r, 0, A);
    r.handle_subscribed(A, Sharded, b"a", at(1)).unwrap();
    r.handle_marker(A, at(1)).unwrap();
    r.unsubscribe(Sharded, b"a", ADA);
    r.subscribe(Sharded, b"b", ADA);
    let writes = &r.plan(at(2), |_| Some(A))[&A];
    assert_eq!(writes.len(), 2, "a marker between them: {writes:?}");
    r.handle_unsubscribed(A, Sharded, b"a", at(3)).unwrap();
    r.handle_error(A, &error("MOVED 1 h:2"), at(3)).unwrap();
    r.handle_marker(A, at(3)).unwrap();
    r.handle_subscribed(A, Sharded, b"b", at(3)).unwrap();
    r.handle_marker(A, at(3)).unwrap();
    assert_eq!(told(&mut r), "+a, -a, +b");
}

/// Many readers with a channel each, or all with the same one: what is done for one of them looks
/// at its own channel, and a lost connection at those that it served.
#[test]
fn one_of_many_costs_what_it_holds() {
    const MANY: u64 = 2000;
    for shares in [false, true] {
        let name = |n: u64| if shares { "c".to_owned() } else { format!("c{n}") };
        let mut r = table();
        let to =
            |query: PlacementQuery| Some(if query.slot.number().is_multiple_of(2) { A } else { B });
        for n in 0..MANY {
            r.subscribe(Classic, name(n).as_bytes(), ReaderId(n));
            for (id, writes) in r.plan(at(0), to) {
                for named in writes.iter().flatten().flat_map(|command| &command.names) {
                    r.handle_subscribed(id, Classic, named, at(1)).unwrap();
                }
                r.handle_marker(id, at(1)).unwrap();
            }
            assert!(r.unconfirmed(ReaderId(n), 0).is_none());
            assert!(r.refusal(ReaderId(n)).is_none());
        }
        let visits = r.visits.take();
        assert!(visits <= 8 * MANY as usize, "added: {visits}");
        for id in [A, B] {
            r.close(id, at(2), GapCause::ConnectionLost);
        }
        let visits = r.visits.take();
        assert!(visits <= MANY as usize, "lost: {visits}");
        for (id, port) in [(A, 1), (B, 2)] {
            r.open(id, Arc::new(Endpoint::tcp("h", port)));
        }
        r.plan(at(3), to);
        r.visits.take();
        // Neither in the order in which they came nor in the opposite one.
        for n in (0..MANY).map(|n| n * 7 % MANY) {
            r.remove_reader(ReaderId(n));
            r.plan(at(4), to);
        }
        let visits = r.visits.take();
        assert!(visits <= 2 * MANY as usize, "dropped: {visits}");
        assert!(r.readers.is_empty() && r.names.iter().all(HashMap::is_empty));
    }
}

/// One reader with many channels, which asks after each confirmation whether all are confirmed.
#[test]
fn who_waits_for_many_channels_looks_at_each_once() {
    const MANY: usize = 2000;
    let mut r = table();
    let names: Vec<String> = (0..MANY).map(|n| format!("c{n}")).collect();
    names.iter().for_each(|name| r.subscribe(Classic, name.as_bytes(), ADA));
    r.plan(at(0), |_| Some(A));
    r.visits.take();
    let mut from = 0;
    for name in &names {
        assert!(r.refusal(ADA).is_none());
        from = r.unconfirmed(ADA, from).expect("not all are").0;
        r.handle_subscribed(A, Classic, name.as_bytes(), at(1)).unwrap();
    }
    assert!(r.unconfirmed(ADA, from).is_none());
    let visits = r.visits.take();
    assert!(visits <= 4 * MANY, "{visits}");
}

/// Many channels wait for connections: one more channel, or a connection, costs what it holds.
#[test]
fn a_channel_waits_for_its_own_connection() {
    const MANY: u64 = 2000;
    let pauses = (Duration::from_millis(20), Duration::from_secs(2));
    let mut r = ChannelTable::new(true, pauses, Rng::new(1));
    let key = |query: &PlacementQuery| u64::from(query.slot.number() % 100) + 1;
    for n in 0..MANY {
        r.subscribe(Classic, format!("c{n}").as_bytes(), ReaderId(n));
        assert!(r.plan(at(0), |query| Placement::Later(key(&query))).is_empty());
    }
    let visits = r.visits.take();
    assert!(visits <= 2 * MANY as usize, "asked for: {visits}");
    let mut asked = 0;
    for id in 1..=100 {
        r.open(ConnectionId(id), Arc::new(Endpoint::tcp("h", 1)));
        assert!(r.is_awaited(id));
        r.recheck_waiting(id);
        let plan = r.plan(at(1), |query| Placement::At(ConnectionId(key(&query))));
        assert_eq!(plan.len(), 1, "the others wait for other connections");
        asked += plan.values().flatten().flatten().map(|one| one.names.len()).sum::<usize>();
        assert!(!r.is_awaited(id));
    }
    assert_eq!(asked, MANY as usize);
    let visits = r.visits.take();
    assert!(visits <= 2 * MANY as usize, "connected: {visits}");
    // One that is given up meanwhile is waited for no more.
    r.subscribe(Classic, b"late", ADA);
    r.plan(at(2), |_| Placement::Later(7));
    assert!(r.is_awaited(7));
    r.remove_reader(ADA);
    assert!(!r.is_awaited(7) && r.waiting.is_empty());
}

/// Many sharded channels, and connections to many nodes: a slot that moves costs what is in it, and
/// a plan looks at no connection that it has nothing for.
#[test]
fn a_moved_slot_costs_its_channels() {
    const MANY: u64 = 1000;
    let pauses = (Duration::from_millis(20), Duration::from_secs(2));
    let mut r = ChannelTable::new(true, pauses, Rng::new(1));
    (1..=MANY).for_each(|id| r.open(ConnectionId(id), Arc::new(Endpoint::tcp("h", 1))));
    let home = |query: &PlacementQuery| u64::from(query.slot.number()) % MANY + 1;
    for n in 0..MANY {
        r.subscribe(Sharded, format!("c{n}").as_bytes(), ReaderId(n));
    }
    for (id, writes) in r.plan(at(0), |query| Some(ConnectionId(home(&query)))) {
        for named in writes.iter().flatten().flat_map(|command| &command.names) {
            r.handle_subscribed(id, Sharded, named, at(1)).unwrap();
        }
        r.handle_marker(id, at(1)).unwrap();
    }
    r.plan(at(1), |query| Some(ConnectionId(home(&query))));
    let used = r.take_use_changes().into_iter().filter(|id| r.is_in_use(*id)).count();
    assert!(used > 500, "most slots have a connection of their own: {used}");
    r.visits.take();
    for n in 0..MANY {
        let slot = Slot::of(format!("c{n}").as_bytes());
        r.handle_owner_change_of([slot].into_iter(), at(2), at(1));
        let plan = r.plan(at(2), |query| {
            assert_eq!(query.slot, slot, "no other channel is concerned");
            Some(ConnectionId(home(&query)))
        });
        assert!(plan.is_empty(), "it is where it was");
    }
    let visits = r.visits.take();
    assert!(visits <= 2 * MANY as usize, "{visits}");
    assert!(r.take_use_changes().is_empty());
}
