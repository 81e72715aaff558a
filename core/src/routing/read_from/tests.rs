//! Every policy as a table, and what holds for all of them as properties.

use super::*;
use crate::config::ReadPolicy;
use crate::endpoint::Endpoint;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn replica() -> NodeRow {
    NodeRow {
        is_primary: false,
        in_zone: false,
        due: CheckDue::Not,
        skip: None,
        is_spare: false,
        in_flight: 0,
        latency: MS,
    }
}

fn primary() -> NodeRow {
    NodeRow { is_primary: true, ..replica() }
}

fn down() -> NodeRow {
    NodeRow { skip: Some(SkipReason::Quarantined), ..replica() }
}

fn here(row: NodeRow) -> NodeRow {
    NodeRow { in_zone: true, ..row }
}

fn chosen(policy: &ReadFrom, rows: &[NodeRow], turn: u64) -> Option<(usize, ChosenFor)> {
    // One number for each turn, spread like random ones.
    let chance = (turn + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    choose(policy, rows, turn, chance).map(|choice| (choice.index, choice.how))
}

/// How often each row is chosen in 3000 turns.
fn counts(policy: &ReadFrom, rows: &[NodeRow]) -> Vec<usize> {
    let mut counts = vec![0; rows.len()];
    for turn in 0..3000 {
        if let Some((index, _)) = chosen(policy, rows, turn) {
            counts[index] += 1;
        }
    }
    counts
}

fn zone() -> ReadFrom {
    ReadFrom::Zone("a".into())
}

fn policies() -> Vec<ReadFrom> {
    let mut all = vec![ReadFrom::Primary, ReadFrom::PreferReplica, ReadFrom::Replica, zone()];
    for among in [Among::Replicas, Among::All] {
        all.push(ReadFrom::RoundRobin(among));
        all.push(ReadFrom::Random(among));
        all.push(ReadFrom::Nearest(among));
        all.push(ReadFrom::LeastLoaded(among));
    }
    all
}

/// Policies that never read from the primary.
fn is_strict(policy: &ReadFrom) -> bool {
    let text = policy.to_string();
    text == "replica" || text.ends_with(":replicas")
}

#[test]
fn one_node_that_can_answer_is_taken_and_without_one_there_is_no_choice() {
    for policy in policies() {
        let rows = [primary(), down(), replica()];
        let picked = chosen(&policy, &rows, 0).map(|(index, _)| index);
        match policy.to_string().as_str() {
            "primary" => assert_eq!(picked, Some(0)),
            text if text.ends_with(":all") => assert!(matches!(picked, Some(0 | 2)), "{text}"),
            text => assert_eq!(picked, Some(2), "{text}"),
        }
        let rows = [primary(), down(), down()];
        let expected = match &policy {
            strict if is_strict(strict) => None,
            ReadFrom::PreferReplica | ReadFrom::Zone(_) => Some((0, ChosenFor::Fallback)),
            _ => Some((0, ChosenFor::Policy)),
        };
        assert_eq!(chosen(&policy, &rows, 7), expected, "{policy}");
        assert_eq!(chosen(&policy, &[], 0), None, "{policy}: no node at all");
    }
}

#[test]
fn a_primary_that_cannot_answer_is_no_fallback() {
    let rows = [NodeRow { skip: Some(SkipReason::Tried), ..primary() }, down()];
    for policy in policies().into_iter().filter(|policy| *policy != ReadFrom::Primary) {
        assert_eq!(chosen(&policy, &rows, 0), None, "{policy}");
    }
}

#[test]
fn a_replica_without_its_primary_is_used_when_no_other_node_can_be() {
    let spare = NodeRow { is_spare: true, ..replica() };
    for policy in policies().into_iter().filter(|policy| *policy != ReadFrom::Primary) {
        let rows = [NodeRow { skip: Some(SkipReason::Tried), ..primary() }, spare, replica()];
        assert_eq!(
            chosen(&policy, &rows, 5),
            Some((2, ChosenFor::Policy)),
            "{policy}: a node that lost its primary is the last choice"
        );
        let rows = [NodeRow { skip: Some(SkipReason::Tried), ..primary() }, spare, down()];
        assert_eq!(
            chosen(&policy, &rows, 5),
            Some((1, ChosenFor::Policy)),
            "{policy}: for want of any"
        );
        let strict = is_strict(&policy);
        let picked = chosen(&policy, &[primary(), spare], 5).map(|(index, _)| index);
        assert_eq!(picked, Some(usize::from(strict)), "{policy}: the primary has all data");
    }
}

#[test]
fn round_robin_takes_each_in_turn_and_skips_those_that_cannot_answer() {
    let rows = [primary(), replica(), replica(), replica()];
    assert_eq!(counts(&ReadFrom::RoundRobin(Among::Replicas), &rows), [0, 1000, 1000, 1000]);
    assert_eq!(counts(&ReadFrom::RoundRobin(Among::All), &rows), [750, 750, 750, 750]);
    let rows = [primary(), replica(), down(), replica()];
    assert_eq!(counts(&ReadFrom::RoundRobin(Among::Replicas), &rows), [0, 1500, 0, 1500]);
}

#[test]
fn random_gives_each_about_the_same() {
    let rows = [primary(), replica(), replica()];
    for (among, range) in [(Among::Replicas, 1350..1650), (Among::All, 850..1150)] {
        let counts = counts(&ReadFrom::Random(among), &rows);
        assert!(counts[1..].iter().all(|count| range.contains(count)), "{counts:?}");
        assert_eq!(counts[0] == 0, among == Among::Replicas);
    }
}

#[test]
fn nearest_takes_the_fastest_and_equals_share() {
    let slow = NodeRow { latency: 50 * MS, ..replica() };
    let fast = NodeRow { latency: MS / 2, ..primary() };
    let alike = NodeRow { latency: MS * 6 / 5, ..replica() };
    let rows = [fast, slow, replica()];
    assert_eq!(counts(&ReadFrom::Nearest(Among::Replicas), &rows), [0, 0, 3000]);
    assert_eq!(counts(&ReadFrom::Nearest(Among::All), &rows), [3000, 0, 0]);
    let unknown = NodeRow { latency: 0, ..replica() };
    assert_eq!(counts(&ReadFrom::Nearest(Among::Replicas), &[fast, unknown, slow]), [0, 0, 3000]);
    let equal = counts(&ReadFrom::Nearest(Among::Replicas), &[primary(), replica(), replica()]);
    assert!(equal[1].min(equal[2]) > 1200, "{equal:?}");
    let equal = counts(&ReadFrom::Nearest(Among::Replicas), &[primary(), replica(), alike]);
    assert!(equal[1].min(equal[2]) > 1200, "a fifth is no difference: {equal:?}");
}

#[test]
fn least_loaded_weighs_what_is_in_flight_by_latency() {
    let policy = ReadFrom::LeastLoaded(Among::Replicas);
    let busy = NodeRow { in_flight: 9, ..replica() };
    assert_eq!(counts(&policy, &[primary(), busy, replica()]), [0, 0, 3000]);
    let slow = NodeRow { latency: 50 * MS, ..replica() };
    assert_eq!(counts(&policy, &[primary(), busy, slow]), [0, 3000, 0], "10 ms against 50 ms");
    let unknown = NodeRow { latency: 0, in_flight: 1, ..replica() };
    assert_eq!(counts(&policy, &[primary(), slow, unknown]), [0, 3000, 0], "by number alone");
    let three = counts(&policy, &[primary(), replica(), replica(), slow]);
    assert_eq!(three[3], 0, "the slowest of three loses every draw");
    assert!(three[1].min(three[2]) > 1000, "{three:?}");
}

#[test]
fn a_zone_falls_back_as_written() {
    let table = [
        (vec![primary(), here(replica()), replica()], Some((1, ChosenFor::Policy))),
        (vec![here(primary()), here(down()), replica()], Some((0, ChosenFor::Policy))),
        (vec![primary(), here(down()), replica()], Some((2, ChosenFor::Policy))),
        (vec![primary(), here(down()), down()], Some((0, ChosenFor::Fallback))),
    ];
    for (rows, expected) in table {
        assert_eq!(chosen(&zone(), &rows, 3), expected, "{rows:?}");
    }
}

#[test]
fn nodes_that_have_to_be_checked_go_first_within_the_set() {
    let trial = NodeRow { due: CheckDue::Trial, ..replica() };
    let probe = NodeRow { due: CheckDue::Probe, ..replica() };
    for policy in policies().into_iter().filter(|policy| *policy != ReadFrom::Primary) {
        let rows = [primary(), replica(), here(trial)];
        assert_eq!(chosen(&policy, &rows, 1), Some((2, ChosenFor::Trial)), "{policy}");
        let rows = [primary(), replica(), probe];
        let reckons = !matches!(policy, ReadFrom::RoundRobin(_) | ReadFrom::Random(_));
        let found = chosen(&policy, &rows, 1).is_some_and(|(_, how)| how == ChosenFor::Probe);
        assert_eq!(found, reckons, "{policy}");
    }
    let rows = [primary(), here(replica()), trial];
    assert_eq!(chosen(&zone(), &rows, 0), Some((1, ChosenFor::Policy)), "another zone can wait");
}

/// Takes the last healthy candidate.
struct Last;

impl ReadPolicy for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn choose(&self, candidates: &[Candidate<'_>], turn: u64) -> Option<usize> {
        if turn == 99 {
            return Some(candidates.len());
        }
        candidates.iter().rposition(|candidate| !candidate.is_quarantined)
    }
}

#[test]
fn a_custom_policy_sees_all_but_the_barred() {
    let policy = ReadFrom::custom(Last);
    let at = Endpoint::tcp("h", 1);
    let quarantined = Candidate { is_quarantined: true, ..Candidate::replica(&at) };
    let candidates =
        [Candidate::primary(&at), Candidate::replica(&at), Candidate::replica(&at), quarantined];
    let stale = NodeRow { skip: Some(SkipReason::Stale), ..replica() };
    let rows = [primary(), replica(), stale, down()];
    let choice = choose_custom(&policy, &rows, &candidates, 0).unwrap();
    assert_eq!(choice.index, 1, "the last of those that keep the bound");
    assert_eq!(choose_custom(&policy, &rows, &candidates, 99), None, "an index out of range");
    assert_eq!(policy.to_string(), "custom:last");
}

fn row() -> impl Strategy<Value = NodeRow> {
    let due = prop_oneof![
        3 => Just(CheckDue::Not),
        1 => Just(CheckDue::Probe),
        1 => Just(CheckDue::Trial)
    ];
    let skip = option::of(prop_oneof![
        Just(SkipReason::Quarantined),
        Just(SkipReason::Silent),
        Just(SkipReason::Stale),
        Just(SkipReason::Tried),
    ]);
    (any::<bool>(), due, skip, 0..100u32, 0..100 * MS).prop_map(
        |(in_zone, due, skip, in_flight, latency)| NodeRow {
            is_primary: false,
            in_zone,
            due,
            skip,
            is_spare: latency % 5 == 0,
            in_flight,
            latency,
        },
    )
}

proptest! {
    /// The shortcut for two healthy nodes makes the same choice as the table, for any two nodes.
    #[test]
    fn two_nodes_are_chosen_from_alike_with_and_without_a_table(
        loads in [(0_u32..9, 0_u64..9), (0_u32..9, 0_u64..9)],
        turn in any::<u64>(),
        chance in any::<u64>(),
        with_primary in any::<bool>(),
    ) {
        let row = |(in_flight, latency)| NodeRow { in_flight, latency, ..replica() };
        let [first, second] = loads.map(row);
        let (policies, rows, before) = if with_primary {
            let first = NodeRow { is_primary: true, ..first };
            (vec![ReadFrom::LeastLoaded(Among::All)], vec![first, second], 0)
        } else {
            let all = [ReadFrom::Replica, ReadFrom::PreferReplica];
            let all = all.into_iter().chain([ReadFrom::LeastLoaded(Among::Replicas)]).collect();
            (all, vec![primary(), first, second], 1)
        };
        for policy in policies {
            let choice = choose(&policy, &rows, turn, chance).expect("both nodes are healthy");
            prop_assert_eq!(choice.how, ChosenFor::Policy);
            prop_assert_eq!(choice.index - before, lighter_of_two(loads, chance));
        }
    }

    #[test]
    fn only_nodes_that_can_answer_are_chosen_and_the_primary_only_by_name(
        mut rows in vec(row(), 1..=ROWS_MAX),
        turn in any::<u64>(),
        chance in any::<u64>(),
    ) {
        rows[0].is_primary = true;
        for policy in policies() {
            let choice = choose(&policy, &rows, turn, chance);
            prop_assert_eq!(choice, choose(&policy, &rows, turn, chance), "the same again");
            if policy == ReadFrom::Primary {
                prop_assert_eq!(choice.map(|choice| choice.index), Some(0));
                continue;
            }
            let replica = rows[1..].iter().any(|row| row.skip.is_none());
            match choice {
                None => {
                    let primary = !is_strict(&policy) && rows[0].skip.is_none();
                    prop_assert!(!replica && !primary, "{} had a choice", policy);
                }
                Some(choice) => {
                    let row = &rows[choice.index];
                    prop_assert_eq!(row.skip, None, "{}", &policy);
                    prop_assert!(!(row.is_primary && is_strict(&policy)), "{}", &policy);
                    let whole = rows[1..].iter().any(|row| row.skip.is_none() && !row.is_spare);
                    if choice.how == ChosenFor::Fallback {
                        prop_assert!(row.is_primary && !whole, "{}", &policy);
                    }
                }
            }
        }
    }
}
