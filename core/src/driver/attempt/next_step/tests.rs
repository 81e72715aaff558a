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
    next_step(topology, command, options(), attempts, failure, &node)
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
    let asked = step(&topology, &get("k"), &mut Attempts::default(), &reply("ASK 7 b:7000"));
    assert_eq!(hop(asked), ("ask b:7000".to_owned(), false));
    assert_eq!((owner(7), topology.routes().map.version()), (Some(at("a")), version));
    let moved = step(&topology, &get("k"), &mut Attempts::default(), &reply("MOVED 7 b:7000"));
    assert_eq!(hop(moved), ("b:7000".to_owned(), false));
    assert_eq!((owner(7), owner(8)), (Some(at("b")), Some(at("a"))));
}

/// Pauses from the third on, and an end. Attempts are not counted.
#[test]
fn redirects_are_bounded() {
    let topology = cluster();
    let mut attempts = Attempts { attempts: 4, ..Attempts::default() };
    for (n, pauses) in [(1, false), (2, false), (3, true)] {
        let next = step(&topology, &incr("n"), &mut attempts, &reply("MOVED 7 c:7000"));
        assert_eq!(hop(next), ("c:7000".to_owned(), pauses), "redirect {n}");
    }
    let last = step(&topology, &incr("n"), &mut attempts, &reply("MOVED 7 c:7000"));
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
    for text in ["MOVED 7 a:7000", "MOVED 7 alias:7000", "MOVED 7 :7000"] {
        let next = step(&topology, &get("k"), &mut Attempts::default(), &reply(text));
        assert_eq!(hop(next), ("a:7000".to_owned(), false), "{text}");
    }
    assert_eq!(topology.routes().map.version(), version);
    let mut attempts = Attempts { redirects: 1, ..Attempts::default() };
    let next = step(&topology, &get("k"), &mut attempts, &reply("MOVED 7 alias:7000"));
    assert_eq!(hop(next), ("alias:7000".to_owned(), false));
}

#[test]
fn a_redirect_that_leads_nowhere() {
    let topology = cluster();
    let unknown = step(&topology, &get("k"), &mut Attempts::default(), &reply("MOVED 7 ?:7000"));
    let NextStep::Again { target: NextHop::Map, .. } = unknown else { panic!("{unknown:?}") };
    for text in ["MOVED", "MOVED 16384 b:7000", "ASK 7 b", "ASK 7 b:0"] {
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
        let step = next_step(&topology, &get("k"), options(), &mut spent, failure, &node);
        assert!(matches!(step, NextStep::Fail), "{failure:?}: {step:?}");
        let late = CallOptions { deadline: Timestamp::ZERO, ..options() };
        let step = next_step(&topology, &get("k"), late, &mut Attempts::default(), failure, &node);
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
