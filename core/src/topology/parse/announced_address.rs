//! Where to dial a node, from what servers announce: one rule for SLOTS, SHARDS, NODES, MOVED and
//! ASK.
//!
//! 1. The host that the server prefers. Empty or NULL is the host of the node that was asked. `?`
//!    is unknown, and a wildcard (`0.0.0.0`, `::`) is no address: such a node is not dialled.
//! 2. The port for the protocol in use; 0 is none. With TLS the TLS port; where the servers have
//!    none, the plain one, since a proxy in front of them may speak TLS.
//! 3. The address map, last. `Config::address_map` is keyed by what steps 1 and 2 give.
//!
//! Other hosts that the server names for the node (its address, its host name) become aliases by
//! the same rule, so that a redirect in another form is not taken for another node.
//! Spec: CLUSTER SLOTS and CLUSTER SHARDS, "endpoint"; `cluster-preferred-endpoint-type`.

use crate::endpoint::Endpoint;
use crate::resp::RedirectHost;
use std::collections::BTreeMap;

/// How announced addresses become endpoints; see the head of this file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressRule<'a> {
    /// The endpoint at which the node that was asked was dialled.
    pub(crate) asked: &'a Endpoint,
    /// Whether connections use TLS.
    pub(crate) tls: bool,
    /// Announced endpoints, and where to dial instead.
    pub(crate) address_map: &'a BTreeMap<Endpoint, Endpoint>,
}

/// What a server announces about a node's address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Announcement<'a> {
    /// The preferred host: a name, an address, or one of the special forms of step 1.
    pub(crate) host: &'a str,
    /// The port for connections without TLS.
    pub(crate) port: Option<u16>,
    /// The port for connections with TLS, where the reply tells both.
    pub(crate) tls_port: Option<u16>,
    /// Other hosts of the same node; empty ones are none.
    pub(crate) other_hosts: [&'a str; 2],
}

/// The endpoints of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Where to dial it; `None` when the servers do not say.
    pub(crate) endpoint: Option<Endpoint>,
    /// The same before the address map.
    pub(crate) announced: Option<Endpoint>,
    /// Other endpoints of the node, after the map.
    pub(crate) aliases: Vec<Endpoint>,
}

/// A host, by step 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host<'a> {
    /// A name or an address, without brackets.
    Named(&'a str),
    /// That of the node that was asked.
    Same,
    /// Not known.
    Unknown,
}

impl<'a> Host<'a> {
    fn of(text: &'a str) -> Self {
        let bare = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
        match bare {
            "" | "NULL" => Self::Same,
            "?" | "0.0.0.0" | "::" => Self::Unknown,
            host => Self::Named(host),
        }
    }
}

/// Whether a server could be dialled at this host: not where nothing, `?` or a wildcard is told.
pub(crate) fn is_address(host: &str) -> bool {
    matches!(Host::of(host), Host::Named(_))
}

impl AddressRule<'_> {
    /// The endpoints of a node in a topology reply.
    pub(crate) fn resolve(&self, told: Announcement<'_>) -> Resolved {
        let port = if self.tls { told.tls_port.or(told.port) } else { told.port };
        let Some(port) = port else { return Resolved::default() };
        let announced = self.at(Host::of(told.host), port);
        let endpoint = announced.as_ref().map(|announced| self.map(announced));
        let mut aliases = Vec::new();
        for host in told.other_hosts.map(Host::of) {
            // The special forms say nothing about another host.
            let Host::Named(name) = host else { continue };
            let alias = self.map(&Endpoint::tcp(name, port));
            if endpoint.as_ref() != Some(&alias) && !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        Resolved { endpoint, announced, aliases }
    }

    /// Where a redirect leads; `None` when the server does not say. Servers put the port there that
    /// fits the connection on which they answer.
    pub(crate) fn redirect(&self, host: &RedirectHost, port: u16) -> Option<Endpoint> {
        let host = match host {
            RedirectHost::Named(name) => Host::of(name),
            RedirectHost::Same => Host::Same,
            RedirectHost::Unknown => Host::Unknown,
        };
        self.at(host, port).map(|announced| self.map(&announced))
    }

    fn at(&self, host: Host<'_>, port: u16) -> Option<Endpoint> {
        match (host, self.asked) {
            (Host::Named(name), _) => Some(Endpoint::tcp(name, port)),
            (Host::Same, Endpoint::Tcp { host, .. }) => Some(Endpoint::tcp(host, port)),
            // A unix socket has no host to share with others.
            (Host::Same, Endpoint::Unix { .. }) | (Host::Unknown, _) => None,
        }
    }

    fn map(&self, announced: &Endpoint) -> Endpoint {
        self.address_map.get(announced).unwrap_or(announced).clone()
    }
}

#[cfg(test)]
mod tests;
