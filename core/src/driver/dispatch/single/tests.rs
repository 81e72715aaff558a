//! The loop of a single request against scripted nodes.

use super::*;
use crate::command::{cmd, eval, get, incr};
use crate::config::Config;
use crate::driver::scripted_cluster::{Answer, ScriptedCluster, id};
use crate::resp::from_frame;
use crate::topology::node_id::NodeId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// The slot of the key `k`, which node a owns.
const SLOT: u16 = 7629;

/// Two primaries, of which a owns `k`, and a client that knows them.
fn start(config: Config) -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(config);
    (script, topology)
}

/// Sends a command; returns the name of the node that answered.
fn send(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
    command: Command,
    destination: Destination,
    timeout: Duration,
) -> Result<String, Error> {
    let options = script.options(timeout);
    let request = Request::new(command, destination);
    let (frame, node) = script.run(dispatch(Arc::clone(topology), request, options, None))?;
    let name = from_frame::<String>(&frame).unwrap();
    assert_eq!(*node.endpoint(), crate::Endpoint::tcp(&name, 7000));
    Ok(name)
}

/// The same, to the owner of its key, within a second.
fn send_by_key(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
    command: Command,
) -> Result<String, Error> {
    send(script, topology, command, Destination::Key, SECOND)
}

fn node(name: &str) -> Destination {
    Destination::Node(NodeId::told(&id(name)).unwrap())
}

// spec: cluster-spec, "MOVED Redirection".
#[test]
fn a_moved_is_followed_and_remembered() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::moved(SLOT, "b").after(|c| c.move_slots(SLOT, SLOT, "b")));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["a: GET k", "b: GET k"]);
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["b: GET k"]);
}

// spec: cluster-spec, "ASK redirection": the next command goes to the old node again.
#[test]
fn an_ask_is_followed_once_behind_an_asking() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::ask(SLOT, "b"));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["a: GET k", "b: ASKING", "b: GET k"]);
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "a");
}

#[test]
fn a_lost_reply_is_asked_for_again_only_by_a_read() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::Cut).on("a", "INCR k", Answer::Cut);
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "a");
    assert_eq!(script.sent(), ["a: GET k", "a: GET k"]);
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
    assert_eq!((error.attempts(), script.sent().len()), (1, 1), "{error}");
}

/// Goal: the deadline ends a call in each phase, and the error says whether the command may have
/// run.
#[test]
fn the_deadline_ends_each_phase() {
    // Before anything: no time at all.
    let (script, topology) = start(Config::default());
    let error = send(&script, &topology, get("k"), Destination::Key, Duration::ZERO).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(script.sent(), [""; 0]);
    // While a connection is opened.
    script.change(|cluster| cluster.hang("b"));
    let began = script.elapsed();
    let error = send_by_key(&script, &topology, get("x")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(script.elapsed() - began, SECOND);
    // While the reply is waited for.
    script.on("a", "INCR k", Answer::Silence);
    let began = script.elapsed();
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Unknown));
    assert_eq!(script.elapsed() - began, SECOND);
    // While the next attempt is waited for.
    let (script, topology) = start(Config::default().attempts_max(1000));
    script.always("a", "INCR k", "-TRYAGAIN later");
    let began = script.elapsed();
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
    assert_eq!(script.elapsed() - began, SECOND);
}

// spec: cluster-spec, "Multi-keys operations".
#[test]
fn a_tryagain_is_tried_again_after_a_pause() {
    let (script, topology) = start(Config::default());
    script.on("a", "INCR k", Answer::reply("-TRYAGAIN later"));
    script.on("a", "INCR k", Answer::reply("-TRYAGAIN later"));
    let began = script.elapsed();
    assert_eq!(send_by_key(&script, &topology, incr("k")).unwrap(), "a");
    assert_eq!(script.sent(), ["a: INCR k"; 3]);
    assert!(script.elapsed() > began);
}

#[test]
fn attempts_and_redirects_have_a_limit() {
    let (script, topology) = start(Config::default().attempts_max(3).redirects_max(4));
    script.always("a", "INCR n", "-LOADING");
    let error = send_by_key(&script, &topology, incr("n")).unwrap_err();
    assert_eq!((error.attempts(), script.sent().len()), (3, 3), "{error}");
    for _ in 0..9 {
        script.on("a", "INCR k", Answer::moved(SLOT, "b"));
        script.on("b", "INCR k", Answer::moved(SLOT, "a"));
    }
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert!(matches!(error.details(), Some(ErrorDetail::Limit { name: "redirects_max", max: 4 })));
    assert_eq!(script.sent().len(), 5, "the first attempt and four redirects");
}

#[test]
fn a_command_for_one_node_goes_nowhere_else() {
    let (script, topology) = start(Config::default());
    script.on("b", "GET k", Answer::moved(SLOT, "a"));
    let error = send(&script, &topology, get("k"), node("b"), SECOND).unwrap_err();
    assert_eq!(error.server_error().unwrap().code(), "MOVED");
    assert_eq!(script.sent(), ["b: GET k"]);
    // It leaves the cluster: there is nothing to wait for.
    script.change(|cluster| {
        cluster.stop("b");
        cluster.forget("b", "a");
    });
    let error = send(&script, &topology, cmd("DBSIZE"), node("b"), SECOND * 9).unwrap_err();
    assert!(!error.delivery().may_have_run(), "{error:?}");
    let error = send(&script, &topology, cmd("DBSIZE"), node("b"), SECOND * 9).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Topology, Delivery::NotSent));
    assert!(error.to_string().contains(&id("b")), "{error}");
    assert!(script.elapsed() < SECOND * 9);
    assert_eq!(script.sent(), [""; 0]);
}

#[test]
fn after_a_failover_the_next_attempt_goes_to_the_new_owner() {
    let (script, topology) = start(Config::default());
    script.change(|cluster| {
        cluster.stop("a");
        cluster.forget("a", "b");
    });
    assert_eq!(send_by_key(&script, &topology, incr("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["b: INCR k"]);
}

/// A script, and the same words as commands of the scripted cluster show them.
fn script_of(key: &str) -> (Command, String) {
    (eval("return 1", key, "x"), format!("EVAL return 1 1 {key} x"))
}

/// A script that answers with the redirect that the server has for its key is redirected; one that
/// makes it up has run.
#[test]
fn a_script_is_redirected_only_if_the_server_says_so_itself() {
    let (eval, text) = script_of("k");
    for ask in [false, true] {
        let redirect = || if ask { Answer::ask(SLOT, "b") } else { Answer::moved(SLOT, "b") };
        let (script, topology) = start(Config::default());
        script.on("a", &text, redirect()).on("a", "EXISTS k", redirect());
        assert_eq!(send_by_key(&script, &topology, eval.clone()).unwrap(), "b");
        let sent = script.sent();
        assert_eq!(sent.iter().filter(|one| one.contains("EVAL")).count(), 2, "{sent:?}");
        // It makes it up.
        let (script, topology) = start(Config::default());
        script.on("a", &text, redirect()).on("a", "EXISTS k", Answer::reply(":1"));
        let error = send_by_key(&script, &topology, eval.clone()).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Answered));
        assert_eq!(script.sent(), [format!("a: {text}"), "a: EXISTS k".to_owned()]);
        assert_eq!(
            send_by_key(&script, &topology, get("k")).unwrap(),
            "a",
            "and the map is as it was"
        );
        // Another refusal is no confirmation.
        let (script, topology) = start(Config::default());
        script.on("a", &text, redirect()).on("a", "EXISTS k", Answer::reply("-LOADING"));
        let error = send_by_key(&script, &topology, eval.clone()).unwrap_err();
        assert_eq!(error.delivery(), Delivery::Answered, "{error:?}");
        // Another slot than that of its key: nothing is asked.
        let (script, topology) = start(Config::default());
        script.on("a", &text, Answer::moved(1, "b"));
        let error = send_by_key(&script, &topology, eval.clone()).unwrap_err();
        assert_eq!(error.delivery(), Delivery::Answered, "{error:?}");
        assert_eq!(script.sent(), [format!("a: {text}")]);
    }
}

/// A slot that is half moved: the server may say so once a script has run and said the same. So the
/// script is sent again only if it may run twice.
#[test]
fn a_script_does_not_wait_for_a_half_moved_slot() {
    const TRY_AGAIN: &str = "-TRYAGAIN Multiple keys request during rehashing of slot";
    let (script, topology) = start(Config::default());
    for name in ["EVAL", "EVAL_RO"] {
        let text = format!("{name} return 1 2 {{k}}1 {{k}}2 x");
        script.on("a", &text, Answer::reply(TRY_AGAIN));
    }
    let eval = eval("return 1", ["{k}1", "{k}2"], "x");
    let error = send_by_key(&script, &topology, eval).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Answered));
    assert_eq!(script.sent(), ["a: EVAL return 1 2 {k}1 {k}2 x"]);
    let read = cmd("EVAL_RO").arg("return 1").arg(2).keys_from(["{k}1", "{k}2"]).arg("x");
    assert_eq!(send_by_key(&script, &topology, read).unwrap(), "a");
}

/// A command that no server describes and whose key nobody marked: the redirect shows which of its
/// arguments is the key.
#[test]
fn an_unknown_command_is_redirected_by_one_of_its_arguments() {
    let (script, topology) = start(Config::default());
    let unknown = cmd("MY.CMD").arg("x").arg("k").arg("v");
    script.on("b", "MY.CMD x k v", Answer::moved(SLOT, "a"));
    script.on("b", "EXISTS k", Answer::moved(SLOT, "a"));
    let to_b = || send(&script, &topology, unknown.clone(), Destination::Any, SECOND);
    let mut names = [to_b().unwrap(), to_b().unwrap()];
    names.sort();
    assert_eq!(names, ["a", "a"], "one came to b first: {:?}", script.sent());
    // No argument is in that slot.
    for node in ["a", "b"] {
        script.on(node, "MY.CMD x k v", Answer::moved(1, "a"));
    }
    let error = to_b().unwrap_err();
    assert_eq!(error.delivery(), Delivery::Answered, "{error:?}");
}

/// Nothing goes to an address before a view names it; then the call goes there.
#[test]
fn a_stranger_is_dialled_when_a_view_names_it() {
    for ask in [false, true] {
        let script = ScriptedCluster::of_primaries(3);
        script.change(|cluster| cluster.forget("c", "a"));
        let topology = script.topology(Config::default().password("secret"));
        let redirect = || if ask { Answer::ask(SLOT, "c") } else { Answer::moved(SLOT, "c") };
        script.on("b", "GET k", redirect()).on("b", "GET k", redirect());
        let joins = move |cluster: &mut crate::driver::scripted_cluster::Nodes| {
            cluster.join("c");
            if !ask {
                cluster.move_slots(SLOT, SLOT, "c");
            }
        };
        script.on("b", "GET k", redirect().after(joins));
        (0..9).for_each(|_| _ = script.on("b", "GET k", redirect()));
        assert_eq!(script.dials("c"), 0);
        assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "c", "ask: {ask}");
        let sent = script.sent();
        let to_c = sent.iter().position(|one| one.starts_with("c: ")).expect("it went there");
        assert!(sent[..to_c].iter().filter(|one| *one == "b: GET k").count() >= 3, "{sent:?}");
    }
    // It never joins.
    let script = ScriptedCluster::of_primaries(3);
    script.change(|cluster| cluster.forget("c", "a"));
    let topology = script.topology(Config::default().password("secret").redirects_max(4));
    (0..9).for_each(|_| _ = script.on("b", "GET k", Answer::moved(SLOT, "c")));
    let error = send(&script, &topology, get("k"), Destination::Key, SECOND * 9).unwrap_err();
    assert!(matches!(error.details(), Some(ErrorDetail::Limit { name: "redirects_max", max: 4 })));
    assert_eq!((error.delivery(), script.dials("c")), (Delivery::Refused, 0));
    assert!(error.to_string().contains("nor the servers' view"), "{error}");
}

/// A redirect about another slot than the key's: the newest map decides, and what the redirect says
/// of either slot is believed only as far as a view says so.
#[test]
fn a_redirect_about_another_slot_is_news() {
    // The map was out of date: it has both slots at b.
    let (script, topology) = start(Config::default());
    let both = |cluster: &mut crate::driver::scripted_cluster::Nodes| {
        cluster.move_slots(1, 1, "b");
        cluster.move_slots(SLOT, SLOT, "b");
    };
    script.on("a", "GET k", Answer::moved(1, "b").after(both));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["a: GET k", "b: GET k", "b: GET k"]);
    // No view says so: the second time the server is believed about this command alone.
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::moved(1, "b")).on("a", "GET k", Answer::moved(1, "b"));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "a");
    assert_eq!(
        topology.routes().owner(Slot::new(1).unwrap()).unwrap().endpoint().to_string(),
        "a:7000"
    );
    // A command without a key is redirected nowhere.
    let (script, topology) = start(Config::default());
    for node in ["a", "b"] {
        script.on(node, "DBSIZE", Answer::moved(1, "b"));
    }
    let error = send(&script, &topology, cmd("DBSIZE"), Destination::Any, SECOND).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
    assert_eq!(script.sent().len(), 1);
}

/// The last refusal is what the caller is told: no attempt is begun that has no time for its
/// answer.
#[test]
fn a_refusal_stays_one_at_the_deadline() {
    let took = Duration::from_millis(30);
    for seed in 0..30 {
        let (script, topology) = start(Config::default().attempts_max(1000));
        script.always("a", "INCR k", "-TRYAGAIN later");
        script.slow("a", took);
        let timeout = SECOND + Duration::from_millis(seed);
        let began = script.elapsed();
        let error = send(&script, &topology, incr("k"), Destination::Key, timeout).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
        let lasted = script.elapsed() - began;
        assert!(lasted <= timeout && lasted + took * 3 >= timeout, "{lasted:?} of {timeout:?}");
    }
}

/// A redirect that comes when the time is over is the cause of a timeout, and not the error itself.
#[test]
fn a_redirect_at_the_deadline_is_a_cause() {
    let redirects = [Answer::moved(SLOT, "b"), Answer::ask(SLOT, "b"), Answer::moved(SLOT, "?")];
    for redirect in redirects {
        let (script, topology) = start(Config::default());
        script.slow("a", Duration::from_millis(600));
        script.on("a", "INCR k", redirect);
        let timeout = Duration::from_millis(650);
        let error = send(&script, &topology, incr("k"), Destination::Key, timeout).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Refused));
        assert!(error.server_error().is_none(), "no bare redirect: {error:?}");
        let cause = std::error::Error::source(&error).expect("the redirect").to_string();
        assert!(cause.contains(&SLOT.to_string()), "{cause}");
        assert_eq!(script.sent(), ["a: INCR k"]);
    }
}

/// How long refusals are waited out is a setting of its own; a slot without an owner counts as
/// well.
#[test]
fn refusals_are_waited_out_for_so_long() {
    let wait = Duration::from_millis(300);
    let config = Config::default().attempts_max(1000).refusal_wait_max(wait);
    for text in ["BUSY a script", "LOADING", "CLUSTERDOWN Hash slot not served"] {
        let (script, topology) = start(config.clone());
        for node in ["a", "b"] {
            script.always(node, "INCR k", &format!("-{text}"));
        }
        let began = script.elapsed();
        let sent = send(&script, &topology, incr("k"), Destination::Key, SECOND * 5);
        let error = sent.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Refused, "{error:?}");
        let lasted = script.elapsed() - began;
        assert!(lasted <= wait, "{text}: {lasted:?}");
    }
}

/// Each attempt after the first counts as what it was: a retry, or a redirect that was met.
#[test]
fn attempts_are_counted_as_what_they_are() {
    let refused = || Answer::reply("-LOADING later");
    let moved = || Answer::moved(SLOT, "b").after(|c| c.move_slots(SLOT, SLOT, "b"));
    let error = || Answer::reply("-ERR no");
    let lines: [(&str, Vec<Answer>, (u64, u64)); 7] = [
        ("answered", vec![], (0, 0)),
        ("an error is an answer", vec![error()], (0, 0)),
        ("refused twice", vec![refused(), refused()], (2, 0)),
        ("a lost connection", vec![Answer::Cut], (1, 0)),
        ("a MOVED", vec![moved()], (0, 1)),
        ("an ASK", vec![Answer::ask(SLOT, "b")], (0, 1)),
        ("one after the other", vec![refused(), moved()], (1, 1)),
    ];
    for (what, answers, expected) in lines {
        let (script, topology) = start(Config::default());
        for answer in answers {
            script.on("a", "GET k", answer);
        }
        drop(send_by_key(&script, &topology, get("k")));
        let metrics = topology.env().telemetry().metrics();
        assert_eq!((metrics.retries, metrics.redirects), expected, "{what}");
    }
    // One more than is followed is met, too.
    let (script, topology) = start(Config::default().redirects_max(2));
    script.always("a", "GET k", &format!("-ASK {SLOT} b:7000"));
    script.always("b", "GET k", &format!("-ASK {SLOT} a:7000"));
    send_by_key(&script, &topology, get("k")).unwrap_err();
    let metrics = topology.env().telemetry().metrics();
    assert_eq!((metrics.retries, metrics.redirects), (0, 3));
}

/// A reply whose length follows at its end is one like any other.
#[test]
fn a_streamed_reply_is_decoded() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::reply("$?\r\n;1\r\na\r\n;0"));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "a");
    script.on("a", "GET k", Answer::reply("*?\r\n+a\r\n."));
    let request = Request::new(get("k"), Destination::Key);
    let call = dispatch(Arc::clone(&topology), request, script.options(SECOND), None);
    assert_eq!(from_frame::<Vec<String>>(&script.run(call).unwrap().0).unwrap(), ["a"]);
    assert_eq!(script.dials("a"), 1, "the connection stays");
}

/// A hint stands only where it may help: at an address that servers announce and that never led
/// anywhere.
#[test]
fn an_announced_address_that_leads_nowhere_is_told_with_the_map() {
    let (script, topology) = start(Config::default());
    let fails = |key: &str| send_by_key(&script, &topology, get(key)).unwrap_err().to_string();
    script.change(|nodes| nodes.stop("b"));
    let text = fails("x");
    assert!(text.contains("b:7000") && text.contains("with address_map"), "{text}");
    script.start("b");
    send(&script, &topology, get("x"), Destination::Key, SECOND * 9).unwrap();
    script.change(|nodes| nodes.stop("b"));
    let text = fails("x");
    assert!(text.contains("b:7000") && !text.contains("address_map"), "it was there: {text}");
    // It is configured.
    script.change(|nodes| nodes.stop("a"));
    let text = fails("k");
    assert!(text.contains("a:7000") && !text.contains("address_map"), "{text}");
}
