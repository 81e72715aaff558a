//! Redirects, pauses, limits and error texts, at a client whose clock stands still.

use super::*;
use crate::BoxFuture;
use crate::command::{cmd, get, incr};
use crate::config::{Config, Deployment};
use crate::connection::outcome::Failed;
use crate::driver::environment::environment::Environment;
use crate::error::ErrorDetail;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::slot::Slot;
use crate::topology::view::NodeView;
use crate::transport::{ByteStream, Transport};
use std::io;

/// A transport that connects to nothing; its clock stands still.
#[derive(Debug)]
struct Still;

impl Transport for Still {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn seed(&self) -> u64 {
        7
    }
}

fn at(name: &str) -> Endpoint {
    Endpoint::tcp(name, 7000)
}

/// Primary `a`, also known as `alias`, with replica `b`.
fn topology(config: Config) -> Arc<LiveTopology> {
    let mut primary = NodeView::provisional(&at("a"));
    primary.aliases = vec![at("alias")];
    let map = ClusterMap::single(primary, vec![NodeView::provisional(&at("b"))]);
    let env = Arc::new(Environment::new(Arc::new(Still), config.endpoints([at("a")])));
    LiveTopology::start(env, Some(map))
}

fn cluster() -> Arc<LiveTopology> {
    topology(Config::default().deployment(Deployment::Cluster).attempts_max(4).redirects_max(3))
}

fn options() -> CallOptions {
    CallOptions {
        deadline: Timestamp::FAR_FUTURE,
        timeout: Duration::from_secs(5),
        own_wait: Duration::ZERO,
        retry_unknown: false,
    }
}

fn reply(text: &str) -> AttemptFailure {
    AttemptFailure::ErrorReply(ServerError::from_text(text.as_bytes()))
}

fn no_reply(failure: Failure, written: u64) -> AttemptFailure {
    AttemptFailure::NoReply(Box::new(Failed { failure, replies: Vec::new(), written, len: 8 }))
}

fn lost(written: u64) -> AttemptFailure {
    no_reply(Failure::Lost(Arc::new(Lost::ByPeer)), written)
}

/// The step after `failure` at node `a`.
fn step(
    topology: &Arc<LiveTopology>,
    command: &Command,
    attempts: &mut Attempts,
    failure: &AttemptFailure,
) -> NextStep {
    let node = topology.known_node_at(&at("a")).expect("it is on the map");
    next_step(topology, Item::whole(command), options(), attempts, failure, &node)
}

/// Where a step leads, and whether after a pause.
fn hop(step: NextStep) -> (String, bool) {
    let NextStep::Again { target, pause } = step else { panic!("{step:?}") };
    let name = match target {
        NextHop::Map => "map".to_owned(),
        NextHop::Node(node) => node.endpoint().to_string(),
        NextHop::Ask(node) => format!("ask {}", node.endpoint()),
    };
    (name, !pause.is_zero())
}

#[test]
fn a_moved_changes_the_map_and_an_ask_does_not() {
    let topology = cluster();
    let owner = |slot| {
        let slot = Slot::new(slot).expect("a slot");
        topology.routes().owner(slot).map(|node| node.endpoint().clone())
    };
    let version = topology.routes().map.version();
    let asked = step(&topology, &get("k"), &mut Attempts::default(), &reply("ASK 7629 b:7000"));
    assert_eq!(hop(asked), ("ask b:7000".to_owned(), false));
    assert_eq!((owner(7629), topology.routes().map.version()), (Some(at("a")), version));
    let moved = step(&topology, &get("k"), &mut Attempts::default(), &reply("MOVED 7629 b:7000"));
    assert_eq!(hop(moved), ("b:7000".to_owned(), false));
    assert_eq!((owner(7629), owner(8)), (Some(at("b")), Some(at("a"))));
}

/// Pauses from the third on, and an end. Attempts are not counted.
#[test]
fn redirects_are_bounded() {
    let topology = cluster();
    let mut attempts = Attempts { attempts: 4, ..Attempts::default() };
    for (n, pauses) in [(1, false), (2, false), (3, true)] {
        let next = step(&topology, &incr("k"), &mut attempts, &reply("MOVED 7629 b:7000"));
        assert_eq!(hop(next), ("b:7000".to_owned(), pauses), "redirect {n}");
    }
    let last = step(&topology, &incr("k"), &mut attempts, &reply("MOVED 7629 b:7000"));
    let NextStep::FailWith(error) = last else { panic!("{last:?}") };
    let limit = ErrorDetail::Limit { name: "redirects_max", max: 3 };
    assert_eq!(
        (error.kind(), error.delivery(), error.details()),
        (ErrorKind::Topology, Delivery::Refused, Some(&limit))
    );
    assert_eq!((attempts.attempts, attempts.redirects), (4, 4));
}

/// A redirect to the sender, by its address or by a further name, goes to it again over a new
/// connection; the second time the further name is another node's.
#[test]
fn a_redirect_to_the_sender_dials_it_anew() {
    let topology = cluster();
    let version = topology.routes().map.version();
    for text in ["MOVED 7629 a:7000", "MOVED 7629 alias:7000", "MOVED 7629 :7000"] {
        let next = step(&topology, &get("k"), &mut Attempts::default(), &reply(text));
        assert_eq!(hop(next), ("a:7000".to_owned(), false), "{text}");
    }
    assert_eq!(topology.routes().map.version(), version);
    let mut attempts = Attempts { redirects: 1, ..Attempts::default() };
    let next = step(&topology, &get("k"), &mut attempts, &reply("MOVED 7629 alias:7000"));
    assert_eq!(hop(next), ("alias:7000".to_owned(), false));
}

/// No map and no configuration names the node: nothing goes there before a refresh has named it.
#[test]
fn a_redirect_to_a_stranger_waits_for_the_map() {
    let topology = cluster();
    let version = topology.routes().map.version();
    for text in ["MOVED 7629 stranger:7000", "ASK 7629 stranger:7000", "MOVED 7629 :7001"] {
        let next = step(&topology, &get("k"), &mut Attempts::default(), &reply(text));
        assert_eq!(hop(next).0, "map", "{text}");
    }
    assert_eq!(topology.routes().map.version(), version, "and the map learns nothing");
}

/// A redirect about another slot is news for a refresh, and is followed only if that does not help.
#[test]
fn a_redirect_about_another_slot() {
    let topology = cluster();
    let version = topology.routes().map.version();
    let mut attempts = Attempts::default();
    for (text, wanted) in [
        ("MOVED 8 b:7000", "map"),
        ("ASK 8 b:7000", "map"),
        ("MOVED 8 b:7000", "b:7000"),
        ("MOVED 8 stranger:7000", "map"),
    ] {
        attempts.redirects = attempts.redirects.min(1);
        let next = step(&topology, &get("k"), &mut attempts, &reply(text));
        assert_eq!(hop(next).0, wanted, "{text}");
    }
    assert_eq!(topology.routes().map.version(), version, "nothing of it is verified");
    let keyless = step(&topology, &cmd("PING"), &mut Attempts::default(), &reply("MOVED 8 b:7000"));
    assert!(matches!(keyless, NextStep::Fail), "{keyless:?}");
}

/// One server, or a service behind sentinels, has no slots: a redirect is an answer.
#[test]
fn a_redirect_without_a_cluster_is_not_followed() {
    let topology = topology(Config::default());
    let seen = reply("MOVED 7629 b:7000");
    let next = step(&topology, &get("k"), &mut Attempts::default(), &seen);
    assert!(matches!(next, NextStep::Fail), "{next:?}");
    let (env, at) = (topology.env(), at("a"));
    let error = explain_end(env, &seen, &get("k"), &at, &Attempts::default(), options());
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
    assert!(error.to_string().contains("configure the deployment as a cluster"), "{error}");
}

/// A redirect never reaches a caller that would follow it.
#[test]
fn a_redirect_without_time_is_the_cause_of_a_timeout() {
    let topology = cluster();
    let seen = reply("MOVED 7629 b:7000");
    let attempts = Attempts { attempts: 1, ..Attempts::default() };
    let error = explain_late(topology.env(), &seen, &get("k"), &at("a"), &attempts, options());
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Refused));
    let cause = error.source().expect("the redirect").to_string();
    assert!(cause.contains("MOVED 7629 b:7000"), "{cause}");
    let refused = reply("LOADING");
    let error = explain_late(topology.env(), &refused, &get("k"), &at("a"), &attempts, options());
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
}

/// An attempt is not begun that has no time for its answer.
#[test]
fn the_time_that_is_left_for_an_attempt() {
    let (ms, at) =
        (Duration::from_millis, |ms| Timestamp::from_duration(Duration::from_millis(ms)));
    let options = CallOptions { deadline: at(1000), timeout: ms(800), ..options() };
    assert_eq!(options.spare(at(400), ms(0)), ms(600));
    assert_eq!(options.spare(at(400), ms(20)), ms(560));
    assert_eq!(options.spare(at(400), ms(500)), ms(500), "an eighth of the time-out at most");
    assert_eq!(options.spare(at(970), ms(20)), ms(0));
    assert_eq!(options.elapsed(at(300)), ms(100));
}

/// How long refusals are waited out is a setting of its own.
#[test]
fn refusals_are_waited_out_for_so_long() {
    let wait = Duration::from_nanos(1);
    let config = Config::default().deployment(Deployment::Cluster).refusal_wait_max(wait);
    let topology = topology(config);
    for (text, ends) in [("BUSY", true), ("TRYAGAIN", true), ("CLUSTERDOWN", true)] {
        // The pauses are drawn, and at most one in ten million is that short.
        let next = step(&topology, &incr("k"), &mut Attempts::default(), &reply(text));
        assert_eq!(matches!(next, NextStep::Fail), ends, "{text}: {next:?}");
    }
    let next = step(&topology, &incr("k"), &mut Attempts::default(), &lost(0));
    assert!(matches!(next, NextStep::Again { .. }), "a lost connection is no refusal");
}

#[test]
fn a_redirect_that_leads_nowhere() {
    let topology = cluster();
    let unknown = step(&topology, &get("k"), &mut Attempts::default(), &reply("MOVED 7629 ?:7000"));
    let NextStep::Again { target: NextHop::Map, .. } = unknown else { panic!("{unknown:?}") };
    for text in ["MOVED", "MOVED 16384 b:7000", "ASK 7629 b", "ASK 7629 b:0"] {
        let wrong = step(&topology, &get("k"), &mut Attempts::default(), &reply(text));
        let NextStep::FailWith(error) = wrong else { panic!("{text}: {wrong:?}") };
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Refused));
        assert_eq!((error.command(), error.endpoint()), (Some("GET"), Some(&at("a"))), "{text}");
    }
}

/// One server has no other node to wait for: a retry goes at once, and its link paces the dials. A
/// blocking command makes a connection of its own, which nothing paces.
#[test]
fn pauses_are_for_the_map_or_for_the_server() {
    let one = topology(Config::default().attempts_max(4));
    let blocking = cmd("BLPOP").key("k").arg(0);
    let table = [
        (&one, &get("k"), lost(0), true),
        (&one, &get("k"), reply("LOADING"), false),
        (&one, &blocking, lost(0), false),
        (&cluster(), &get("k"), lost(0), false),
        (&cluster(), &incr("n"), reply("READONLY"), false),
    ];
    for (topology, command, failure, at_once) in table {
        // Pauses are drawn, and any may be short: of many, none is none.
        let pause = |_| {
            let mut attempts = Attempts { attempts: 1, ..Attempts::default() };
            hop(step(topology, command, &mut attempts, &failure)).1
        };
        assert_eq!(!(0..20).any(pause), at_once, "{command:?} {failure:?}");
    }
}

#[test]
fn attempts_and_time_run_out() {
    let topology = cluster();
    let node = topology.known_node_at(&at("a")).expect("it is on the map");
    let failures = [reply("LOADING"), lost(0), reply("READONLY")];
    for failure in &failures {
        let mut spent = Attempts { attempts: 4, ..Attempts::default() };
        let command = get("k");
        let item = Item::whole(&command);
        let step = next_step(&topology, item, options(), &mut spent, failure, &node);
        assert!(matches!(step, NextStep::Fail), "{failure:?}: {step:?}");
        let late = CallOptions { deadline: Timestamp::ZERO, ..options() };
        let step = next_step(&topology, item, late, &mut Attempts::default(), failure, &node);
        assert!(matches!(step, NextStep::Fail), "{failure:?}: {step:?}");
    }
    // May have run, and must not run twice.
    let mut attempts = Attempts::default();
    assert!(matches!(step(&topology, &incr("n"), &mut attempts, &lost(8)), NextStep::Fail));
    assert!(attempts.last.is_none());
}

/// Once an attempt may have run the command, the caller is told so, whatever came after.
#[test]
fn the_delivery_that_is_told_never_gets_weaker() {
    use Delivery::{Answered, NotSent, Refused, Unknown};
    let timed_out = |written| no_reply(Failure::TimedOut, written);
    let table = [
        (None, reply("LOADING"), Refused),
        (None, reply("ERR no"), Answered),
        (None, lost(0), NotSent),
        (Some(NotSent), reply("LOADING"), Refused),
        (Some(Refused), lost(0), NotSent),
        (Some(Unknown), lost(0), Unknown),
        (Some(Unknown), reply("LOADING"), Unknown),
        (Some(Answered), reply("LOADING"), Unknown),
        (Some(Answered), lost(0), Unknown),
        (Some(Unknown), timed_out(0), Unknown),
        // The last attempt's own answer says more.
        (Some(Unknown), reply("ERR no"), Answered),
        (Some(NotSent), timed_out(8), Unknown),
    ];
    for (before, failure, told) in table {
        let last = before.map(|delivery| Error::new(ErrorKind::Connect, delivery, "before"));
        let attempts = Attempts { attempts: 2, last, ..Attempts::default() };
        let error = explain(&failure, &get("k"), &at("a"), &attempts, options());
        assert_eq!(error.delivery(), told, "{before:?} then {failure:?}");
        assert_eq!((error.command(), error.attempts()), (Some("GET"), 2));
        assert_eq!(error.endpoint(), Some(&at("a")));
    }
}

#[test]
fn a_timeout_says_why_the_attempt_before_failed() {
    let last = Error::new(ErrorKind::Connect, Delivery::NotSent, "connection lost");
    let attempts = Attempts { attempts: 2, last: Some(last), ..Attempts::default() };
    let cause = |failure: &AttemptFailure| {
        let error = explain(failure, &get("k"), &at("a"), &attempts, options());
        error.source().map(ToString::to_string)
    };
    let late = no_reply(Failure::TimedOut, 8);
    assert_eq!(cause(&late).as_deref(), Some("connection lost"));
    assert_eq!(cause(&reply("LOADING")), None);
    let error = explain(&late, &get("k"), &at("a"), &attempts, options());
    assert_eq!(error.to_string(), "no reply within 5s: GET at a:7000, attempt 2");
}
