//! TLS for slotcar: [`Tls`] puts rustls around any transport.
//!
//! The configuration decides which connections are encrypted (`Config::tls`, and `tls` of
//! `Deployment::Sentinel`). This crate encrypts them, over `slotcar-tcp`, `slotcar-wasi` or a
//! transport of your own. [`TlsConfig`] covers the usual needs: certificate authorities from PEM
//! text, the system's trust store or Mozilla's list, and a client certificate. For anything else
//! use a `rustls::ClientConfig`.
//!
//! ```no_run
//! use slotcar_core::{Client, Config};
//! use slotcar_tcp::Smol;
//! use slotcar_tls::{Tls, TlsConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let trusted = TlsConfig::new().trust_pem(&std::fs::read("ca.pem")?)?.build()?;
//! let transport = Tls::new(Smol::new(), trusted);
//! let client = Client::connect(transport, Config::from_url("rediss://redis.internal")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The certificate of a server must be valid for the host that is dialled. If servers are dialled
//! by addresses that are not in their certificates, as clusters announce them by default, name the
//! host that is: [`Tls::server_name`]. Verification cannot be turned off.
//!
//! If a handshake fails, there is a [`TlsError`] in the chain of the call's error
//! ([`TlsError::of`]). The call fails at once if another dial would fail as well (an unknown
//! authority, a wrong name, no common version); a server that has closed the connection is dialled
//! again.
//!
//! Limits: records have 16 KiB; up to four of them wait while the stream below is full. Dial and
//! handshake together may take `Config::connect_timeout`.

mod config;
mod error;
mod stream;
mod tls;

pub use crate::tls::Tls;
pub use config::TlsConfig;
pub use error::{TlsError, TlsErrorKind};
pub use futures_rustls::rustls;
