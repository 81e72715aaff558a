//! The limit, the wait for a free connection, and the end of idle ones, in virtual time.

use super::*;
use crate::Endpoint;
use crate::config::Config;
use crate::connection::handshake::Profile;
use crate::driver::node::script::{Script, Server};
use futures::FutureExt;
use std::pin::pin;
use std::sync::LazyLock;

/// There is room for every connection.
static WAIT: LazyLock<DialWait> = LazyLock::new(DialWait::default);

fn endpoint() -> Endpoint {
    Endpoint::tcp("server", 1)
}

/// A server, and its exclusive connections: two at most.
fn links(script: &Script, when_full: WhenFull) -> (Arc<Environment>, Arc<ExclusiveLinks>) {
    script.set(&endpoint(), Server::replying(|_| "+OK\r\n".to_owned()));
    let config = Config::default().endpoints([endpoint()]).when_full(when_full);
    let env = script.env(config.exclusive_connections_max(2));
    let target = Arc::new(DialTarget::new(endpoint(), Profile::Server));
    (env, ExclusiveLinks::new(&target))
}

/// Takes as many as there may be.
fn take_both(
    script: &Script,
    env: &Arc<Environment>,
    links: &Arc<ExclusiveLinks>,
) -> (ExclusiveLink, ExclusiveLink) {
    let take = || script.run(links.take(env, false, true, &WAIT)).expect("the limit is two");
    (take(), take())
}

/// The limit is reached: the next caller waits, in the order in which they came.
#[test]
fn who_finds_all_in_use_waits_for_one() {
    let script = Script::default();
    let (env, links) = links(&script, WhenFull::Wait);
    let take = || links.take(&env, false, true, &WAIT);
    let (first, second) = take_both(&script, &env, &links);
    let (mut third, mut fourth) = (Box::pin(take()), Box::pin(take()));
    assert!(script.poll_once(third.as_mut()).is_pending());
    assert!(script.poll_once(fourth.as_mut()).is_pending());
    assert!(links.is_full(&env));
    first.release();
    assert!(fourth.as_mut().now_or_never().is_none(), "the third one came first");
    let third = script.run(third).expect("one is free");
    // One that is dropped is closed; its place is free all the same.
    drop(second);
    drop(script.run(fourth).expect("one is free"));
    drop(third);
    assert_eq!((links.count(), script.dials(&endpoint())), ((0, 0), 3));
}

/// Two are returned before any of those that wait has looked: both of the first two get one.
#[test]
fn as_many_are_told_as_there_are_free() {
    let script = Script::default();
    let (env, links) = links(&script, WhenFull::Wait);
    let take = || links.take(&env, false, true, &WAIT);
    let (first, second) = take_both(&script, &env, &links);
    let (mut third, mut fourth) = (Box::pin(take()), Box::pin(take()));
    assert!(script.poll_once(third.as_mut()).is_pending());
    assert!(script.poll_once(fourth.as_mut()).is_pending());
    first.release();
    drop(second);
    // The others may block without end, so nobody may wait for one of them.
    let _third = script.run(third).expect("one is free");
    let woken = script.run(fourth).expect("one is free");
    assert_eq!(links.count(), (2, 0));
    drop(woken);
}

/// A caller that was told that one is free, and is gone by then, tells the next one.
#[test]
fn a_caller_that_goes_away_leaves_its_turn_to_the_next() {
    let script = Script::default();
    let (env, links) = links(&script, WhenFull::Wait);
    let take = || links.take(&env, false, true, &WAIT);
    let (first, _second) = take_both(&script, &env, &links);
    let mut third = Box::pin(take());
    let mut fourth = pin!(take());
    assert!(script.poll_once(third.as_mut()).is_pending());
    assert!(script.poll_once(fourth.as_mut()).is_pending());
    first.release();
    drop(third);
    assert!(script.poll_once(fourth).is_ready());
}

/// The error names the setting, whether the call does not wait or has waited too long.
#[test]
fn an_error_names_the_limit() {
    let script = Script::default();
    let (env, links) = links(&script, WhenFull::Fail);
    let take = || links.take(&env, false, true, &WAIT);
    let _taken = take_both(&script, &env, &links);
    let failed = script.run(take()).expect_err("two are in use");
    for (error, kind) in [
        (failed, ErrorKind::Limit),
        (links.full_error(&env, ErrorKind::Timeout), ErrorKind::Timeout),
    ] {
        assert_eq!((error.kind(), error.delivery()), (kind, Delivery::NotSent));
        assert!(error.to_string().contains("raise exclusive_connections_max"), "{error}");
        let is_limit = |detail: &ErrorDetail| matches!(detail, ErrorDetail::Limit { max: 2, .. });
        assert!(error.details().is_some_and(is_limit), "{error:?}");
    }
    // What frees others needs none of them.
    drop(script.run(links.take(&env, true, true, &WAIT)).expect("beyond the limit"));
}

#[test]
fn one_that_nobody_uses_is_closed_after_a_minute() {
    for has_background in [true, false] {
        let script = if has_background { Script::with_background() } else { Script::default() };
        let (env, links) = links(&script, WhenFull::Wait);
        let take = || links.take(&env, false, true, &WAIT);
        let (first, second) = take_both(&script, &env, &links);
        let (old, young) = (Arc::clone(first.link()), Arc::clone(second.link()));
        first.release();
        script.run(script.sleep(IDLE_MAX / 2));
        second.release();
        script.run(script.sleep(IDLE_MAX / 2 - Duration::from_secs(1)));
        assert_eq!((old.is_closed(), links.count()), (false, (0, 2)), "{has_background}");
        script.run(script.sleep(Duration::from_secs(2)));
        // Without a background, the next caller looks.
        let third = script.run(take()).unwrap();
        assert!(Arc::ptr_eq(third.link(), &young), "the one that was used last");
        third.release();
        assert_eq!((old.is_closed(), young.is_closed()), (true, false), "{has_background}");
        assert_eq!(links.count(), (0, 1), "{has_background}");
        script.run(script.sleep(IDLE_MAX * 2));
        assert!(young.is_closed() == has_background, "{has_background}");
    }
}

#[test]
fn a_client_that_is_closed_keeps_nobody_waiting() {
    let script = Script::default();
    let (env, links) = links(&script, WhenFull::Wait);
    let take = || links.take(&env, false, true, &WAIT);
    let _taken = take_both(&script, &env, &links);
    let mut third = Box::pin(take());
    assert!(script.poll_once(third.as_mut()).is_pending());
    links.close();
    assert_eq!(script.run(third).expect_err("closed").kind(), ErrorKind::Closed);
}
