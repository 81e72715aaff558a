//! Encrypted connections to real servers: everything works as without TLS, and a failed handshake
//! gives an error at once that names the reason.
//!
//! Each test runs over smol's reactor and over tokio's, through the same `Tls`. Servers also listen
//! on a plain port, for the harness; no client here dials it unless the test says so.

mod cluster;
mod refusals;
mod sentinel;
mod standalone;
mod streams;
mod system;

#[path = "../pubsub/reader.rs"]
mod reader;

use slotcar::{BoxFuture, ByteStream, Client, DialNotes, Endpoint, Error, Transport};
use slotcar_tcp::{Smol, Tokio};
use slotcar_tests::patience::unhurried as config;
use slotcar_tests::real::wait::BOUND;
use slotcar_tests::real::{Authority, Pem, Version, address};
use slotcar_tls::{Tls, TlsConfig, TlsError, TlsErrorKind};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Long enough for everything that a test waits for.
const LONG: Duration = BOUND;

/// What all tests share: making keys takes time.
struct Shared {
    /// Signs the certificates of the servers.
    authority: Authority,
    /// An authority that is not trusted.
    stranger: Authority,
    /// A certificate for the addresses of all servers of this process.
    addresses: Pem,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let authority = Authority::new("slotcar tests");
    let addresses = authority.sign_block(address::fresh());
    Shared { authority, stranger: Authority::new("a stranger"), addresses }
});

static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("tokio")
});

/// Either reactor, with a table of host names.
#[derive(Clone, Debug)]
struct Carrier {
    /// The transport that dials.
    inner: Arc<dyn Transport>,
    /// Host names and their addresses.
    names: BTreeMap<String, SocketAddr>,
}

impl Carrier {
    fn over(inner: impl Transport) -> Carrier {
        Carrier { inner: Arc::new(inner), names: BTreeMap::new() }
    }

    /// The same with this name in the table.
    fn naming(mut self, name: &str, address: SocketAddr) -> Carrier {
        self.names.insert(name.to_owned(), address);
        self
    }
}

/// One over smol's reactor, and one over tokio's.
fn carriers() -> [Carrier; 2] {
    [Carrier::over(Smol::new()), Carrier::over(Tokio::new(TOKIO.handle().clone()))]
}

impl Transport for Carrier {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move { self.connect_noting(endpoint, &DialNotes::default()).await })
    }

    fn connect_noting<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let Endpoint::Tcp { host, .. } = endpoint else { panic!("no unix socket here") };
            match self.names.get(host) {
                Some(at) => self.inner.connect_noting(&to(*at), notes).await,
                None => self.inner.connect_noting(endpoint, notes).await,
            }
        })
    }

    slotcar_tests::forward_transport!(inner: spawn, sleep_until, now, seed);
}

fn to(address: SocketAddr) -> Endpoint {
    Endpoint::tcp(&address.ip().to_string(), address.port())
}

/// The oldest version with all features, and the newest.
fn versions() -> Vec<Version> {
    ["redis-7.0", "valkey-9.1"].into_iter().filter_map(Version::named).collect()
}

/// Trusts the authority of the tests.
fn trusting() -> TlsConfig {
    TlsConfig::new().trust_pem(SHARED.authority.pem().as_bytes()).expect("PEM")
}

/// `carrier` with TLS that trusts the authority of the tests.
fn tls(carrier: Carrier) -> Tls<Carrier> {
    Tls::new(carrier, trusting().build().expect("good"))
}

/// A client of the standalone server at `address`.
fn lazy(carrier: Carrier, address: SocketAddr) -> Client {
    Client::connect_lazy(tls(carrier), config(&format!("rediss://{address}"))).expect("good")
}

/// The kind of the TLS error in `error`.
#[track_caller]
fn tls_kind(error: &Error) -> TlsErrorKind {
    TlsError::of(error).unwrap_or_else(|| panic!("no TLS error in {error:?}")).kind()
}
