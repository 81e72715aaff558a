//! Commands about their own connection are refused on every way to send a command, before a byte is
//! sent.

use crate::{connect, patient, versions};
use slotcar::command::incr;
use slotcar::prelude::*;
use slotcar::{Client, Command, Delivery, Error, ErrorKind, Reply, Target, Value, cmd};
use slotcar_tests::polling::run;
use slotcar_tests::real::{Cluster, Server};

/// Commands about their own connection, in several spellings, and what the error names.
fn commands() -> Vec<(Command, &'static str)> {
    vec![
        (cmd("CLIENT TRACKING ON"), "Client::psubscribe"),
        (cmd("client  tracking").arg("on"), "Client::psubscribe"),
        (cmd("CLIENT").arg("TRACKING").arg("ON").arg("BCAST"), "Client::psubscribe"),
        (cmd("Client").arg(b"Tracking".as_slice()).arg("ON"), "Client::psubscribe"),
        (cmd("CLIENT").key("TRACKING").arg("ON"), "Client::psubscribe"),
        (cmd("CLIENT CACHING YES"), "Client::psubscribe"),
        (cmd("CLIENT CAPA redirect"), "Config::deployment"),
        (cmd("CLIENT NO-TOUCH ON"), "outside of this client"),
        (cmd("CLIENT NO-EVICT ON"), "maxmemory-clients"),
        (cmd("CLIENT SETNAME other"), "Config::client_name"),
        (cmd("CLIENT SETINFO LIB-NAME other"), "Config::client_name"),
        (cmd("CLIENT REPLY OFF"), "take their replies away"),
        (cmd("CLIENT MAINT_NOTIFICATIONS ON"), "Config::deployment"),
        (cmd("CLIENT FUTURE"), "unknown subcommand"),
        (cmd("WAIT 1 500"), "wait_replicas"),
        (cmd("WAIT").arg(0).arg(0), "wait_replicas"),
        (cmd("WAITAOF 1 0 500"), "wait_aof"),
        (cmd("SELECT 1"), "Config::database"),
        (cmd("RESET"), "change the connection"),
    ]
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, Error>, way: &str, command: &Command) {
    let error = result.expect_err("it is about the connection");
    let told = (error.kind(), error.delivery());
    assert_eq!(told, (ErrorKind::Config, Delivery::NotSent), "{command:?}: {error}");
    assert!(error.to_string().contains(way), "{command:?}: {error}");
}

/// Sends each of them on each way, beside a command that must not run then.
async fn refuse_all(client: &Client) {
    for (command, way) in commands() {
        let one = || command.clone();
        is_refused(client.send::<Value>(one()).await, way, &command);
        let targets = [Target::AnyPrimary, Target::AllNodes, Target::AllPrimaries];
        for target in targets.into_iter().chain([Target::key("n")]) {
            is_refused(client.send_to::<Value>(target.clone(), one()).await, way, &command);
            is_refused(client.send_each(target, one()).await, way, &command);
        }
        let pipeline = || client.pipeline().add(incr("n")).add(one());
        is_refused(pipeline().run::<(i64, Value)>().await, way, &command);
        is_refused::<Vec<Result<Reply, Error>>>(pipeline().run_each().await, way, &command);
        // In a transaction, what ends it or changes the connection is refused as such.
        let transaction = client.transaction().add(incr("n")).add(one()).run_each().await;
        let error = transaction.expect_err("it is about the connection");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        let watch = client.watch(["n"]).await.expect("it is watched");
        is_refused(watch.send::<Value>(one()).await, way, &command);
        let waited = client.send::<Value>(one()).wait_replicas(0, std::time::Duration::MAX);
        is_refused(waited.await, way, &command);
    }
    assert_eq!(client.get::<Option<i64>>("n").await.expect("it is there"), None);
}

/// Commands that a server has run: none of those.
fn has_run_none(server: &Server) {
    let ran = server.command_calls();
    for name in ["tracking", "caching", "capa", "no-touch", "no-evict", "setname", "reply"] {
        assert!(!ran.contains_key(&format!("client|{name}")), "{name}: {ran:?}");
    }
    for name in ["wait", "waitaof", "select", "reset", "incr"] {
        assert!(!ran.contains_key(name), "{name}: {ran:?}");
    }
}

#[test]
fn commands_about_their_own_connection_are_never_sent() {
    for version in versions() {
        let server = Server::start(&version);
        run(refuse_all(&run(connect(patient(&server.url())))));
        has_run_none(&server);
        let cluster = Cluster::of(&version).replicas(0).start();
        run(refuse_all(&run(connect(patient(&cluster.url())))));
        cluster.nodes().iter().for_each(has_run_none);
    }
}

/// Goal: what only reads the connection is answered about the one that carried it.
#[test]
fn commands_that_read_their_connection_are_sent() {
    for version in versions() {
        let server = Server::start(&version);
        let client = run(connect(patient(&format!("{}?client_name=me", server.url()))));
        run(async {
            let id = client.send::<u64>(cmd("CLIENT ID")).await.expect("it tells");
            assert!(id > 0);
            let name = client.send::<String>(cmd("client").arg("getname")).await;
            assert_eq!(name.expect("it tells"), "me");
            let info = client.send::<String>(cmd("CLIENT INFO")).await.expect("it tells");
            assert!(info.contains("name=me"), "{info}");
            let tracking = client.send::<Value>(cmd("CLIENT TRACKINGINFO")).await;
            tracking.expect("it tells");
        });
    }
}
