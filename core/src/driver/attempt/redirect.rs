//! Where a redirect leads: the one place that reads MOVED and ASK.
//!
//! Commands, reads under a policy and subscriptions follow redirects in different ways. What a
//! redirect says is the same for all of them: another node for this command, another node for the
//! slot, the node that sent it, or nothing that can be used.
//!
//! **Invariants**: no redirect leads to an address that neither the configuration nor a view of the
//! topology names, so that credentials and data go to members alone; an ASK changes no map; the
//! address is read by the same rule as the topology is
//! (`topology/parse/announced_address.rs`), so that another form of it is no other node; the host
//! and the port of a redirect are connected to only after that rule.
//! Spec: cluster-spec, "MOVED Redirection", "ASK redirection".

use crate::Endpoint;
use crate::command::Command;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Redirect, ServerError};
use crate::topology::parse::announced_address::AddressRule;
use crate::topology::slot::Slot;
use std::fmt;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// What a redirect says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirected {
    /// This command goes there, behind an ASKING.
    Ask(Endpoint),
    /// The slot is served there.
    Moved {
        /// The slot.
        slot: Slot,
        /// Its owner.
        endpoint: Endpoint,
        /// The node at exactly this address is meant, not the one that the map knows by it as a
        /// further name: the first redirect to that one led nowhere.
        literally: bool,
    },
    /// To the address of the node that sent it: another server listens there by now, so that the
    /// node is to be dialled anew.
    Sender,
    /// The server does not know the address, or nothing but the redirect names it. Only a refresh
    /// of the topology can tell.
    Unusable,
}

/// What a redirect of `sender` says. `count`: how many redirects the call has met, this one
/// included.
pub(crate) fn resolve(
    topology: &LiveTopology,
    redirect: &Redirect,
    sender: &Arc<Node>,
    count: u32,
) -> Redirected {
    let config = topology.env().config();
    let rule =
        AddressRule { asked: sender.endpoint(), tls: config.tls, address_map: &config.address_map };
    let is_sender = |endpoint: &Endpoint| {
        topology.known_node_at(endpoint).is_some_and(|known| Arc::ptr_eq(&known, sender))
    };
    match read(redirect, rule, count, is_sender) {
        Redirected::Ask(endpoint) | Redirected::Moved { endpoint, .. }
            if !topology.is_named(&endpoint) =>
        {
            Redirected::Unusable
        }
        redirected => redirected,
    }
}

/// What the text says. `is_sender`: whether the map knows the sender by this address, too.
fn read(
    redirect: &Redirect,
    rule: AddressRule<'_>,
    count: u32,
    is_sender: impl FnOnce(&Endpoint) -> bool,
) -> Redirected {
    match redirect {
        Redirect::Ask { host, port, .. } => {
            rule.redirect(host, *port).map_or(Redirected::Unusable, Redirected::Ask)
        }
        Redirect::Moved { slot, host, port } => {
            let (Some(slot), Some(endpoint)) = (Slot::new(*slot), rule.redirect(host, *port))
            else {
                return Redirected::Unusable;
            };
            // The second time that a further name leads back to its sender, it is taken for the
            // name of another node.
            let literally = count > 1;
            if endpoint == *rule.asked || (!literally && is_sender(&endpoint)) {
                return Redirected::Sender;
            }
            Redirected::Moved { slot, endpoint, literally }
        }
    }
}

/// What a command fails with whose redirect cannot be read.
pub(crate) fn malformed(error: impl fmt::Display, command: &Command, sender: &Node) -> Error {
    Error::new(ErrorKind::Protocol, Delivery::Refused, error.to_string())
        .with_command(&command.name())
        .with_endpoint(sender.endpoint())
}

/// What a command fails with that has met more redirects than the configuration allows.
pub(crate) fn too_many(
    max: u32,
    command: &Command,
    last: &ServerError,
    sender: &Node,
    attempts: u32,
) -> Error {
    let limit = ErrorDetail::Limit { name: "redirects_max", max: u64::from(max) };
    let message = format!("redirect limit reached: {max}");
    Error::new(ErrorKind::Topology, Delivery::Refused, message)
        .with_detail(limit)
        .with_server_error(last.clone())
        .with_command(&command.name())
        .with_endpoint(sender.endpoint())
        .with_attempts(attempts)
}
