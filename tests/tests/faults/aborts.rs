//! What was given up does not run behind what came later: connections on which replies are owed are
//! reset, and the kernel discards what it has not sent.
//!
//! A reset does not call back what has reached the server's host. Linux lets a server read that,
//! and a server reads its older connections first.

use super::config;
use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery};
use slotcar_tcp::{Smol, Tokio};
use slotcar_tests::polling::run;
use slotcar_tests::real::Server;
use slotcar_tests::real::wait::until_true;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Calls to a server that stands still are given up after this time, and its connection as well.
const SILENCE: Duration = Duration::from_millis(500);
/// Values that fill the kernel's buffers: more than both sides together hold.
const FILLERS: u32 = 700;
/// Bytes of each.
const FILLER: usize = 64 * 1024;

fn impatient(server: &Server) -> Config {
    config(&server.url()).progress_timeout(SILENCE)
}

/// A client on smol's reactor, or on that of the runtime.
fn connect(runtime: Option<&Runtime>, server: &Server) -> Client {
    let config = impatient(server);
    let client = match runtime {
        Some(runtime) => run(Client::connect(Tokio::new(runtime.handle().clone()), config)),
        None => run(Client::connect(Smol::new(), config)),
    };
    client.expect("it is up")
}

/// The server stands still until its buffer and the client's are full. What is in the client's has
/// an unknown outcome, for the core has written it; it must never run.
#[test]
fn what_the_kernel_still_holds_is_discarded() {
    let runtime = Runtime::new().expect("a runtime");
    for server in super::servers() {
        for runtime in [None, Some(&runtime)] {
            let client = connect(runtime, &server);
            until_true("the client before to be gone", || server.client_count() == 1);
            server.call(&["FLUSHALL"]).ok();
            run(client.ping()).expect("PING");
            server.pause();
            let value = "x".repeat(FILLER);
            // A new connection is opened once the silent one has used up the progress timeout:
            // nothing is written there before all calls have ended.
            let brief = client.with_timeout(SILENCE);
            let set = |number: u32| brief.set(format!("filler {number}"), &value);
            let errors = run(join_all((0..FILLERS).map(set)));
            let errors = errors.into_iter().map(|result| result.expect_err("it stands still"));
            let errors = Vec::from_iter(errors);
            let unknown = |at: &usize| errors[*at].delivery() == Delivery::Unknown;
            let last = (0..errors.len()).rev().find(unknown).expect("some were written");
            let unsent = errors.len() - 1 - last;
            assert!(unsent > 0, "the buffers took everything");
            server.resume();
            // On a new connection; the old one's end is read after all that came on it.
            run(client.ping()).expect("PING");
            until_true("the old connection to end", || server.client_count() <= 1);
            let key = format!("filler {last}");
            assert_eq!(server.call(&["EXISTS", &key]).integer(), Some(0), "{key}, {unsent} unsent");
        }
    }
}

/// A write that was given up and one that was acknowledged later: the later one stays.
#[test]
fn a_write_that_was_given_up_does_not_undo_a_later_one() {
    let runtime = Runtime::new().expect("a runtime");
    for server in super::servers() {
        for runtime in [None, Some(&runtime)] {
            let client = connect(runtime, &server);
            until_true("the client before to be gone", || server.client_count() == 1);
            for round in 0..3 {
                run(client.ping()).expect("PING");
                server.pause();
                let brief = client.with_timeout(SILENCE * 2);
                let old = run(brief.set("k", format!("old {round}")));
                let old = old.expect_err("it stands still");
                assert_eq!(old.delivery(), Delivery::Unknown, "{old}");
                server.resume();
                let new = format!("new {round}");
                run(client.set("k", &new)).expect("SET");
                until_true("the old connection to end", || server.client_count() <= 1);
                assert_eq!(run(client.get::<String>("k")).expect("GET"), new);
            }
        }
    }
}
