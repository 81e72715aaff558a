//! The transport on real sockets, inside of a component; the twin of the native suite of that name.
//!
//! Both ends are in the component: the servers are blocking sockets of the standard library, for
//! which the host's kernel works while this side awaits. Needs a host that allows TCP on loopback
//! and name look-ups, and no other address. The transport's own timer bounds each case, so a lost
//! wake is a failure and not a hang.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

use futures::future::{Either, select};
use futures::{AsyncReadExt, AsyncWriteExt};
use slotcar::{ByteStream, Endpoint, Timestamp, Transport};
use slotcar_wasi::Wasi;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The bound of each case.
const BOUND: Duration = Duration::from_secs(30);

fn run(case: impl Future<Output = ()>) {
    wstd::runtime::block_on(async {
        let transport = Wasi::new();
        let limit = transport.sleep_until(transport.now().after(BOUND));
        if let Either::Right(_) = select(pin!(case), limit).await {
            panic!("no end after {BOUND:?}");
        }
    });
}

fn listen(ip: impl Into<IpAddr>) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip.into(), 0)).expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::tcp(&address.ip().to_string(), address.port())
}

/// Both ends of one connection.
async fn pair() -> (Box<dyn ByteStream>, TcpStream) {
    let (listener, address) = listen(Ipv4Addr::LOCALHOST);
    let ours = Wasi::new().connect(&endpoint(address)).await.expect("connect");
    (ours, listener.accept().expect("accept").0)
}

async fn soon() {
    let transport = Wasi::new();
    transport.sleep_until(transport.now().after(Duration::from_millis(1))).await;
}

/// Polls once, with the waker of the task.
async fn poll_now<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn failure(endpoint: &Endpoint) -> io::Error {
    match Wasi::new().connect(endpoint).await {
        Ok(_) => panic!("connected to {endpoint}"),
        Err(error) => error,
    }
}

/// Small round trips, then more than all buffers hold, then the end from either side.
async fn converse(endpoint: &Endpoint, listener: &TcpListener) {
    let mut ours = Wasi::new().connect(endpoint).await.expect("connect");
    let (mut theirs, _) = listener.accept().expect("accept");
    let mut buf = [0; 64];
    for round in 0..20_u8 {
        ours.write_all(&[round; 5]).await.expect("write");
        ours.flush().await.expect("flush");
        theirs.read_exact(&mut buf[..5]).expect("read");
        theirs.write_all(&buf[..5]).expect("write");
        ours.read_exact(&mut buf[..5]).await.expect("read");
        assert_eq!(buf[..5], [round; 5]);
    }
    flood(&mut *ours, &mut theirs).await;
    theirs.write_all(b"last words").expect("write");
    theirs.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let mut said = String::new();
    ours.read_to_string(&mut said).await.expect("read");
    assert_eq!(said, "last words");
    assert_eq!(ours.read(&mut buf).await.expect("the end stays the end"), 0);
    ours.write_all(b"heard").await.expect("write");
    ours.close().await.expect("close");
    said.clear();
    theirs.read_to_string(&mut said).expect("read");
    assert_eq!(said, "heard");
}

/// 8 MiB to a server that reads only when this side is blocked; back comes what the kernel accepts.
async fn flood(ours: &mut dyn ByteStream, theirs: &mut TcpStream) {
    let large: Vec<u8> = (0..8 << 20).map(|i: u32| (i % 251) as u8).collect();
    let mut received = vec![0; large.len()];
    theirs.set_nonblocking(true).expect("set");
    let (mut sent, mut filled, mut blocked) = (0, 0, 0);
    while filled < large.len() {
        if sent < large.len()
            && let Poll::Ready(taken) = poll_now(pin!(ours.write(&large[sent..]))).await
        {
            let taken = taken.expect("write");
            assert!(taken <= 64 * 1024, "{taken} bytes in one write");
            sent += taken;
            continue;
        }
        blocked += usize::from(sent < large.len());
        match theirs.read(&mut received[filled..]) {
            Ok(got) => filled += got,
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => soon().await,
            Err(cause) => panic!("read: {cause}"),
        }
    }
    assert!(blocked > 0, "the server never kept this side waiting");
    assert!(received == large, "bytes came changed");
    let pushed = theirs.write(&large).expect("write");
    theirs.set_nonblocking(false).expect("set");
    received.fill(0);
    let mut filled = 0;
    while filled < pushed {
        let got = ours.read(&mut received[filled..]).await.expect("read");
        assert!(got <= 64 * 1024, "{got} bytes in one read");
        filled += got;
    }
    assert!(received[..pushed] == large[..pushed], "bytes came back changed");
}

#[test]
fn ipv4() {
    run(async {
        let (listener, address) = listen(Ipv4Addr::LOCALHOST);
        converse(&endpoint(address), &listener).await;
    });
}

#[test]
fn ipv6() {
    if let Err(cause) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        println!("SKIPPED ipv6: this machine has no ::1 ({cause})");
        return;
    }
    run(async {
        let (listener, address) = listen(Ipv6Addr::LOCALHOST);
        converse(&endpoint(address), &listener).await;
    });
}

/// `localhost` may have two addresses, of which only the IPv4 one has a server here.
#[test]
fn a_host_name() {
    run(async {
        let (listener, address) = listen(Ipv4Addr::LOCALHOST);
        converse(&Endpoint::tcp("localhost", address.port()), &listener).await;
    });
}

#[test]
fn a_refused_port_is_named() {
    run(async {
        let (listener, address) = listen(Ipv4Addr::LOCALHOST);
        drop(listener);
        for endpoint in [endpoint(address), Endpoint::tcp("localhost", address.port())] {
            let error = failure(&endpoint).await;
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
            assert!(error.to_string().contains(&address.port().to_string()), "{error}");
        }
    });
}

/// The first is not a valid name, which the host knows; for the second it must query.
#[test]
fn a_name_without_address_is_named() {
    run(async {
        for name in [format!("{}.invalid", "x".repeat(64)), "no such name".to_owned()] {
            let error = failure(&Endpoint::tcp(&name, 6379)).await;
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains(&name), "{error}");
        }
    });
}

/// The host of the tests allows no address outside of the machine (192.0.2.0/24 is reserved: RFC
/// 5737).
#[test]
fn a_denied_address_names_the_permission() {
    run(async {
        let error = failure(&Endpoint::tcp("192.0.2.1", 6379)).await;
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("wasi:sockets/tcp"), "{error}");
    });
}

#[test]
fn unix_sockets_are_unsupported() {
    run(async {
        let error = failure(&Endpoint::unix("/run/redis.sock")).await;
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("/run/redis.sock"), "{error}");
    });
}

/// A reset is an error, not an end and not a silence.
///
/// Needs a server outside of the component that resets a connection after one byte: the sockets of
/// WASI always close in order.
#[test]
fn a_reset_is_an_error() {
    let Ok(server) = std::env::var("SLOTCAR_RESETTING_SERVER") else {
        println!("SKIPPED a_reset_is_an_error: SLOTCAR_RESETTING_SERVER is not set");
        return;
    };
    run(async {
        let server = endpoint(server.parse().expect("an address"));
        let mut ours = Wasi::new().connect(&server).await.expect("connect");
        ours.write_all(b"unread").await.expect("write");
        let error = ours.read(&mut [0; 8]).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    });
}

#[test]
fn a_write_to_a_closed_connection_fails() {
    run(async {
        let (mut ours, theirs) = pair().await;
        drop(theirs);
        // The first write makes the peer reset, a later one gets the error.
        let error = loop {
            match ours.write(b"anybody?").await {
                Ok(_) => soon().await,
                Err(error) => break error,
            }
        };
        let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
    });
}

/// A read that was dropped loses nothing: the next one gets the bytes.
#[test]
fn a_read_given_up_loses_nothing() {
    run(async {
        let (mut ours, mut theirs) = pair().await;
        for round in 0..3_u8 {
            let mut buf = [0; 4];
            let limit = Wasi::new().now().after(Duration::from_millis(5));
            let read = pin!(ours.read(&mut buf));
            let given_up = select(read, Wasi::new().sleep_until(limit)).await;
            assert!(matches!(given_up, Either::Right(_)));
            drop(given_up);
            theirs.write_all(&[round; 4]).expect("write");
            ours.read_exact(&mut buf).await.expect("read");
            assert_eq!(buf, [round; 4]);
        }
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Bytes that arrive while no read waits are there for the next read.
#[test]
fn a_stream_left_alone_is_as_good_as_ever() {
    run(async {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let (mut ours, mut theirs) = pair().await;
        let mut buf = [0; 8];
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut *ours).poll_read(&mut cx, &mut buf).is_pending());
        theirs.write_all(b"news").expect("write");
        for _ in 0..20 {
            soon().await;
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "woken once");
        assert_eq!(ours.read(&mut buf).await.expect("read"), 4);
        assert!(poll_now(pin!(ours.read(&mut buf))).await.is_pending());
        theirs.write_all(b"more").expect("write");
        assert_eq!(ours.read(&mut buf).await.expect("read"), 4);
        drop(theirs);
        assert_eq!(ours.read(&mut buf).await.expect("read"), 0);
    });
}

#[test]
fn time_chance_and_no_background() {
    run(async {
        let transport = Wasi::new();
        let deadline = transport.now().after(Duration::from_millis(5));
        transport.sleep_until(deadline).await;
        assert!(transport.now() >= deadline);
        transport.sleep_until(Timestamp::ZERO).await;

        let never = transport.sleep_until(Timestamp::FAR_FUTURE);
        let soon = transport.sleep_until(transport.now().after(Duration::from_millis(1)));
        assert!(matches!(select(never, soon).await, Either::Right(_)));

        assert_ne!(transport.seed(), transport.seed());
        assert!(!transport.spawn(Box::pin(async { panic!("nothing runs in the background") })));
    });
}

/// Pending waits do not keep the program from ending when its root future ends.
#[test]
fn the_program_ends_with_its_root() {
    let before = Wasi::new().now();
    wstd::runtime::block_on(async {
        let (mut ours, theirs) = pair().await;
        let mut far = Wasi::new().sleep_until(before.after(Duration::from_secs(3600)));
        assert!(poll_now(far.as_mut()).await.is_pending());
        assert!(poll_now(pin!(ours.read(&mut [0; 8]))).await.is_pending());
        let hole = Endpoint::tcp("localhost", 1);
        let transport = Wasi::new();
        let mut dial = transport.connect(&hole);
        let _ = poll_now(dial.as_mut()).await;
        drop(theirs);
    });
    assert!(Wasi::new().now().since(before) < BOUND);
}
