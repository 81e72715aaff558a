//! Peers that are no Redis servers, or send what no server sends.
//!
//! Each case is met by `connect`, by a call on a good connection that may run only once, and by a
//! read, which is retried unless the peer violated the protocol.

use super::{BACKGROUNDS, SHORT, config, connect, servers};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorKind, Value, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Peer, Proxy, Script, script};
use slotcar_tests::{ExpectedError, Watched};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the bad peer does.
type Bad = Arc<dyn Fn(&mut Peer) + Send + Sync>;

/// Sends bytes and then nothing.
fn bytes(bytes: impl Into<Vec<u8>>) -> Bad {
    let bytes = bytes.into();
    Arc::new(move |peer| {
        peer.send(&bytes);
        peer.wait_for_close();
    })
}

/// Cases that violate the protocol, and the words of the error.
fn violations() -> Vec<(Bad, &'static str)> {
    vec![
        (bytes(script::HTTP), "server speaks HTTP, not RESP"),
        (bytes(script::GARBAGE), "protocol violated"),
        (bytes(script::HUGE_BULK), "exceeds"),
        (bytes(script::HUGE_ARRAY), "exceeds"),
        (bytes(script::nested_arrays(100_000)), "nests deeper than 128"),
        (bytes(b"%1000000000000000000\r\n".as_slice()), "exceeds"),
        (bytes(b"$3\r\nabcd\r\n".as_slice()), "CRLF"),
        (bytes(b"=?\r\n".as_slice()), "cannot be streamed"),
        (bytes(b"%?\r\n:1\r\n.\r\n".as_slice()), "malformed streamed type"),
        (bytes(vec![b'+'; 2 << 20]), "line"),
    ]
}

/// Cases that close or fall silent, and the words of the error.
fn ends() -> Vec<(Bad, &'static str)> {
    let close: Bad = Arc::new(|_| {});
    let half: Bad = Arc::new(|peer| peer.send(script::HALF_FRAME));
    vec![
        (close, "the server closed the connection"),
        (half, "the server closed the connection"),
        (bytes(script::HALF_FRAME), "no byte from the server for 200ms"),
        (bytes(b"".as_slice()), "no byte from the server for 200ms"),
    ]
}

#[test]
fn at_the_first_byte() {
    for (bad, words) in violations() {
        let script = Script::start(move |peer| {
            let _ = peer.command();
            bad(peer);
        });
        let told = ExpectedError::new(ErrorKind::Protocol, Delivery::Unknown).command("PING");
        let told = told.at(script.address()).says("protocol violated").says(words);
        told.check_err(run(connect(config(&script.url()))));
        // Where the handshake must be answered first, no command was written.
        let told = ExpectedError::new(ErrorKind::Protocol, Delivery::NotSent)
            .at(script.address())
            .says(words);
        told.check_err(run(connect(config(&script.url()).password("pw"))));
    }
    for (bad, words) in ends() {
        let script = Script::start(move |peer| {
            let _ = peer.command();
            bad(peer);
        });
        let config = config(&script.url()).progress_timeout(SHORT).attempts_max(1);
        // After a close the handshake alone is tried, and nothing else was sent. Silence alone
        // shows nothing, here on all connections, and the command ends at its own time.
        let told = match words.contains("closed") {
            true => ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).says("no handshake"),
            false => ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown)
                .says("no reply within 800ms")
                .command("PING"),
        };
        let brief = config.clone().connect_timeout(SHORT * 4);
        told.at(script.address()).check_err(run(connect(brief)));
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at(script.address());
        told.says("no handshake").check_err(run(connect(config.password("pw"))));
    }
}

/// The peer closes before it reads the first command; whether that was written depends on the
/// kernel.
#[test]
fn a_server_that_closes_at_once() {
    let script = Script::start(|_| {});
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).or(Delivery::NotSent);
    let told = told.at(script.address());
    let config = config(&script.url()).attempts_max(3);
    let client = Client::connect_lazy(Smol::new(), config.clone()).expect("good");
    told.clone().command("GET").attempts(3..=3).check_err(run(client.get::<()>("k")));
    told.clone().command("INCR").attempts(1..=3).check_err(run(client.incr("n")));
    assert!(script.accepted() >= 4, "{} connections", script.accepted());
    let client = Client::connect_lazy(Smol::new(), config.password("pw")).expect("good");
    let told = ExpectedError::new(ErrorKind::Connect, Delivery::NotSent).at(script.address());
    told.command("INCR").attempts(3..=3).says("no handshake").check_err(run(client.incr("n")));
}

/// The bad bytes come on a connection that was good before.
#[test]
fn in_the_middle() {
    let peer_with = |bad: Bad| {
        Script::start(move |peer| {
            while let Some(command) = peer.command_after_handshake() {
                match command[0].as_slice() {
                    b"PING" => peer.send(b"+PONG\r\n"),
                    b"ECHO" => peer.send(b"$4\r\ngood\r\n"),
                    // What the server knows of a silent connection.
                    b"CLIENT" => peer.send(b"$0\r\n\r\n"),
                    _ => return bad(peer),
                }
            }
        })
    };
    for (bad, words) in violations() {
        let script = peer_with(bad);
        let client = run(connect(config(&script.url()))).expect("good until now");
        for name in ["INCR", "GET"] {
            let told = ExpectedError::new(ErrorKind::Protocol, Delivery::Unknown).command(name);
            let told = told.at(script.address()).says("protocol violated").says(words);
            told.check_err(run(client.send::<Value>(cmd(name).key("k"))));
            // The next connection is good again.
            assert_eq!(run(client.send::<String>(cmd("ECHO").arg("x"))).expect("good"), "good");
        }
        assert_eq!(script.accepted(), 3);
    }
    for (bad, words) in ends() {
        let script = peer_with(bad);
        let config = config(&script.url()).progress_timeout(SHORT).attempts_max(2);
        let client = run(connect(config)).expect("good until now");
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).at(script.address());
        let told = told.says(words);
        told.clone().command("INCR").check_err(run(client.incr("k")));
        told.command("GET").attempts(2..=2).check_err(run(client.get::<()>("k")));
        // A connection on which nothing comes is given up once another one works.
        let closed = words.contains("closed");
        let connections = if closed { 3 } else { 4 };
        assert_eq!(script.accepted(), connections, "INCR was not tried again, GET was");
    }
}

/// A complete reply with a bad value fails only its own caller.
#[test]
fn a_malformed_value() {
    let script = Script::answering(|command| match command[0].as_slice() {
        b"PING" => Some(b"+PONG\r\n".to_vec()),
        _ => Some(b":12x\r\n".to_vec()),
    });
    let client = run(connect(config(&script.url()))).expect("good");
    let told =
        ExpectedError::new(ErrorKind::Convert, Delivery::Answered).command("GET").attempts(0..=1);
    let error = run(client.get::<u64>("k")).expect_err("no number");
    told.says("expected u64, got integer 12x").check(&error);
    run(client.ping()).expect("the connection goes on");
    assert_eq!(script.accepted(), 1);
}

/// Callers on the same connection get their own replies up to the violation, and its error after
/// it.
#[test]
fn replies_before_a_violation_count() {
    let script = Script::start(|peer| {
        let mut count = 0;
        while let Some(command) = peer.command_after_handshake() {
            count += 1;
            match command[0].as_slice() {
                b"PING" => peer.send(b"+PONG\r\n"),
                _ if count < 6 => {}
                _ => peer.send(b"$1\r\n1\r\n$1\r\n2\r\n?\r\n"),
            }
        }
    });
    let client = run(connect(config(&script.url()))).expect("good until now");
    let calls = (0..5).map(|i| client.get::<u64>(i));
    let results = run(futures::future::join_all(calls));
    assert!(matches!(results[..2], [Ok(1), Ok(2)]), "{results:?}");
    let told = ExpectedError::new(ErrorKind::Protocol, Delivery::Unknown).command("GET");
    let told = told.at(script.address());
    results.into_iter().skip(2).for_each(|result| told.check_err(result));
}

/// An extra reply closes the connection and reaches no caller: when it comes with the last reply,
/// when no caller waits, and on a host without a background task.
#[test]
fn a_reply_without_a_command() {
    for background in BACKGROUNDS {
        for at_once in [true, false] {
            let [ended, taken, sent] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
            let [ends, takes, sends] = [&ended, &taken, &sent].map(Arc::clone);
            let script = Script::start(move |peer| {
                while let Some(command) = peer.command_after_handshake() {
                    match command[0].as_slice() {
                        b"PING" => peer.send(b"+PONG\r\n"),
                        b"ECHO" => {
                            peer.send(&slotcar_tests::real::wire::encode(&[&command[1]])[4..]);
                        }
                        b"GET" if at_once => peer.send(b"$3\r\nyes\r\n$5\r\nwrong\r\n"),
                        b"GET" => {
                            peer.send(b"$3\r\nyes\r\n");
                            until_true("it to be taken", || takes.load(Ordering::SeqCst) > 0);
                            peer.send(b"$5\r\nwrong\r\n");
                        }
                        name => panic!("{name:?}"),
                    }
                    sends.fetch_add(1, Ordering::SeqCst);
                }
                ends.fetch_add(1, Ordering::SeqCst);
            });
            let watched = Watched::new(Smol::new());
            let watched = if background { watched } else { watched.without_background() };
            let client = run(Client::connect(watched, config(&script.url()))).expect("good");
            assert_eq!(run(client.get::<String>("k")).expect("its own reply"), "yes");
            taken.store(1, Ordering::SeqCst);
            if background {
                until_true("the client to hang up", || ended.load(Ordering::SeqCst) == 1);
            } else {
                until_true("the reply to arrive", || sent.load(Ordering::SeqCst) == 2);
            }
            for token in ["one", "two"] {
                let echo = run(client.send::<String>(cmd("ECHO").arg(token)));
                assert_eq!(echo.expect("on the next connection"), token, "{background} {at_once}");
            }
            assert_eq!(script.accepted(), 2, "{background} {at_once}");
        }
    }
}

/// Pushes are not replies, wherever they come, also without a subscription.
#[test]
fn pushes_are_kept_apart_from_replies() {
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nbody\r\n";
    let attribute = "|1\r\n+ttl\r\n:60\r\n";
    let script = Script::answering(move |command| {
        let word = String::from_utf8_lossy(&command[command.len() - 1]).into_owned();
        Some(format!("{push}{push}{attribute}${}\r\n{word}\r\n{push}", word.len()).into_bytes())
    });
    let client = run(connect(config(&script.url()))).expect("good");
    for i in 0..20 {
        assert_eq!(run(client.get::<u64>(i)).expect("its own"), i);
    }
    let mut pipeline = client.pipeline();
    (0..50_u64).for_each(|i| pipeline.push(cmd("GET").key(i)));
    let all: Vec<u64> = run(pipeline.run()).expect("its own");
    assert_eq!(all, Vec::from_iter(0..50));
    assert_eq!(script.accepted(), 1);
}

/// Each kind of reply, cut into single bytes.
#[test]
fn one_byte_at_a_time() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        proxy.set(Fault::OneByte);
        let client = run(connect(config(&proxy.url()))).expect("slow, and good");
        let result: Result<(), slotcar::Error> = run(async {
            let long = "v".repeat(2000);
            client.set("k", &long).await?;
            assert_eq!(client.get::<String>("k").await?, long);
            client.hset("h", [("a", 1), ("b", 2)]).await?;
            let hash: HashMap<String, u8> = client.hgetall("h").await?;
            assert_eq!((hash["a"], hash["b"]), (1, 2));
            client.rpush("l", ["x", "", "z"]).await?;
            assert_eq!(client.lrange::<Vec<String>>("l", 0, -1).await?, ["x", "", "z"]);
            let (n, none, list): (i64, Option<String>, Vec<String>) = client
                .pipeline()
                .add(cmd("INCR").key("n"))
                .add(cmd("GET").key("none"))
                .add(cmd("LRANGE").key("l").arg(0).arg(0))
                .run()
                .await?;
            assert_eq!((n, none, list), (1, None, vec!["x".to_owned()]));
            for kind in ["double", "bignum", "true", "map", "set", "verbatim", "attrib", "null"] {
                client.send::<Value>(cmd("DEBUG").arg("PROTOCOL").arg(kind)).await?;
            }
            Ok(())
        });
        result.expect("every reply is put together");
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Answered).command("INCR");
        told.at(proxy.address()).code("WRONGTYPE").check_err(run(client.incr("h")));
        assert_eq!(proxy.accepted(), 1);
    }
}

/// The error of a reply beyond the caller's own limits names the limit.
#[test]
fn a_reply_beyond_the_limits() {
    for server in servers() {
        let limits = config(&server.url()).reply_bytes_max(1000).reply_depth_max(6);
        let client = run(connect(limits)).expect("good");
        run(client.set("k", "v".repeat(2000))).expect("only replies are limited");
        let told = ExpectedError::new(ErrorKind::Protocol, Delivery::Unknown).at(server.address());
        let told = told.or_kind(ErrorKind::Limit);
        told.clone()
            .command("GET")
            .says("exceeds 1000 bytes")
            .check_err(run(client.get::<()>("k")));
        let deep = cmd("EVAL").arg("return {{{{{{{1}}}}}}}").arg(0);
        let told = told.command("EVAL").says("nests deeper than 6");
        told.check_err(run(client.send::<Value>(deep)));
        run(client.set("k", "v")).expect("the client goes on");
    }
}
