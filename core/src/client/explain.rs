//! Why a command would go where: `Client::explain` and what it returns.
//!
//! **Invariant**: it runs the code that selects a node for a call, sends nothing and changes
//! nothing.

use super::client::Client;
use crate::command::Command;
use crate::config::ReadFrom;
use crate::driver::attempt::item::Item;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::read;
use crate::driver::replica::select::{self, SelectionContext};
use crate::driver::replica::shard_lookup;
use crate::endpoint::Endpoint;
use crate::routing::read_from::{CheckDue, ChosenFor, NodeChoice, NodeRow, weight};
use crate::topology::node_id::NodeId;
use crate::topology::slot_map::Shard;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

impl Client {
    /// Where a command would go now, and why; for a read under a read policy, also what is known of
    /// each node. Sends nothing and changes nothing: the very next call may go to another node,
    /// whose turn it is then.
    #[must_use]
    pub fn explain(&self, command: &Command) -> Explanation {
        let routes = Arc::clone(&self.shared.topology.routes());
        let whole = self.current_read_settings();
        let item = Item::whole(command);
        let governed = matches!(read::governs(&whole, item), Ok(true)) && !whole.is_primary();
        let policy = if governed { whole.policy.clone() } else { ReadFrom::Primary };
        let settings =
            Arc::new(ReadSettings { policy: policy.clone(), ..ReadSettings::clone(&whole) });
        let now = self.shared.env.now();
        let slot = command.first_key().map(|_| shard_lookup::slot_of(command).number());
        let mut explanation = Explanation {
            command: command.name(),
            slot,
            shard: None,
            policy,
            chosen: None,
            why: "no node is known for its slot".to_owned(),
            nodes: Vec::new(),
        };
        let Some(shard) = shard_lookup::shard_of(&routes, command) else {
            if command.first_key().is_none() {
                "any primary, in turn: it has no key".clone_into(&mut explanation.why);
            }
            return explanation;
        };
        explanation.shard = Some(routes.map.node(shard.primary).id.clone());
        let context = SelectionContext { settings: &settings, tried: &[], capped: false, now };
        let (rows, nodes) = select::table(&routes, shard, &context);
        let turn = routes.node(shard.primary).map_or(0, |primary| primary.health().peek_choice());
        let choice = select::choice(&routes, shard, &context, &rows, turn);
        explanation.chosen = choice.map(|choice| nodes[choice.index].endpoint().clone());
        explanation.why = why(choice, governed, command).to_owned();
        let ids = shard_lookup::members(shard).filter(|index| routes.node(*index).is_some());
        let each = ids.zip(rows.iter().zip(nodes));
        let each = each
            .map(|(index, (row, node))| describe_node(&routes, shard, index, row, node, &context));
        explanation.nodes = each.collect();
        explanation
    }
}

fn why(choice: Option<NodeChoice>, governed: bool, command: &Command) -> &'static str {
    match choice.map(|choice| choice.how) {
        _ if !governed && !command.is_readonly() => "it may write: to the primary",
        _ if !governed => "to the primary",
        None => "no node that the policy allows can answer",
        Some(ChosenFor::Policy) => "the policy's choice",
        Some(ChosenFor::Fallback) => "no replica can answer: the primary, within its share",
        Some(ChosenFor::Probe) => "it has sent no reply lately: to measure its latency",
        Some(ChosenFor::Trial) => "its quarantine is over: to check whether it has recovered",
    }
}

fn describe_node(
    routes: &Routes,
    shard: &Shard,
    index: usize,
    row: &NodeRow,
    node: &Arc<Node>,
    context: &SelectionContext<'_>,
) -> NodeExplanation {
    let health = node.health();
    let skipped = row.skip.map(|skip| match (health.last_failure(), health.quarantined_until()) {
        (why, Some(until)) if !why.is_empty() => {
            format!("{skip}: {why}; for {:?} more", until.since(context.now))
        }
        _ => skip.to_string(),
    });
    let spare = || {
        row.is_spare.then(|| {
            "it has lost its primary: used only when no other replica can answer".to_owned()
        })
    };
    let skipped = skipped.or_else(spare);
    NodeExplanation {
        node: routes.map.node(index).id.clone(),
        endpoint: node.endpoint().clone(),
        is_primary: index == shard.primary,
        is_connected: node.ready().is_some_and(|link| !link.is_closed()),
        zone: shard_lookup::zone_of(routes, index, node).map(str::to_owned),
        in_flight: row.in_flight,
        latency: (row.latency != 0).then(|| Duration::from_nanos(row.latency)),
        lag: node.lag(context.now),
        score: (row.latency != 0).then(|| Duration::from_nanos(weight(row))),
        is_due: row.due != CheckDue::Not,
        skipped,
    }
}

/// Where a command would go, and why. Made by [`Client::explain`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The command's name.
    pub command: String,
    /// The slot of its first key; `None` without a key.
    pub slot: Option<u16>,
    /// The shard that owns the slot, by its primary's id; `None` when no owner is known.
    pub shard: Option<NodeId>,
    /// The read policy that applies: `Primary` for a command that may write.
    pub policy: ReadFrom,
    /// Where it would go now; `None` if no node can take it.
    pub chosen: Option<Endpoint>,
    /// Why there, or why to no node.
    pub why: String,
    /// The shard's nodes, the primary first.
    pub nodes: Vec<NodeExplanation>,
}

/// What is known of one node of the shard.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExplanation {
    /// Its id.
    pub node: NodeId,
    /// Its address.
    pub endpoint: Endpoint,
    /// Whether it is the shard's primary.
    pub is_primary: bool,
    /// Whether this client has a connection to it.
    pub is_connected: bool,
    /// Its availability zone, if it is known.
    pub zone: Option<String>,
    /// Commands of this client that wait for its reply, as far as read policies count them.
    pub in_flight: u32,
    /// The average time of its recent replies to real commands; `None` if not known.
    pub latency: Option<Duration>,
    /// Its lag behind the primary is at most this; `None` if not known.
    pub lag: Option<Duration>,
    /// Its weight in a choice by load: latency times (commands in flight + 1).
    pub score: Option<Duration>,
    /// Whether one read is due to go to it, to measure its latency or to check its recovery.
    pub is_due: bool,
    /// Why it is skipped, if it is.
    pub skipped: Option<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.command)?;
        if let Some(slot) = self.slot {
            write!(f, " in slot {slot}")?;
        }
        if let Some(shard) = &self.shard {
            write!(f, " of shard {shard}")?;
        }
        match &self.chosen {
            Some(chosen) => write!(f, ", read_from={}: {chosen} ({})", self.policy, self.why)?,
            None => write!(f, ", read_from={}: no node ({})", self.policy, self.why)?,
        }
        for node in &self.nodes {
            let role = if node.is_primary { "primary" } else { "replica" };
            write!(f, "\n  {role} {}: {} in flight", node.endpoint, node.in_flight)?;
            if let Some(latency) = node.latency {
                write!(f, ", {latency:?}")?;
            }
            if let Some(lag) = node.lag {
                write!(f, ", lag at most {lag:?}")?;
            }
            if let Some(zone) = &node.zone {
                write!(f, ", zone {zone}")?;
            }
            if let Some(skipped) = &node.skipped {
                write!(f, "; skipped: {skipped}")?;
            }
        }
        Ok(())
    }
}
