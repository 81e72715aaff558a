//! Servers that are busy, suspended or replaced: a call has the time that it was given, and every
//! call ends.
//!
//! **Invariants**: silence alone fails no call before its deadline; a server that answers over
//! another connection, and has nothing to do for the silent one, shows that this one is dead; a
//! blocking call outlives neither its own time and a timeout, nor its server.

use super::{SHORT, config, connect, servers};
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery, ErrorKind, Value, cmd};
use slotcar_tests::ExpectedError;
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Proxy, Server};
use std::time::{Duration, Instant};

/// Several times as long as the progress timeout of these tests.
const LONG_COMMAND: Duration = Duration::from_millis(1500);
/// Runs for so many milliseconds by the server's clock, and counts its runs.
const BUSY: &str = "local runs = redis.call('INCR', KEYS[1])
    local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
    local start = now()
    while now() - start < tonumber(ARGV[1]) do end
    return runs";
/// The same, without a write.
const BUSY_READ: &str = "local function now()
    local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
    local start = now()
    while now() - start < tonumber(ARGV[1]) do end
    return 'done'";

/// The progress timeout is short, all others are long.
fn impatient(url: &str) -> Config {
    config(url).progress_timeout(SHORT)
}

fn script(source: &str) -> slotcar::Command {
    cmd("EVAL").arg(source).arg(1).key("runs").arg(LONG_COMMAND.as_millis() as u64)
}

/// Runs `long` beside 20 INCRs and 20 GETs; all of them end well, and run once.
fn run_beside_others(client: &Client, server: &Server, long: impl Future<Output = ()>) {
    let gets_before = calls(server, "get");
    let incrs = futures::future::join_all((0..20).map(|i| client.incr(format!("n{i}"))));
    let gets = futures::future::join_all((0..20).map(|i| client.get::<Option<u64>>(i)));
    let ((), incrs, gets) = run(futures::future::join3(long, incrs, gets));
    for count in incrs {
        assert_eq!(count.expect("it has time left"), 1);
    }
    for value in gets {
        assert_eq!(value.expect("it has time left"), None);
    }
    assert_eq!(calls(server, "get") - gets_before, 20, "no read was sent twice");
    for i in 0..20 {
        assert_eq!(server.call(&["GET", &format!("n{i}")]).text(), "1", "no write ran twice");
    }
    server.call(&["FLUSHALL"]);
}

/// How often the server has run a command.
fn calls(server: &Server, command: &str) -> u64 {
    let stats = server.call(&["INFO", "commandstats"]).text();
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:calls=")));
    let count = line.and_then(|line| line.split(['=', ',']).nth(1)?.parse().ok());
    count.unwrap_or_default()
}

#[test]
fn a_long_script_costs_its_neighbours_time_and_nothing_else() {
    for server in servers() {
        let client = run(connect(impatient(&server.url()))).expect("good");
        // Beyond the second limit the server answers other connections, with BUSY.
        for threshold in ["60000", "100"] {
            server.set_config("lua-time-limit", threshold);
            run_beside_others(&client, &server, async {
                let began = Instant::now();
                assert_eq!(client.send::<u64>(script(BUSY)).await.expect("it has time left"), 1);
                assert!(began.elapsed() >= LONG_COMMAND);
            });
            server.call(&["CONFIG", "RESETSTAT"]);
        }
    }
}

#[test]
fn a_long_read_is_sent_once() {
    for server in servers() {
        let client = run(connect(impatient(&server.url()))).expect("good");
        let read = cmd("EVAL_RO").arg(BUSY_READ).arg(1).key("k").arg(1000);
        let reply: String = run(client.send(read)).expect("it has time left");
        assert_eq!(reply, "done");
        assert_eq!(calls(&server, "eval_ro"), 1);
    }
}

#[test]
fn a_stall_costs_time_and_nothing_else() {
    for server in servers() {
        let client = run(connect(impatient(&server.url()))).expect("good");
        run_beside_others(&client, &server, async {
            slotcar_tests::polling::yield_times(3).await;
            server.pause();
            smol::Timer::after(LONG_COMMAND).await;
            server.resume();
        });
    }
}

/// The server answers a PING, and holds back what writes.
#[test]
fn paused_writes_wait() {
    for server in servers() {
        let client = run(connect(impatient(&server.url()))).expect("good");
        run(client.get::<Value>("k")).expect("good");
        let began = Instant::now();
        server.call(&["CLIENT", "PAUSE", &LONG_COMMAND.as_millis().to_string(), "WRITE"]);
        let counts = futures::future::join_all((0..20).map(|i| client.incr(i)));
        for count in run(counts) {
            assert_eq!(count.expect("it has time left"), 1);
        }
        assert!(began.elapsed() >= LONG_COMMAND - Duration::from_millis(100));
    }
}

/// One connection carries nothing any more, and new ones work.
#[test]
fn a_dead_connection_is_replaced_after_the_progress_timeout() {
    for server in servers() {
        let inner = Proxy::to(server.address());
        let outer = Proxy::to(inner.address());
        let client = run(connect(impatient(&outer.url()))).expect("good");
        run(client.set("k", 1)).expect("good");
        inner.set(Fault::BlackHole);
        outer.retarget(server.address());
        let began = Instant::now();
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).at(outer.address());
        let told = told.says("no byte from the server for 200ms").command("INCR");
        let write = client.incr("n");
        let read = client.get::<u64>("k");
        let (written, read) = run(futures::future::join(write, read));
        told.check_err(written);
        assert_eq!(read.expect("it is sent again"), 1);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(outer.accepted(), 2);
        run(client.incr("n")).expect("the new connection works");
    }
}

/// A command that nothing answers ends at its own timeout, and what comes after it does not wait on
/// the silent connection.
#[test]
fn a_suspended_server_is_left_at_the_deadline() {
    for server in servers() {
        let client = run(connect(impatient(&server.url()).connect_timeout(SHORT))).expect("good");
        let brief = client.with_timeout(SHORT * 4);
        server.pause();
        let began = Instant::now();
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).command("INCR");
        let told = told.at(server.address()).says("no reply within 800ms");
        told.check_err(run(brief.incr("n")));
        assert!(began.elapsed() >= SHORT * 4);
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("INCR");
        let told = told.attempts(1..=16).says("no connection in time").at(server.address());
        told.check_err(run(brief.incr("n")));
        server.resume();
        let count = run(client.incr("n")).expect("it runs again");
        assert!(count <= 2, "{count}: what was not sent did not run");
    }
}

/// The commands that wait at the server, each with its own kind of time.
fn waiting(time: f64) -> Vec<slotcar::Command> {
    let millis = (time * 1000.0) as u64;
    vec![
        cmd("BLPOP").key("q").arg(time),
        cmd("BRPOP").key("q").arg(time),
        cmd("BLMOVE").key("q").key("r").arg("LEFT").arg("LEFT").arg(time),
        cmd("BRPOPLPUSH").key("q").key("r").arg(time),
        cmd("BLMPOP").arg(time).arg(1).key("q").arg("LEFT"),
        cmd("BZPOPMIN").key("z").arg(time),
        cmd("BZMPOP").arg(time).arg(1).key("z").arg("MIN"),
        cmd("XREAD").arg("BLOCK").arg(millis).arg("STREAMS").key("s").arg("$"),
    ]
}

#[test]
fn blocking_calls_end_at_a_suspended_server() {
    for server in servers() {
        let config = impatient(&server.url()).command_timeout(SHORT * 5).connect_timeout(SHORT);
        let client = run(connect(config)).expect("good");
        for time in [0.5, 0.0] {
            let client = client.clone();
            let blocked = futures::future::join_all(waiting(time).into_iter().map(|command| {
                let client = client.clone();
                smol::spawn(async move { client.send::<Value>(command).await })
            }));
            until_true("all are blocked or done", || {
                let clients = server.call(&["INFO", "clients"]).text();
                clients.contains("blocked_clients:8")
            });
            server.pause();
            let began = Instant::now();
            for result in run(blocked) {
                let error = result.expect_err("nothing answers");
                let kinds = [ErrorKind::Timeout, ErrorKind::Connect];
                assert!(kinds.contains(&error.kind()), "{error}");
                assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
            }
            println!("time {time}: all ended {:?} after the stall began", began.elapsed());
            server.resume();
        }
    }
}

/// What a blocked call ends with when its server is suspended, and when.
#[test]
fn a_call_without_an_end_is_told_that_its_server_gives_no_sign_of_life() {
    for server in servers() {
        let config = impatient(&server.url()).command_timeout(SHORT * 5).connect_timeout(SHORT);
        let client = run(connect(config)).expect("good");
        let pop = client.send::<Value>(cmd("BLPOP").key("q").arg(0));
        let stall = async {
            slotcar_tests::polling::yield_times(3).await;
            server.pause();
            Instant::now()
        };
        let (failed, began) = run(futures::future::join(pop, stall));
        assert!(began.elapsed() >= SHORT * 4, "{:?}", began.elapsed());
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).command("BLPOP");
        told.at(server.address()).says("the node gives no sign of life").check_err(failed);
        server.resume();
    }
}

/// While the server works, a call without an end goes on, however long nothing comes.
#[test]
fn a_call_without_an_end_waits_for_its_reply() {
    for server in servers() {
        let config = impatient(&server.url()).command_timeout(SHORT * 5);
        let client = run(connect(config)).expect("good");
        let pop = client.send::<(String, String)>(cmd("BLPOP").key("q").arg(0));
        let push = async {
            // A stall that is shorter than the timeout of a command.
            smol::Timer::after(SHORT * 5).await;
            server.pause();
            smol::Timer::after(SHORT * 3).await;
            server.resume();
            smol::Timer::after(SHORT * 5).await;
            server.call(&["RPUSH", "q", "late"]);
        };
        let (popped, ()) = run(futures::future::join(pop, push));
        assert_eq!(popped.expect("it waits").1, "late");
    }
}

/// A timeout that the caller gives bounds a blocking call, also beyond the client's own.
#[test]
fn a_given_timeout_bounds_blocking_calls() {
    for server in servers() {
        let config = impatient(&server.url()).command_timeout(SHORT).connect_timeout(SHORT);
        let client = run(connect(config)).expect("good");
        let began = Instant::now();
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).command("BLPOP");
        let told = told.at(server.address()).says("no reply within 1s");
        let pop = cmd("BLPOP").key("q").arg(0);
        told.check_err(run(client.with_timeout(SHORT * 5).send::<Value>(pop)));
        assert!(began.elapsed() >= SHORT * 5);
        // And a stall does not cut short what it was given.
        let patient = client.with_timeout(LONG_COMMAND * 10);
        let pop = patient.send::<Value>(cmd("BLPOP").key("q").arg(0));
        let stall = async {
            slotcar_tests::polling::yield_times(3).await;
            server.pause();
            smol::Timer::after(LONG_COMMAND).await;
            server.resume();
            server.call(&["RPUSH", "q", "late"]);
        };
        let (popped, ()) = run(futures::future::join(pop, stall));
        popped.expect("it has time left");
    }
}
