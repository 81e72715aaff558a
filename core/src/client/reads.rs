//! Where a client's reads go: views, the switch at run time, and the explanation of a choice.
//!
//! Invariant: `explain` runs the code that chooses, and sends nothing. Called by users and by
//! `client/call.rs`.

use super::client::Client;
use crate::command::Command;
use crate::config::ReadFrom;
use crate::driver::attempt::item::Item;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::{ReadSettings, SelectionMode};
use crate::driver::replica::read::{self, ResumeFrom};
use crate::driver::replica::select::{self, SelectionContext, select_node};
use crate::driver::replica::shard_lookup;
use crate::endpoint::Endpoint;
use crate::features::READ_POLICIES;
use crate::routing::read_from::{CheckDue, ChosenFor, NodeChoice, NodeRow, weight};
use crate::topology::node_id::NodeId;
use crate::topology::slot_map::Shard;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

impl Client {
    /// A view of this client that reads from elsewhere. Costs a clone; connections are shared.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::ReadFrom;
    /// let name: Option<String> = client.with_read_from(ReadFrom::Replica).get("name").await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_read_from(&self, policy: ReadFrom) -> Self {
        let settings = ReadSettings { policy, ..ReadSettings::clone(&self.whole_rule()) };
        Self { read_settings: Some(Arc::new(settings)), ..self.clone() }
    }

    /// A view of this client whose reads accept data of at most this age, or of any; see
    /// [`Config::max_staleness`](crate::Config::max_staleness). Its policy stays what it is now.
    #[must_use]
    pub fn with_max_staleness(&self, max_staleness: impl Into<Option<Duration>>) -> Self {
        let max_staleness = max_staleness.into();
        let settings = ReadSettings { max_staleness, ..ReadSettings::clone(&self.whole_rule()) };
        Self { read_settings: Some(Arc::new(settings)), ..self.clone() }
    }

    /// Changes where this client and its clones read from, except for views that chose for
    /// themselves. In force for every call that is polled first after this returns; no connection
    /// is made or closed, and calls under way end where they are.
    pub fn set_read_from(&self, policy: ReadFrom) {
        let settings =
            ReadSettings { policy, ..ReadSettings::clone(&self.shared.reads.settings()) };
        self.shared.reads.set(settings);
    }

    /// Where this client, or this view of it, reads from.
    #[must_use]
    pub fn read_from(&self) -> ReadFrom {
        self.whole_rule().policy.clone()
    }

    fn whole_rule(&self) -> Arc<ReadSettings> {
        self.read_settings.clone().unwrap_or_else(|| self.shared.reads.settings())
    }

    /// The rule by which reads are spread, if they are.
    #[inline]
    pub(super) fn read_rule(&self) -> Option<Arc<ReadSettings>> {
        if self.selection_mode() == SelectionMode::Primary {
            return None;
        }
        Some(self.whole_rule()).filter(|settings| !settings.is_primary())
    }

    /// How this view's rule chooses.
    #[inline]
    fn selection_mode(&self) -> SelectionMode {
        self.read_settings.as_ref().map_or_else(
            || self.shared.reads.selection_mode(),
            |settings| settings.selection_mode(),
        )
    }

    /// The place that a rule gives a command; `None` where none governs it.
    #[inline]
    pub(super) fn seat_by_rule(
        &self,
        command: &Command,
    ) -> Option<Result<InFlightGuard, ResumeFrom>> {
        let guard = match self.selection_mode() {
            SelectionMode::Primary => return None,
            _ if !READ_POLICIES => return Some(Err(ResumeFrom::Start)),
            SelectionMode::Table => None,
            SelectionMode::LessLoadedReplica => self.seat_straight(command, false),
            SelectionMode::LessLoaded => self.seat_straight(command, true),
        };
        guard.map(Ok).or_else(|| self.seat_by_table(command))
    }

    /// The place of an ordinary read, where all is well with the few nodes that there are.
    fn seat_straight(&self, command: &Command, among_all: bool) -> Option<InFlightGuard> {
        if !read::is_plain(command) {
            return None;
        }
        let shared = &self.shared;
        let routes = shared.topology.routes();
        let shard = shard_lookup::shard_of(&routes, command)?;
        let now = shared.env.recent_time();
        let node =
            select::select_less_loaded(&routes, shard, among_all, (now, shared.reads.silent()))?;
        Some(InFlightGuard::timed(node, now))
    }

    /// The same, of any command under any rule. What cannot be governed at all is left to the way
    /// around, and so is what an error says: how to go around.
    #[inline(never)]
    fn seat_by_table(&self, command: &Command) -> Option<Result<InFlightGuard, ResumeFrom>> {
        let settings = self.read_rule()?;
        if let Ok(false) = read::governs(&settings, Item::whole(command)) {
            return None;
        }
        Some(self.pick_by_table(&self.shared.topology.routes(), command, &settings))
    }

    fn pick_by_table(
        &self,
        routes: &Arc<Routes>,
        command: &Command,
        settings: &Arc<ReadSettings>,
    ) -> Result<InFlightGuard, ResumeFrom> {
        let env = &self.shared.env;
        let shard = shard_lookup::shard_of(routes, command).ok_or(ResumeFrom::Start)?;
        let now = env.now();
        let context = SelectionContext { settings, tried: &[], capped: false, now };
        if read::is_cursor(command) || select::must_check_first(env, routes, shard, &context) {
            return Err(ResumeFrom::Start);
        }
        let node = select_node(env, routes, shard, &context)?;
        Ok(InFlightGuard::timed(node, now))
    }

    /// Where a command would go now, and why; of a read under a policy, what is known of every
    /// node. Sends nothing and changes nothing: the very next call may go elsewhere, when it is
    /// another node's turn.
    #[must_use]
    pub fn explain(&self, command: &Command) -> Explanation {
        let routes = Arc::clone(&self.shared.topology.routes());
        let whole = self.whole_rule();
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
        let each =
            each.map(|(index, (row, node))| told(&routes, shard, index, row, node, &context));
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
        Some(ChosenFor::Probe) => "nothing was heard from it lately: to find out how fast it is",
        Some(ChosenFor::Trial) => "its quarantine is over: to find out whether it is well again",
    }
}

fn told(
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
    let spare = || row.is_spare.then(|| "it has lost its primary: others first".to_owned());
    let skipped = skipped.or_else(spare);
    NodeExplanation {
        node: routes.map.node(index).id.clone(),
        endpoint: node.endpoint().clone(),
        is_primary: index == shard.primary,
        is_connected: node.ready().is_some_and(|link| !link.is_closed()),
        zone: shard_lookup::zone_of(routes, index, node).map(str::to_owned),
        in_flight: row.in_flight,
        latency: (row.latency != 0).then(|| Duration::from_nanos(row.latency)),
        lag: health.lag(context.now),
        score: (row.latency != 0).then(|| Duration::from_nanos(weight(row))),
        is_due: row.due != CheckDue::Not,
        skipped,
    }
}

/// Where a command would go, and why; see [`Client::explain`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The command's name.
    pub command: String,
    /// The slot of its first key; `None` without a key.
    pub slot: Option<u16>,
    /// The shard that owns the slot, by its primary; `None` when nobody is known to.
    pub shard: Option<NodeId>,
    /// The policy that applies: `Primary` for everything that is no read.
    pub policy: ReadFrom,
    /// Where it would go now; `None` if nobody can take it.
    pub chosen: Option<Endpoint>,
    /// Why there, or why nowhere.
    pub why: String,
    /// The shard's nodes, the primary first.
    pub nodes: Vec<NodeExplanation>,
}

/// What is known of one node of the shard.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExplanation {
    /// Who it is.
    pub node: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Whether it is the shard's primary.
    pub is_primary: bool,
    /// Whether this client has a connection to it.
    pub is_connected: bool,
    /// Its availability zone, if it is known.
    pub zone: Option<String>,
    /// Commands of this client that it owes replies to, as far as policies count them.
    pub in_flight: u32,
    /// What its real replies took of late.
    pub latency: Option<Duration>,
    /// It lacks at most what was written within this time; `None` when nothing is known.
    pub lag: Option<Duration>,
    /// What it weighs for a choice by load: latency times commands in flight and one more.
    pub score: Option<Duration>,
    /// Whether one read goes to it to find something out.
    pub is_due: bool,
    /// Why it is passed by, if it is.
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
            None => write!(f, ", read_from={}: nowhere ({})", self.policy, self.why)?,
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
                write!(f, "; passed by: {skipped}")?;
            }
        }
        Ok(())
    }
}
