//! The native suites inside of components, from the same files: which tests run there, which
//! cannot, and why.
//!
//! | native files | inside |
//! |---|---|
//! | `tests/tests/commands`, `cluster/routing.rs`, `cluster/spread.rs` | on the reactor alone |
//! | `tests/tests/cluster`, `sentinel`, `reads`, `pubsub`, `transactions`, `faults` | on a stage |
//! | `tests/tests/callers/{cancel,parked,writes}.rs` | on a stage |
//! | `tests/tests/callers/{executors,runtimes,sockets}.rs` | no: reactors, unix sockets |
//! | `tests/tests/callers/dropped.rs` | no: its server is in memory, its corpus in files |
//! | `tests/tests/counters` | no: counters are the core's, on every host the same |
//! | `tests/tests/harness` | no: it tests the harness, which runs outside |
//! | `tests/sim/tests/serve.rs` | on a stage, for simulated servers on TCP |
//! | the other files of `tests/sim/tests` | no: the simulator is a host of its own |
//!
//! `transport-wasi/tests/staged/stage.rs` says what a stage is and what it cannot find;
//! the twins in `transport-wasi/tests/suites` run failovers, moves, subscriptions and reads from
//! replicas on the reactor alone. Of the files on a stage every test runs but those in
//! [`CANNOT`]. A test that is added to a file runs here, too.

use crate::control;
use crate::guest::Guest;
use std::sync::{Mutex, PoisonError};

/// Tests that no component can run, by the beginning of their names, and why.
///
/// The transport has no background task: the client notices something only while a call is awaited.
/// This is what a component is promised (`slotcar_wasi`), but some tests wait for more.
const CANNOT: &[(&str, &[&str])] = &[
    (
        "its server is a script, which runs on a thread of the harness: a component has no threads",
        &[
            "cluster::addresses::nodes_that_are_folded_into_one_address_are_refused_with_a_reason",
            "faults::bad_bytes::a_malformed_value",
            "faults::bad_bytes::a_reply_without_a_command",
            "faults::bad_bytes::a_server_that_closes_at_once",
            "faults::bad_bytes::at_the_first_byte",
            "faults::bad_bytes::in_the_middle",
            "faults::bad_bytes::pushes_are_kept_apart_from_replies",
            "faults::bad_bytes::replies_before_a_violation_count",
            "faults::budget::",
            "faults::deadlines::attempts_share_the_deadline",
            "faults::dialling::a_black_hole_while_connecting",
            "faults::dialling::a_dial_ends_with_the_calls_that_wait_for_it",
            "faults::handshake::half_a_handshake_is_none",
            "faults::handshake::nothing_is_sent_before_the_handshake_is_whole",
            "faults::handshake::resp2_never_says_hello",
            "faults::connections::a_huge_reply_does_not_stall_small_calls",
            "faults::refusals::pauses_grow_and_differ",
            "faults::refusals::what_each_code_means",
            "pubsub::confirmations::",
            "transactions::a_transaction_that_is_discarded_though_no_key_was_watched_is_an_error",
        ],
    ),
    (
        "an idle client must notice something, which needs a background task",
        &[
            "faults::cuts::a_stream_that_breaks_while_writing",
            "faults::connections::all_connections_are_dialled",
            "faults::server_state::closed_while_idle",
            "pubsub::follow::a_black_hole_below_an_idle_subscriber_is_noticed",
            "pubsub::follow::a_silent_server_is_noticed",
            "pubsub::follow::subscriptions_follow_new_addresses",
            "pubsub::follow::what_was_removed_while_disconnected_does_not_come_back",
            "pubsub::many::a_password_that_was_changed_back_is_all_it_takes",
            "pubsub::slow::a_slow_reader_may_be_disconnected",
            "sentinel::a_half_open_link_to_a_sentinel_is_noticed",
        ],
    ),
    (
        "announcements of sentinels must be read at once, which needs a background task: without \
         one, sentinels are queried at an interval",
        &[
            "reads::places::replicas_that_sentinels_announce_are_read_from_through_a_failover",
            "sentinel::one_sentinel_of_three_is_enough_to_follow_a_failover",
            "sentinel::sentinels_with_an_old_view_move_no_client_back",
            "sentinel::writes_leave_a_demoted_primary_that_is_alive",
        ],
    ),
    (
        "it depends on what happens within a millisecond, which is a turn of the stage",
        &[
            "faults::dialling::a_port_that_refuses",
            "reads::faults::a_slow_replica_is_left_and_taken_back",
        ],
    ),
    (
        "the test itself has a thread that waits for the client",
        &["pubsub::slow::a_million_messages_come", "transactions::cluster::a_slot_that_is_torn"],
    ),
    (
        "the test reads its memory use from the system",
        &["pubsub::many::ten_thousand_channels_follow_a_failover"],
    ),
    (
        "its cluster is prepared with sixteen thousand commands, each on a connection of its own",
        &["cluster::healing::a_node_without_a_slot_is_no_cluster_to_start_with"],
    ),
    ("it runs programs: redis-cli, Python", &["simulated::redis_cli", "simulated::redis_py"]),
    (
        "it runs on the reactor alone, in another component",
        &["cluster::routing::", "cluster::spread::"],
    ),
    ("it tests the harness", &["real::"]),
];

/// Tests at a time, of all components together: most of them wait for servers, but a component that
/// gets no time on the processor misses its deadlines.
const AT_ONCE: &str = "3";

/// Held while a component runs tests.
static ONE: Mutex<()> = Mutex::new(());

/// Runs the tests of a component that `arguments` choose, while no other component runs any.
pub(crate) fn run(component: &str, arguments: &[&str]) {
    let Some(guest) = Guest::named(component) else { return };
    // A failure of another component does not stop this one.
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let control = control::start().to_string();
    guest.env("SLOTCAR_CONTROL", &control).run_tests(AT_ONCE, arguments);
}

/// Runs the tests whose names begin so, except those in [`CANNOT`].
fn staged(suite: &str) {
    let names = CANNOT.iter().flat_map(|(_, names)| *names);
    let skipped = names.flat_map(|name| ["--skip", name]);
    let arguments: Vec<&str> = std::iter::once(suite).chain(skipped).collect();
    run("staged", &arguments);
}

#[test]
fn callers() {
    staged("callers::");
}

#[test]
fn clusters() {
    staged("cluster::");
}

#[test]
fn faults() {
    staged("faults::");
}

#[test]
fn pubsub() {
    staged("pubsub::");
}

#[test]
fn reads() {
    staged("reads::");
}

#[test]
fn sentinels() {
    staged("sentinel::");
}

#[test]
fn simulated_servers() {
    staged("simulated::");
}

#[test]
fn transactions() {
    staged("transactions::");
}

/// A test that was renamed must not stay in the list under its old name.
#[test]
fn what_cannot_run_exists() {
    let Some(guest) = Guest::named("staged") else { return };
    let listed = guest.list();
    for name in CANNOT.iter().flat_map(|(_, names)| *names) {
        assert!(listed.lines().any(|line| line.starts_with(name)), "no test is named {name}");
    }
}
