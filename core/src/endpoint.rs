//! The address of a server: a host name or IP address with a port, or the path of a unix socket.
//!
//! Invariant: a host name is kept as it is. The transport resolves it at each dial, so that a
//! server that has come back with a new address is found again.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

/// An address to dial.
///
/// Its text form is `host:port`, with brackets around an IPv6 address, or `unix:/path`. Endpoints
/// are equal if their texts are equal; this is true for paths too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Endpoint {
    /// A host name or an IP address (without brackets), and a port.
    Tcp {
        /// A name is resolved at every dial.
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
    /// A TCP endpoint; brackets around an IPv6 address are removed.
    #[must_use]
    pub fn tcp(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Self::Tcp { host: bare.to_owned(), port }
    }

    /// The endpoint of a unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }

    /// What endpoints are compared by. Paths are compared as text: comparing their components would
    /// put the path parser into WebAssembly components that need no paths.
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
