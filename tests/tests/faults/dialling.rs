//! From the URL to the stream: a URL that cannot be parsed, names that do not resolve, servers that
//! cannot be reached or do not answer.
//!
//! `connect` dials once and returns the cause; a command waits for its server until its deadline.

use super::{LONG, SHORT, config, connect, lazy, servers, versions};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, Endpoint, ErrorDetail, ErrorKind};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{run, until_tried};
use slotcar_tests::real::proxy::Unreachable;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Proxy, Script, Server, address};
use slotcar_tests::{ExpectedError, Watched};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Unit tests of the configuration cover each case; here only that `connect` passes the errors on.
#[test]
fn a_wrong_url_is_told_by_connect() {
    let table = [
        ("not a url", "scheme"),
        ("redis://127.0.0.1:99999", "port of `127.0.0.1`"),
        ("redis://127.0.0.1:1?read_form=replica", "read_form"),
        ("redis://127.0.0.1:1?command_timeout=5x", "command_timeout"),
        ("redis://127.0.0.1:1?node_bytes_max=many", "node_bytes_max"),
        ("redis://127.0.0.1:1?attempts_max=0", "attempts_max"),
    ];
    for (url, word) in table {
        let error = run(slotcar::connect(url)).expect_err(url);
        ExpectedError::new(ErrorKind::Config, Delivery::NotSent).says(word).check(&error);
        assert!(matches!(error.details(), Some(ErrorDetail::Config(_))), "{error:?}");
    }
}

#[test]
fn a_name_that_does_not_resolve() {
    let url = "redis://no-such-host.invalid:6379";
    let node = Endpoint::tcp("no-such-host.invalid", 6379);
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at_endpoint(node.clone());
    let told = told.says("cannot resolve").because("cannot resolve no-such-host.invalid");
    told.check_err(run(connect(config(url))));
    #[cfg(not(target_os = "wasi"))]
    {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let tokio = slotcar_tcp::Tokio::new(runtime.handle().clone());
        told.check_err(run(Client::connect(tokio, config(url))));
    }

    let patient = config(url).command_timeout(SHORT).attempts_max(100_000);
    // Whether the deadline or a failed dial comes last is chance.
    let told =
        ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).or_kind(ErrorKind::Connect);
    let told = told.command("GET").at_endpoint(node);
    let told = told.attempts(1..=100_000).because("cannot resolve no-such-host.invalid");
    told.check_err(run(lazy(patient).get::<()>("k")));
}

#[test]
fn a_port_that_refuses() {
    let at = address::refused();
    let config = config(&format!("redis://{at}"));
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at(at);
    told.says("cannot connect").because("refused").check_err(run(connect(config.clone())));

    // A command waits for the server until its deadline, and its error then names the cause.
    let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("INCR").at(at);
    let told = told.attempts(2..=1000).says("no connection in time").because("refused");
    let waits = |timeout| {
        let client = lazy(config.clone().command_timeout(timeout).attempts_max(1000));
        async move { client.incr("n").await.expect_err("nobody listens") }
    };
    told.check(&run(until_tried(2, SHORT, waits)).1);

    // Unless its attempts are used up before.
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).command("INCR").at(at);
    let told = told.attempts(3..=3).says("cannot connect").because("refused");
    told.check_err(run(lazy(config.attempts_max(3)).incr("n")));
}

/// The server starts while the command waits: the command succeeds.
#[test]
fn a_command_outlasts_a_server_that_is_late() {
    for version in versions() {
        let at = address::refused();
        let std::net::IpAddr::V4(ip) = at.ip() else { unreachable!("the harness lives on IPv4") };
        let client = lazy(config(&format!("redis://{at}")).attempts_max(100_000));
        let call = smol::spawn(async move { client.incr("n").await });
        let server = Server::of(&version).ip(ip).port(at.port()).start();
        assert_eq!(run(call).expect("it waited"), 1, "{version}");
        drop(server);
    }
}

/// No SYN is answered: the connect timeout ends the dial.
#[test]
fn a_black_hole_before_the_connection() {
    let gone = Unreachable::open();
    let config = config(&format!("redis://{}", gone.address())).connect_timeout(SHORT);
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at(gone.address());
    told.says("no connection within 200ms").check_err(run(connect(config.clone())));

    let told =
        ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("GET").at(gone.address());
    let told = told.says("no connection in time").because("no connection within 200ms");
    let began = Instant::now();
    let waits = |timeout| {
        let client = lazy(config.clone().command_timeout(timeout));
        async move { client.get::<()>("k").await.expect_err("nobody answers") }
    };
    let (timeout, error) = run(until_tried(2, SHORT * 3, waits));
    told.attempts(2..=16).check(&error);
    assert!(began.elapsed() >= timeout);
}

/// The connection is open and no byte comes: the progress timeout ends it, not TCP.
#[test]
fn a_black_hole_behind_the_connection() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        let config = config(&proxy.url()).progress_timeout(SHORT);
        let client = run(connect(config.clone())).expect("it passes");
        run(client.set("n", 1)).expect("it passes");
        proxy.set(Fault::BlackHole);
        // Nothing tells a node that cannot be reached from a busy one: each call has its time.
        let brief = client.with_timeout(SHORT * 4);
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).at(proxy.address());
        let told = told.says("no reply within 800ms");
        told.command("INCR").check_err(run(brief.incr("n")));
        // The silent connection takes no more commands, and there is no other.
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).at(proxy.address());
        let told = told.says("no connection in time").command("GET").attempts(1..=16);
        told.check_err(run(brief.get::<u64>("n")));
        proxy.clear();
        // What was held back arrived later or not at all: it ran once at most.
        let count = run(client.get::<u64>("n")).expect("the way is free");
        assert!((1..=2).contains(&count), "{count}");
    }
}

#[test]
fn a_black_hole_while_connecting() {
    let script = Script::start(|peer| peer.wait_for_close());
    let config = config(&script.url()).connect_timeout(SHORT);
    // This handshake may fail nowhere, so a command goes with it and reports the error.
    let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).command("PING");
    let told = told.at(script.address()).says("no reply within 200ms");
    told.check_err(run(connect(config.clone())));
    // This handshake must be answered first.
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at(script.address());
    told.says("no answer to the handshake in time")
        .check_err(run(connect(config.password("secret"))));
}

/// The name is resolved at each dial, and each of its addresses is tried: `localhost` is IPv6 first
/// on many machines, where this server does not listen.
#[test]
fn a_name_stays_a_name() {
    for version in versions() {
        let server = Server::of(&version).ip(Ipv4Addr::LOCALHOST).start();
        let name = Endpoint::tcp("localhost", server.address().port());
        let watched = Watched::new(Smol::new());
        let config = config(&format!("redis://{name}"));
        let client = run(Client::connect(watched.clone(), config)).expect("one of its addresses");
        assert!(watched.dialled().iter().all(|dialled| *dialled == name));
        server.restart();
        run(client.get::<Option<String>>("k")).expect("a read is tried again");
        assert!(watched.dialled().iter().all(|dialled| *dialled == name));
        assert!(watched.dialled().len() > 1);
        server.kill();
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("GET");
        let told = told.or_kind(ErrorKind::Connect).or(Delivery::Unknown).at_endpoint(name);
        let brief = client.with_timeout(SHORT);
        // The cause of the last address is kept.
        let told = told.attempts(1..=16).because("127.0.0.1:");
        told.check_err(run(brief.get::<()>("k")));
    }
}

/// However many callers wait, there is one dial at a time, with growing pauses.
#[test]
fn an_outage_is_no_storm_of_connections() {
    let at = address::refused();
    let watched = Watched::new(Smol::new());
    let config = config(&format!("redis://{at}"))
        .backoff_base(SHORT / 4)
        .backoff_cap(LONG)
        .command_timeout(SHORT * 4);
    let client = Client::connect_lazy(watched.clone(), config).expect("a good configuration");
    let calls = (0..100).map(|i| {
        let client = client.clone();
        async move { client.incr(i).await.expect_err("no server is there") }
    });
    for error in run(futures::future::join_all(calls)) {
        assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Connect), "{error:?}");
    }
    let dials = watched.dialled().len();
    assert!((1..=16).contains(&dials), "{dials} dials");
    // Commands on an exclusive connection are no exception.
    let before = watched.dialled().len();
    let error =
        run(client.with_timeout(SHORT * 4).send::<()>(slotcar::cmd("BLPOP").key("list").arg(0)))
            .expect_err("no server is there");
    assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
    let dials = watched.dialled().len() - before;
    assert!((1..=12).contains(&dials), "{dials} dials for one blocking command");
}

/// Dropping the call drops the dial, and a later call starts again.
#[test]
fn a_dial_ends_with_the_calls_that_wait_for_it() {
    let script = Script::start(|peer| peer.wait_for_close());
    let watched = Watched::new(Smol::new());
    let config = config(&script.url()).password("secret");
    let client = Client::connect_lazy(watched.clone(), config).expect("a good configuration");
    let told =
        ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("GET").attempts(1..=1);
    let brief = client.with_timeout(SHORT);
    told.at(script.address()).check_err(run(brief.get::<()>("k")));
    drop((client, brief));
    until_true("everything to end", || watched.left() == (0, 0, 0));
}
