//! Both transports on real sockets, awaited from every executor.
//!
//! `everywhere` runs one case on each pair of transport and executor: nothing here may depend on
//! who polls. Every case is bounded by the transport's own timer, so a lost wake is a failure and
//! not a hang.

#![cfg(all(unix, feature = "tokio"))]

use futures::future::{Either, select};
use futures::{AsyncReadExt, AsyncWriteExt};
use slotcar_core::{BoxFuture, ByteStream, DialNotes, Endpoint, Timestamp, Transport};
use slotcar_tcp::{Smol, Tokio};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

/// No case takes longer, unless it hangs.
const BOUND: Duration = Duration::from_secs(30);

type Case = fn(Arc<dyn Transport>) -> BoxFuture<'static, ()>;

/// Runs `case` on both transports, from five executors each.
fn everywhere(case: Case) {
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("ct");
    let multi = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("mt");
    let smol: Arc<dyn Transport> = Arc::new(Smol::new());
    let on = |runtime: &tokio::runtime::Runtime| -> Arc<dyn Transport> {
        Arc::new(Tokio::new(runtime.handle().clone()))
    };
    for transport in [Arc::clone(&smol), on(&multi)] {
        let run = || bounded(case, Arc::clone(&transport));
        smol::block_on(run());
        smol::block_on(smol::spawn(run()));
        futures::executor::block_on(run());
    }
    for transport in [Arc::clone(&smol), on(&current)] {
        current.block_on(bounded(case, transport));
    }
    for transport in [smol, on(&multi)] {
        multi.block_on(multi.spawn(bounded(case, transport))).expect("the case passes");
    }
}

fn bounded(case: Case, transport: Arc<dyn Transport>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let limit = transport.sleep_until(transport.now().after(BOUND));
        if let Either::Right(_) = select(case(transport), limit).await {
            panic!("no end after {BOUND:?}");
        }
    })
}

/// Accepts one connection and sends back what it gets, until the other side ends.
fn echo(accept: impl FnOnce() -> Box<dyn ReadWrite> + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut socket = accept();
        let mut buf = [0; 1024];
        loop {
            match socket.read(&mut buf).expect("read") {
                0 => return,
                filled => socket.write_all(&buf[..filled]).expect("write"),
            }
        }
    })
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn echo_tcp(listener: TcpListener) -> JoinHandle<()> {
    echo(move || Box::new(listener.accept().expect("accept").0))
}

/// Many small round trips, then one that fills every buffer on the way, then the end.
async fn converse(mut stream: Box<dyn ByteStream>) {
    let mut buf = [0; 64];
    for round in 0..50_u8 {
        stream.write_all(&[round; 5]).await.expect("write");
        stream.read_exact(&mut buf[..5]).await.expect("read");
        assert_eq!(buf[..5], [round; 5]);
    }
    let large: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
    let mut received = vec![0; large.len()];
    // Both at once, as a server that is not read stops reading: driven by hand, for the stream is
    // one object that cannot be borrowed by two futures.
    let (mut sent, mut filled) = (0, 0);
    std::future::poll_fn(|cx| {
        loop {
            let before = (sent, filled);
            let mut stream = std::pin::Pin::new(&mut *stream);
            if sent < large.len()
                && let Poll::Ready(taken) = stream.as_mut().poll_write(cx, &large[sent..])
            {
                sent += taken.expect("write");
            }
            if filled < received.len()
                && let Poll::Ready(got) = stream.as_mut().poll_read(cx, &mut received[filled..])
            {
                filled += got.expect("read");
            }
            if filled == received.len() {
                return Poll::Ready(());
            }
            if before == (sent, filled) {
                return Poll::Pending;
            }
        }
    })
    .await;
    assert!(received == large, "bytes came back changed");
    stream.close().await.expect("close");
    assert_eq!(stream.read(&mut buf).await.expect("end"), 0);
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::tcp(&address.ip().to_string(), address.port())
}

#[test]
fn ipv4() {
    everywhere(|transport| {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
            let endpoint = endpoint(listener.local_addr().expect("address"));
            let server = echo_tcp(listener);
            converse(transport.connect(&endpoint).await.expect("connect")).await;
            server.join().expect("server");
        })
    });
}

#[test]
fn ipv6() {
    if let Err(cause) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        println!("SKIPPED ipv6: this machine has no ::1 ({cause})");
        return;
    }
    everywhere(|transport| {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("bind");
            let endpoint = endpoint(listener.local_addr().expect("address"));
            let server = echo_tcp(listener);
            converse(transport.connect(&endpoint).await.expect("connect")).await;
            server.join().expect("server");
        })
    });
}

/// `localhost` may have two addresses, of which only the IPv4 one has a server here.
#[test]
fn a_host_name() {
    everywhere(|transport| {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
            let port = listener.local_addr().expect("address").port();
            let server = echo_tcp(listener);
            let endpoint = Endpoint::tcp("localhost", port);
            converse(transport.connect(&endpoint).await.expect("connect")).await;
            server.join().expect("server");
        })
    });
}

#[test]
fn unix_socket() {
    everywhere(|transport| {
        Box::pin(async move {
            let name = format!("slotcar-{}-{}.sock", std::process::id(), transport.seed());
            let path = std::env::temp_dir().join(name);
            let listener = UnixListener::bind(&path).expect("bind");
            let server = echo(move || Box::new(listener.accept().expect("accept").0));
            let endpoint = Endpoint::unix(&path);
            converse(transport.connect(&endpoint).await.expect("connect")).await;
            server.join().expect("server");

            // The listener is gone, its file is not; then the file is gone too.
            for _ in 0..2 {
                let error = failure(&transport, &endpoint).await;
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                assert!(error.to_string().contains("slotcar-"), "{error}");
                drop(std::fs::remove_file(&path));
            }
        })
    });
}

async fn failure(transport: &Arc<dyn Transport>, endpoint: &Endpoint) -> io::Error {
    match transport.connect(endpoint).await {
        Ok(_) => panic!("connected to {endpoint}"),
        Err(error) => error,
    }
}

#[test]
fn a_refused_port_is_told_with_its_address() {
    everywhere(|transport| {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
            let address = listener.local_addr().expect("address");
            drop(listener);
            let error = failure(&transport, &endpoint(address)).await;
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            // Of a name, the caller cannot know which address refused.
            let error = failure(&transport, &Endpoint::tcp("localhost", address.port())).await;
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let text = error.to_string();
            assert!(text.contains("127.0.0.1") || text.contains("::1"), "{text}");
            assert!(text.contains(&address.port().to_string()), "{text}");
        })
    });
}

/// A label of 64 letters is one too many: no resolver has to be asked to know.
#[test]
fn a_name_without_address_is_named() {
    everywhere(|transport| {
        Box::pin(async move {
            let name = format!("{}.invalid", "x".repeat(64));
            let error = failure(&transport, &Endpoint::tcp(&name, 6379)).await;
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.to_string().contains(&name), "{error}");
        })
    });
}

/// A dial that nobody answers waits, and leaves no half-open socket when it is dropped.
#[test]
#[cfg(target_os = "linux")]
fn a_dial_into_a_black_hole_ends_when_it_is_dropped() {
    everywhere(|transport| {
        Box::pin(async move {
            let hole = BlackHole::dig();
            let endpoint = endpoint(hole.address);
            let dial = transport.connect(&endpoint);
            let seen = pin!(async {
                while hole.half_open() == 0 {
                    let soon = transport.now().after(Duration::from_millis(1));
                    transport.sleep_until(soon).await;
                }
            });
            match select(dial, seen).await {
                Either::Left((Ok(_), _)) => panic!("connected to a full queue"),
                Either::Left((Err(error), _)) => panic!("the dial ended by itself: {error}"),
                // Drops the dial.
                Either::Right(_) => {}
            }
            while hole.half_open() != 0 {
                let soon = transport.now().after(Duration::from_millis(1));
                transport.sleep_until(soon).await;
            }
        })
    });
}

/// A listener whose queue is full: Linux drops further requests to connect.
#[cfg(target_os = "linux")]
struct BlackHole {
    /// Where it listens.
    address: SocketAddr,
    /// Never accepts.
    _listener: socket2::Socket,
    /// What fills the queue.
    _queued: Vec<TcpStream>,
}

#[cfg(target_os = "linux")]
impl BlackHole {
    fn dig() -> Self {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
        listener.listen(0).expect("listen");
        let address = listener.local_addr().expect("address").as_socket().expect("internet");
        let mut queued = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(socket);
        }
        Self { address, _listener: listener, _queued: queued }
    }

    /// How many sockets of this machine wait for this listener to answer.
    fn half_open(&self) -> usize {
        const SYN_SENT: &str = "02";
        let target = format!("0100007F:{:04X}", self.address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
        let waits = |line: &&str| {
            let mut words = line.split_whitespace().skip(2);
            words.next() == Some(&target) && words.next() == Some(SYN_SENT)
        };
        table.lines().filter(waits).count()
    }
}

/// The other side ends first; what this side still says arrives.
#[test]
fn half_close_from_the_other_side() {
    everywhere(|transport| {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
            let endpoint = endpoint(listener.local_addr().expect("address"));
            let server = std::thread::spawn(move || {
                let mut socket = listener.accept().expect("accept").0;
                socket.write_all(b"only this").expect("write");
                socket.shutdown(std::net::Shutdown::Write).expect("shutdown");
                let mut rest = String::new();
                socket.read_to_string(&mut rest).expect("read");
                rest
            });
            let mut stream = transport.connect(&endpoint).await.expect("connect");
            let mut said = String::new();
            stream.read_to_string(&mut said).await.expect("read");
            assert_eq!(said, "only this");
            stream.write_all(b"still here").await.expect("write");
            stream.close().await.expect("close");
            assert_eq!(server.join().expect("server"), "still here");
        })
    });
}

/// A reset is an error, not an end and not a silence.
#[test]
fn a_reset_is_an_error() {
    everywhere(|transport| {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
            let endpoint = endpoint(listener.local_addr().expect("address"));
            let mut stream = transport.connect(&endpoint).await.expect("connect");
            let socket = socket2::Socket::from(listener.accept().expect("accept").0);
            socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER is set");
            drop(socket);
            let error = stream.read(&mut [0; 8]).await.expect_err("reset");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        })
    });
}

#[test]
fn time_and_background() {
    everywhere(|transport| {
        Box::pin(async move {
            let deadline = transport.now().after(Duration::from_millis(5));
            transport.sleep_until(deadline).await;
            assert!(transport.now() >= deadline);
            transport.sleep_until(Timestamp::ZERO).await;

            let never = transport.sleep_until(Timestamp::FAR_FUTURE);
            let soon = transport.sleep_until(transport.now().after(Duration::from_millis(1)));
            assert!(matches!(select(never, soon).await, Either::Right(_)));

            let (sender, receiver) = futures::channel::oneshot::channel();
            assert!(transport.spawn(Box::pin(async move { sender.send(7).expect("awaited") })));
            assert_eq!(receiver.await, Ok(7));
        })
    });
}

#[test]
fn tokio_outside_of_a_runtime_is_an_error() {
    assert!(Tokio::current().is_err());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("ct");
    assert!(runtime.block_on(async { Tokio::current() }).is_ok());
}

/// A stream that is given up sends nothing more: the server gets what its buffer held, then a
/// reset. Otherwise it gets all that was written, however late it reads.
#[test]
#[cfg(target_os = "linux")]
fn an_aborted_stream_discards_what_it_has_not_sent() {
    everywhere(|transport| {
        Box::pin(async move {
            for abort in [true, false] {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
                // Taken over by the accepted socket: it holds less than the client writes.
                socket2::SockRef::from(&listener).set_recv_buffer_size(4096).expect("set");
                let endpoint = endpoint(listener.local_addr().expect("address"));
                let notes = DialNotes::default();
                let stream = transport.connect_noting(&endpoint, &notes).await.expect("connect");
                let mut server = listener.accept().expect("accept").0;
                let written = fill(stream, |stream| {
                    if abort {
                        notes.abort_flag().set();
                    }
                    drop(stream);
                });
                let mut received = Vec::new();
                let end = server.read_to_end(&mut received);
                if abort {
                    assert_eq!(end.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
                    assert!(received.len() < written, "{} of {written}", received.len());
                } else {
                    assert_eq!(end.expect("an end"), written);
                }
            }
        })
    });
}

/// Writes until the stream takes no more; returns how much it took, and hands the stream over.
#[cfg(target_os = "linux")]
fn fill(mut stream: Box<dyn ByteStream>, then: impl FnOnce(Box<dyn ByteStream>)) -> usize {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let (bytes, mut written, mut refused) = (vec![7; 1 << 16], 0, 0);
    // Acknowledgements make room for a while.
    while refused < 20 {
        match futures::AsyncWrite::poll_write(std::pin::Pin::new(&mut *stream), &mut cx, &bytes) {
            Poll::Ready(taken) => (written, refused) = (written + taken.expect("write"), 0),
            Poll::Pending => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    then(stream);
    written
}
