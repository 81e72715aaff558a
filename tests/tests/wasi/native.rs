use crate::control;
use crate::guest::Guest;

fn staged(suite: &str) {
    let Some(guest) = Guest::named("staged") else { return };
    guest.env("SLOTCAR_CONTROL", &control::start().to_string()).run_tests("2", &[suite]);
}
#[test]
fn probe() {
    staged(&std::env::var("PROBE").unwrap());
}
