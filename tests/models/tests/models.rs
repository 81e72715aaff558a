//! Runs the models. They are functions of the crate, so that the client's files are compiled
//! without their unit tests, which need the standard locks.

use slotcar_models::budget;
use slotcar_models::hand_over;
use slotcar_models::health;
use slotcar_models::policy;
use slotcar_models::shared_future;

#[test]
fn budget_every_caller_that_waits_gets_its_room() {
    budget::every_caller_that_waits_gets_its_room();
}

#[test]
fn budget_a_caller_that_leaves_holds_no_other_up() {
    budget::a_caller_that_leaves_holds_no_other_up();
}

#[test]
fn hand_over_no_request_for_a_turn_is_lost() {
    hand_over::no_request_for_a_turn_is_lost();
}

#[test]
fn hand_over_no_call_of_a_stream_is_lost() {
    hand_over::no_call_of_a_stream_is_lost();
}

#[test]
fn hand_over_a_driver_that_gives_up_leaves_no_caller_asleep() {
    hand_over::a_driver_that_gives_up_leaves_no_caller_asleep();
}

#[test]
fn health_one_trial_at_a_time() {
    health::one_trial_at_a_time();
}

#[test]
fn health_one_probe_at_a_time() {
    health::one_probe_at_a_time();
}

#[test]
fn health_one_check_at_a_time() {
    health::one_check_at_a_time();
}

#[test]
fn health_a_trial_that_fails_quarantines_the_node_again() {
    health::a_trial_that_fails_quarantines_the_node_again();
}

#[test]
fn health_counts_return_to_zero() {
    health::counts_return_to_zero();
}

#[test]
fn policy_a_read_never_finds_settings_older_than_its_mode() {
    policy::a_read_never_finds_settings_older_than_its_mode();
}

#[test]
fn policy_two_switches_do_not_mix() {
    policy::two_switches_do_not_mix();
}

#[test]
fn shared_future_every_task_gets_the_output() {
    shared_future::every_task_gets_the_output();
}

#[test]
fn shared_future_a_task_that_goes_away_takes_no_call_with_it() {
    shared_future::a_task_that_goes_away_takes_no_call_with_it();
}
