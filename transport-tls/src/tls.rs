//! The transport itself: dials through another, shakes hands, and names whom it expects.
//!
//! Invariants: a stream is handed out only when the handshake is whole and the server's certificate
//! names it; plain dials go through unchanged, so a deployment may have both.
//!
//! The name that a server has to prove is, in this order: that of [`Tls::server_name_of`] for its
//! endpoint, that of [`Tls::server_name`], and the host that is dialled. The last is what the user
//! wrote, what the cluster announces, or, where `Config::address_map` leads elsewhere, what it
//! leads to; an address has to be in the certificate as an address.

use crate::error::{self, TlsError};
use crate::stream::Stream;
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::ClientConfig;
use slotcar_core::{BoxFuture, ByteStream, ConnectTls, DialNotes, Endpoint, Timestamp, Transport};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Any transport, with TLS: `Client`s with `Config::tls` need one.
///
/// Dropping a dial closes its stream. The handshake counts to `Config::connect_timeout`, as the
/// dial below it does. Later connections to a server resume the session of an earlier one.
#[derive(Clone)]
pub struct Tls<T> {
    /// What carries the records, and everything that is not encrypted.
    inner: T,
    /// Whom to trust, and who this client is.
    config: Arc<ClientConfig>,
    /// What every server has to prove to be.
    name: Option<ServerName<'static>>,
    /// The same for single servers.
    names: BTreeMap<Endpoint, ServerName<'static>>,
}

impl<T: fmt::Debug> fmt::Debug for Tls<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<T: Transport> Tls<T> {
    /// `inner` with TLS as `config` says: one that [`crate::TlsConfig`] built, or any other.
    #[must_use]
    pub fn new(inner: T, config: Arc<ClientConfig>) -> Self {
        Self { inner, config, name: None, names: BTreeMap::new() }
    }

    /// Every server has to prove to be `name` (and is told it, SNI), whatever host was dialled: for
    /// servers that are known by addresses only and share a certificate.
    ///
    /// # Errors
    /// `Setup` if it is neither a host name nor an address.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        self.name = Some(parse(name)?);
        Ok(self)
    }

    /// The same for the one server that is dialled at `endpoint`: a tunnel's end, say.
    ///
    /// # Errors
    /// `Setup` if it is neither a host name nor an address.
    pub fn server_name_of(mut self, endpoint: Endpoint, name: &str) -> Result<Self, TlsError> {
        self.names.insert(endpoint, parse(name)?);
        Ok(self)
    }

    fn name_for(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, TlsError> {
        match (self.names.get(endpoint).or(self.name.as_ref()), endpoint) {
            (Some(name), _) => Ok(name.clone()),
            (None, Endpoint::Tcp { host, .. }) => parse(host),
            (None, Endpoint::Unix { .. }) => {
                Err(TlsError::setup("a unix socket has no name to prove"))
            }
        }
    }
}

fn parse(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        TlsError::setup(format!("`{}` is no name for a certificate", name.escape_debug()))
    })
}

impl<T: Transport> ConnectTls for Tls<T> {
    fn connect_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let name = self.name_for(endpoint);
            let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let stream = self.inner.connect_noting(endpoint, notes).await?;
            notes.set_tls_began();
            let text = name.to_str().into_owned();
            let connector = TlsConnector::from(Arc::clone(&self.config));
            match connector.connect(name, stream).await {
                Ok(stream) => Ok(Box::new(Stream::new(stream, text)) as Box<dyn ByteStream>),
                Err(failed) => Err(error::of_handshake(&text, failed)),
            }
        })
    }
}

impl<T: Transport> Transport for Tls<T> {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        self.inner.connect(endpoint)
    }

    fn connect_noting<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        self.inner.connect_noting(endpoint, notes)
    }

    fn tls(&self) -> Option<&dyn ConnectTls> {
        Some(self)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        self.inner.spawn(task)
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        self.inner.sleep_until(deadline)
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn seed(&self) -> u64 {
        self.inner.seed()
    }
}
