//! Every count, every state of a node and every event, each with a test that fails if it is not
//! told, or told twice.
//!
//! Invariant: the lists are complete. A field or a variant that has no row does not compile, and a
//! row whose test is gone, or says nothing of it, fails.

use crate::driver::environment::events::Event;
use crate::driver::environment::metrics::{Metrics, NodeMetrics, NodeState};
use std::path::Path;

/// What is told, and the file and the name of a test of it.
type Row = (&'static str, &'static str, &'static str);

/// The rows of a struct: one for each of its fields.
macro_rules! fields {
    ($list:ident, $of:ident { $($field:ident: $file:literal $test:literal,)* }) => {
        const $list: &[Row] = &[$((stringify!($field), $file, $test)),*];
        const _: fn($of) = |$of { $($field: _),* }| {};
    };
}

/// The rows of an enum: one for each of its variants.
macro_rules! variants {
    ($list:ident, $of:ident { $($variant:ident: $file:literal $test:literal,)* }) => {
        const $list: &[Row] =
            &[$((concat!("::", stringify!($variant)), $file, $test)),*];
        const _: fn(&$of) = |one| match one { $($of::$variant { .. } => {})* };
    };
}

fields! { METRICS, Metrics {
    dials: "tests/tests/counters/standalone.rs" "each_connection_is_one_dial",
    dials_failed: "tests/tests/counters/standalone.rs"
        "a_refused_handshake_of_a_blocking_command_is_a_failed_dial",
    dial_time: "tests/tests/counters/standalone.rs"
        "the_time_of_dials_is_the_sum_of_what_events_tell",
    name_time: "tests/tests/counters/standalone.rs"
        "the_time_of_dials_is_the_sum_of_what_events_tell",
    retries: "core/src/driver/dispatch/single/tests.rs" "attempts_are_counted_as_what_they_are",
    redirects: "core/src/driver/dispatch/single/tests.rs" "attempts_are_counted_as_what_they_are",
    refreshes: "tests/tests/counters/cluster.rs" "a_refresh_that_is_asked_for_is_one_refresh",
    refreshes_failed: "tests/tests/counters/cluster.rs"
        "a_refresh_that_nobody_answers_is_counted_as_failed",
    refresh_failure: "tests/tests/counters/cluster.rs"
        "a_refresh_that_nobody_answers_is_counted_as_failed",
    entries_left_out: "core/src/client/connect/tests.rs"
        "what_a_sentinel_says_wrong_is_left_out_and_not_dialled",
    nodes: "tests/tests/counters/cluster.rs" "nodes_are_those_of_the_cluster",
} }

fields! { NODES, NodeMetrics {
    id: "tests/tests/counters/cluster.rs" "nodes_are_those_of_the_cluster",
    endpoint: "tests/tests/counters/cluster.rs" "nodes_are_those_of_the_cluster",
    primary: "tests/tests/counters/cluster.rs" "nodes_are_those_of_the_cluster",
    state: "tests/tests/counters/standalone.rs"
        "a_node_with_one_of_two_connections_is_connected",
    in_flight: "tests/tests/counters/standalone.rs"
        "commands_in_flight_are_counted_over_all_connections",
    exclusive_busy: "tests/tests/counters/standalone.rs"
        "exclusive_connections_are_busy_and_then_idle",
    exclusive_idle: "tests/tests/counters/standalone.rs"
        "exclusive_connections_are_busy_and_then_idle",
} }

variants! { STATES, NodeState {
    Connected: "tests/tests/counters/standalone.rs"
        "a_node_with_one_of_two_connections_is_connected",
    Failing: "tests/tests/counters/standalone.rs"
        "a_lost_server_is_told_once_and_once_when_it_is_back",
    Idle: "tests/tests/counters/cluster.rs" "nodes_are_those_of_the_cluster",
} }

variants! { EVENTS, Event {
    ClusterReplaced: "tests/sim/tests/identity.rs"
        "a_cluster_that_was_set_up_anew_at_the_same_addresses_is_accepted",
    Connected: "tests/tests/counters/standalone.rs" "each_connection_is_one_dial",
    CoverageComplete: "tests/tests/counters/cluster.rs"
        "uncovered_slots_are_told_and_when_they_are_served_again",
    CoverageIncomplete: "tests/tests/counters/cluster.rs"
        "uncovered_slots_are_told_and_when_they_are_served_again",
    ForeignNode: "tests/sim/tests/identity.rs"
        "a_node_that_joins_another_cluster_is_told_and_gets_no_command",
    Lagged: "core/src/driver/environment/telemetry.rs"
        "a_slow_listener_learns_how_many_it_lost",
    NodeBack: "tests/tests/counters/standalone.rs"
        "a_lost_server_is_told_once_and_once_when_it_is_back",
    NodeLost: "tests/tests/counters/standalone.rs"
        "a_lost_server_is_told_once_and_once_when_it_is_back",
    RefreshFailed: "tests/tests/counters/cluster.rs"
        "a_refresh_that_nobody_answers_is_counted_as_failed",
    Refreshed: "tests/tests/counters/cluster.rs" "a_refresh_that_is_asked_for_is_one_refresh",
    SlotMoved: "tests/tests/counters/cluster.rs" "a_moved_slot_is_one_redirect_and_one_event",
    WrongNode: "tests/sim/tests/identity.rs"
        "an_address_that_goes_to_a_node_of_another_cluster_gets_no_command",
} }

#[test]
fn each_count_and_event_has_a_test_that_names_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rows = [METRICS, NODES, STATES, EVENTS].concat();
    for (name, file, test) in rows {
        let text = std::fs::read_to_string(root.join(file));
        let text = text.unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
        let Some((_, test_text)) = text.split_once(&format!("\nfn {test}(")) else {
            // Tests within a module of the file they test are indented.
            assert!(text.contains(&format!("fn {test}(")), "{name}: {file} has no test {test}");
            assert!(text.contains(name), "{name}: {file} does not name it");
            continue;
        };
        let own = test_text.split("\n}\n").next().unwrap_or(test_text);
        let helped = || {
            text.split("\nfn ").any(|part| {
                let helper = part.split('(').next().unwrap_or_default();
                let (lines, calls) = (part.split("\n}\n").next(), format!("{helper}("));
                own.contains(&calls) && lines.is_some_and(|lines| lines.contains(name))
            })
        };
        assert!(own.contains(name) || helped(), "{name}: {test} of {file} does not name it");
    }
}
