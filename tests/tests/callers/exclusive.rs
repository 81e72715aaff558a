//! More blocking calls than there are connections for them: they wait for their turn, or fail with
//! an error that names the setting.

use super::{BACKGROUNDS, config, server};
use futures::future::{join, join_all};
use slotcar::config::WhenFull;
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{bounded, run};
use slotcar_tests::{ExpectedError, Watched};
use std::time::Duration;

/// Calls that block at once.
const CALLS: usize = 10;

/// Each waits for its turn, and none of them fails.
#[test]
fn blocking_calls_beyond_the_limit_wait_for_a_connection() {
    for background in BACKGROUNDS {
        let server = server();
        let smol = Watched::new(Smol::new());
        let transport = if background { smol } else { smol.without_background() };
        let config = config(&server.url()).exclusive_connections_max(2);
        let client = run(Client::connect(transport, config)).expect("the server is there");
        let pops =
            (0..CALLS).map(|_| client.send::<(String, usize)>(cmd("BLPOP").key("list").arg(0)));
        let push = async {
            for n in 0..CALLS {
                client.rpush("list", n).await.expect("it needs no connection of its own");
            }
        };
        let (popped, ()) = run(bounded(join(join_all(pops), push)));
        let mut popped: Vec<usize> =
            popped.into_iter().map(|one| one.expect("a value").1).collect();
        popped.sort_unstable();
        assert!(popped.into_iter().eq(0..CALLS));
        let node = &client.metrics().nodes[0];
        assert_eq!((node.exclusive_busy, node.exclusive_idle), (0, 2));
        assert!(server.client_count() <= 4, "two that block, one shared, and the test's own");
    }
}

/// One that does not wait, and one that waits too long: both name the setting.
#[test]
fn an_error_names_the_setting() {
    let server = server();
    for (when_full, kind) in
        [(WhenFull::Fail, ErrorKind::Limit), (WhenFull::Wait, ErrorKind::Timeout)]
    {
        let config = config(&server.url()).exclusive_connections_max(1).when_full(when_full);
        let client = run(Client::connect(Smol::new(), config)).expect("the server is there");
        let caller = client.clone();
        let blocking = smol::spawn(async move {
            let pop = cmd("BLPOP").key("list").arg(0);
            bounded(caller.send::<(String, String)>(pop)).await
        });
        slotcar_tests::real::wait::until_true("it to block", || {
            server.info("clients")["blocked_clients"] == "1"
        });
        let late = client.with_timeout(Duration::from_millis(100));
        let pop = cmd("BLPOP").key("list").arg(0);
        let told = ExpectedError::new(kind, Delivery::NotSent).command("BLPOP");
        told.at(server.address())
            .says("raise exclusive_connections_max")
            .check_err(run(bounded(late.send::<(String, String)>(pop))));
        run(client.rpush("list", "v")).expect("good");
        run(blocking).expect("it was served");
    }
}
