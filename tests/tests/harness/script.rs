//! Tests of the scripted server: it sends what the test says and records what it receives.
//!
//! Its handshake is compared with that of real servers, field by field.

use std::time::Duration;

use slotcar_tests::real::{Conn, Reply, Script, Server, script};

use crate::versions;

#[test]
fn it_answers_and_remembers_per_connection() {
    let script = Script::answering(|command| match command[0].as_slice() {
        b"GET" => Some(b"$5\r\nhello\r\n".to_vec()),
        b"PUSH" => Some(b">2\r\n$1\r\na\r\n:1\r\n+OK\r\n".to_vec()),
        _ => None,
    });
    let mut first = Conn::open(script.address()).unwrap();
    let mut second = Conn::open(script.address()).unwrap();
    assert_eq!(first.call(&["GET", "k"]).unwrap().text(), "hello");
    let push = second.call(&["PUSH"]).unwrap();
    assert!(matches!(push, Reply::Push(items) if items.len() == 2));
    assert_eq!(second.receive().unwrap().text(), "OK");
    assert!(first.call(&["QUIT"]).is_err(), "None closes");
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let expected = vec![(0, words(&["GET", "k"])), (1, words(&["PUSH"])), (0, words(&["QUIT"]))];
    assert_eq!((script.commands(), script.accepted()), (expected, 2));
}

// The handshake of a script has the shape of a real one.
#[test]
fn its_handshake_is_that_of_a_real_server() {
    for version in versions() {
        let server = Server::start(&version);
        let script = Script::answering(|_| None);
        for protocol in ["2", "3"] {
            let mut real = server.conn().unwrap();
            let mut played = Conn::open(script.address()).unwrap();
            let (real, played) = (
                real.call(&["HELLO", protocol]).unwrap(),
                played.call(&["HELLO", protocol]).unwrap(),
            );
            for field in ["server", "version", "proto", "id", "mode", "role", "modules"] {
                let (real, played) = (real.field(field).unwrap(), played.field(field).unwrap());
                let same = std::mem::discriminant(real) == std::mem::discriminant(played);
                assert!(same, "{version} {field}: {real:?} {played:?}");
            }
            assert_eq!(matches!(played, Reply::Map(_)), protocol == "3");
            assert_eq!(played.field("proto").unwrap().text(), protocol);
        }
    }
    let mut conn = Conn::open(Script::answering(|_| None).address()).unwrap();
    assert!(conn.call(&["CLIENT", "SETNAME", "x"]).is_err(), "a dropped script is closed");
}

#[test]
fn canned_bytes_arrive_as_they_are() {
    let nested = script::nested_arrays(100_000);
    assert_eq!(nested.len(), 400_000);
    let canned = [
        script::HTTP.to_vec(),
        script::GARBAGE.to_vec(),
        script::HALF_FRAME.to_vec(),
        script::HUGE_ARRAY.to_vec(),
        script::HUGE_BULK.to_vec(),
        nested,
    ];
    let sent = canned.clone();
    let script = Script::start(move |peer| {
        let _ = peer.command_after_handshake();
        let bytes = sent[peer.number()].clone();
        peer.send(&bytes);
    });
    for expected in canned {
        let mut conn = Conn::open(script.address()).unwrap();
        conn.set_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(conn.call(&["SELECT", "0"]).unwrap().text(), "OK");
        conn.send(&["GET", "k"]).unwrap();
        let mut got = Vec::new();
        loop {
            let bytes = conn.receive_raw(65536).unwrap();
            if bytes.is_empty() {
                break;
            }
            got.extend(bytes);
        }
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    }
}

#[test]
fn a_reply_without_a_command() {
    let script = Script::start(|peer| {
        peer.send(b"+unasked\r\n");
        peer.wait_for_close();
    });
    let mut conn = Conn::open(script.address()).unwrap();
    assert_eq!(conn.receive().unwrap().text(), "unasked");
    drop(script);
    assert!(conn.receive().is_err());
}
