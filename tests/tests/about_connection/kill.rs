//! Commands that end what keeps a server or a connection busy overtake it: SCRIPT KILL, FUNCTION
//! KILL, CLIENT UNBLOCK, CLIENT KILL, SHUTDOWN.

use crate::{connect, patient, versions};
use futures::future::join;
use slotcar::config::Protocol;
use slotcar::prelude::*;
use slotcar::{Delivery, Error, ErrorKind, Target, cmd};
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Server};
use std::time::Duration;

/// A script that ends only when it is killed.
const FOREVER: &str = "while true do end";

/// How often a state is looked at.
const OFTEN: Duration = Duration::from_millis(5);

/// Waits until a server says that it is busy, and lets other futures go on meanwhile.
async fn until_busy(server: &Server) {
    while !server.call(&["GET", "k"]).is_error("BUSY") {
        smol::Timer::after(OFTEN).await;
    }
}

/// What the caller of a script that was killed gets: the error, once, of the command itself.
fn is_killed(result: Result<i64, Error>) {
    let error = result.expect_err("it was killed");
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Answered));
    assert_eq!(error.attempts(), 1, "{error}");
    assert!(error.to_string().to_lowercase().contains("kill"), "{error}");
}

/// Runs a call that keeps the server busy; when it is, does something else that ends the call.
fn while_busy<T>(
    server: &Server,
    busy: impl Future<Output = Result<i64, Error>>,
    end: impl Future<Output = T>,
) -> (Result<i64, Error>, T) {
    run(join(busy, async {
        until_busy(server).await;
        end.await
    }))
}

/// Every way to reach the server: without and with what a handshake has to set, in both protocols.
fn ways() -> Vec<(&'static str, Protocol)> {
    let mut ways = Vec::new();
    for protocol in [Protocol::Resp3, Protocol::Resp2] {
        ways.push(("", protocol));
        ways.push(("/3?client_name=me", protocol));
    }
    ways
}

#[test]
fn script_kill_overtakes_the_script() {
    for version in versions() {
        let server = Server::of(&version).password("secret").start();
        server.set_config("lua-time-limit", "20");
        for (rest, protocol) in ways() {
            let config = patient(&format!("{}{rest}", server.url())).protocol(protocol);
            let client = run(connect(config));
            let busy = client.send::<i64>(cmd("EVAL").arg(FOREVER).arg(0));
            let (script, killed) = while_busy(&server, busy, client.send::<()>(cmd("SCRIPT KILL")));
            killed.expect("it overtook the script");
            is_killed(script);
            run(client.set("k", 1)).expect("the connection is well");
            let busy = client.send::<i64>(cmd("EVAL").arg(FOREVER).arg(0));
            let pipeline = client.pipeline().add(cmd("PING")).add(cmd("SCRIPT").arg("KILL"));
            let (script, killed) = while_busy(&server, busy, pipeline.run_each());
            killed.expect("it is sent")[1].as_ref().expect("the pipeline overtook the script");
            is_killed(script);
        }
    }
}

#[test]
fn function_kill_overtakes_the_function() {
    for version in versions() {
        let server = Server::start(&version);
        server.set_config("busy-reply-threshold", "20");
        let library = "#!lua name=slow\nredis.register_function('forever', \
                       function() while true do end end)";
        server.call(&["FUNCTION", "LOAD", library]).ok();
        let client = run(connect(patient(&format!("{}/3", server.url()))));
        let busy = client.send::<i64>(cmd("FCALL").arg("forever").arg(0));
        let end = async {
            // What runs is shown while it runs.
            let stats: slotcar::Value = client.send(cmd("FUNCTION STATS")).await.expect("it tells");
            assert!(format!("{stats:?}").contains("forever"), "{stats:?}");
            client.send::<()>(cmd("FUNCTION").arg("KILL")).await
        };
        let (function, killed) = while_busy(&server, busy, end);
        killed.expect("it overtook the function");
        is_killed(function);
    }
}

/// Goal: the shard that runs the script is found, and the others' NOTBUSY is no failure; a named
/// node is enough, too.
#[test]
fn in_a_cluster_the_busy_shard_is_found_or_named() {
    for version in versions() {
        let cluster = Cluster::of(&version).replicas(0).config("lua-time-limit 20").start();
        let client = run(connect(patient(&cluster.url())));
        let at = cluster.primary_of(7629);
        let server = cluster.node(at);
        let named = Target::Endpoint(client_endpoint(server));
        let script = || client.send::<i64>(cmd("EVAL").arg(FOREVER).arg(1).key("k"));
        let (ended, killed) =
            while_busy(server, script(), client.send::<()>(cmd("script").arg("kill")));
        killed.expect("one of three was busy");
        is_killed(ended);
        let (ended, killed) =
            while_busy(server, script(), client.send_to::<()>(named, cmd("SCRIPT KILL")));
        killed.expect("it was busy");
        is_killed(ended);
        let error = run(client.send::<()>(cmd("SCRIPT KILL"))).expect_err("none is busy");
        assert!(error.to_string().contains("NOTBUSY"), "{error}");
    }
}

fn client_endpoint(server: &Server) -> slotcar::Endpoint {
    slotcar::Endpoint::tcp(&server.address().ip().to_string(), server.address().port())
}

/// Goal: what is to free a connection needs none of those that are taken.
#[test]
fn client_unblock_and_kill_need_no_free_connection() {
    for version in versions() {
        let server = Server::start(&version);
        let config = patient(&server.url()).exclusive_connections_max(1);
        let client = run(connect(config));
        let blocked = |server: &Server| {
            let list = server.call(&["CLIENT", "LIST"]).ok().text();
            let line = list.lines().find(|line| line.contains("cmd=blpop"))?.to_owned();
            let id = line.split(' ').find_map(|field| field.strip_prefix("id="))?.to_owned();
            server.info("clients")["blocked_clients"].ne("0").then_some(id)
        };
        for (end, delivery) in [("UNBLOCK", None), ("KILL", Some(Delivery::Unknown))] {
            let waits = client.send::<Option<(String, String)>>(cmd("BLPOP").arg("q").arg(0));
            let (popped, ended) = run(join(waits, async {
                let server = &server;
                // Its connection is dialled by polls of the call, so nothing may block here.
                let id = loop {
                    match blocked(server) {
                        Some(id) => break id,
                        None => smol::Timer::after(OFTEN).await,
                    };
                };
                let command = match end {
                    "UNBLOCK" => cmd("CLIENT UNBLOCK"),
                    _ => cmd("CLIENT KILL").arg("ID"),
                };
                client.send::<i64>(command.arg(id)).await
            }));
            assert_eq!(ended.expect("it needs no connection of the pool"), 1);
            assert_eq!(popped.err().map(|error| error.delivery()), delivery, "{end}");
        }
    }
}

/// Goal: a write that waits for the end of a pause does not keep the end from coming.
#[test]
fn client_unpause_overtakes_what_is_paused() {
    for version in versions() {
        let server = Server::start(&version);
        let client = run(connect(patient(&server.url())));
        server.pause_writes();
        let (paused, ended) = run(join(client.incr("n"), async {
            // Redis 7.0 does not count it among the blocked clients.
            while !server.call(&["CLIENT", "LIST"]).ok().text().contains("cmd=incr") {
                smol::Timer::after(OFTEN).await;
            }
            client.send::<()>(cmd("CLIENT UNPAUSE")).await
        }));
        ended.expect("it overtook the write");
        assert_eq!(paused.expect("it ran when the pause had ended"), 1);
    }
}

/// Goal: a busy server can be ended, which its last reply is the end of the connection for.
#[test]
fn shutdown_reaches_a_busy_server() {
    for version in versions() {
        let server = Server::start(&version);
        server.set_config("lua-time-limit", "20");
        let client = run(connect(patient(&server.url())));
        let busy = client.send::<i64>(cmd("EVAL").arg(FOREVER).arg(0));
        let shutdown = client.send::<()>(cmd("SHUTDOWN").arg("NOSAVE"));
        let (script, ended) = while_busy(&server, busy, shutdown);
        for error in [script.expect_err("it is gone"), ended.expect_err("it is gone")] {
            assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
        }
        until_true("the server to end", || !server.is_running());
    }
}
