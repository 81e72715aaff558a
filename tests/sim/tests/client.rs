//! slotcar's client in simulated deployments: examples of a user's tests.
//!
//! `seeds` tests what the client promises under any mix of faults.

use slotcar::prelude::*;
use slotcar::{Delivery, Error, ErrorKind, Target, cmd};
use slotcar_sim::Sim;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn one_server() {
    Sim::standalone().run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        client.set("user:1", "Ada").await.unwrap();
        let name: Option<String> = client.get("user:1").await.unwrap();
        assert_eq!(name.as_deref(), Some("Ada"));
        sim.kill("a");
        let quick = client.with_timeout(MS * 200);
        assert!(quick.get::<Option<String>>("user:1").await.is_err());
        sim.restart("a");
        let name: Option<String> = client.get("user:1").await.unwrap();
        assert_eq!(name.as_deref(), Some("Ada"));
    });
}

#[test]
fn a_cluster_that_fails_over() {
    Sim::cluster(3, 1).seed(7).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        for key in ["foo", "bar", "hi"] {
            client.set(key, key).await.unwrap();
        }
        sim.advance(MS * 5).await;
        sim.kill("a");
        // Other shards do not notice.
        let start = sim.now();
        client.get::<String>("foo").await.unwrap();
        assert!(sim.now().since(start) < MS * 3);
        // This one is back as soon as its replica has taken over.
        let bar: String = client.with_timeout(Duration::from_secs(10)).get("bar").await.unwrap();
        assert_eq!(bar, "bar");
        assert!(sim.is_primary("a1"));
        sim.move_slot(Sim::slot_of("foo"), "b");
        assert_eq!(client.get::<String>("foo").await.unwrap(), "foo");
    });
}

#[test]
fn without_a_background() {
    Sim::cluster(3, 1).seed(8).run(|sim| async move {
        let transport = sim.transport().without_background();
        let client = slotcar::Client::connect(transport, sim.config()).await.unwrap();
        client.set("foo", 1).await.unwrap();
        sim.reset_connections("c");
        assert_eq!(client.get::<u32>("foo").await.unwrap(), 1);
    });
}

/// Callers share connections. A command that would take a connection from the other callers is
/// never sent, through no entry point, and the other callers are not affected.
#[test]
fn no_caller_changes_a_shared_connection() {
    for sim in [Sim::standalone(), Sim::cluster(3, 1)] {
        sim.run(|sim| async move {
            let client = sim.client(sim.config()).await.unwrap();
            client.set("k", 1).await.unwrap();
            let refused = |way: &str, error: Error| {
                let what = (error.kind(), error.delivery());
                assert_eq!(what, (ErrorKind::Config, Delivery::NotSent), "{way}: {error}");
            };
            let names = ["MULTI", "SELECT 1", "SUBSCRIBE c", "CLIENT REPLY OFF", "RESET", "QUIT"];
            for line in names.iter().copied().chain(["WATCH k", "AUTH x", "READONLY", "MONITOR"]) {
                let command = || {
                    let (name, rest) = match line.split_once(" OFF") {
                        Some((name, _)) => (name, "OFF"),
                        None => line.split_once(' ').unwrap_or((line, "")),
                    };
                    cmd(name).args(rest.split_whitespace().collect::<Vec<_>>())
                };
                refused(line, client.send::<String>(command()).await.unwrap_err());
                let to = client.send_to::<String>(Target::AnyPrimary, command()).await;
                refused(line, to.unwrap_err());
                refused(line, client.send_each(Target::AllNodes, command()).await.unwrap_err());
                let pipeline = client.pipeline().add(cmd("GET").key("k")).add(command());
                refused(line, pipeline.run_each().await.unwrap_err());
                let watch = client.watch(["k"]).await.unwrap();
                refused(line, watch.send::<String>(command()).await.unwrap_err());
                let transaction = client.transaction().add(command());
                refused(line, transaction.run::<(String,)>().await.unwrap_err());
                assert_eq!(client.get::<u32>("k").await.unwrap(), 1, "after {line}");
            }
        });
    }
}
