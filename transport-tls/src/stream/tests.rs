//! Streams over a pipe in memory: how they end, and what they leave unsent.

use crate::{Tls, TlsConfig, TlsError, TlsErrorKind};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{HandshakeKind, RootCertStore, ServerConfig, crypto::ring};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use slotcar_core::{BoxFuture, ByteStream, ConnectTls, DialNotes, Endpoint, Timestamp, Transport};
use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// One direction of a pipe: bytes, room for more, and whether the writer is gone.
#[derive(Debug)]
struct Half {
    /// On their way.
    bytes: VecDeque<u8>,
    /// More are not taken.
    room: usize,
    /// No more will come.
    closed: bool,
}

/// One end of a pipe in memory. Nothing wakes: the tests poll both sides in turn.
#[derive(Debug)]
struct End {
    /// What this end reads.
    input: Arc<Mutex<Half>>,
    /// What it writes.
    output: Arc<Mutex<Half>>,
}

fn pipe() -> (End, End) {
    let half = || {
        let (bytes, room, closed) = (VecDeque::new(), usize::MAX, false);
        Arc::new(Mutex::new(Half { bytes, room, closed }))
    };
    let (a, b) = (half(), half());
    let there = End { input: Arc::clone(&a), output: Arc::clone(&b) };
    (End { input: b, output: a }, there)
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut half = self.input.lock().expect("whole");
        let count = buf.len().min(half.bytes.len());
        if count == 0 && !half.closed {
            return Poll::Pending;
        }
        buf.iter_mut().zip(half.bytes.drain(..count)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut half = self.output.lock().expect("whole");
        let count = buf.len().min(half.room.saturating_sub(half.bytes.len()));
        if count == 0 && !buf.is_empty() {
            return Poll::Pending;
        }
        half.bytes.extend(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.lock().expect("whole").closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.output.lock().expect("whole").closed = true;
    }
}

/// Hands out ends of pipes, each once.
#[derive(Debug)]
struct Ends(Mutex<VecDeque<End>>);

impl Transport for Ends {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        let end = self.0.lock().expect("whole").pop_front().expect("dialled as often as expected");
        Box::pin(std::future::ready(Ok(Box::new(end) as Box<dyn ByteStream>)))
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn seed(&self) -> u64 {
        0
    }
}

/// Polls both until both ended.
fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let mut joined = pin!(futures::future::join(a, b));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(outputs) = joined.as_mut().poll(&mut cx) {
            return outputs;
        }
    }
    panic!("they wait for each other")
}

/// The output of a future that waits for nothing.
fn now<F: Future>(future: F) -> F::Output {
    both(future, std::future::ready(())).0
}

/// A server's settings, and the certificate to trust.
fn server(wants_certificate: bool) -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["redis.test".to_owned()]).expect("a name");
    params.is_ca = IsCa::NoCa;
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("no name");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let chain = vec![params.signed_by(&key, &issuer).expect("a certificate").der().clone()];
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM")).expect("good");
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("good");
    let config = if wants_certificate {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        config.with_client_cert_verifier(verifier.build().expect("good"))
    } else {
        config.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("PEM");
    let config = config.with_single_cert(chain, key).expect("they fit");
    (TlsAcceptor::from(Arc::new(config)), ca_pem)
}

type Served = futures_rustls::server::TlsStream<End>;

/// Both ends of an encrypted connection, and what the client's bytes go into.
fn connected(
    wants_certificate: bool,
) -> (Box<dyn ByteStream>, io::Result<Served>, Arc<Mutex<Half>>) {
    connected_noting(wants_certificate, &DialNotes::default())
}

/// The same, with the notes of the dial.
fn connected_noting(
    wants_certificate: bool,
    notes: &DialNotes,
) -> (Box<dyn ByteStream>, io::Result<Served>, Arc<Mutex<Half>>) {
    let (acceptor, ca) = server(wants_certificate);
    let (ours, theirs) = pipe();
    let wire = Arc::clone(&ours.output);
    let trusted = TlsConfig::new().trust_pem(ca.as_bytes()).expect("PEM").build().expect("good");
    let tls = Tls::new(Ends(Mutex::new([ours].into())), trusted);
    let endpoint = Endpoint::tcp("redis.test", 6379);
    let (client, server) = both(tls.connect_tls(&endpoint, notes), acceptor.accept(theirs));
    assert!(notes.tls_began());
    (client.unwrap_or_else(|error| panic!("{error}")), server, wire)
}

#[test]
fn a_dropped_stream_says_goodbye() {
    let (mut client, server, _) = connected(false);
    now(async {
        client.write_all(b"PING").await.expect("room");
        client.flush().await.expect("room");
    });
    drop(client);
    let mut heard = Vec::new();
    let read = now(server.expect("a handshake").read_to_end(&mut heard));
    assert_eq!(read.expect("an end without a goodbye would be an error"), 4);
}

/// A stream that is given up with bytes unsent must not send them after all.
#[test]
fn a_dropped_stream_sends_nothing_that_was_unsent() {
    let (mut client, _server, wire) = connected(false);
    wire.lock().expect("whole").bytes.clear();
    wire.lock().expect("whole").room = 10;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut client).poll_write(&mut cx, b"DEL everything").is_ready());
    assert!(Pin::new(&mut client).poll_flush(&mut cx).is_pending(), "ten bytes are no record");
    wire.lock().expect("whole").room = usize::MAX;
    drop(client);
    assert_eq!(wire.lock().expect("whole").bytes.len(), 10);
}

/// The stream below is about to reset the connection: not even a goodbye is written.
#[test]
fn an_aborted_stream_sends_nothing() {
    let notes = DialNotes::default();
    let (client, _server, wire) = connected_noting(false, &notes);
    wire.lock().expect("whole").bytes.clear();
    notes.abort_flag().set();
    drop(client);
    assert!(wire.lock().expect("whole").bytes.is_empty());
}

#[test]
fn a_server_that_hangs_up_has_closed() {
    let (mut client, server, _) = connected(false);
    drop(server.expect("a handshake"));
    assert_eq!(now(client.read(&mut [0; 8])).expect("no error"), 0);
}

/// TLS 1.3 lets a client write before the server has judged its certificate, or the lack of one.
#[test]
fn a_late_refusal_says_that_nothing_was_read() {
    let (mut client, server, _) = connected(true);
    assert!(server.is_err(), "there is no certificate");
    let error = now(async {
        let _ = client.write_all(b"SET k v").await;
        client.read(&mut [0; 8]).await.expect_err("refused")
    });
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    let told = TlsError::of(&error).expect("it carries one");
    assert_eq!(told.kind(), TlsErrorKind::ClientCertificate, "{told}");
}

/// A fatal alert of a server that does not resume: `handshake_failure`.
// spec: RFC 8446, section 6, "Alert Protocol"
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// Reads what the client begins with, and refuses it.
async fn refuse(mut end: End) {
    let mut hello = [0; 1024];
    assert!(end.read(&mut hello).await.expect("a hello") > 0);
    end.write_all(&ALERT).await.expect("room");
}

/// A server that refuses to resume a session has said nothing about the certificates.
#[test]
fn a_refused_resumption_is_no_verdict() {
    let (acceptor, ca) = server(false);
    let trusted = TlsConfig::new().trust_pem(ca.as_bytes()).expect("PEM").build().expect("good");
    let (ours, theirs): (VecDeque<_>, Vec<_>) = (0..4).map(|_| pipe()).unzip();
    let tls = Tls::new(Ends(Mutex::new(ours)), trusted);
    let (endpoint, notes) = (Endpoint::tcp("redis.test", 6379), DialNotes::default());
    let [first, refused, second, last] = theirs.try_into().expect("four");
    let (client, served) = both(tls.connect_tls(&endpoint, &notes), acceptor.accept(first));
    // The client reads the tickets with which it could resume.
    let mut client = client.expect("a handshake");
    now(async {
        served.expect("a handshake").write_all(b"x").await.expect("room");
        client.read_exact(&mut [0]).await.expect("a byte");
    });
    let serve = async {
        refuse(refused).await;
        acceptor.accept(second).await
    };
    let (client, served) = both(tls.connect_tls(&endpoint, &notes), serve);
    drop(client.expect("dialled again in full"));
    let kind = served.expect("a handshake").get_ref().1.handshake_kind();
    assert_eq!(kind, Some(HandshakeKind::Full));
    // A refusal without a session is a verdict.
    let (client, ()) = both(tls.connect_tls(&endpoint, &notes), refuse(last));
    let error = client.err().expect("it is refused");
    assert_eq!(TlsError::of(&error).map(TlsError::kind), Some(TlsErrorKind::Refused), "{error}");
}

/// A first handshake that is refused is not tried twice.
#[test]
fn a_first_refusal_is_a_verdict() {
    let (_, ca) = server(false);
    for resumption in [true, false] {
        let trusted = TlsConfig::new().trust_pem(ca.as_bytes()).expect("PEM");
        let trusted = trusted.resumption(resumption).build().expect("good");
        let (ours, theirs) = pipe();
        let tls = Tls::new(Ends(Mutex::new([ours].into())), trusted);
        let (endpoint, notes) = (Endpoint::tcp("redis.test", 6379), DialNotes::default());
        let (client, ()) = both(tls.connect_tls(&endpoint, &notes), refuse(theirs));
        assert!(client.is_err());
    }
}

/// The setting turns resumption off, and without it sessions are resumed.
#[test]
fn sessions_are_resumed_unless_the_setting_says_no() {
    for resumption in [true, false] {
        let (acceptor, ca) = server(false);
        let trusted = TlsConfig::new().trust_pem(ca.as_bytes()).expect("PEM");
        let trusted = trusted.resumption(resumption).build().expect("good");
        let (ours, theirs): (VecDeque<_>, Vec<_>) = (0..2).map(|_| pipe()).unzip();
        let tls = Tls::new(Ends(Mutex::new(ours)), trusted);
        let (endpoint, notes) = (Endpoint::tcp("redis.test", 6379), DialNotes::default());
        let mut kinds = Vec::new();
        for end in theirs {
            let (client, served) = both(tls.connect_tls(&endpoint, &notes), acceptor.accept(end));
            let (mut client, mut served) = (client.expect("one"), served.expect("two"));
            kinds.push(served.get_ref().1.handshake_kind().expect("it has ended"));
            now(async {
                served.write_all(b"x").await.expect("room");
                client.read_exact(&mut [0]).await.expect("a byte");
            });
        }
        let second = if resumption { HandshakeKind::Resumed } else { HandshakeKind::Full };
        assert_eq!(kinds, [HandshakeKind::Full, second]);
    }
}
