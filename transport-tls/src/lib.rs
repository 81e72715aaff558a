//! TLS for slotcar: [`Tls`] puts rustls around any transport.
//!
//! The core decides which connections are encrypted (`Config::tls`, and `tls` of a deployment with
//! sentinels); this crate encrypts them, over `slotcar-tcp`, `slotcar-wasi` or a transport of your
//! own. [`TlsConfig`] covers what most need: authorities and a client's certificate from PEM text,
//! the system's store, or Mozilla's list. For anything else bring a `rustls::ClientConfig`.
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
//! A server has to prove the name of the host that is dialled. Where servers are dialled by
//! addresses that their certificates do not hold, as clusters announce them by default, say which
//! name they do hold: [`Tls::server_name`]. Nothing turns verification off.
//!
//! What goes wrong in a handshake is a [`TlsError`] in the chain of the call's error
//! ([`TlsError::of`]). What no second dial can change (an unknown authority, a wrong name, no
//! common version) fails the call at once; a server that hung up is dialled again.
//!
//! Limits: records are of 16 KiB, of which up to four wait for a full stream; a handshake has
//! `Config::connect_timeout`, together with the dial.

mod config;
mod error;
mod stream;
mod tls;

pub use crate::tls::Tls;
pub use config::TlsConfig;
pub use error::{TlsError, TlsErrorKind};
pub use futures_rustls::rustls;
