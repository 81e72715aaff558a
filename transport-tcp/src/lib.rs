//! slotcar over TCP and unix sockets: [`Tcp`] on smol, and `Tokio` on tokio's reactor behind the
//! feature `tokio`.
//!
//! A transport carries bytes, time, chance and background work for the core, and decides nothing.
//! Callers may await from any executor: smol's reactor runs wherever it is polled, and `Tokio`
//! carries the handle of its runtime with it. Both share what does not depend on the reactor:
//! options (`options`), the order of addresses (`dial`) and the errors that name them (`resolve`).
//!
//! ```no_run
//! # async fn example() -> Result<(), slotcar_tcp::slotcar::Error> {
//! let client = slotcar_tcp::connect("redis://127.0.0.1:6379").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Names are resolved at every dial, every address of a name is tried, and the last cause is kept
//! with the address that it came from.
//!
//! TLS is a transport around one of these (`slotcar-tls`). With the feature `tls`, [`connect`] and
//! [`connect_with`] put it around by themselves where a `rediss://` URL asks for it, and trust whom
//! the system trusts: its store is kept up to date by whoever keeps the system, holds the
//! authorities of a company beside the public ones, and `SSL_CERT_FILE` replaces it without a line
//! of code.

mod clock;
mod dial;
mod options;
mod resolve;
mod smol;
mod stream;
#[cfg(feature = "tokio")]
mod tokio;

pub use crate::smol::Tcp;
#[cfg(feature = "tokio")]
pub use crate::tokio::Tokio;
pub use options::{Keepalive, TcpOptions};
pub use slotcar;
#[cfg(feature = "tls")]
pub use slotcar_tls;

use slotcar::{Client, Config, Error};

/// Connects to what `url` names, over [`Tcp`] with its default options, from any executor.
///
/// For other options, authorities of your own, or tokio's reactor, give a transport to
/// [`Client::connect`].
///
/// # Errors
/// `Config` for a URL that does not parse, or that asks for TLS without the feature `tls` or where
/// the system trusts nobody; and everything that [`Client::connect`] may say.
///
/// Dropping the future closes what was opened.
pub async fn connect(url: &str) -> Result<Client, Error> {
    connect_with(Config::from_url(url)?).await
}

/// Connects as `config` says, over [`Tcp`] with its default options, from any executor.
///
/// # Errors
/// As [`connect`].
///
/// Dropping the future closes what was opened.
pub async fn connect_with(config: Config) -> Result<Client, Error> {
    #[cfg(feature = "tls")]
    if config.needs_tls() {
        use slotcar_tls::{Tls, TlsConfig};
        // The store is a few hundred files: a thread that may wait reads them.
        let trusted = ::smol::unblock(|| TlsConfig::new().trust_native()?.build()).await?;
        return Client::connect(Tls::new(Tcp::new(), trusted), config).await;
    }
    Client::connect(Tcp::new(), config).await
}

/// The README's code compiles, or the tests fail.
#[cfg(all(doctest, feature = "tls", feature = "tokio"))]
#[doc = include_str!("../../README.md")]
struct Readme;
