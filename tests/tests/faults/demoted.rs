//! A name that leads to a new primary while the old one lives on as its replica: a managed service
//! without cluster mode, a Kubernetes Service, a proxy in front of two servers.

use super::{BACKGROUNDS, config, connect, versions};
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{bounded, run};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Proxy, Server};
use slotcar_tests::{ExpectedError, Watched};
use std::time::Duration;

/// The first pause before a call is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A primary, its replica, and a name that leads to the first one.
struct Pair {
    old: Server,
    new: Server,
    name: Proxy,
}

impl Pair {
    fn all() -> impl Iterator<Item = Self> {
        versions().into_iter().map(|version| {
            let (old, new) = (Server::start(&version), Server::start(&version));
            let name = Proxy::to(old.address());
            let pair = Self { old, new, name };
            Self::replicate(&pair.new, &pair.old);
            pair
        })
    }

    /// Of the name, with as many attempts as the test has time for.
    fn config(&self) -> Config {
        let config = config(&self.name.url()).attempts_max(1000);
        config.backoff_base(PAUSE).backoff_cap(PAUSE * 10)
    }

    /// Makes a server the replica of another one, and waits until it is in step.
    fn replicate(replica: &Server, primary: &Server) {
        let (ip, port) = (primary.address().ip().to_string(), primary.address().port().to_string());
        replica.call(&["REPLICAOF", &ip, &port]);
        let is_up = || replica.info("replication").get("master_link_status").cloned();
        until_true("the replica to be in step", || is_up().as_deref() == Some("up"));
    }

    /// The two change roles. The name still leads to the old primary, which keeps its connections.
    fn swap_roles(&self) {
        self.new.call(&["REPLICAOF", "NO", "ONE"]);
        Self::replicate(&self.old, &self.new);
    }

    fn text(&self, key: &str) -> String {
        self.new.call(&["GET", key]).text().to_owned()
    }
}

async fn client(config: Config, background: bool) -> Client {
    let smol = Watched::new(Smol::new());
    let transport = if background { smol } else { smol.without_background() };
    Client::connect(transport, config).await.expect("the name leads to a server")
}

/// Every way to write: each finds the new primary by itself, and runs once.
#[test]
fn writes_follow_a_name_to_the_new_primary() {
    for pair in Pair::all() {
        for background in BACKGROUNDS {
            let name = &pair.name;
            let client = run(client(pair.config().connections_per_node(2), background));
            run(client.set("before", "1")).expect("good");
            let before = name.accepted();
            pair.swap_roles();
            name.retarget(pair.new.address());
            run(bounded(client.set("single", "1"))).expect("it is sent to the new primary");
            let pipeline = client.pipeline().add(cmd("INCR").key("piped"));
            let piped: (i64,) = run(bounded(pipeline.run())).expect("good");
            let transaction = client.transaction().add(cmd("INCR").key("counted"));
            let counted: (i64,) = run(bounded(transaction.run())).expect("good");
            let push = cmd("LPUSH").key("list").arg("v");
            let pushed: i64 = run(bounded(client.send(push))).expect("good");
            let pop = cmd("BLPOP").key("list").arg(1);
            let popped: (String, String) = run(bounded(client.send(pop))).expect("good");
            assert_eq!((piped.0, counted.0, pushed, popped.1.as_str()), (1, 1, 1, "v"));
            assert_eq!(pair.text("single"), "1");
            let dials = name.accepted() - before;
            assert!(dials <= 4, "two connections, one that blocks, and one more: {dials}");
            drop(client);
            pair.new.call(&["FLUSHALL"]);
            // Back again.
            pair.old.call(&["REPLICAOF", "NO", "ONE"]);
            Pair::replicate(&pair.new, &pair.old);
            name.retarget(pair.old.address());
        }
    }
}

/// The name follows later than the roles do: the call waits, and looks where the name leads.
#[test]
fn a_write_waits_until_the_name_leads_to_the_new_primary() {
    for pair in Pair::all() {
        let client = run(connect(pair.config())).expect("good");
        let before = pair.name.accepted();
        pair.swap_roles();
        let write = smol::spawn({
            let client = client.clone();
            async move { client.set("k", "v").await }
        });
        until_true("a second look", || pair.name.accepted() > before + 1);
        pair.name.retarget(pair.new.address());
        run(bounded(write)).expect("the name leads to the new primary");
        assert_eq!(pair.text("k"), "v");
    }
}

/// A server that is meant to take no writes: reads go on, and a write ends with what it says.
#[test]
fn a_server_that_stays_a_replica_serves_reads_while_writes_fail() {
    for pair in Pair::all() {
        pair.swap_roles();
        let client = run(connect(pair.config().attempts_max(8))).expect("good");
        let write = smol::spawn({
            let client = client.clone();
            async move { client.set("k", "v").await }
        });
        for _ in 0..200 {
            assert_eq!(run(client.get::<Option<String>>("k")).expect("a read"), None);
        }
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Refused).command("SET");
        let told = told.at(pair.name.address()).attempts(8..=8).code("READONLY");
        told.check_err(run(bounded(write)));
    }
}
