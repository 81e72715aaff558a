//! Parts that a build may leave out: a call that needs one fails with an error that names the
//! feature, before a byte is sent, and everything else works. Holds for every choice of features.

use futures::FutureExt;
use slotcar_core::prelude::*;
use slotcar_core::{
    BoxFuture, ByteStream, Client, Config, Endpoint, Error, ErrorKind, ReadFrom, Timestamp,
    Transport,
};
use std::io;

/// A host without servers, on which no time passes.
#[derive(Debug)]
struct Nowhere;

impl Transport for Nowhere {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn seed(&self) -> u64 {
        1
    }
}

fn client(url: &str) -> Result<Client, Error> {
    Client::connect_lazy(Nowhere, Config::from_url(url)?)
}

/// Whether it failed because the feature is off.
fn lacks<T>(result: &Result<T, Error>, feature: &str) -> bool {
    let missing = format!("lacks the feature `{feature}`");
    let named = |error: &Error| error.to_string().contains(&missing);
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Config && named(error))
}

/// Whether a call fails at once because the feature is off.
fn at_once<T>(call: impl Future<Output = Result<T, Error>>, feature: &str) -> bool {
    call.now_or_never().is_some_and(|result| lacks(&result, feature))
}

#[test]
fn what_is_left_out_is_named() {
    let sentinels = client("redis-sentinel://h1,h2/0?service=s");
    assert_eq!(lacks(&sentinels, "sentinel"), !cfg!(feature = "sentinel"));
    assert_eq!(sentinels.is_ok(), cfg!(feature = "sentinel"));
    let replicas = client("redis://h1?replicas=h2&read_from=replica");
    assert_eq!(lacks(&replicas, "read-policies"), !cfg!(feature = "read-policies"));
    assert_eq!(replicas.is_ok(), cfg!(feature = "read-policies"));

    let cluster = client("redis-cluster://h1");
    assert_eq!(lacks(&cluster, "cluster"), !cfg!(feature = "cluster"));
    let Ok(cluster) = cluster else { return };
    let mget = at_once(cluster.mget::<Vec<Option<String>>>(["a", "b"]), "fan-out");
    assert_eq!(mget, !cfg!(feature = "fan-out"));
    let dbsize = at_once(cluster.dbsize(), "fan-out");
    assert_eq!(dbsize, !cfg!(feature = "fan-out"));
    let view = cluster.with_read_from(ReadFrom::Replica);
    let get = at_once(view.get::<Option<String>>("a"), "read-policies");
    assert_eq!(get, !cfg!(feature = "read-policies"));
    let mut pipeline = view.pipeline();
    pipeline.push(slotcar_core::cmd("GET").key("a"));
    let replies = pipeline.run_each().now_or_never().and_then(Result::ok).unwrap_or_default();
    let get = replies.iter().any(|reply| lacks(reply, "read-policies"));
    assert_eq!(get, !cfg!(feature = "read-policies"));

    // Keys of one slot need no feature, and neither does a write under a read policy.
    for feature in ["fan-out", "read-policies"] {
        assert!(!at_once(view.mset([("{x}a", "1"), ("{x}b", "2")]), feature));
        assert!(!at_once(cluster.get::<Option<String>>("a"), feature));
    }
}

/// One server needs no feature, and neither does publishing.
#[test]
fn one_server_needs_no_feature() {
    let one = client("redis://h1").expect("one server needs no feature");
    for feature in ["cluster", "fan-out", "pubsub", "read-policies", "sentinel"] {
        assert!(!at_once(one.get::<Option<String>>("a").into_future(), feature));
        assert!(!at_once(one.publish("a", "b").into_future(), feature));
    }
}

#[test]
fn subscriptions_are_a_feature() {
    let one = client("redis://h1").expect("one server needs no feature");
    let begin = [one.subscribe("a"), one.psubscribe("a*"), one.ssubscribe("a")];
    for subscribe in begin {
        let started = subscribe.start();
        assert_eq!(lacks(&started, "pubsub"), !cfg!(feature = "pubsub"));
        assert_eq!(started.is_ok(), cfg!(feature = "pubsub"));
    }
}
