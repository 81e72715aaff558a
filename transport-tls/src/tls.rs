//! The transport: dials through another transport and performs the TLS handshake.
//!
//! Invariants: a stream is returned only after a complete handshake with a server whose certificate
//! is valid for the expected name; dials without TLS are passed on unchanged, so a deployment may
//! use both.
//!
//! The expected name is, in this order: that of [`Tls::server_name_of`] for the endpoint, that of
//! [`Tls::server_name`], the host that is dialled. The host is what the user wrote or the cluster
//! announces, after `Config::address_map`; an IP address must be in the certificate as an address.

use crate::error::{self, TlsError};
use crate::stream::Stream;
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::ClientConfig;
use futures_rustls::rustls::client::Resumption;
use slotcar_core::{BoxFuture, ByteStream, ConnectTls, DialNotes, Endpoint, Timestamp, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A transport with TLS, which a client with `Config::tls` needs.
///
/// Dropping the future of a dial closes its stream. Dial and handshake together may take
/// `Config::connect_timeout`. Later connections to a server resume the TLS session of an earlier
/// one. A server that refuses a handshake after an earlier one has succeeded is dialled once more
/// without a session, and gets none from then on.
#[derive(Clone)]
pub struct Tls<T> {
    /// The transport below.
    inner: T,
    /// Which certificates to trust, and the client's own.
    config: Arc<ClientConfig>,
    /// The name that the certificates of all servers must have.
    name: Option<ServerName<'static>>,
    /// The names of single servers.
    names: BTreeMap<Endpoint, ServerName<'static>>,
    /// How resuming sessions went. Shared by all clones.
    sessions: Arc<Sessions>,
}

/// Which servers take part in resuming sessions, by the name that their certificates must have.
#[derive(Debug, Default)]
struct Sessions {
    /// A handshake has succeeded, so that there may be a session.
    begun: Mutex<BTreeSet<String>>,
    /// The server has refused a handshake after one had succeeded: no session is offered any more.
    refused: Mutex<BTreeSet<String>>,
}

impl Sessions {
    /// Whether no session is offered to this server.
    fn are_refused(&self, name: &str) -> bool {
        lock(&self.refused).contains(name)
    }

    fn note_success(&self, name: &str) {
        let mut begun = lock(&self.begun);
        if !begun.contains(name) {
            begun.insert(name.to_owned());
        }
    }

    /// Notes a refused handshake. Returns whether it says nothing, because a session may have been
    /// offered: then another handshake without one shows what is wrong.
    fn note_refusal(&self, name: &str) -> bool {
        lock(&self.begun).remove(name) && lock(&self.refused).insert(name.to_owned())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: fmt::Debug> fmt::Debug for Tls<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<T: Transport> Tls<T> {
    /// Adds TLS to `inner`. `config` is built by [`crate::TlsConfig`], or any other.
    #[must_use]
    pub fn new(inner: T, config: Arc<ClientConfig>) -> Self {
        let (names, sessions) = (BTreeMap::new(), Arc::default());
        Self { inner, config, name: None, names, sessions }
    }

    /// Sets the name that the certificate of every server must have, whatever host is dialled. It
    /// is sent to the server too (SNI). For servers that are dialled by address and share a
    /// certificate.
    ///
    /// # Errors
    /// `Setup` if `name` is neither a host name nor an address.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        self.name = Some(parse(name)?);
        Ok(self)
    }

    /// Sets the name that the certificate of the server at `endpoint` must have, for example behind
    /// a tunnel.
    ///
    /// # Errors
    /// `Setup` if `name` is neither a host name nor an address.
    pub fn server_name_of(mut self, endpoint: Endpoint, name: &str) -> Result<Self, TlsError> {
        self.names.insert(endpoint, parse(name)?);
        Ok(self)
    }

    fn name_for(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, TlsError> {
        match (self.names.get(endpoint).or(self.name.as_ref()), endpoint) {
            (Some(name), _) => Ok(name.clone()),
            (None, Endpoint::Tcp { host, .. }) => parse(host),
            (None, Endpoint::Unix { .. }) => {
                Err(TlsError::setup("a unix socket has no name that a certificate could have"))
            }
        }
    }
}

fn parse(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        TlsError::setup(format!("`{}` is neither a host name nor an address", name.escape_debug()))
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
            let text = name.to_str().into_owned();
            loop {
                let stream = self.inner.connect_noting(endpoint, notes).await?;
                notes.set_tls_began();
                let connector = TlsConnector::from(self.config_for(&text));
                let failed = match connector.connect(name.clone(), stream).await {
                    Ok(stream) => {
                        self.sessions.note_success(&text);
                        let abort = notes.abort_flag();
                        let stream: Box<dyn ByteStream> =
                            Box::new(Stream::new(stream, text, abort));
                        return Ok(stream);
                    }
                    Err(failed) => failed,
                };
                if !(error::is_refusal(&failed) && self.sessions.note_refusal(&text)) {
                    return Err(error::of_handshake(&text, failed));
                }
            }
        })
    }
}

impl<T> Tls<T> {
    /// The configuration for a server; without sessions if it has refused one.
    fn config_for(&self, name: &str) -> Arc<ClientConfig> {
        if !self.sessions.are_refused(name) {
            return Arc::clone(&self.config);
        }
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        Arc::new(config)
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
