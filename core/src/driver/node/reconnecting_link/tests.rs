//! Dials, back-off and deadlines of one connection, in virtual time.

use super::*;
use crate::config::Config;
use crate::connection::handshake::Profile;
use crate::driver::node::script::{Script, Server};
use crate::transport::Transport;
use futures::FutureExt;
use futures::future::join_all;
use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

const DIAL: Duration = Duration::from_millis(100);
const MICRO: Duration = Duration::from_micros(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn endpoint() -> Endpoint {
    Endpoint::tcp("server", 1)
}

/// A connection that was never dialled. The back-off after a failed dial is `backoff` at most.
fn unconnected(script: &Script, config: Config) -> (Arc<Environment>, Arc<ReconnectingLink>) {
    let env = script.env(config.endpoints([endpoint()]));
    let target = Arc::new(DialTarget::new(endpoint(), Profile::Server));
    let link = ReconnectingLink::new(target, env.node_budget(), Arc::default(), false);
    (env, Arc::new(link))
}

fn without_backoff() -> Config {
    Config::default().backoff_base(Duration::ZERO).backoff_cap(Duration::ZERO)
}

/// What one call fails with, and when. As a command does, it dials again until its deadline.
fn call(script: &Script, connection: &Connection, timeout: Duration) -> (Error, Timestamp) {
    let (env, link) = connection;
    let deadline = script.now().after(timeout);
    let error = script.run(async {
        loop {
            match link.connect(env, deadline).await {
                Ok(_) => panic!("nothing accepts"),
                Err(error) if error.kind() == ErrorKind::Connect && env.now() < deadline => {}
                Err(error) => return past_deadline(&endpoint(), Some(error)),
            }
        }
    });
    (error, script.now())
}

type Connection = (Arc<Environment>, Arc<ReconnectingLink>);

fn check_refused_until_deadline(error: &Error, what: &str) {
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent), "{what}");
    assert_eq!(error.endpoint(), Some(&endpoint()), "{what}");
    let cause = error.source().unwrap_or_else(|| panic!("{what}: {error} has no cause"));
    let cause = cause.downcast_ref::<Error>().unwrap_or_else(|| panic!("{what}: {cause:?}"));
    assert_eq!(cause.kind(), ErrorKind::Connect, "{what}");
    assert!(cause.to_string().contains("refused"), "{what}: {cause}");
    let expected = "no connection in time; the last dial failed: cannot connect: refused: server:1";
    assert_eq!(error.to_string(), expected, "{what}");
}

/// The second dial of the call ends when its deadline passes, or a microsecond sooner or later.
#[test]
fn a_refusal_just_before_the_deadline_and_one_just_after_give_the_same_error() {
    for (what, timeout) in [
        ("the deadline comes first", DIAL * 2 - MICRO),
        ("both at once", DIAL * 2),
        ("the refusal comes first", DIAL * 2 + MICRO),
    ] {
        let script = Script::default();
        script.set(&endpoint(), Server::refusing(DIAL));
        let connection = unconnected(&script, without_backoff());
        let (error, at) = call(&script, &connection, timeout);
        check_refused_until_deadline(&error, what);
        assert_eq!(at, Timestamp::ZERO.after(timeout), "{what}");
    }
}

/// A task that is polled late finds that the dial has ended and that its deadline has passed.
#[test]
fn a_caller_that_is_woken_late_gets_the_same_error() {
    let script = Script::default();
    script.set(&endpoint(), Server::refusing(DIAL));
    let (env, link) = unconnected(&script, without_backoff());
    let mut connect = pin!(link.connect(&env, script.now().after(DIAL + MICRO)));
    assert!(script.poll_once(connect.as_mut()).is_pending());
    script.jump(DIAL * 2);
    let error = script.run(connect).expect_err("nothing listens");
    check_refused_until_deadline(&error, "woken late");
}

#[test]
fn a_deadline_within_the_back_off_gives_the_same_error() {
    let script = Script::default();
    script.set(&endpoint(), Server::refusing(DIAL));
    let config = Config::default().backoff_base(ms(60_000)).backoff_cap(ms(60_000));
    let connection = unconnected(&script, config);
    let (error, at) = call(&script, &connection, DIAL + MICRO);
    check_refused_until_deadline(&error, "during the back-off");
    assert_eq!(at, Timestamp::ZERO.after(DIAL + MICRO));
    let (error, _) = call(&script, &connection, Duration::ZERO);
    check_refused_until_deadline(&error, "a call without any time");
    assert_eq!(script.dials(&endpoint()), 1);
}

#[test]
fn a_deadline_within_the_first_dial_has_no_cause() {
    let script = Script::default();
    script.set(&endpoint(), Server::refusing(DIAL));
    let connection = unconnected(&script, without_backoff());
    let (error, at) = call(&script, &connection, DIAL - MICRO);
    assert_eq!((error.kind(), error.source().is_none()), (ErrorKind::Timeout, true), "{error:?}");
    assert_eq!(error.to_string(), "no connection in time: server:1");
    assert_eq!(at, Timestamp::ZERO.after(DIAL - MICRO));
}

/// Dialling again does not mend a wrong password: that is the error, wherever the caller waited.
#[test]
fn a_refused_password_stays_what_it_is() {
    let script = Script::default();
    let refuse = |_: &[String]| "-WRONGPASS invalid username-password pair\r\n".to_owned();
    script.set(&endpoint(), Server { dial_time: DIAL, ..Server::replying(refuse) });
    let config = Config::default().password("wrong");
    let config = config.backoff_base(ms(60_000)).backoff_cap(ms(60_000));
    let connection = unconnected(&script, config);
    for timeout in [DIAL * 2, MICRO, Duration::ZERO] {
        let (error, _) = call(&script, &connection, timeout);
        assert_eq!(error.kind(), ErrorKind::Handshake, "{timeout:?}: {error}");
        assert_eq!(error.server_error().map(|e| e.code()), Some("WRONGPASS"));
    }
    assert_eq!(script.dials(&endpoint()), 1);
}

#[test]
fn callers_share_a_dial_and_a_caller_that_is_gone_does_not_stop_it() {
    let script = Script::default();
    script.set(&endpoint(), Server { dial_time: DIAL, ..Server::replying(|_| String::new()) });
    let (env, link) = unconnected(&script, without_backoff());
    let deadline = script.now().after(DIAL * 2);
    let mut first = Box::pin(link.connect(&env, deadline));
    assert!(script.poll_once(first.as_mut()).is_pending());
    let mut parked = Box::pin(link.connect(&env, deadline));
    assert!(script.poll_once(parked.as_mut()).is_pending());
    drop(first);
    let links = script.run(join_all((0..10).map(|_| link.connect(&env, deadline))));
    assert!(links.iter().all(Result::is_ok));
    assert_eq!(script.dials(&endpoint()), 1);
    assert!(matches!(script.poll_once(parked.as_mut()), std::task::Poll::Ready(Ok(_))));
}

#[test]
fn a_closed_connection_is_not_dialled() {
    let script = Script::default();
    script.set(&endpoint(), Server::refusing(DIAL));
    let (env, link) = unconnected(&script, without_backoff());
    link.close();
    let result = script.run(link.connect(&env, Timestamp::FAR_FUTURE));
    assert_eq!(result.expect_err("it is closed").kind(), ErrorKind::Closed);
    assert_eq!(script.dials(&endpoint()), 0);
}

/// A server is lost and back once, whichever way it comes back: its silent connection goes on, or
/// a new one is made.
#[test]
fn a_silent_link_that_goes_on_is_back_once() {
    let script = Script::default();
    script.set(&endpoint(), Server::refusing(DIAL));
    let (env, link) = unconnected(&script, without_backoff());
    let mut events = env.telemetry().listen();
    let mut told = || {
        let mut told = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            match event {
                Notice::NodeLost { endpoint: at, .. } => told.push((at, "lost")),
                Notice::NodeBack { endpoint: at } => told.push((at, "back")),
                Notice::Connected { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        told
    };
    let connect = || script.run(link.connect(&env, script.now().after(DIAL + MICRO)));
    let progress = || {
        ReconnectingLink::watch(&Arc::downgrade(&link), &env).handle_progress();
    };
    for _ in 0..2 {
        connect().expect_err("nothing listens");
        connect().expect_err("nothing listens");
        assert_eq!(told(), [(endpoint(), "lost")]);
        progress();
        assert_eq!(told(), [(endpoint(), "back")]);
        progress();
        assert_eq!(told(), []);
    }
    script.set(&endpoint(), Server::replying(|_| "+OK\r\n".to_owned()));
    connect().expect("it listens");
    assert_eq!(told(), [], "it was told already");
}
