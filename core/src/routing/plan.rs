//! Which way a command takes through a cluster: to one slot, cut over several, to many nodes, or
//! nowhere.
//!
//! Decided by the facts of the command table, which are the servers' own; the few exceptions stand
//! here with their reasons. Only commands that are marked as wide come here.
//! Spec: <https://redis.io/docs/latest/develop/reference/command-tips/>, "request_policy".
//! Called by `client/call.rs`, `client/pipeline.rs` and `driver/spread.rs`.

use super::fold::Fold;
use super::split::{Span, span};
use crate::command::{Command, RequestPolicy, ResponsePolicy};
use crate::topology::slot::Slot;

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Its keys live in two slots, and it cannot be cut.
    CrossSlot {
        /// The slot of the first key.
        first: Slot,
        /// The first slot that differs from it.
        second: Slot,
    },
    /// To many nodes.
    Fan(Audience, Fold),
    /// It goes on from where it went before: to one node, which the caller has to name.
    OnNode,
    /// To one node: the owner of its keys or, without a key, anybody.
    One,
    /// Cut by slot.
    Split,
    /// Nobody knows where its keys are.
    Unknown,
}

/// Which nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Every node.
    Nodes,
    /// Every primary.
    Primaries,
    /// The owner of this slot and its replicas.
    Shard(Slot),
}

/// The way of a command.
pub(crate) fn plan(command: &Command) -> Plan {
    if command.is_unknown() {
        return if command.first_key().is_some() { Plan::One } else { Plan::Unknown };
    }
    let spec = command.spec();
    plan_for(
        command.keys().map(|(_, key)| key),
        spec.request(),
        spec.response(),
        spec.name(),
        || spec.splittable().is_some(),
    )
}

/// The way of a command with these keys and policies.
fn plan_for<'a>(
    keys: impl Iterator<Item = &'a [u8]>,
    request: RequestPolicy,
    response: ResponsePolicy,
    name: &str,
    splittable: impl FnOnce() -> bool,
) -> Plan {
    let audience = match request {
        RequestPolicy::AllNodes => Audience::Nodes,
        RequestPolicy::AllShards => Audience::Primaries,
        RequestPolicy::Special if name == "SCAN" => return Plan::OnNode,
        RequestPolicy::Default | RequestPolicy::MultiShard | RequestPolicy::Special => {
            return match span(keys) {
                Span::One => Plan::One,
                Span::Several { .. } if splittable() => Plan::Split,
                Span::Several { first, second } => Plan::CrossSlot { first, second },
            };
        }
    };
    match (name, response) {
        // Whether anybody answers; to ask every shard would fail for the sake of one.
        ("PING", _) => Plan::One,
        // Any key of any shard.
        ("RANDOMKEY", _) => Plan::Fan(audience, Fold::AnyValue),
        // INFO, MEMORY STATS, LATENCY GRAPH and the like: what a node says of itself, which no rule
        // makes one of. A node answers for itself alone.
        (_, ResponsePolicy::Special) => Plan::One,
        _ => Plan::Fan(audience, Fold::By(response)),
    }
}
