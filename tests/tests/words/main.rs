//! Whose words an error is: those of the server, which did not run the command, or those of the
//! command, which ran.
//!
//! **Invariant**: what a script, a function or a module answers is an answer: it ran once, whatever
//! code it uses and on whatever way it was sent.

mod cluster;
mod recorded;

use slotcar::command::{eval, evalsha, fcall, incr};
use slotcar::prelude::*;
use slotcar::{Client, Command, Config, Delivery, Error, ErrorKind, Script, Target, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::patience::unhurried as config;
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Server, Version};

/// It counts that it ran, and answers what it is told to.
const SPEAKS: &str = "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])";

/// One text for each class of errors that servers have, in a script's words and, where servers
/// write it, to the letter.
pub(crate) const TEXTS: [&str; 41] = [
    "ASK 7629 127.0.0.1:6379",
    "ASK me later",
    "BUSY job is locked",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSYGROUP Consumer Group name already exists",
    "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN for the weekend",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "DENIED by the script",
    "ERR max number of clients reached",
    "ERR no such master with that name",
    "ERR unknown command 'x', with args beginning with: ",
    "ERR unknown subcommand 'x'. Try HELP.",
    "EXECABORT Transaction discarded because of previous errors.",
    "LOADING Redis is loading the dataset in memory",
    "LOADING Valkey is loading the dataset in memory",
    "LOADING the truck",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MASTERDOWN is what it says",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "MOVED 1 1.2.3.4:6379",
    "MOVED 7629 127.0.0.1:6379",
    "MOVED to another house",
    "NOAUTH Authentication required.",
    "NOGROUP No such key 's' or consumer group 'g'",
    "NOPERM this user has no permissions to run the 'eval' command",
    "NOPROTO unsupported protocol version",
    "NOREPLICAS Not enough good replicas to write.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "NOSCRIPT No matching script.",
    "NOTREADY yet",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "READONLY mode of the shop",
    "REDIRECT 127.0.0.1:6379",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "TRYAGAIN later",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "WRONGPASS invalid username-password pair or user is disabled.",
];

async fn connect(config: Config) -> Client {
    Client::connect(Smol::new(), config).await.expect("the server is there")
}

/// An answer of the command at its first attempt: it may have had its effect.
#[track_caller]
fn is_an_answer<T: std::fmt::Debug>(result: Result<T, Error>, text: &str, way: &str) {
    let error = result.expect_err(way);
    let said = error.server_error().map(ToString::to_string);
    assert_eq!(said.as_deref(), Some(text), "{way}: {error}");
    let seen = (error.kind(), error.delivery(), error.attempts() <= 1);
    assert_eq!(seen, (ErrorKind::Server, Delivery::Answered, true), "{way}: {text}: {error:?}");
}

/// Sends a script on every way that there is, each with a counter of its own: each runs once.
async fn ran_once_on_every_way(client: &Client, text: &str, serial: usize) {
    let key = |way: &str| format!("{{{serial}}}{way}");
    let digest = client.script_load(SPEAKS).await.expect("it compiles");
    let by_text = |way: &str| eval(SPEAKS, key(way), text);
    let by_digest = |way: &str| evalsha(&*digest, key(way), text);
    is_an_answer(client.send::<i64>(by_text("single")).await, text, "EVAL");
    is_an_answer(client.send::<i64>(by_digest("digest")).await, text, "EVALSHA");
    let script = Script::new(SPEAKS);
    let ran = client.run_script::<i64>(&script, key("script"), text).await;
    is_an_answer(ran, text, "run_script");
    let pipeline = client.pipeline().add(incr(key("before"))).add(by_text("pipeline"));
    let mut results = pipeline.add(by_digest("pipeline2")).run_each().await.expect("it was sent");
    is_an_answer(results.pop().expect("three"), text, "EVALSHA in a pipeline");
    is_an_answer(results.pop().expect("two"), text, "EVAL in a pipeline");
    let transaction = client.transaction().add(by_text("exec")).add(incr(key("behind")));
    let mut results = transaction.run_each().await.expect("it ran");
    assert_eq!(results.pop().expect("two").expect("it ran").decode::<i64>().ok(), Some(1));
    is_an_answer(results.pop().expect("one"), text, "a transaction");
    let target = Target::key(key("to"));
    is_an_answer(client.send_to::<i64>(target.clone(), by_text("to")).await, text, "send_to");
    let mut each = client.send_each(target, by_text("each")).await.expect("it was sent");
    is_an_answer(each.pop().expect("one node").result, text, "send_each");
    let watch = client.watch([key("watch")]).await.expect("it is idle");
    is_an_answer(watch.send::<i64>(by_text("watch")).await, text, "a watched connection");
    drop(watch);
    let ways = [
        "single",
        "digest",
        "script",
        "before",
        "pipeline",
        "pipeline2",
        "exec",
        "behind",
        "to",
        "each",
        "watch",
    ];
    let counts: Vec<Option<i64>> = client.mget(ways.map(key)).await.expect("an idle server");
    assert_eq!(counts, [Some(1); 11], "{text}");
}

#[test]
fn a_script_runs_once_whatever_it_answers() {
    for version in Version::all() {
        let server = Server::start(&version);
        run(async {
            let client = connect(config(&server.url())).await;
            for (serial, text) in TEXTS.into_iter().enumerate() {
                ran_once_on_every_way(&client, text, serial).await;
            }
        });
    }
}

#[test]
fn a_function_runs_once_whatever_it_answers() {
    for version in Version::all().into_iter().filter(Version::since_7) {
        let server = Server::start(&version);
        let library = "#!lua name=words\nredis.register_function('speak', function(keys, args) \
                       redis.call('INCR', keys[1]) return redis.error_reply(args[1]) end)";
        server.call(&["FUNCTION", "LOAD", library]).ok();
        run(async {
            let client = connect(config(&server.url())).await;
            for (serial, text) in TEXTS.into_iter().enumerate() {
                let call = |way: &str| fcall("speak", format!("{{{serial}}}{way}"), text);
                is_an_answer(client.send::<i64>(call("a")).await, text, "FCALL");
                let both = client.pipeline().add(call("b")).add(incr("n"));
                let mut results = both.run_each().await.expect("it was sent");
                is_an_answer(results.swap_remove(0), text, "FCALL in a pipeline");
                for way in ["a", "b"] {
                    let key = format!("{{{serial}}}{way}");
                    assert_eq!(client.get::<i64>(key).await.ok(), Some(1), "{text}");
                }
            }
        });
    }
}

/// The script fails by an error of a command inside it, behind a write.
#[test]
fn an_error_inside_of_a_script_is_an_answer() {
    for version in Version::all() {
        let server = Server::start(&version);
        run(async {
            let client = connect(config(&server.url())).await;
            let bodies = [
                "redis.call('INCR', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'x')",
                "redis.call('INCR', KEYS[1]) return redis.call('EVALSHA', 'no', 0)",
                "redis.call('INCR', KEYS[1]) return redis.pcall('NOSUCHCOMMAND')",
                "redis.call('INCR', KEYS[1]) error('BUSY job is locked')",
            ];
            for (n, body) in bodies.into_iter().enumerate() {
                let ran = client.run_script::<i64>(&Script::new(body), n, "x").await;
                let error = ran.expect_err(body);
                assert_eq!(error.delivery(), Delivery::Answered, "{version:?} {body}: {error}");
                assert_eq!(client.get::<i64>(n).await.ok(), Some(1), "{version:?} {body}");
            }
        });
    }
}

/// A script on a replica publishes, and then may not write: it has run half.
#[test]
fn a_script_that_a_replica_stops_half_way_is_not_repeated() {
    let body = "redis.call('PUBLISH', 'said', 'x') return redis.call('SET', KEYS[1], 1)";
    for version in Version::all() {
        let server = Server::start(&version);
        server.call(&["REPLICAOF", "127.0.0.1", "1"]).ok();
        server.call(&["CONFIG", "RESETSTAT"]).ok();
        run(async {
            let client = connect(config(&server.url())).await;
            let error = client.eval::<()>(body, "k", "x").await.expect_err("a replica");
            assert_eq!((error.delivery(), error.attempts()), (Delivery::Answered, 1), "{error}");
        });
        assert_eq!(server.command_calls().get("publish"), Some(&1), "{version:?}");
    }
}

/// A server that does not know the digest says so itself, and gets the source; it runs once.
#[test]
fn a_digest_that_the_server_does_not_know() {
    for version in Version::all() {
        let server = Server::start(&version);
        run(async {
            let client = connect(config(&server.url())).await;
            let counts = Script::new("return redis.call('INCR', KEYS[1])");
            for wanted in 1..=3 {
                client.script_flush().await.expect("an idle server");
                let count: i64 = client.run_script(&counts, "n", "x").await.expect("it runs");
                assert_eq!(count, wanted);
            }
            let error = client.evalsha::<i64>("f".repeat(40), "n", "x").await.expect_err("no");
            assert_eq!(error.delivery(), Delivery::Answered);
        });
    }
}

/// The text of DEBUG ERROR is its argument.
#[test]
fn an_error_that_the_caller_makes_up_is_an_answer() {
    let server = Server::start(&Version::any());
    run(async {
        let client = connect(config(&server.url())).await;
        for text in ["BUSY x", "LOADING Redis is loading the dataset in memory", "MOVED 1 h:1"] {
            let said = client.send::<()>(cmd("DEBUG").arg("ERROR").arg(text)).await;
            is_an_answer(said, text, "DEBUG ERROR");
        }
    });
}

/// MIGRATE quotes what the other server said: it is not this server that refuses.
#[test]
fn what_another_server_said_is_an_answer() {
    for version in Version::all() {
        let (server, other) = (Server::start(&version), Server::of(&version).password("p").start());
        let (ip, port) = (other.address().ip().to_string(), other.address().port());
        run(async {
            let client = connect(config(&server.url())).await;
            client.set("k", 1).await.expect("an idle server");
            let migrate = cmd("MIGRATE").arg(ip).arg(port).arg("k").arg(0).arg(1000);
            let error = client.send::<()>(migrate).await.expect_err("it wants a password");
            assert_eq!((error.delivery(), error.attempts()), (Delivery::Answered, 1), "{error}");
        });
    }
}

/// Runs a blocking command, and `end` once it blocks.
async fn blocked(
    server: &Server,
    command: Command,
    end: impl FnOnce(&str),
) -> Result<Option<(String, String)>, Error> {
    let client = connect(config(&server.url())).await;
    let waits = smol::spawn(async move { client.send(command).await });
    let mut id = String::new();
    until_true("it to block", || {
        let list = server.call(&["CLIENT", "LIST"]).text();
        let blocks = |line: &&str| line.contains("flags=b") || line.contains(" flags=tb");
        id = list
            .lines()
            .find(blocks)
            .and_then(|line| line.split(['=', ' ']).nth(1))
            .unwrap_or("")
            .to_owned();
        !id.is_empty()
    });
    end(&id);
    waits.await
}

/// An administrator ends it: that is the answer, and it does not block again.
#[test]
fn a_blocking_command_that_is_unblocked_fails_at_once() {
    for version in Version::all() {
        let server = Server::start(&version);
        run(async {
            let pop = cmd("BLPOP").key("q").arg(0);
            let ended = blocked(&server, pop, |id| {
                server.call(&["CLIENT", "UNBLOCK", id, "ERROR"]).ok();
            });
            let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
            is_an_answer(ended.await, text, "CLIENT UNBLOCK");
            server.call(&["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]).ok();
            let read = cmd("XREADGROUP").arg("GROUP").arg("g").arg("c").arg("BLOCK").arg(0);
            let read = read.arg("STREAMS").key("s").arg(">");
            let ended = blocked(&server, read, |_| {
                server.call(&["DEL", "s"]).ok();
                if version.number() < (6, 2, 0) {
                    server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).ok();
                }
            });
            let error = ended.await.expect_err("the stream is gone");
            if version.since_7() {
                assert_eq!((error.delivery(), error.attempts()), (Delivery::Answered, 1));
            }
        });
    }
}

/// A server that becomes a replica ends blocking commands, which have done nothing yet.
#[test]
fn a_blocking_command_outlasts_a_change_of_roles() {
    for version in Version::all() {
        let server = Server::start(&version);
        run(async {
            let pop = cmd("BLPOP").key("q").arg(0);
            let popped = blocked(&server, pop, |_| {
                server.call(&["REPLICAOF", "127.0.0.1", "1"]).ok();
                server.call(&["REPLICAOF", "NO", "ONE"]).ok();
                server.call(&["RPUSH", "q", "v"]).ok();
            });
            let popped = popped.await.expect("it is a primary again");
            assert_eq!(popped, Some(("q".to_owned(), "v".to_owned())), "{version:?}");
        });
    }
}
