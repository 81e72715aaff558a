//! Tests of the proxy: each fault breaks what its name says, and nothing else.
//!
//! Where a fault means silence, the test waits a short time and asserts that nothing came.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use slotcar_tests::real::proxy::Unreachable;
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Conn, Fault, Proxy, Reply, Server, script};

use crate::versions;

/// Long enough for any reply on loopback, short enough to wait for it.
const SILENCE: Duration = Duration::from_millis(150);

fn start() -> Vec<(Server, Proxy)> {
    let pair = |version| {
        let server = Server::start(&version);
        let proxy = Proxy::to(server.address());
        (server, proxy)
    };
    versions().into_iter().map(pair).collect()
}

fn conn(proxy: &Proxy) -> Conn {
    let mut conn = Conn::open(proxy.address()).unwrap();
    conn.set_timeout(BOUND).unwrap();
    conn
}

fn silent(conn: &mut Conn) -> bool {
    conn.set_timeout(SILENCE).unwrap();
    let quiet = matches!(
        conn.receive_raw(1).map_err(|e| e.kind()),
        Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)
    );
    conn.set_timeout(BOUND).unwrap();
    quiet
}

#[test]
fn everything_passes_unchanged() {
    for (_server, proxy) in start() {
        let mut conn = conn(&proxy);
        let big = "x".repeat(3_000_000);
        assert_eq!(conn.call(&["SET", "big", &big]).unwrap().text(), "OK");
        assert_eq!(conn.call(&["GET", "big"]).unwrap().text(), big);
        assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
        assert!(proxy.request_bytes() > 3_000_000 && proxy.reply_bytes() > 3_000_000);
        drop(conn);
        until_true("the connection to be gone", || proxy.open() == 0);
    }
}

#[test]
fn a_black_hole_holds_everything_until_it_closes() {
    for (server, proxy) in start() {
        let mut open = conn(&proxy);
        open.call(&["PING"]).unwrap().ok();
        proxy.set(Fault::BlackHole);
        let mut new = conn(&proxy);
        server.reset_command_calls();
        for conn in [&mut open, &mut new] {
            conn.send(&["INCR", "n"]).unwrap();
            assert!(silent(conn));
        }
        assert_eq!(server.command_calls().get("incr"), None);
        proxy.clear();
        let mut got: Vec<_> = [open, new].iter_mut().map(|c| c.receive().unwrap().text()).collect();
        got.sort();
        assert_eq!(got, ["1", "2"]);
    }
}

#[test]
fn held_replies_mean_that_the_server_acted() {
    for (server, proxy) in start() {
        let mut conn = conn(&proxy);
        proxy.set(Fault::HoldReplies);
        conn.send(&["INCR", "n"]).unwrap();
        until_true("the server to act", || server.call(&["GET", "n"]).text() == "1");
        assert!(silent(&mut conn));
        proxy.clear();
        assert_eq!(conn.receive().unwrap(), Reply::Integer(1));
    }
}

#[test]
fn a_delay_adds_latency_and_costs_no_throughput() {
    for (_server, proxy) in start() {
        let mut conn = conn(&proxy);
        conn.call(&["PING"]).unwrap().ok();
        let delay = Duration::from_millis(100);
        proxy.set(Fault::Delay(delay));
        let began = Instant::now();
        for _ in 0..50 {
            conn.send(&["PING"]).unwrap();
        }
        for _ in 0..50 {
            assert_eq!(conn.receive().unwrap().text(), "PONG");
        }
        // One delay in each direction; one after the other the replies would take fifty times as
        // long.
        let took = began.elapsed();
        assert!(took >= delay * 2 && took < delay * 50, "{took:?}");
    }
}

#[test]
fn cut_now_ends_and_reset_now_fails() {
    for (server, proxy) in start() {
        let mut conns = [conn(&proxy), conn(&proxy)];
        for conn in &mut conns {
            conn.call(&["PING"]).unwrap().ok();
        }
        proxy.cut_now();
        for conn in &mut conns {
            assert_eq!(conn.receive_raw(1).unwrap(), b"", "an orderly end");
        }
        assert_eq!(proxy.open(), 0);
        let mut conn = conn(&proxy);
        conn.call(&["PING"]).unwrap().ok();
        proxy.reset_now();
        assert_eq!(conn.receive_raw(1).unwrap_err().kind(), ErrorKind::ConnectionReset);
        until_true("the server to notice", || server.client_count() == 0);
        assert_eq!(self::conn(&proxy).call(&["PING"]).unwrap().text(), "PONG");
    }
}

#[test]
fn cut_after_bytes_counts_per_connection_and_way() {
    for (server, proxy) in start() {
        let mut conn = conn(&proxy);
        conn.call(&["SET", "k", "0123456789"]).unwrap().ok();
        proxy.set(Fault::CutRepliesAfter(9));
        assert!(conn.send(&["GET", "k"]).is_ok());
        let mut got = Vec::new();
        loop {
            let bytes = conn.receive_raw(64).unwrap();
            if bytes.is_empty() {
                break;
            }
            got.extend(bytes);
        }
        assert_eq!(got, b"$10\r\n0123");
        // A new connection counts from zero, and the second reply is beyond the limit.
        proxy.set(Fault::CutRepliesAfter(7));
        let mut conn = self::conn(&proxy);
        assert_eq!(conn.call(&["PING"]).unwrap().text(), "PONG");
        assert!(conn.call(&["PING"]).is_err());

        proxy.set(Fault::CutRequestsAfter(20));
        let mut conn = self::conn(&proxy);
        assert!(conn.call(&["INCR", "counter"]).is_err());
        assert_eq!(server.call(&["EXISTS", "counter"]), Reply::Integer(0), "half a request");
    }
}

#[test]
fn one_byte_at_a_time() {
    for (_server, proxy) in start() {
        let mut conn = conn(&proxy);
        conn.call(&["SET", "k", &"v".repeat(500)]).unwrap().ok();
        proxy.set(Fault::OneByte);
        conn.send(&["GET", "k"]).unwrap();
        let (mut reads, mut bytes) = (0, 0);
        while bytes < 508 {
            // A slow reader may see two at once; most come alone.
            bytes += conn.receive_raw(4096).unwrap().len();
            reads += 1;
        }
        assert!(reads > 50, "{reads} reads");
        proxy.clear();
        assert_eq!(conn.call(&["STRLEN", "k"]).unwrap(), Reply::Integer(500));
    }
}

#[test]
fn refused_new_connections_leave_open_ones_alone() {
    for (_server, proxy) in start() {
        let mut open = conn(&proxy);
        open.call(&["PING"]).unwrap().ok();
        for _ in 0..3 {
            proxy.set(Fault::Refuse);
            let refused = Conn::open(proxy.address()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(open.call(&["PING"]).unwrap().text(), "PONG");
            proxy.clear();
            assert_eq!(conn(&proxy).call(&["PING"]).unwrap().text(), "PONG");
        }
    }
}

#[test]
fn accepted_and_closed() {
    for (server, proxy) in start() {
        proxy.set(Fault::AcceptAndClose);
        let received = server.connections_received();
        let mut conn = conn(&proxy);
        assert!(matches!(conn.receive_raw(1), Ok(bytes) if bytes.is_empty()));
        assert_eq!((proxy.accepted(), proxy.open()), (1, 0));
        assert_eq!(server.connections_received(), received + 1, "only our own question");
    }
}

#[test]
fn answers_are_given_as_they_are() {
    for (_server, proxy) in start() {
        proxy.set(Fault::Answer { bytes: script::HTTP.to_vec(), close: true });
        let mut conn = conn(&proxy);
        conn.send(&["PING"]).unwrap();
        assert_eq!(conn.receive_raw(4096).unwrap(), script::HTTP);
        assert_eq!(conn.receive_raw(1).unwrap(), b"");
        proxy.set(Fault::Answer { bytes: script::HALF_FRAME.to_vec(), close: false });
        let mut conn = self::conn(&proxy);
        conn.send(&["PING"]).unwrap();
        assert_eq!(conn.receive_raw(4096).unwrap(), script::HALF_FRAME);
        assert!(silent(&mut conn));
        proxy.cut_now();
        assert_eq!(conn.receive_raw(1).unwrap(), b"");
    }
}

#[test]
fn a_stable_name_changes_its_target() {
    for (first, proxy) in start() {
        let second = Server::start(first.version());
        second.call(&["SET", "who", "second"]).ok();
        let mut open = conn(&proxy);
        assert_eq!(open.call(&["GET", "who"]).unwrap(), Reply::Null);
        proxy.retarget(second.address());
        assert_eq!(conn(&proxy).call(&["GET", "who"]).unwrap().text(), "second");
        assert_eq!(open.call(&["GET", "who"]).unwrap(), Reply::Null, "open ones stay");
        second.kill();
        assert!(conn(&proxy).call(&["PING"]).is_err(), "a dead target shows as an end");
    }
}

// Threads that wait because of a fault must end with the proxy.
#[test]
fn a_dropped_proxy_closes_what_it_held() {
    for fault in [Fault::BlackHole, Fault::HoldReplies, Fault::Refuse, Fault::Pass] {
        let (server, proxy) = start().remove(0);
        let mut conn = conn(&proxy);
        conn.call(&["PING"]).unwrap().ok();
        let address: SocketAddr = proxy.address();
        proxy.set(fault.clone());
        let _ = conn.send(&["PING"]);
        drop(proxy);
        let _passed_before = conn.receive();
        assert!(conn.receive().is_err(), "{fault:?}");
        until_true("the port to close", || Conn::open(address).is_err());
        until_true("the server to notice", || server.client_count() == 0);
    }
}

#[test]
fn an_unreachable_address_neither_accepts_nor_refuses() {
    let gone = Unreachable::open();
    for _ in 0..2 {
        let error = TcpStream::connect_timeout(&gone.address(), SILENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
