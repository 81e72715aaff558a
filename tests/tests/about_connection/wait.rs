//! Writes that wait for replicas and files, on real servers: one primary with a replica, and a
//! cluster, of which a replica is frozen.

use crate::{connect, patient, versions};
use futures::FutureExt;
use futures::future::{Either, select};
use slotcar::command::{get, incr, lpush, mset, set};
use slotcar::prelude::*;
use slotcar::{Acknowledged, AcknowledgedBy, Client, Delivery, ErrorDetail, ErrorKind, cmd};
use slotcar_tests::polling::{poll_once, run};
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Cluster, Server, Version};
use std::pin::pin;
use std::time::Duration;

/// Long enough for a replica that answers, however slow the machine is.
const LONG: Duration = BOUND;
/// How long a replica that does not answer is waited for.
const SHORT: Duration = Duration::from_millis(500);

/// A primary and its replica, which follows it.
fn group(version: &Version, config: &str) -> (Server, Server) {
    let primary = Server::of(version).config(config).start();
    let at = primary.address();
    let follow = format!("replicaof {} {}\n{config}", at.ip(), at.port());
    let replica = Server::of(version).config(&follow).start();
    until_true("the replica to follow", || {
        let state = primary.info("replication");
        state.get("slave0").is_some_and(|line| line.contains("state=online"))
    });
    (primary, replica)
}

fn client_of(server: &Server) -> Client {
    run(connect(patient(&server.url())))
}

/// The only shard's replicas, and whether that was enough.
fn of_one<T: std::fmt::Debug>(written: &Acknowledged<T>) -> (u32, bool) {
    let [shard] = written.shards() else { panic!("one shard: {written:?}") };
    let by = shard.result.as_ref().expect("the server told");
    assert_eq!((written.replicas(), written.is_reached()), (Some(by.replicas), shard.is_reached));
    (by.replicas, shard.is_reached)
}

/// Every way to write and wait: the number of replicas, and whether it is enough.
async fn each_way(client: &Client, timeout: Duration) -> Vec<(u32, bool)> {
    let mut all = Vec::new();
    let written = client.set("{k}1", "v").wait_replicas(1, timeout).await.expect("it ran");
    all.push(of_one(&written));
    let pipeline = client.pipeline().add(incr("{k}2")).add(get("{k}1")).add(set("{k}3", 1));
    let written = pipeline.wait_replicas(1, timeout).run::<(i64, String, ())>().await;
    let written = written.expect("it ran");
    all.push(of_one(&written));
    assert_eq!(written.shards()[0].commands, [0, 2]);
    assert_eq!(written.into_value().1, "v");
    let transaction = || client.transaction().add(set("{k}1", "w")).add(incr("{k}2"));
    let written = transaction().wait_replicas(1, timeout).run::<((), i64)>().await;
    all.push(of_one(&written.expect("it ran")));
    let each = transaction().wait_replicas(1, timeout).run_each().await.expect("it ran");
    assert!(each.value().iter().all(Result::is_ok));
    all.push(of_one(&each));
    let watch = client.watch(["{k}1"]).await.expect("it is watched");
    let committed = watch.commit_and_wait::<((), i64)>(transaction().wait_replicas(1, timeout));
    all.push(of_one(&committed.await.expect("it ran").expect("nobody changed the key")));
    client.rpush("{k}4", "job").await.expect("it ran");
    let popped = client.send::<Option<(String, String)>>(cmd("BLPOP").arg("{k}4").arg(0));
    let popped = popped.wait_replicas(1, timeout).await.expect("it ran");
    all.push(of_one(&popped));
    assert_eq!(popped.into_value().expect("there was one").1, "job");
    all
}

/// Goal: the number is that of one plain connection that writes and waits, whichever way it is
/// asked for.
#[test]
fn replicas_that_have_the_writes_are_counted_and_frozen_ones_are_not() {
    for version in versions() {
        let (primary, replica) = group(&version, "");
        let client = client_of(&primary);
        let written = run(each_way(&client, LONG));
        assert_eq!(written, [(1, true); 6], "{version}");
        replica.pause();
        let written = run(each_way(&client, SHORT));
        assert_eq!(written, [(0, false); 6], "{version}");
        let error = run(client.incr("n").wait_replicas(1, SHORT)).expect("it ran").require();
        let error = error.expect_err("no replica has it");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Answered));
        let detail = ErrorDetail::NotAcknowledged { wanted: 1, replicas: 0 };
        assert_eq!(error.details(), Some(&detail));
        // The plain connection, for comparison.
        let mut plain = primary.conn().expect("it answers");
        plain.call(&["SET", "k", "v"]).expect("it answers").ok();
        let count = plain.call(&["WAIT", "1", "500"]).expect("it answers").ok().integer();
        assert_eq!(count, Some(0));
        replica.resume();
        assert_eq!(
            of_one(&run(client.incr("n").wait_replicas(1, LONG)).expect("it ran")),
            (1, true)
        );
        // Nothing was written: nobody is asked.
        let read = run(client.get::<i64>("n").wait_replicas(1, LONG)).expect("it ran");
        assert_eq!((read.shards().len(), read.replicas(), read.is_reached()), (0, None, true));
    }
}

/// Goal: a wait holds nobody up but its own caller, and one that is dropped leaves nothing behind.
#[test]
fn other_callers_go_on_beside_a_wait() {
    for version in versions() {
        let (primary, replica) = group(&version, "");
        let client = run(connect(patient(&primary.url()).exclusive_connections_max(1)));
        replica.pause();
        run(async {
            let waits = pin!(client.set("a", 1).wait_replicas(1, LONG));
            let others = pin!(async {
                until_blocked(&primary).await;
                for n in 1..100 {
                    assert_eq!(client.incr("n").await.expect("nothing is in its way"), n);
                }
            });
            match select(waits, others).await {
                Either::Left((written, _)) => panic!("the replica is frozen: {written:?}"),
                Either::Right(((), _)) => {}
            }
        });
        assert_eq!(run(client.get::<i64>("a")).expect("the write ran"), 1);
        let again =
            run(client.set("a", 2).wait_replicas(1, SHORT)).expect("the connection is free");
        assert_eq!(of_one(&again), (0, false));
    }
}

async fn until_blocked(server: &Server) {
    while server.info("clients")["blocked_clients"] == "0" {
        smol::Timer::after(Duration::from_millis(5)).await;
    }
}

/// Goal: each shard has an outcome of its own, and the summary is that of the worst.
#[test]
fn in_a_cluster_each_shard_has_an_outcome() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let client = run(connect(patient(&cluster.url())));
        // One key for each shard, by a third of the slots.
        let keys: Vec<String> = [100, 8000, 16000].map(slotcar_tests::real::cluster::key_in).into();
        let frozen = cluster.primary_of(8000);
        let pipeline = || {
            let all: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
            let one = client.pipeline().add(mset(all)).add(set(&keys[0], 1)).add(incr(&keys[1]));
            one.add(lpush("list", "x"))
        };
        let written = run(pipeline().wait_replicas(1, LONG).run_each()).expect("it ran");
        assert_eq!((written.is_reached(), written.replicas()), (true, Some(1)), "{written:?}");
        assert_eq!(written.shards().len(), 3);
        let replica = cluster.replica_of(frozen);
        cluster.node(replica).pause();
        let written = run(pipeline().wait_replicas(1, SHORT).run_each()).expect("it ran");
        assert_eq!((written.is_reached(), written.replicas()), (false, Some(0)), "{written:?}");
        for shard in written.shards() {
            let index = cluster.nodes().iter().position(|node| {
                let at = node.address();
                shard.endpoint == slotcar::Endpoint::tcp(&at.ip().to_string(), at.port())
            });
            let is_frozen = index == Some(frozen);
            let by = shard.result.as_ref().expect("it told");
            assert_eq!((by.replicas, shard.is_reached), (u32::from(!is_frozen), !is_frozen));
            let id = shard.node.as_ref().expect("the map has it").to_string();
            assert_eq!(Some(id.as_str()), index.map(|index| cluster.id(index)));
            assert!(shard.commands.contains(&0), "the MSET is for all of them");
            assert_eq!(shard.commands.contains(&2), is_frozen);
        }
        cluster.node(replica).resume();
    }
}

/// Goal: a slot that moves while the client does not know is waited for at its new owner.
#[test]
fn a_slot_that_has_moved_is_waited_for_where_it_is() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let client = run(connect(patient(&cluster.url())));
        let key = slotcar_tests::real::cluster::key_in(100);
        run(client.set(&key, 1)).expect("it is served");
        let new = cluster.primary_of(16000);
        cluster.move_slot(100, new);
        let written = run(client.incr(&key).wait_replicas(1, LONG)).expect("it ran");
        assert_eq!((written.value(), of_one(&written)), (&2, (1, true)));
        let at = cluster.node(new).address();
        let endpoint = slotcar::Endpoint::tcp(&at.ip().to_string(), at.port());
        assert_eq!(written.shards()[0].endpoint, endpoint);
    }
}

/// WAITAOF where the server has it, and what is told where it does not.
#[test]
fn append_only_files_are_waited_for() {
    for version in versions() {
        // Else a file is up to a second behind.
        let (primary, replica) = group(&version, "appendonly yes\nappendfsync always");
        let client = client_of(&primary);
        let written = run(client.incr("n").wait_aof(true, 0, LONG)).expect("it ran");
        assert_eq!(*written.value(), 1);
        if primary.call(&["WAITAOF", "0", "0", "1"]).is_error("ERR") {
            let error = written.shards()[0].result.as_ref().expect_err("it is unknown there");
            assert_eq!((error.kind(), error.command()), (ErrorKind::Server, Some("WAITAOF")));
            assert!(error.to_string().contains("unknown command"), "{error}");
            assert!(!written.is_reached() && written.local().is_none());
            let required = written.require().expect_err("nothing is known");
            assert!(required.delivery().may_have_run());
            continue;
        }
        assert_eq!((written.local(), written.is_reached()), (Some(true), true), "{written:?}");
        let pipeline = client.pipeline().add(incr("n")).wait_aof(true, 1, LONG);
        let written = run(pipeline.run::<(i64,)>()).expect("it ran");
        let by: &AcknowledgedBy = written.shards()[0].result.as_ref().expect("it told");
        assert_eq!((by.local, by.replicas), (Some(true), 1));
        replica.pause();
        let transaction = client.transaction().add(incr("n")).wait_aof(true, 1, SHORT);
        let written = run(transaction.run::<(i64,)>()).expect("it ran");
        assert_eq!((written.local(), written.replicas()), (Some(true), Some(0)));
        assert!(!written.is_reached());
        replica.resume();
        // Without a file there is nothing to wait for: the server says so, and the write ran.
        let bare = Server::start(&version);
        let client = client_of(&bare);
        let written = run(client.incr("n").wait_aof(true, 0, LONG)).expect("it ran");
        let error = written.shards()[0].result.as_ref().expect_err("it has no file");
        assert!(error.to_string().contains("appendonly is disabled"), "{error}");
        assert_eq!(written.into_value(), 1);
    }
}

/// Goal: a timeout of zero, which is without end for a server, is refused before a byte is sent;
/// the call ends at its deadline when the server does not answer.
#[test]
fn a_wait_without_end_is_refused_and_a_silent_server_ends_it() {
    for version in versions() {
        let server = Server::start(&version);
        let client = client_of(&server);
        let error = run(client.incr("n").wait_replicas(1, Duration::ZERO)).expect_err("no end");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        let pipeline = client.pipeline().add(incr("n")).wait_aof(true, 0, Duration::ZERO);
        let error = run(pipeline.run_each()).expect_err("no end");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        assert_eq!(run(client.get::<Option<i64>>("n")).expect("it is there"), None);
        // More replicas than there are: all of the timeout, and then the number.
        let written = run(client.incr("n").wait_replicas(1, SHORT)).expect("it ran");
        assert_eq!((written.value(), of_one(&written)), (&1, (0, false)));
        // A view with a timeout bounds the wait, too: what the server says is not waited for.
        let brief = client.with_timeout(Duration::from_secs(5));
        let written = run(brief.incr("n").wait_replicas(1, LONG)).expect("it ran");
        let error = written.shards()[0].result.as_ref().expect_err("it was not waited for");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Unknown));
        assert_eq!(*written.value(), 2);
    }
}

/// Goal: nothing is sent before the first poll, and a call that was polled is not sent twice.
#[test]
fn a_call_that_was_polled_cannot_be_sent_with_a_wait() {
    let Some(version) = versions().next() else { return };
    let server = Server::start(&version);
    let client = client_of(&server);
    drop(client.incr("n").wait_replicas(1, LONG));
    drop(client.pipeline().add(incr("n")).wait_replicas(1, LONG).run_each());
    let mut call = client.incr("n");
    assert!(poll_once(&mut call).is_none());
    let waited = std::panic::AssertUnwindSafe(call.wait_replicas(1, LONG));
    assert!(run(waited.catch_unwind()).is_err());
    until_true("the first one to run", || {
        run(client.get::<Option<i64>>("n")).expect("it is there") == Some(1)
    });
}
