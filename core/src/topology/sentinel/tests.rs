//! Which sentinels are believed, scene by scene.

use super::*;
use crate::topology::sentinel::PrimaryState::{LongUnreachable, Reachable, Unreachable, Untried};

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

/// A choice without a dispute.
fn choose(
    held: Option<&Service>,
    state: PrimaryState,
    known: usize,
    opinions: &[Opinion],
) -> PrimaryChoice {
    decide((held, state, None), known, opinions, &[])
}

/// A choice after a dispute: these servers were asked.
fn decide(
    (held, state, given_up): (Option<&Service>, PrimaryState, Option<&GivenUp>),
    known: usize,
    opinions: &[Opinion],
    proofs: &[(u16, Proof)],
) -> PrimaryChoice {
    let proofs = proofs.iter().map(|(port, proof)| (at(*port), *proof)).collect();
    super::choose(Knowledge { held, state, given_up, known }, opinions, &proofs)
}

/// A primary with so many replicas.
fn leads(replicas: usize) -> Proof {
    Proof::Primary { replicas, offset: 10 }
}

/// The ports of the servers that are asked.
fn asked(
    (held, state, given_up): (Option<&Service>, PrimaryState, Option<&GivenUp>),
    opinions: &[Opinion],
) -> Vec<u16> {
    let asked = disputed(Knowledge { held, state, given_up, known: 3 }, opinions);
    let port = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp { port, .. } => *port,
        _ => 0,
    };
    asked.iter().map(port).collect()
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
    let parse = |place: &Value| {
        parse_opinion([&primary, place, &replicas, &sentinels].map(Some), &endpoint).unwrap().0
    };
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

/// Hosts and ports that are no address.
const NO_ADDRESS: [(&str, &str); 12] = [
    ("", "1"),
    ("?", "1"),
    ("0.0.0.0", "1"),
    ("::", "1"),
    ("[::]", "1"),
    ("NULL", "1"),
    ("10.0.0.1", "0"),
    ("10.0.0.1", ""),
    ("10.0.0.1", "-1"),
    ("10.0.0.1", "65536"),
    ("10.0.0.1", "port"),
    ("", ""),
];

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn list(words: &[&str]) -> Value {
    Value::Array(words.iter().map(|word| text(word)).collect())
}

fn parse(four: [Option<&Value>; 4]) -> Result<(Opinion, usize), String> {
    parse_opinion(four, &|host: &str, port| Endpoint::tcp(host, port))
}

/// An entry of REPLICAS or SENTINELS that cannot be read is left out and counted; the rest is used.
#[test]
fn one_bad_entry_is_one_entry() {
    let good = |port| list(&["ip", "10.0.0.1", "port", port, "flags", "slave"]);
    let mut bad: Vec<Value> = NO_ADDRESS
        .iter()
        .map(|(host, port)| list(&["name", "n", "ip", host, "port", port, "flags", "slave"]))
        .collect();
    bad.extend([
        Value::Null,
        Value::Int(1),
        text("10.0.0.1:3"),
        list(&[]),
        list(&["ip"]),
        list(&["ip", "10.0.0.1"]),
        list(&["port", "3"]),
        list(&["ip", "10.0.0.1", "port"]),
        Value::Array(vec![Value::Null; 4]),
    ]);
    let primary = list(&["ip", "10.0.0.1", "port", "1", "flags", "master", "config-epoch", "4"]);
    let whole = says(1, 4, 1).primary;
    for bad in &bad {
        for place in 0..3 {
            let mut entries = vec![good("2"), good("3")];
            entries.insert(place, bad.clone());
            let entries = Value::Array(entries);
            let read = parse([Some(&primary), None, Some(&entries), Some(&entries)]);
            let (opinion, left_out) = read.unwrap_or_else(|error| panic!("{bad:?}: {error}"));
            assert_eq!((opinion.epoch, &opinion.primary), (4, &whole), "{bad:?}");
            let replicas = opinion.replicas.iter().flat_map(|r| r.endpoint.clone());
            assert_eq!(replicas.collect::<Vec<_>>(), [at(2), at(3)], "{bad:?}");
            assert_eq!(opinion.sentinels, [at(2), at(3)], "{bad:?}");
            assert_eq!(left_out, 2, "{bad:?}");
        }
        // A list that is none tells nothing; the primary is known all the same.
        let read = parse([Some(&primary), None, Some(bad), Some(bad)]);
        let (opinion, _) = read.unwrap_or_else(|error| panic!("{bad:?}: {error}"));
        assert_eq!((&opinion.primary, opinion.replicas.len()), (&whole, 0), "{bad:?}");
    }
    // One that is listed twice is one, and would otherwise be waited for as two.
    let twice = Value::Array(vec![good("2"), good("3"), good("2")]);
    let (opinion, _) = parse([Some(&primary), None, Some(&twice), Some(&twice)]).unwrap();
    assert_eq!((opinion.replicas.len(), opinion.sentinels), (2, vec![at(2), at(3)]));
}

/// An epoch that is no number is the weakest, and does not keep the primary from being known.
#[test]
fn an_epoch_that_is_no_number_is_zero() {
    for (told, epoch) in [
        ("4", 4),
        ("18446744073709551615", u64::MAX),
        ("", 0),
        ("-1", 0),
        ("x", 0),
        ("4.5", 0),
        ("18446744073709551616", 0),
    ] {
        let primary = list(&["ip", "10.0.0.1", "port", "1", "config-epoch", told]);
        let (opinion, _) = parse([Some(&primary), None, None, None]).unwrap();
        assert_eq!((opinion.epoch, opinion.primary), (epoch, at(1)), "{told:?}");
    }
}

/// What is no address is not taken for the primary's: the other reply tells it, or none does.
#[test]
fn a_primary_without_an_address_is_none() {
    for (host, port) in NO_ADDRESS {
        let bad = list(&["ip", host, "port", port, "config-epoch", "4"]);
        let good = list(&["ip", "10.0.0.1", "port", "1", "config-epoch", "4"]);
        let (bad_place, good_place) = (list(&[host, port]), list(&["10.0.0.1", "1"]));
        for (primary, place) in [(&bad, &good_place), (&good, &bad_place)] {
            let (opinion, _) = parse([Some(primary), Some(place), None, None]).unwrap();
            assert_eq!((opinion.epoch, opinion.primary), (4, at(1)), "{host:?} {port:?}");
        }
        let error = parse([Some(&bad), Some(&bad_place), None, None]).unwrap_err();
        assert!(error.contains("the primary has no address"), "{error}");
    }
    for none in [Value::Null, Value::Int(1), list(&["ip"]), list(&[])] {
        let (opinion, _) = parse([Some(&none), Some(&list(&["10.0.0.1", "1"])), None, None])
            .unwrap_or_else(|error| panic!("{none:?}: {error}"));
        assert_eq!((opinion.epoch, opinion.primary), (0, at(1)), "{none:?}");
        assert!(parse([Some(&none), None, None, None]).is_err(), "{none:?}");
    }
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
    let table: [(PrimaryState, &[Opinion], PrimaryChoice); 7] = [
        (Reachable, &[says(1, 0, 1), says(2, 0, 1), says(3, 0, 1)], PrimaryChoice::Keep),
        (Untried, &[says(1, 0, 1), says(2, 0, 1), says(3, 0, 1)], PrimaryChoice::Keep),
        (Unreachable, &[says(1, 0, 1), says(2, 0, 1)], PrimaryChoice::Doubt),
        (Unreachable, &[says(1, 0, 1), says(2, 0, 3), says(3, 0, 1)], PrimaryChoice::Doubt),
        (
            Unreachable,
            &[says(1, 0, 1), says(2, 0, 1), says(3, 0, 1)],
            PrimaryChoice::Take(held(0, 1)),
        ),
        (LongUnreachable, &[says(1, 0, 1)], PrimaryChoice::Take(held(0, 1))),
        (LongUnreachable, &[says(1, 0, 1), says(2, 0, 3)], PrimaryChoice::Doubt),
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

/// Two sentinels of one epoch name different servers: the one that answers and is a primary wins,
/// whatever its name is, whatever was known, and however many sentinels name the other.
#[test]
fn evidence_decides_where_sentinels_of_one_epoch_differ() {
    let (one, two) = (says(1, 3, 1), says(2, 3, 2));
    let both = [one.clone(), two.clone()];
    type Row<'a> = (&'a str, Option<Service>, &'a [Opinion], [Proof; 2], Option<u16>);
    let most = [one.clone(), two.clone(), says(3, 3, 1)];
    let alone = [one.clone()];
    let table: &[Row<'_>] = &[
        ("the other is dead", None, &both, [leads(0), Proof::None], Some(1)),
        ("the other is dead", None, &both, [Proof::None, leads(0)], Some(2)),
        ("the known one is dead", Some(held(3, 1)), &both, [Proof::None, leads(0)], Some(2)),
        ("the known one lives", Some(held(3, 1)), &both, [leads(0), Proof::None], None),
        ("most name the dead one", None, &most, [Proof::None, leads(0)], Some(2)),
        (
            "most name the known, dead one",
            Some(held(3, 1)),
            &most,
            [Proof::None, leads(0)],
            Some(2),
        ),
        ("a cut off sentinel alone", Some(held(3, 2)), &alone, [Proof::None, leads(1)], None),
        ("both are: more replicas", None, &both, [leads(0), leads(1)], Some(2)),
        ("both are: more replicas", Some(held(3, 2)), &both, [leads(2), leads(1)], Some(1)),
        ("both are: more votes", None, &most, [leads(1), leads(1)], Some(1)),
        ("both are: the known one", Some(held(3, 1)), &both, [leads(1), leads(1)], None),
        ("one may not say", None, &both, [Proof::Unknown, Proof::None], Some(1)),
        ("neither is", Some(held(3, 1)), &both, [Proof::None, Proof::None], None),
    ];
    for (what, held, opinions, [first, second], expected) in table {
        for state in [Reachable, Unreachable] {
            let proofs = [(1, *first), (2, *second)];
            assert_eq!(asked((held.as_ref(), state, None), opinions), [1, 2], "{what}");
            let chosen = decide((held.as_ref(), state, None), 3, opinions, &proofs);
            assert_eq!(taken(chosen), *expected, "{what}, {state:?}");
            let mut turned = opinions.to_vec();
            turned.reverse();
            let chosen = decide((held.as_ref(), state, None), 3, &turned, &proofs);
            assert_eq!(taken(chosen), *expected, "{what}, {state:?}, turned");
        }
    }
    // Sentinels that know of no other ones are two all the same.
    let strangers = both.map(|opinion| Opinion { sentinels: Vec::new(), ..opinion });
    let chosen = decide((None, Reachable, None), 0, &strangers, &[(1, Proof::None), (2, leads(0))]);
    assert_eq!(taken(chosen), Some(2));
}

#[test]
fn servers_are_asked_only_where_sentinels_differ() {
    let agreed = [says(1, 3, 1), says(2, 3, 1), says(3, 2, 2)];
    assert!(asked((None, Reachable, None), &agreed).is_empty());
    assert!(asked((Some(&held(3, 1)), Reachable, None), &agreed).is_empty());
    // An ordinary failover: a later epoch.
    assert!(asked((Some(&held(2, 2)), Unreachable, None), &agreed).is_empty());
    assert_eq!(asked((Some(&held(3, 1)), Unreachable, None), &agreed), [1, 2]);
    assert!(asked((Some(&held(3, 1)), Unreachable, None), &agreed[..2]).is_empty(), "no other one");
}

/// A sentinel that is cut off has seen the latest failover, whose primary is dead; the others have
/// not, and their primary lives.
#[test]
fn what_nobody_can_reach_is_given_up() {
    let opinions = [says(1, 6, 1), says(2, 5, 2), says(3, 5, 2)];
    let (dead, alive) = (held(6, 1), held(5, 2));
    let proofs = [(1, Proof::None), (2, leads(1))];
    assert_eq!(taken(choose(None, Reachable, 3, &opinions)), Some(1), "the latest failover");
    let after = |state| decide((Some(&dead), state, None), 3, &opinions, &proofs);
    assert_eq!(after(Reachable), PrimaryChoice::Keep, "it is connected");
    assert_eq!(after(Unreachable), PrimaryChoice::Doubt, "it may come back");
    assert_eq!(after(Untried), PrimaryChoice::Doubt, "a dial has no answer yet, nor has ROLE");
    assert_eq!(after(LongUnreachable), PrimaryChoice::Take(alive.clone()));
    // From then on it does not count, until it says itself that it is a primary.
    let gone = (at(1), 6);
    let given_up = (Some(&alive), Reachable, Some(&gone));
    assert_eq!(asked(given_up, &opinions), [1, 2]);
    assert_eq!(decide(given_up, 3, &opinions, &proofs), PrimaryChoice::Keep);
    let back = [(1, leads(0)), (2, leads(1))];
    assert_eq!(taken(decide(given_up, 3, &opinions, &back)), Some(1), "its epoch is later");
    let next = [says(1, 7, 1), says(2, 5, 2)];
    assert_eq!(taken(decide(given_up, 3, &next, &[])), Some(1), "a later failover");
    // Nobody proves to be a primary: the latest failover counts.
    let nobody = [(1, Proof::None), (2, Proof::None)];
    let chosen = decide((Some(&dead), LongUnreachable, None), 3, &opinions, &nobody);
    assert_eq!(chosen, PrimaryChoice::Keep);
    // Sentinels of older epochs that do not agree: evidence decides, after a while.
    let split = [says(1, 0, 2), says(2, 0, 3)];
    let proofs = [(1, Proof::None), (2, Proof::None), (3, leads(0))];
    let after = |state| decide((Some(&dead), state, None), 3, &split, &proofs);
    assert_eq!(after(Unreachable), PrimaryChoice::Doubt);
    assert_eq!(taken(after(LongUnreachable)), Some(3));
}

#[test]
fn a_role_is_read() {
    let text = |text: &str| Value::Text(text.to_owned());
    let replica = Value::Array(vec![text("10.0.0.2"), text("1"), text("5")]);
    let primary = vec![text("master"), Value::Int(9), Value::Array(vec![replica])];
    assert_eq!(parse_role(&Value::Array(primary)), Proof::Primary { replicas: 1, offset: 9 });
    let replica = vec![text("slave"), text("10.0.0.1"), Value::Int(1), text("connected")];
    for other in [Value::Array(replica), Value::Null, Value::Array(Vec::new())] {
        assert_eq!(parse_role(&other), Proof::None);
    }
}

// spec: messages as sentinels of Redis 6 to 8 and Valkey 8 publish them.
#[test]
fn a_message_is_about_one_service() {
    let table = [
        ("+switch-master", "mymaster2 10.0.0.1 1 10.0.0.1 2", Some("mymaster2")),
        ("+sdown", "master mymaster2 10.0.0.1 1", Some("mymaster2")),
        ("+odown", "master mymaster 10.0.0.1 1 #quorum 2/2", Some("mymaster")),
        ("+slave", "slave 10.0.0.2:1 10.0.0.2 1 @ mymaster 10.0.0.1 1", Some("mymaster")),
        ("+sdown", "sentinel mymaster 10.0.0.9 26379 @ other 10.0.0.1 1", Some("other")),
        ("+sdown", "slave mymaster", None),
        ("+sdown", "", None),
        ("+switch-master", "", Some("")),
    ];
    for (channel, message, service) in table {
        assert_eq!(announced_service(channel, message), service, "{channel} {message}");
    }
}

/// Two sentinels may know different replicas in one epoch, see them differently, or be asked under
/// two names. Whichever answers first, the choice is the same one.
#[test]
fn the_order_of_the_answers_does_not_matter() {
    let mut rng = crate::rng::Rng::new(7);
    for _ in 0..2000 {
        let opinion = |rng: &mut crate::rng::Rng| {
            let mut below = |n| rng.below(n);
            let (who, epoch, port) = (below(3) as u8 + 1, below(2), below(2) as u16 + 1);
            let healths = [ReportedHealth::Online, ReportedHealth::Suspected];
            let replicas = (0..below(3)).map(|_| NodeView {
                health: healths[below(2) as usize],
                offset: Some(below(3)),
                ..NodeView::provisional(&Endpoint::tcp("10.0.0.2", below(3) as u16 + 1))
            });
            let replicas = replicas.collect();
            let primary_down = below(4) == 0;
            Opinion { primary_down, replicas, ..says(who, epoch, port) }
        };
        let opinions: Vec<Opinion> = (0..4).map(|_| opinion(&mut rng)).collect();
        let proofs = [(1, leads(rng.below(2) as usize)), (2, leads(rng.below(2) as usize))];
        let known = (rng.below(2) == 0).then(|| held(rng.below(3), 1));
        let state = [Reachable, Untried, Unreachable, LongUnreachable][rng.below(4) as usize];
        let chosen = |order: [usize; 4]| {
            let opinions = order.map(|index| opinions[index].clone());
            decide((known.as_ref(), state, None), 3, &opinions, &proofs)
        };
        let expected = chosen([0, 1, 2, 3]);
        for first in 0..4 {
            for (left, right) in [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)] {
                let rest = 6 - left - right;
                let order = [0, left, right, rest].map(|step| (first + step) % 4);
                assert_eq!(chosen(order), expected, "{order:?} of {opinions:?}");
            }
        }
    }
}
