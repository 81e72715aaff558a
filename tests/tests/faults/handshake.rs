//! What a connection sends before commands: credentials, name, database, protocol.
//!
//! A refused handshake names the refused command and the server's error, and never shows a
//! password.
//! **Invariant**: a connection carries no command before its handshake is complete.

use super::{LONG, SHORT, config, connect, lazy, servers, versions};
use slotcar::config::Protocol;
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorKind};
use slotcar_tcp::Smol;
use slotcar_tests::polling::run;
use slotcar_tests::real::{Conn, Script, Server, Version, script};
use slotcar_tests::{ExpectedError, Watched, expected_error};

/// What CLIENT LIST shows of the only other connection.
fn listed(server: &Server) -> String {
    let text = server.call(&["CLIENT", "LIST"]).ok().text();
    text.lines().find(|line| !line.contains("cmd=client")).unwrap_or_default().to_owned()
}

#[test]
fn a_wrong_password() {
    for version in versions() {
        let server = Server::of(&version).password("right").start();
        let config = config(&format!("redis://{}", server.address()));
        let told = ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent).at(server.address());
        let told = told.says("HELLO was refused").code("WRONGPASS");
        let wrong = config.clone().password("hunter2");
        let error = run(connect(wrong.clone())).expect_err("it is wrong");
        told.check(&error);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        // A command does not wait for the password to become right.
        let told = told.command("GET").attempts(1..=1);
        told.check_err(run(lazy(wrong.clone()).get::<()>("k")));
        let told = ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent).at(server.address());
        let told = told.says("AUTH was refused").code("WRONGPASS");
        told.check_err(run(connect(wrong.protocol(Protocol::Resp2))));
        // No password: the server refuses the first command.
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Refused).command("PING");
        told.at(server.address()).code("NOAUTH").check_err(run(connect(config.clone())));
        let unknown = config.clone().username("nobody").password("right");
        let told = ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent).at(server.address());
        told.says("HELLO was refused").code("WRONGPASS").check_err(run(connect(unknown)));
        run(connect(config.password("right"))).expect("it is right");
    }
}

/// Redis 8.0.2 sends no reply to an AUTH that it refuses, if replies to commands before it are not
/// sent yet. So credentials stand in front of their flight, and the refusal arrives.
#[test]
fn a_refused_password_is_answered_whatever_else_is_asked() {
    for version in Version::all() {
        let server = Server::of(&version).password("right").start();
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            for user in [None, Some("nobody")] {
                let config = config(&format!("redis://{}", server.address())).protocol(protocol);
                let config = config.password("wrong").database(3).client_name("me");
                let config = match user {
                    Some(user) => config.username(user),
                    None => config,
                };
                let error = run(connect(config)).expect_err("it is wrong");
                let code = error.server_error().map(slotcar::ServerError::code);
                let told = (error.kind(), code);
                assert_eq!(told, (ErrorKind::Handshake, Some("WRONGPASS")), "{version}: {error:?}");
            }
        }
    }
}

#[test]
fn no_permission() {
    for server in servers() {
        let user = ["ACL", "SETUSER", "reader", "on", ">pw", "~mine:*", "+get", "+ping", "+client"];
        server.call(&user).ok();
        let config = config(&format!("redis://reader:pw@{}", server.address()));
        let client = run(connect(config.clone())).expect("it may connect");
        run(client.get::<Option<String>>("mine:k")).expect("it may read this");
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Refused).at(server.address());
        told.clone().command("SET").code("NOPERM").check_err(run(client.set("mine:k", 1)));
        told.command("GET").code("NOPERM").check_err(run(client.get::<()>("yours")));
        // The user may not select a database, so commands would run in the wrong one.
        let told = ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent).at(server.address());
        let told = told.says("SELECT was refused").code("NOPERM");
        told.check_err(run(connect(config.database(1))));
    }
}

/// A user who may not send HELLO is served in RESP2.
#[test]
fn no_permission_for_hello() {
    for server in servers() {
        server.call(&["ACL", "SETUSER", "default", "-hello"]).ok();
        server.call(&["ACL", "SETUSER", "old", "on", ">pw", "~*", "+@all", "-hello"]).ok();
        for user in ["", "old:pw@"] {
            let url = format!("redis://{user}{}", server.address());
            let client = run(connect(config(&url).database(2))).expect("AUTH does as well");
            run(client.set("k", "v")).expect("it works");
            assert_eq!(run(client.get::<String>("k")).expect("it works"), "v");
            assert!(listed(&server).contains("db=2"), "{}", listed(&server));
        }
    }
}

#[test]
fn a_wrong_database() {
    for server in servers() {
        let config = config(&server.url()).database(999);
        let told = ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent).at(server.address());
        let told = told.says("SELECT was refused").says("out of range").code("ERR");
        told.check_err(run(connect(config.clone())));
        told.command("SET").check_err(run(lazy(config).set("k", "v")));
        assert_eq!(server.call(&["DBSIZE"]).integer(), Some(0), "nothing ran elsewhere");
    }
}

/// Name, database, user and protocol arrive, with or without HELLO and SETINFO at the server.
#[test]
fn everything_arrives() {
    let mut servers: Vec<(Server, &str)> = Vec::new();
    for version in Version::all() {
        servers.push((Server::of(&version).password("pw").start(), "resp3"));
    }
    for version in versions().into_iter().chain(Version::named("redis-6.0")) {
        let old = Server::of(&version).password("pw").config("rename-command HELLO \"\"").start();
        servers.push((old, "resp2"));
    }
    for (server, best) in &servers {
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let config = config(&server.url()).protocol(protocol).database(3).client_name("me");
            let client = run(connect(config)).expect("it is right");
            run(client.hset("h", [("a", 1), ("b", 2)])).expect("it works");
            let hash = run(client.hgetall::<std::collections::BTreeMap<String, u8>>("h"));
            assert_eq!(hash.expect("it works").len(), 2);
            let line = listed(server);
            assert!(line.contains("db=3") && line.contains("name=me"), "{line}");
            if server.version().since((7, 2), (8, 0)) {
                assert!(line.contains("lib-name=slotcar"), "{line}");
                let resp = if protocol == Protocol::Resp2 { "resp2" } else { *best };
                assert!(line.contains(&format!("resp={}", &resp[4..])), "{line}");
            }
            drop(client);
            super::gone(server);
        }
        let bare = run(connect(config(&server.url()))).expect("a password only");
        run(bare.get::<Option<String>>("k")).expect("it works");
        drop(bare);
        super::gone(server);
    }
}

/// A server without HELLO and without a password: the first command goes with HELLO, and RESP2
/// follows.
#[test]
fn no_hello_and_no_password() {
    for version in versions().into_iter().chain(Version::named("redis-6.0")) {
        let server = Server::of(&version).config("rename-command HELLO \"\"").start();
        let client = lazy(config(&server.url()));
        run(client.set("k", "v")).expect("it works");
        let none: Option<String> = run(client.get("none")).expect("RESP2's null");
        assert_eq!(none, None);
    }
}

#[test]
fn resp2_never_says_hello() {
    let script = Script::answering(|_| Some(b"+OK\r\n".to_vec()));
    let config = config(&script.url()).protocol(Protocol::Resp2).password("pw").client_name("me");
    run(lazy(config).set("k", "v")).expect("it is answered");
    let commands: Vec<String> = script.commands().into_iter().map(|(_, c)| c.join(" ")).collect();
    assert_eq!(commands[..2], ["AUTH pw", "CLIENT SETNAME me"]);
    assert_eq!(commands.last().map(String::as_str), Some("SET k v"));
}

/// One write for the whole handshake, with the first command in it where the command does not
/// depend on the replies.
#[test]
fn one_write_before_the_first_reply() {
    for server in servers() {
        let watched = Watched::new(Smol::new());
        let client = Client::connect_lazy(watched.clone(), config(&server.url())).expect("good");
        run(client.set("k", "v")).expect("it works");
        let [writes] = <[_; 1]>::try_from(watched.writes()).expect("one stream");
        let text = String::from_utf8_lossy(&writes[0]).into_owned();
        assert_eq!(writes.len(), 1, "{writes:?}");
        assert!(text.contains("HELLO") && text.contains("SETINFO") && text.contains("SET\r\n"));

        server.set_password(Some("pw"));
        let watched = Watched::new(Smol::new());
        let config = config(&server.url()).database(1).client_name("me");
        let client = Client::connect_lazy(watched.clone(), config).expect("good");
        run(client.set("k", "v")).expect("it works");
        let [writes] = <[_; 1]>::try_from(watched.writes()).expect("one stream");
        let text = String::from_utf8_lossy(&writes[0]).into_owned();
        assert_eq!(writes.len(), 2, "{writes:?}");
        for word in ["HELLO", "AUTH", "SETNAME", "SETINFO", "SELECT"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(!text.contains("SET\r\n"), "no command before the answers: {text}");
    }
}

/// The first connection is good; on the next one the server refuses a step. No command goes to a
/// connection whose handshake is not complete.
#[test]
fn nothing_is_sent_before_the_handshake_is_whole() {
    for (refused, code) in [("HELLO", "WRONGPASS"), ("SELECT", "ERR")] {
        let script = Script::start(move |peer| {
            while let Some(command) = peer.command() {
                let refuse = peer.number() == 1 && command[0] == refused.as_bytes();
                match script::handshake_answer(&command) {
                    _ if refuse => peer.send(format!("-{code} not today\r\n").as_bytes()),
                    Some(bytes) => peer.send(&bytes),
                    // The first connection ends with its first GET.
                    None if peer.number() == 0 && command[0] == b"GET" => return,
                    None => peer.send(b"+PONG\r\n"),
                }
            }
        });
        let config = config(&script.url()).password("pw").client_name("me").database(1);
        let client = run(connect(config)).expect("the first connection is fine");
        let told =
            ExpectedError::new(ErrorKind::Handshake, Delivery::Unknown).or(Delivery::NotSent);
        let told = told.command("GET").attempts(2..=2).at(script.address());
        let told = told.says(&format!("{refused} was refused")).code(code);
        told.check_err(run(client.get::<()>("k")));
        assert_eq!(run(client.get::<String>("k")).expect("the third is fine"), "PONG");
        let sent: Vec<_> = script.commands().into_iter().filter(|(n, _)| *n == 1).collect();
        let mut steps = sent.iter().map(|(_, command)| command[0].as_str());
        assert!(steps.all(|name| ["HELLO", "CLIENT", "SELECT"].contains(&name)), "{sent:?}");
        assert_eq!(script.accepted(), 3);
    }
}

/// The handshake is cut inside of any of its replies: no command follows half of a handshake. A cut
/// between two of them may be a refusal of what comes next.
#[test]
fn half_a_handshake_is_none() {
    let script = Script::start(|peer| {
        let (mut answers, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let Some(command) = peer.command() else { return };
            answers.extend(script::handshake_answer(&command).expect("a handshake"));
            ends.push(answers.len());
        }
        let end = 1 + peer.number() * 7;
        let end = if ends[..3].contains(&end) { end - 1 } else { end };
        peer.send(&answers[..end.min(answers.len())]);
        if end < answers.len() {
            return;
        }
        while peer.command().is_some() {
            peer.send(b"+late\r\n");
        }
    });
    let config = config(&script.url()).password("pw").database(1).attempts_max(1000);
    assert_eq!(run(lazy(config).get::<String>("k")).expect("in the end"), "late");
    let commands = script.commands();
    let last = script.accepted() - 1;
    assert!(last > 10, "{last} cuts");
    assert!(commands.iter().all(|(n, command)| *n == last || command[0] != "GET"));
}

/// The password changes at the server: the open connection stays, new ones are refused until the
/// client's password is right again.
#[test]
fn a_password_that_changes() {
    for version in versions() {
        let server = Server::of(&version).password("first").start();
        let client = run(connect(config(&server.url()))).expect("it is right");
        server.set_password(Some("second"));
        run(client.get::<Option<String>>("k")).expect("the connection stays");
        server.kill_clients("normal");
        let told = ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent).at(server.address());
        let told = told.or(Delivery::Unknown).command("GET").attempts(1..=2).code("WRONGPASS");
        told.check_err(run(client.get::<()>("k")));
        server.set_password(Some("first"));
        run(client.get::<Option<String>>("k")).expect("it is right again");
    }
}

/// A full server refuses connections without running anything; the command waits for a free one.
#[test]
fn a_server_that_is_full() {
    for version in versions() {
        let server = Server::of(&version).config("maxclients 3").start();
        let mut held: Vec<Conn> = Vec::new();
        while held.len() < 3 {
            let mut conn = Conn::open(server.address()).expect("it listens");
            // The harness's own first connection may still count.
            if conn.call(&["PING"]).is_ok_and(|reply| reply.text() == "PONG") {
                held.push(conn);
            }
        }
        for url in [server.url(), format!("{}/1", server.url())] {
            let config = config(&url).connect_timeout(SHORT).attempts_max(1000);
            let told =
                ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at(server.address());
            let told = told.or_kind(ErrorKind::Timeout);
            let error = run(connect(config.clone())).expect_err("it is full");
            let told = if error.command().is_some() { told.command("PING") } else { told };
            told.attempts(0..=1000).check(&error);
            let mut all = expected_error::causes(&error);
            all.push(error.to_string());
            assert!(all.iter().any(|text| text.contains("max number of clients")), "{all:?}");
            let client = lazy(config.command_timeout(LONG));
            let call = smol::spawn(async move { client.incr("n").await });
            drop(held.pop());
            run(call).expect("there is a place now");
            held.push(free_place(&server));
        }
    }
}

/// Takes the connection that the client just closed.
fn free_place(server: &Server) -> Conn {
    slotcar_tests::real::until("a free place", || {
        let mut conn = Conn::open(server.address()).ok()?;
        conn.call(&["PING"]).is_ok_and(|reply| reply.text() == "PONG").then_some(conn)
    })
}
