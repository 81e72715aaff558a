//! From a URL or a configuration to a client: chooses the transport of the host that the program
//! runs on.
//!
//! Natively that is smol's reactor or, with the feature `tokio` and inside of a tokio runtime, that
//! runtime's reactor; on wasm32-wasip2 the sockets of WASI. With the feature `tls` the transport is
//! wrapped in TLS where the configuration asks for it.
//!
//! Invariant: the choice is made once, when the client is made.

use slotcar_core::{Client, Config, Error, Topology, Transport};
use std::future::ready;

/// Connects to what `url` names and returns once a server has accepted the handshake.
///
/// # Errors
/// `Config` for a URL that does not parse, or that asks for TLS without the feature `tls` or where
/// the system trusts no authority; and everything that [`Client::connect`] may return.
///
/// Dropping the future closes what was opened.
pub async fn connect(url: &str) -> Result<Client, Error> {
    connect_with(Config::from_url(url)?).await
}

/// Connects as `config` says and returns once a server has accepted the handshake.
///
/// # Errors
/// As [`connect`].
///
/// Dropping the future closes what was opened.
pub async fn connect_with(config: Config) -> Result<Client, Error> {
    on_this_host(config, Connected).await
}

/// A client that dials when its first command needs a connection: the application can start before
/// its server does.
///
/// # Errors
/// `Config`, as with [`Client::connect_lazy`] and [`connect`].
pub async fn connect_lazy(config: Config) -> Result<Client, Error> {
    on_this_host(config, Lazy).await
}

/// A client of a cluster that an earlier client knew: its first command goes to the owner of its
/// slot without a refresh before it. See [`Client::with_topology`].
///
/// # Errors
/// `Config`, as with [`Client::with_topology`] and [`connect`].
pub async fn connect_with_topology(config: Config, topology: &Topology) -> Result<Client, Error> {
    on_this_host(config, Known(topology)).await
}

/// How the client begins. A trait and not an enum, so that a program that only connects does not
/// carry the other ways.
trait Start {
    /// Makes the client.
    fn begin(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>>;
}

/// With a connection.
struct Connected;

/// Without one.
struct Lazy;

/// With a topology that was kept.
struct Known<'a>(&'a Topology);

impl Start for Connected {
    fn begin(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>> {
        Client::connect(transport, config)
    }
}

impl Start for Lazy {
    fn begin(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>> {
        ready(Client::connect_lazy(transport, config))
    }
}

impl Start for Known<'_> {
    fn begin(
        self,
        transport: impl Transport,
        config: Config,
    ) -> impl Future<Output = Result<Client, Error>> {
        ready(Client::with_topology(transport, config, self.0))
    }
}

#[cfg(all(target_os = "wasi", target_env = "p2"))]
async fn on_this_host(config: Config, start: impl Start) -> Result<Client, Error> {
    over(slotcar_wasi::Wasi::new(), config, start).await
}

#[cfg(not(target_family = "wasm"))]
async fn on_this_host(config: Config, start: impl Start) -> Result<Client, Error> {
    #[cfg(feature = "tokio")]
    if let Ok(tokio) = slotcar_tcp::Tokio::current() {
        return over(tokio, config, start).await;
    }
    over(slotcar_tcp::Smol::new(), config, start).await
}

/// Wraps the transport in TLS if the configuration asks for it.
async fn over(
    transport: impl Transport,
    config: Config,
    start: impl Start,
) -> Result<Client, Error> {
    #[cfg(feature = "tls")]
    if config.needs_tls() {
        use slotcar_tls::{Tls, TlsConfig};
        // Components find no authorities on their host: Mozilla's list is compiled in.
        #[cfg(target_family = "wasm")]
        let trusted = TlsConfig::new().trust_webpki().build()?;
        // The system's store is a few hundred files: a thread that may block reads them.
        #[cfg(not(target_family = "wasm"))]
        let trusted = smol::unblock(|| TlsConfig::new().trust_native()?.build()).await?;
        return start.begin(Tls::new(transport, trusted), config).await;
    }
    start.begin(transport, config).await
}
