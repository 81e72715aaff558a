//! CLUSTER NODES (every version) to lines, and lines to a view.
//!
//! Only NODES tells config epochs, and it tells roles, slots and links as of one moment; but it
//! tells neither the preferred endpoint nor zones. So NODES gives the structure, and SHARDS or
//! SLOTS give the addresses (`View::with_epochs`).
//!
//! A line: `id ip:port@cport[,hostname[,key=value..]] flags primary ping pong epoch link slot..`.
//! A slot in brackets is being migrated, and still owned where a line lists it without brackets.
//! A line that cannot be read is left out, also one without a role (`noflags`), and one of two
//! lines of a node.
//! Spec: redis.io/commands/cluster-nodes, "Serialization format".

use crate::resp::Value;
use crate::sorted::{SortedMap, SortedSet};
use crate::topology::left_out::LeftOut;
use crate::topology::node_id::NodeId;
use crate::topology::parse::announced_address::{AddressRule, Announcement, Resolved};
use crate::topology::parse::fields::{is_host, range};
use crate::topology::slot::Slot;
use crate::topology::slot_range::SlotRange;
use crate::topology::view::{NODES_MAX, NodeView, ReportedHealth, Role, ShardView, View};
use crate::topology::view_error::ViewError;
use std::cmp::Reverse;
use std::mem;

/// A line of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// The node's id.
    id: NodeId,
    /// Its address, as the node that was asked knows it; may be empty.
    ip: String,
    /// Its host name; may be empty.
    hostname: String,
    /// Its port for connections of the kind that the reply came on.
    port: Option<u16>,
    /// Primary or replica.
    role: Role,
    /// A replica's primary.
    primary: Option<NodeId>,
    /// Its health by the flags `fail` and `fail?`.
    health: ReportedHealth,
    /// Whether the node that was asked has a link to it.
    link_up: bool,
    /// The config epoch; a replica shows its primary's.
    epoch: u64,
    /// Its slots.
    slots: Vec<SlotRange>,
}

impl Line {
    /// How much it is worth beside another line of the same node: the greater is taken.
    fn worth(&self) -> (Reverse<ReportedHealth>, bool, bool, u64) {
        (Reverse(self.health), self.port.is_some(), self.link_up, self.epoch)
    }

    /// Where the node is, as the node that was asked knows it.
    fn resolve(&self, rule: AddressRule<'_>) -> Resolved {
        let other_hosts = [self.ip.as_str(), self.hostname.as_str()];
        let (host, port) = (self.ip.as_str(), self.port);
        rule.resolve(Announcement { host, port, tls_port: None, other_hosts })
    }
}

/// A reply to CLUSTER NODES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodesReply {
    /// The node that was asked.
    told_by: Option<NodeId>,
    /// All nodes except those in handshake, which have no id yet. One line for each.
    lines: Vec<Line>,
    /// How many other lines could not be read.
    left_out: u32,
}

/// Reads a reply to CLUSTER NODES.
///
/// # Errors
/// The reply is an error (`Refused`), or no line of it can be read; the error names the first part.
pub(crate) fn parse_nodes(reply: &Value) -> Result<NodesReply, ViewError> {
    let text = reply.as_str().ok_or_else(|| ViewError::bad_value("nodes", reply))?;
    let (mut lines, mut places): (Vec<Line>, SortedMap<NodeId, usize>) = Default::default();
    let (mut told_by, mut left_out) = (None, LeftOut::default());
    for text in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some(Some((mut line, myself))) = left_out.take(parse_line(text)) else { continue };
        if lines.len() >= NODES_MAX {
            return Err(ViewError::TooMany { what: "nodes", max: NODES_MAX });
        }
        let place = *places.get_or_insert_with(line.id.clone(), || lines.len());
        if let Some(known) = lines.get_mut(place) {
            left_out.take::<()>(Err(ViewError::NodeTwice { id: line.id.clone() }));
            let is_own = told_by.as_ref() == Some(&known.id);
            if (myself, line.worth()) > (is_own, known.worth()) {
                mem::swap(known, &mut line);
            }
            if known.slots != line.slots {
                known.slots.append(&mut line.slots);
            }
        }
        if myself {
            told_by = Some(line.id.clone());
        }
        if place == lines.len() {
            lines.push(line);
        }
    }
    let left_out = left_out.finish(lines.is_empty())?;
    Ok(NodesReply { told_by, lines, left_out })
}

#[cfg(any(test, fuzzing))]
impl NodesReply {
    /// The view that the lines alone give. The client uses `View::with_epochs`; tests and fuzzing
    /// compare the two.
    ///
    /// # Errors
    /// As `View::checked`.
    pub(crate) fn into_view(self, rule: AddressRule<'_>) -> Result<View, ViewError> {
        build(self, Vec::new(), |line| {
            let found = line.resolve(rule);
            let mut node = bare(line);
            (node.endpoint, node.announced) = (found.endpoint, found.announced);
            node.aliases = found.aliases;
            node
        })
    }
}

impl View {
    /// This view with epochs, roles and slots of `nodes`, which the same node told at the same
    /// time. Addresses, zones and offsets stay. A node that this view does not contain (CLUSTER
    /// SLOTS leaves out those without slots) is not dialled, because NODES does not tell the
    /// preferred address; but it is known by those that NODES tells, so that redirects may lead to
    /// it. A node that NODES does not tell is gone, unless a line could not be read: then it stays
    /// as it is here, without an epoch. A node that is known by its address only gets its id.
    ///
    /// # Errors
    /// As `View::mended`.
    pub(crate) fn with_epochs(
        self,
        nodes: NodesReply,
        rule: AddressRule<'_>,
    ) -> Result<Self, ViewError> {
        let left_out = self.left_out;
        let mut shards = self.into_shards();
        name(&mut shards, &nodes, rule);
        let mut rest = Vec::new();
        if nodes.left_out > 0 {
            let told: SortedSet<&NodeId> = nodes.lines.iter().map(|line| &line.id).collect();
            let is_told = |node: &NodeView| told.contains(&node.id);
            rest.extend(shards.iter().cloned().map(|mut shard| {
                shard.primary = shard.primary.filter(|primary| !is_told(primary));
                shard.replicas.retain(|replica| !is_told(replica));
                shard
            }));
        }
        let known = shards
            .iter_mut()
            .flat_map(|s| s.primary.take().into_iter().chain(s.replicas.drain(..)));
        let mut known: SortedMap<NodeId, NodeView> =
            known.map(|node| (node.id.clone(), node)).collect();
        let nodes = NodesReply { left_out: left_out.saturating_add(nodes.left_out), ..nodes };
        build(nodes, rest, |line| match known.remove(&line.id) {
            None => {
                let found = line.resolve(rule);
                let aliases = found.endpoint.into_iter().chain(found.aliases).collect();
                NodeView { aliases, ..bare(line) }
            }
            Some(node) => NodeView {
                role: line.role,
                health: node.health.max(line.health),
                link_up: line.link_up,
                ..node
            },
        })
    }
}

/// Gives nodes that are known by their address only the ids that NODES tells.
fn name(shards: &mut [ShardView], nodes: &NodesReply, rule: AddressRule<'_>) {
    let all = shards.iter_mut().flat_map(|s| s.primary.iter_mut().chain(&mut s.replicas));
    let mut nameless = all.filter(|node| node.id.is_provisional()).peekable();
    if nameless.peek().is_none() {
        return;
    }
    let named = nodes.lines.iter().filter_map(|line| {
        let endpoint = line.resolve(rule).endpoint?;
        Some((NodeId::provisional(&endpoint), &line.id))
    });
    let named: SortedMap<NodeId, &NodeId> = named.collect();
    for node in nameless {
        if let Some(id) = named.get(&node.id) {
            node.id = (*id).clone();
        }
    }
}

/// A line's node, without an address.
fn bare(line: &Line) -> NodeView {
    NodeView {
        id: line.id.clone(),
        endpoint: None,
        announced: None,
        aliases: Vec::new(),
        role: line.role,
        zone: None,
        offset: None,
        health: line.health,
        link_up: line.link_up,
    }
}

/// Lines to shards. Replicas whose primary has no line are put in a shard without a primary.
/// `rest`: what is known of nodes whose line could not be read.
fn build(
    reply: NodesReply,
    rest: Vec<ShardView>,
    mut node: impl FnMut(&Line) -> NodeView,
) -> Result<View, ViewError> {
    let mut shards: SortedMap<NodeId, ShardView> = SortedMap::new();
    let mut orphans = Vec::new();
    for shard in rest {
        match &shard.primary {
            Some(primary) => drop(shards.insert(primary.id.clone(), shard)),
            None => orphans.extend(shard.replicas),
        }
    }
    let (primaries, replicas): (Vec<_>, Vec<_>) =
        reply.lines.into_iter().partition(|line| line.role == Role::Primary);
    for line in primaries {
        let primary = Some(node(&line));
        let Line { id, slots, epoch, .. } = line;
        let shard = ShardView { slots, epoch: Some(epoch), primary, replicas: Vec::new() };
        shards.insert(id, shard);
    }
    for line in replicas {
        match line.primary.as_ref().and_then(|id| shards.get_mut(id)) {
            Some(shard) => shard.replicas.push(node(&line)),
            None => orphans.push(node(&line)),
        }
    }
    let mut shards: Vec<_> = shards.into_values().collect();
    if !orphans.is_empty() {
        let (slots, replicas) = (Vec::new(), orphans);
        shards.push(ShardView { slots, epoch: None, primary: None, replicas });
    }
    View::mended(reply.told_by, shards, reply.left_out)
}

/// A line, and whether it is that of the node that was asked; `None` if the node has no id yet.
fn parse_line(text: &str) -> Result<Option<(Line, bool)>, ViewError> {
    let mut words = text.split_ascii_whitespace();
    let mut word = |what| words.next().ok_or(ViewError::Missing { what });
    let id = word("node id")?;
    let address = word("address")?;
    let flags = word("flags")?;
    let primary = word("primary")?;
    for time in ["ping time", "pong time"] {
        word(time)?;
    }
    let epoch = word("config epoch")?;
    let link = word("link state")?;
    if flags.split(',').any(|flag| flag == "handshake") {
        return Ok(None);
    }
    let id = NodeId::told(id).ok_or_else(|| ViewError::bad_text("node id", id.as_bytes()))?;
    let (ip, port, hostname) = parse_address(address)?;
    let flags = parse_flags(flags)?;
    let owned = words.filter(|word| !word.starts_with('['));
    let line = Line {
        id,
        ip: ip.to_owned(),
        hostname: hostname.to_owned(),
        port,
        role: flags.role,
        primary: if primary == "-" { None } else { NodeId::told(primary) },
        health: flags.health,
        link_up: link == "connected",
        epoch: epoch.parse().map_err(|_| ViewError::bad_text("config epoch", epoch.as_bytes()))?,
        slots: owned.map(parse_range).collect::<Result<_, _>>()?,
    };
    Ok(Some((line, flags.myself)))
}

/// The flags of a line.
struct LineFlags {
    /// It is the line of the node that was asked.
    myself: bool,
    /// `master` or `slave`; one of them is always there.
    role: Role,
    /// `fail`, `fail?` or neither.
    health: ReportedHealth,
}

fn parse_flags(text: &str) -> Result<LineFlags, ViewError> {
    let (mut myself, mut role, mut health) = (false, None, ReportedHealth::Online);
    for flag in text.split(',') {
        match flag {
            "myself" => myself = true,
            "master" | "primary" => role = Some(Role::Primary),
            "slave" | "replica" => role = Some(Role::Replica),
            "fail?" => health = health.max(ReportedHealth::Suspected),
            "fail" => health = health.max(ReportedHealth::Failed),
            // `noaddr` shows in the address; `nofailover`, `noflags` and unknown flags do not
            // matter.
            _ => {}
        }
    }
    let role = role.ok_or_else(|| ViewError::bad_text("flags", text.as_bytes()))?;
    Ok(LineFlags { myself, role, health })
}

/// `ip:port@cport[,hostname[,key=value..]]`; `@cport` came with Redis 4.
fn parse_address(text: &str) -> Result<(&str, Option<u16>, &str), ViewError> {
    let wrong = || ViewError::bad_text("address", text.as_bytes());
    let (address, rest) = text.split_once(',').unwrap_or((text, ""));
    let hostname = rest.split(',').next().filter(|name| !name.contains('=')).unwrap_or("");
    let (address, _) = address.split_once('@').unwrap_or((address, ""));
    let (ip, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
    if !is_host(ip) || !is_host(hostname) {
        return Err(wrong());
    }
    Ok((ip, (port > 0).then_some(port), hostname))
}

/// `93` or `93-120`.
fn parse_range(text: &str) -> Result<SlotRange, ViewError> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let slot = |word: &str| {
        let number = word.parse().ok().filter(|_| !word.starts_with('+')).and_then(Slot::new);
        number.ok_or_else(|| ViewError::bad_text("slot", text.as_bytes()))
    };
    range(slot(start)?, slot(end)?)
}

#[cfg(test)]
mod tests;
