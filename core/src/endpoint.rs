//! Where a server listens: a host name, an address or a unix socket's path.
//!
//! Names stay names: the transport resolves them at each dial, so that a pod that came back under a
//! new address is found again. Endpoints come from the configuration and from servers' replies, and
//! transports dial them.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

/// An address to dial.
///
/// Its text form is `host:port`, with brackets around an IPv6 address, or `unix:/path`. Endpoints
/// are equal if they are written alike, paths included.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Endpoint {
    /// A host name or address literal (without brackets), and a port.
    Tcp {
        /// Resolved at every dial.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// The path of a unix domain socket.
    Unix {
        /// As given; not checked before the dial.
        path: PathBuf,
    },
}

impl Endpoint {
    /// A TCP endpoint; brackets around an IPv6 literal are taken off.
    #[must_use]
    pub fn tcp(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Self::Tcp { host: bare.to_owned(), port }
    }

    /// A unix socket's endpoint.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }

    /// What endpoints are compared by. A path is its text: its components would bring the parser of
    /// paths into every component that has no file system.
    fn key(&self) -> (bool, &[u8], u16) {
        match self {
            Self::Tcp { host, port } => (false, host.as_bytes(), *port),
            Self::Unix { path } => (true, path.as_os_str().as_encoded_bytes(), 0),
        }
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Endpoint {}

impl PartialOrd for Endpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Endpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_brackets_ipv6_only() {
        let table = [
            (Endpoint::tcp("redis.local", 6379), "redis.local:6379"),
            (Endpoint::tcp("10.0.0.1", 7000), "10.0.0.1:7000"),
            (Endpoint::tcp("::1", 7000), "[::1]:7000"),
            (Endpoint::tcp("[fe80::1]", 7000), "[fe80::1]:7000"),
            (Endpoint::unix("/run/r.sock"), "unix:/run/r.sock"),
        ];
        for (endpoint, text) in table {
            assert_eq!(endpoint.to_string(), text);
        }
    }
}
