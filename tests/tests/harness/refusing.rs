//! Tests of the relay that refuses: it refuses what it was told, and passes the rest on.
//!
//! Replies through it are compared with those of the server itself.

use slotcar_tests::real::{Conn, How, Refusing, Reply, Server};

use crate::versions;

#[test]
fn it_refuses_what_it_was_told_and_nothing_else() {
    for version in versions() {
        let server = Server::start(&version);
        let says = Refusing::start(server.address(), &["CLIENT ID", "ROLE"], How::Says("no"));
        let mut conn = Conn::open(says.address()).unwrap();
        for refused in [&["CLIENT", "ID"][..], &["role"]] {
            assert!(conn.call(refused).unwrap().is_error("no"), "{refused:?}");
        }
        assert_eq!(conn.call(&["CLIENT", "GETNAME"]).unwrap(), Reply::Null);
        assert_eq!(says.count(), 2);
        for how in [How::Hangup, How::Silence] {
            let relay = Refusing::start(server.address(), &["PING"], how);
            let mut conn = Conn::open(relay.address()).unwrap();
            assert_eq!(conn.call(&["ECHO", "x"]).unwrap().text(), "x");
            conn.send(&["PING"]).unwrap();
            if how == How::Hangup {
                assert!(conn.receive().is_err());
                continue;
            }
            // Nothing comes until the relay is gone.
            drop(relay);
            assert!(conn.receive().is_err());
        }
    }
}

/// Each kind of reply of both protocols, and messages.
#[test]
fn it_passes_replies_on_as_they_came() {
    for version in versions() {
        let server = Server::start(&version);
        server.call(&["HSET", "h", "f", "v"]).ok();
        let relay = Refusing::start(server.address(), &[], How::Hangup);
        for protocol in ["2", "3"] {
            let mut direct = server.conn().unwrap();
            let mut relayed = Conn::open(relay.address()).unwrap();
            for conn in [&mut direct, &mut relayed] {
                conn.call(&["HELLO", protocol]).unwrap().ok();
            }
            let script = "return {1, 'two', {3}, false, {err='four'}, {ok='five'}}";
            for words in [
                &["HGETALL", "h"][..],
                &["GET", "none"],
                &["LRANGE", "none", "0", "-1"],
                &["SMEMBERS", "none"],
                &["ZRANGEBYSCORE", "none", "-inf", "inf"],
                &["EVAL", script, "0"],
                &["NO.SUCH"],
                &["COMMAND", "INFO", "get"],
            ] {
                let expected = direct.call(words).unwrap();
                assert_eq!(relayed.call(words).unwrap(), expected, "{version} {words:?}");
            }
            relayed.send(&["SUBSCRIBE", "a", "b"]).unwrap();
            for channel in ["a", "b"] {
                let reply = relayed.receive().unwrap();
                assert_eq!(reply.items()[1].text(), channel, "{version}");
            }
            assert!(relayed.call(&["PING"]).is_ok());
        }
    }
}
