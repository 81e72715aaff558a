//! Which sentinels are believed, scene by scene.

use super::*;
use crate::topology::sentinel::PrimaryState::{LongUnreachable, Reachable, Unreachable};

fn at(port: u16) -> Endpoint {
    Endpoint::tcp("10.0.0.1", port)
}

/// The opinion of sentinel number `who` of three, that `port` is the primary since `epoch`.
fn says(who: u8, epoch: u64, port: u16) -> Opinion {
    let others = (1..=3).filter(|other| *other != who);
    let sentinels = others.map(|other| Endpoint::tcp(&format!("10.255.0.{other}"), 26379));
    Opinion {
        epoch,
        primary: at(port),
        primary_down: false,
        replicas: Vec::new(),
        sentinels: sentinels.collect(),
    }
}

fn held(epoch: u64, port: u16) -> Service {
    Service { epoch, primary: at(port), replicas: Vec::new() }
}

fn replica(offset: u64, health: ReportedHealth) -> NodeView {
    let view = NodeView::provisional(&Endpoint::tcp("10.0.0.2", 1));
    NodeView { role: Role::Replica, offset: Some(offset), health, ..view }
}

/// The port of the primary that is taken.
fn taken(choice: PrimaryChoice) -> Option<u16> {
    match choice {
        PrimaryChoice::Take(Service { primary: Endpoint::Tcp { port, .. }, .. }) => Some(port),
        _ => None,
    }
}

#[test]
fn a_replica_that_moves_on_in_the_stream_is_no_news() {
    let with = |view: NodeView| Opinion { replicas: vec![view], ..says(1, 3, 1) };
    let PrimaryChoice::Take(held) =
        choose(None, Reachable, 0, &[with(replica(10, ReportedHealth::Online))])
    else {
        panic!("nothing was held")
    };
    let next = [with(replica(20, ReportedHealth::Online))];
    assert_eq!(choose(Some(&held), Reachable, 0, &next), PrimaryChoice::Keep);
    let next = [with(replica(20, ReportedHealth::Suspected))];
    assert_eq!(taken(choose(Some(&held), Reachable, 0, &next)), Some(1), "one that is down is");
}

/// What the leader of a failover says from the promotion until the replicas follow: the state of
/// the old primary, and the address of the new one.
#[test]
fn the_leader_of_a_failover_speaks_for_the_promoted_replica() {
    let text = |text: &str| Value::Text(text.to_owned());
    let list = |words: &[&str]| Value::Array(words.iter().map(|word| text(word)).collect());
    let primary = list(&[
        "name",
        "s",
        "ip",
        "10.0.0.1",
        "port",
        "1",
        "flags",
        "o_down,s_down,master,failover_in_progress",
        "config-epoch",
        "4",
    ]);
    let fields = |port| list(&["ip", "10.0.0.1", "port", port, "flags", "slave"]);
    let replicas = Value::Array(vec![fields("3"), fields("2")]);
    let sentinels = Value::Array(vec![fields("26380"), fields("26379")]);
    let endpoint = |host: &str, port| Endpoint::tcp(host, port);
    let parse =
        |place: &Value| parse_opinion([&primary, place, &replicas, &sentinels], &endpoint).unwrap();
    let opinion = parse(&list(&["10.0.0.1", "2"]));
    assert_eq!((opinion.epoch, &opinion.primary, opinion.primary_down), (4, &at(2), true));
    let replicas: Vec<_> = opinion.replicas.iter().flat_map(|r| r.endpoint.clone()).collect();
    assert_eq!(replicas, [at(3)], "the promoted one is none any more");
    assert_eq!(opinion.sentinels, [at(26379), at(26380)], "in an order of ours");
    assert_eq!(parse(&Value::Null).primary, at(1), "who does not say has no other address");
    // A sentinel of an older view beside it, and the new primary out of reach.
    let opinions = [says(1, 0, 1), says(2, 0, 1), Opinion { sentinels: Vec::new(), ..opinion }];
    let chosen = choose(Some(&held(4, 2)), Unreachable, 3, &opinions);
    assert_eq!(taken(chosen), Some(2), "it tells of the replicas, and keeps the primary");
}

/// Two of three with old files agree about the old primary; the third, which knows better, is
/// silent. The two are known by name and by address.
#[test]
fn a_sentinel_that_is_asked_under_two_names_has_one_voice() {
    let held = held(1, 2);
    let old = [says(2, 0, 1), says(3, 0, 1), says(2, 0, 1), says(3, 0, 1)];
    assert_eq!(choose(Some(&held), Unreachable, 0, &old), PrimaryChoice::Doubt);
    let old = [says(1, 0, 1), says(2, 0, 1), says(3, 0, 1)];
    assert_eq!(taken(choose(Some(&held), Unreachable, 0, &old)), Some(1), "all three say so");
    // The same where they vote.
    let split = [says(1, 3, 1), says(1, 3, 1), says(2, 3, 2), says(3, 3, 2)];
    assert_eq!(taken(choose(None, Reachable, 0, &split)), Some(2));
}

/// A sentinel that has just been reset knows of no other: it is not all there are.
#[test]
fn one_that_knows_no_other_does_not_speak_for_all() {
    let alone = [Opinion { sentinels: Vec::new(), ..says(1, 0, 1) }];
    assert_eq!(choose(Some(&held(1, 2)), Unreachable, 3, &alone), PrimaryChoice::Doubt);
    assert_eq!(taken(choose(Some(&held(1, 2)), Unreachable, 1, &alone)), Some(1));
}

/// Five sentinels, of which three were restarted with old files: they are the first to answer. Or
/// their answers were long on the way, as those of two of three in seed 97203.
#[test]
fn three_of_five_are_not_all() {
    let five = |who: u8| {
        let others = (1..=5).filter(|other| *other != who);
        let sentinels = others.map(|other| Endpoint::tcp(&format!("10.255.0.{other}"), 26379));
        Opinion { sentinels: sentinels.collect(), ..says(who, 0, 1) }
    };
    let old = [five(1), five(2), five(3)];
    assert_eq!(choose(Some(&held(1, 2)), Unreachable, 0, &old), PrimaryChoice::Doubt);
}

#[test]
fn a_lower_epoch_wins_only_against_a_primary_that_is_none() {
    let table: [(PrimaryState, &[Opinion], PrimaryChoice); 6] = [
        (Reachable, &[says(1, 0, 1), says(2, 0, 1), says(3, 0, 1)], PrimaryChoice::Keep),
        (Unreachable, &[says(1, 0, 1), says(2, 0, 1)], PrimaryChoice::Doubt),
        (Unreachable, &[says(1, 0, 1), says(2, 0, 3), says(3, 0, 1)], PrimaryChoice::Keep),
        (
            Unreachable,
            &[says(1, 0, 1), says(2, 0, 1), says(3, 0, 1)],
            PrimaryChoice::Take(held(0, 1)),
        ),
        (LongUnreachable, &[says(1, 0, 1)], PrimaryChoice::Take(held(0, 1))),
        (LongUnreachable, &[says(1, 0, 1), says(2, 0, 3)], PrimaryChoice::Keep),
    ];
    for (index, (state, opinions, expected)) in table.into_iter().enumerate() {
        assert_eq!(choose(Some(&held(2, 2)), state, 3, opinions), expected, "row {index}");
    }
}

/// Sentinels that were told anew to watch the service count from zero, and know its replicas.
#[test]
fn a_lower_epoch_that_moves_nothing_tells_of_replicas_and_forgets_none() {
    let told = Opinion { replicas: vec![replica(1, ReportedHealth::Online)], ..says(1, 0, 2) };
    let PrimaryChoice::Take(next) = choose(Some(&held(5, 2)), Reachable, 3, &[told]) else {
        panic!("a replica is news")
    };
    assert_eq!((next.epoch, next.primary, next.replicas.len()), (5, at(2), 1));
}

// spec: sentinel, "Configuration epochs": the higher one is the later failover.
#[test]
fn the_newest_epoch_wins_and_never_goes_back() {
    type Row<'a> = (Option<Service>, &'a [Opinion], Option<u16>);
    let table: &[Row<'_>] = &[
        (None, &[], None),
        (None, &[says(1, 3, 1), says(2, 2, 2), says(3, 2, 2)], Some(1)),
        (Some(held(3, 1)), &[says(1, 2, 2), says(2, 2, 2)], None),
        (Some(held(3, 1)), &[says(1, 2, 2), says(2, 1, 1)], None),
        (Some(held(3, 1)), &[says(1, 4, 2), says(2, 3, 1), says(3, 3, 1)], Some(2)),
        (Some(held(3, 1)), &[says(1, 3, 2), says(2, 3, 1)], None),
        (Some(held(3, 1)), &[says(1, 3, 2), says(2, 3, 2), says(3, 3, 1)], Some(2)),
    ];
    for (index, (held, opinions, expected)) in table.iter().enumerate() {
        for state in [Reachable, Unreachable] {
            let chosen = choose(held.as_ref(), state, 3, opinions);
            assert_eq!(taken(chosen), *expected, "row {index}, {state:?}");
        }
    }
}
