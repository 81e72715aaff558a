//! Transactions and watched keys, on one server and in a cluster whose slots move.
//!
//! **Invariant**: all commands of a transaction run or none, once at most, and its result says
//! which.

mod cluster;

use slotcar::command::{get, incr, lpush, set};
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery, Error, ErrorKind, Reply, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Fault, Proxy, Script, Server, Version};
use std::time::Duration;

/// Long enough for everything that happens at all.
const LONG: Duration = BOUND;

async fn connect(url: &str) -> Client {
    let config = Config::from_url(url).expect("the test writes a good URL");
    let config = config.command_timeout(LONG).progress_timeout(LONG);
    Client::connect(Smol::new(), config).await.expect("the server is there")
}

/// Both protocols, of the oldest and the newest server.
fn each_protocol(test: impl AsyncFn(&Server, &Client)) {
    for name in ["redis-6.0", "valkey-9.1"] {
        let Some(version) = Version::named(name) else { continue };
        let server = Server::start(&version);
        for protocol in ["resp2", "resp3"] {
            smol::block_on(async {
                let client = connect(&format!("{}?protocol={protocol}", server.url())).await;
                client.send::<()>(cmd("FLUSHALL")).await.expect("an idle server");
                test(&server, &client).await;
            });
        }
    }
}

#[test]
fn all_run_together_and_are_answered_as_one() {
    each_protocol(async |_, client| {
        let transaction = client.transaction().add(set("k", "a")).add(get("k")).add(incr("n"));
        let ((), value, n): ((), String, i64) = transaction.run().await.unwrap();
        assert_eq!((value.as_str(), n), ("a", 1));
        let nothing: Vec<i64> = client.transaction().run().await.unwrap();
        assert!(nothing.is_empty());
    });
}

#[test]
fn one_that_fails_while_it_runs_leaves_the_others_in_force() {
    each_protocol(async |_, client| {
        let make = || client.transaction().add(set("k", "a")).add(lpush("k", ["b"])).add(incr("n"));
        let results = make().run_each().await.unwrap();
        assert_eq!(results.len(), 3);
        let error = results[1].as_ref().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Answered));
        assert_eq!(error.server_error().unwrap().code(), "WRONGTYPE");
        assert_eq!(results[2].as_ref().unwrap().decode::<i64>().unwrap(), 1);
        // As one list, the error is the whole's.
        let error = make().run::<((), i64, i64)>().await.unwrap_err();
        assert_eq!(error.server_error().unwrap().code(), "WRONGTYPE", "{error}");
        assert_eq!(client.get::<i64>("n").await.unwrap(), 2);
    });
}

#[test]
fn one_that_is_refused_keeps_all_from_running() {
    each_protocol(async |_, client| {
        let transaction = client.transaction().add(incr("n")).add(cmd("GET").arg("a").arg("b"));
        let error = transaction.run::<(i64, String)>().await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
        assert!(error.to_string().contains("wrong number of arguments"), "{error}");
        assert_eq!(client.get::<Option<i64>>("n").await.unwrap(), None);
    });
}

#[test]
fn a_watched_key_that_changed_keeps_all_from_running() {
    each_protocol(async |server, client| {
        client.set("stock", 2).await.unwrap();
        let watch = client.watch(["stock"]).await.unwrap();
        let left: i64 = watch.send(get("stock")).await.unwrap();
        assert_eq!(watch.commit_one(set("stock", left - 1)).await.unwrap(), Some(()));
        let watch = client.watch(["stock"]).await.unwrap();
        client.set("stock", 7).await.unwrap();
        let sell = client.transaction().add(set("stock", 0));
        assert_eq!(watch.commit::<()>(sell).await.unwrap(), None);
        assert_eq!(client.get::<i64>("stock").await.unwrap(), 7);
        // Both used one connection, in turn; dropped, it is closed.
        assert_eq!(server.client_count(), 2);
        drop(client.watch(["stock"]).await.unwrap());
        until_true("the watch to end", || server.client_count() == 1);
    });
}

/// The connection is lost after the last byte was written: it ran or not, and is not run again.
#[test]
fn what_may_have_run_is_not_run_again() {
    let server = Server::start(&Version::any());
    let proxy = Proxy::to(server.address());
    smol::block_on(async {
        let client = connect(&proxy.url()).await;
        proxy.set(Fault::HoldReplies);
        let call = client.transaction().add(incr("n")).add(get("n")).run::<(i64, i64)>();
        let cut = async {
            let ran = || server.call(&["GET", "n"]).text() == "1";
            smol::unblock({
                let server = server.address();
                move || until_ran(server)
            })
            .await;
            assert!(ran());
            proxy.cut_now();
            proxy.clear();
        };
        let (result, ()) = futures::future::join(call, cut).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
        assert_eq!(client.incr("n").await.unwrap(), 2, "it ran once");
    });
}

fn until_ran(server: std::net::SocketAddr) {
    use slotcar_tests::real::wire::Conn;
    until_true("the transaction to run", || {
        let reply = Conn::open(server).and_then(|mut conn| conn.call(&["EXISTS", "n"]));
        reply.is_ok_and(|reply| reply.integer() == Some(1))
    });
}

/// A server that has lost a script refuses its digest: alone, and the others run. With the source,
/// all of them run.
#[test]
fn a_digest_that_a_server_has_lost_is_refused_alone() {
    use slotcar::command::{eval, evalsha};
    for version in Version::all() {
        let server = Server::start(&version);
        smol::block_on(async {
            let client = connect(&server.url()).await;
            let script = slotcar::Script::new("return redis.call('INCR', KEYS[1])");
            assert_eq!(client.run_script::<i64>(&script, "n", 0).await.unwrap(), 1);
            server.call(&["SCRIPT", "FLUSH"]).ok();
            let by_digest = || [incr("a"), evalsha(script.digest(), "n", 0), incr("a")];
            let by_source = || [incr("a"), eval(script.source(), "n", 0), incr("a")];
            let check = |results: Vec<Result<Reply, Error>>, from: i64| {
                let [first, second, third] = <[_; 3]>::try_from(results).expect("three");
                assert_eq!(first.unwrap().decode::<i64>().unwrap(), from);
                let error = second.unwrap_err();
                let told = error.server_error().expect("the server's own words").to_string();
                assert!(told.starts_with("NOSCRIPT"), "{version}: {told}");
                assert_eq!(third.unwrap().decode::<i64>().unwrap(), from + 1);
            };
            let pipeline = by_digest().into_iter().fold(client.pipeline(), |p, c| p.add(c));
            check(pipeline.run_each().await.unwrap(), 1);
            let all = by_digest().into_iter().fold(client.transaction(), |t, c| t.add(c));
            check(all.run_each().await.unwrap(), 3);
            let pipeline = by_source().into_iter().fold(client.pipeline(), |p, c| p.add(c));
            assert_eq!(pipeline.run::<[i64; 3]>().await.unwrap(), [5, 2, 6], "{version}");
            let all = by_source().into_iter().fold(client.transaction(), |t, c| t.add(c));
            assert_eq!(all.run::<[i64; 3]>().await.unwrap(), [7, 3, 8], "{version}");
        });
    }
}

/// No server does it; a proxy may. `()` must not take it for success, and no wait either.
#[test]
fn a_transaction_that_is_discarded_though_no_key_was_watched_is_an_error() {
    let script = Script::answering(|command| {
        Some(match command[0].as_slice() {
            b"INCR" => b"+QUEUED\r\n".to_vec(),
            b"EXEC" => b"*-1\r\n".to_vec(),
            b"WAIT" => b":0\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        })
    });
    smol::block_on(async {
        let client = connect(&script.url()).await;
        let make = || client.transaction().add(incr("n"));
        let waited = || make().wait_replicas(0, Duration::from_secs(1));
        let errors = [
            make().run::<()>().await.map(drop).unwrap_err(),
            make().run::<Option<()>>().await.map(drop).unwrap_err(),
            make().run_each().await.map(drop).unwrap_err(),
            waited().run::<()>().await.map(drop).unwrap_err(),
            waited().run_each().await.map(drop).unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Refused));
            assert!(error.to_string().contains("though no key was watched"), "{error}");
        }
        // With a watch it says that a key has changed.
        let watch = client.watch(["n"]).await.unwrap();
        assert_eq!(watch.commit::<()>(make()).await.unwrap(), None);
    });
}
