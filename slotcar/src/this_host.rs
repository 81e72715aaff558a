//! From a URL or a configuration to a client: chooses the transport.
//!
//! Natively the transport is `Smol` or, with the feature `tokio` and inside of a tokio runtime,
//! `Tokio` on that runtime. On wasm32-wasip2 it is `Wasi`, and on wasm32-unknown-unknown `Js`.
//! With the feature `tls` it is wrapped in `slotcar_tls::Tls` if the configuration asks for TLS,
//! except `Js`, whose host has TLS.
//!
//! Invariant: the transport is chosen once, when the client is made.
//! Tested by tests/tests/door, by slotcar/tests/features.rs and by transport-js/tests.

use slotcar_core::{Client, Config, Error, Topology, Transport};
use std::future::ready;

/// Connects to the servers that `url` names; returns when one has accepted the handshake.
///
/// Waits up to [`connect_timeout`](field@Config::connect_timeout) for a server to answer (default:
/// 2 seconds).
///
/// # Errors
/// `Config` for a URL that does not parse. `Config` as well for a URL that asks for TLS, if the
/// feature `tls` is off or the system's trust store has no certificate authority; not in JavaScript
/// hosts, which have TLS themselves. And the errors of [`Client::connect`].
///
/// Dropping the future closes the connections that it opened.
pub async fn connect(url: &str) -> Result<Client, Error> {
    connect_with(Config::from_url(url)?).await
}

/// Connects as [`connect`] does, with a configuration instead of a URL.
///
/// # Errors
/// As [`connect`].
///
/// Dropping the future closes the connections that it opened.
pub async fn connect_with(config: Config) -> Result<Client, Error> {
    open(config, Connect).await
}

/// Makes a client without connecting: the first command connects. So an application can start
/// before its server does.
///
/// The function is async because, for TLS, it reads the certificate authorities of the system.
///
/// # Errors
/// `Config`, as [`connect`]; never an error of the network.
pub async fn connect_lazy(config: Config) -> Result<Client, Error> {
    open(config, ConnectLazy).await
}

/// Makes a client of a cluster from a topology that an earlier client kept. The first command goes
/// to the owner of its slot at once, without reading the topology before it.
/// See [`Client::with_topology`].
///
/// # Errors
/// `Config`, as [`connect`] and [`Client::with_topology`]; never an error of the network.
pub async fn connect_with_topology(config: Config, topology: &Topology) -> Result<Client, Error> {
    open(config, ConnectWithTopology(topology)).await
}

/// How a client is made from a transport. A trait and not an enum, so that the linker drops the
/// ways that a program does not use.
trait MakeClient {
    /// Makes the client.
    fn make(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>>;
}

/// Connects at once.
struct Connect;

/// Connects at the first command.
struct ConnectLazy;

/// Connects at the first command, to the owner of its slot.
struct ConnectWithTopology<'a>(&'a Topology);

impl MakeClient for Connect {
    fn make(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>> {
        Client::connect(transport, config)
    }
}

impl MakeClient for ConnectLazy {
    fn make(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>> {
        ready(Client::connect_lazy(transport, config))
    }
}

impl MakeClient for ConnectWithTopology<'_> {
    fn make(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>> {
        ready(Client::with_topology(transport, config, self.0))
    }
}

/// Makes a client over the transport of this host.
#[cfg(all(target_os = "wasi", target_env = "p2"))]
async fn open(config: Config, how: impl MakeClient) -> Result<Client, Error> {
    open_over(slotcar_wasi::Wasi::new(), config, how).await
}

/// Makes a client over the transport of this host.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
async fn open(config: Config, how: impl MakeClient) -> Result<Client, Error> {
    how.make(slotcar_js::Js::of_this_host(), config).await
}

/// Makes a client over the transport of this host.
#[cfg(not(target_family = "wasm"))]
async fn open(config: Config, how: impl MakeClient) -> Result<Client, Error> {
    #[cfg(feature = "tokio")]
    if let Ok(tokio) = slotcar_tcp::Tokio::current() {
        return open_over(tokio, config, how).await;
    }
    open_over(slotcar_tcp::Smol::new(), config, how).await
}

/// Makes a client over `transport`, wrapped in TLS if the configuration asks for it.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
async fn open_over(
    transport: impl Transport,
    config: Config,
    how: impl MakeClient,
) -> Result<Client, Error> {
    #[cfg(feature = "tls")]
    if config.needs_tls() {
        use slotcar_tls::{Tls, TlsConfig};
        // A component finds no certificate authorities on its host: Mozilla's are compiled in.
        #[cfg(target_family = "wasm")]
        let tls = TlsConfig::new().trust_webpki().build()?;
        // The system's trust store may be hundreds of files: a thread that may block reads them.
        #[cfg(not(target_family = "wasm"))]
        let tls = smol::unblock(|| TlsConfig::new().trust_native()?.build()).await?;
        return how.make(Tls::new(transport, tls), config).await;
    }
    how.make(transport, config).await
}
