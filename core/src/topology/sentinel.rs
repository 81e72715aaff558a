//! What sentinels say about a service, and which of them to believe.
//!
//! Sentinels number failovers: the one with the higher config epoch has seen the later failover. So
//! a sentinel that slept, or was restarted with an old file, cannot move the client back. A lower
//! epoch wins only against a primary that cannot be reached, or whose ROLE is another one, and only
//! if every known sentinel has answered and all agree: sentinels that were set up again count from
//! zero. Most of them are not enough, because answers may be arbitrarily late. A sentinel that is
//! gone is not waited for without end (`DOUBT_MAX` in `driver/discovery/sentinel_query.rs`).
//!
//! Where sentinels of one epoch name different servers, or name another one than is known, evidence
//! beats votes. The servers are asked for their ROLE ([`disputed`]), and of those this one is
//! taken: one that says that it is a primary; of several, the one with more connected replicas, the
//! one that more sentinels name, the one with the higher replication offset, the known one. A
//! primary that cannot be reached for `DOUBT_MAX`, while a server that a sentinel of an older epoch
//! names proves to be one, is given up: it comes back when its ROLE says that it is a primary.
//!
//! A sentinel may be known by a name and by its address, and then answers twice. It has one vote:
//! two answers come from one sentinel if they list the same others, because none lists itself.
//!
//! Invariants: pure; the order of the opinions does not matter. Limits: `MEMBERS_MAX` replicas or
//! sentinels are read of one reply.
//! Spec: redis.io/docs, "High availability with Redis Sentinel", "Configuration epochs";
//! redis.io/commands/role.

use super::node_id::NodeId;
use super::parse::announced_address::is_address;
use super::view::{NodeView, ReportedHealth, Role};
use crate::endpoint::Endpoint;
use crate::resp::Value;
use crate::sorted::{SortedMap, SortedSet, sort_by_key};
use std::cmp::Reverse;

/// How many replicas or sentinels are read of one reply: more than any service has.
const MEMBERS_MAX: usize = 1024;

/// What one sentinel says about a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opinion {
    /// The config epoch: the higher one has seen the later failover.
    pub(crate) epoch: u64,
    /// The primary.
    pub(crate) primary: Endpoint,
    /// The sentinel says that the primary is down, or that a failover is under way.
    pub(crate) primary_down: bool,
    /// The replicas, sorted by endpoint.
    pub(crate) replicas: Vec<NodeView>,
    /// Other sentinels of the service, sorted.
    pub(crate) sentinels: Vec<Endpoint>,
}

/// What the client knows of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// The config epoch of the opinion that it comes from.
    pub(crate) epoch: u64,
    /// The primary.
    pub(crate) primary: Endpoint,
    /// The replicas.
    pub(crate) replicas: Vec<NodeView>,
}

/// What a server answered when it was asked for its ROLE. Ordered: the better evidence is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Proof {
    /// It did not answer, or is no primary.
    None,
    /// It was not asked, or may not say: it may be one.
    Unknown,
    /// It says that it is a primary, to which so many replicas are connected.
    Primary {
        /// Connected replicas.
        replicas: usize,
        /// Its replication offset.
        offset: u64,
    },
}

/// The servers that were asked, and what they answered.
pub(crate) type Proofs = SortedMap<Endpoint, Proof>;

/// A primary that nobody could reach, and the epoch in which sentinels still name it.
pub(crate) type GivenUp = (Endpoint, u64);

/// What this client sees of the known primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrimaryState {
    /// It is connected.
    Reachable,
    /// It is not connected, and no dial has failed: it was not tried, or a dial has no answer yet.
    Untried,
    /// It cannot be connected to, or its ROLE is another one.
    Unreachable,
    /// The same, for so long with every answer naming another primary that silent sentinels are not
    /// waited for any more.
    LongUnreachable,
}

/// Which primary the opinions lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrimaryChoice {
    /// The known one.
    Keep,
    /// The known one for now, although it cannot be reached and others are named: their epoch is
    /// lower, and a sentinel that may know better has not answered, or does not agree.
    Doubt,
    /// This one.
    Take(Service),
}

/// What a choice rests on beside the opinions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knowledge<'a> {
    /// The service as far as it is known.
    pub(crate) held: Option<&'a Service>,
    /// What this client sees of its primary.
    pub(crate) state: PrimaryState,
    /// A primary that is not taken again without a proof.
    pub(crate) given_up: Option<&'a GivenUp>,
    /// How many sentinels are known.
    pub(crate) known: usize,
}

/// The servers to ask for their ROLE before the choice; none if the opinions agree.
pub(crate) fn disputed(knowledge: Knowledge<'_>, opinions: &[Opinion]) -> Vec<Endpoint> {
    let Some(newest) = opinions.iter().map(|opinion| opinion.epoch).max() else {
        return Vec::new();
    };
    let Knowledge { held, state, given_up, .. } = knowledge;
    let named = |epoch: u64| opinions.iter().filter(move |opinion| opinion.epoch >= epoch);
    let all = |epoch: u64| -> SortedSet<Endpoint> {
        let known = held.filter(|held| held.epoch >= epoch).map(|held| &held.primary);
        named(epoch).map(|opinion| &opinion.primary).chain(known).cloned().collect()
    };
    let is_doubtful = |endpoint: &Endpoint| {
        let is_held = held.is_some_and(|held| held.primary == *endpoint);
        let is_given_up = given_up.is_some_and(|(gone, _)| gone == endpoint);
        is_given_up || (is_held && state != PrimaryState::Reachable)
    };
    // Of the newest epoch; or all, if the one that it leads to is none.
    let newest = all(newest.max(held.map_or(0, |held| held.epoch)));
    let candidates = if newest.iter().any(is_doubtful) { all(0) } else { newest };
    if candidates.len() > 1 { candidates.into_values().collect() } else { Vec::new() }
}

/// Chooses by `opinions`, and by what the servers of a dispute answered.
pub(crate) fn choose(
    knowledge: Knowledge<'_>,
    opinions: &[Opinion],
    proofs: &Proofs,
) -> PrimaryChoice {
    let Knowledge { held, given_up, .. } = knowledge;
    let state = match knowledge.state {
        PrimaryState::Untried => {
            let is_silent = |held: &Service| proof_of(proofs, &held.primary) == Proof::None;
            let is_silent = held.is_some_and(is_silent);
            if is_silent { PrimaryState::Unreachable } else { PrimaryState::Reachable }
        }
        state => state,
    };
    // What was given up counts again once it says itself that it is a primary.
    let counts = |opinion: &&Opinion| {
        given_up.is_none_or(|(gone, epoch)| {
            opinion.primary != *gone || opinion.epoch > *epoch || is_proven(proofs, gone)
        })
    };
    let mut counted: Vec<&Opinion> = opinions.iter().filter(counts).collect();
    sort_by_key(&mut counted, |opinion| opinion.rank());
    let Some(newest) = counted.iter().map(|opinion| opinion.epoch).max() else {
        return PrimaryChoice::Keep;
    };
    if let Some(held) = held.filter(|held| newest <= held.epoch)
        && let Some(choice) = give_up(held, state, newest, &counted, proofs)
    {
        return choice;
    }
    let votes = one_each(&counted);
    if let Some(held) = held.filter(|held| newest < held.epoch) {
        let known = knowledge.known.max(sentinels_of(opinions));
        let are_all = votes.len() >= known;
        match believe_older(held, state, are_all, &counted, proofs) {
            PrimaryChoice::Take(_) => {}
            choice => return choice,
        }
    }
    let newest_ones: Vec<&Opinion> = votes.into_iter().filter(|o| o.epoch == newest).collect();
    let Some(service) = best_of(held, &newest_ones, proofs) else { return PrimaryChoice::Keep };
    let same = held.is_some_and(|held| held.is_alike(&service));
    if same { PrimaryChoice::Keep } else { PrimaryChoice::Take(service) }
}

fn proof_of(proofs: &Proofs, endpoint: &Endpoint) -> Proof {
    proofs.get(endpoint).copied().unwrap_or(Proof::Unknown)
}

fn is_proven(proofs: &Proofs, endpoint: &Endpoint) -> bool {
    proof_of(proofs, endpoint) > Proof::Unknown
}

/// Whether the known primary, which cannot be reached, is given up for one that an older epoch
/// names and that proves to be one. `None` where nothing speaks for that.
fn give_up(
    held: &Service,
    state: PrimaryState,
    newest: u64,
    opinions: &[&Opinion],
    proofs: &Proofs,
) -> Option<PrimaryChoice> {
    if state == PrimaryState::Reachable || is_proven(proofs, &held.primary) {
        return None;
    }
    let rivals = opinions.iter().filter(|opinion| opinion.primary != held.primary);
    let proven = rivals.filter(|opinion| is_proven(proofs, &opinion.primary));
    let best = proven.max_by_key(|o| (o.epoch, proof_of(proofs, &o.primary), o.replicas.len()))?;
    // One of the same epoch needs no such delay.
    let is_older = best.epoch < held.epoch;
    match state {
        _ if !is_older => None,
        PrimaryState::LongUnreachable => Some(PrimaryChoice::Take(best.service(best.epoch))),
        _ if newest == held.epoch => Some(PrimaryChoice::Doubt),
        _ => None,
    }
}

/// Whether opinions of an older epoch than is known are believed: `Take` says so. `are_all`: every
/// known sentinel has answered.
fn believe_older(
    held: &Service,
    state: PrimaryState,
    are_all: bool,
    opinions: &[&Opinion],
    proofs: &Proofs,
) -> PrimaryChoice {
    let Some(first) = opinions.first() else { return PrimaryChoice::Keep };
    let agreed = opinions.iter().all(|opinion| opinion.primary == first.primary);
    let believed = PrimaryChoice::Take(first.service(first.epoch));
    match state {
        // The primary stays; their word on the replicas counts.
        _ if agreed && first.primary == held.primary => believed,
        PrimaryState::Reachable | PrimaryState::Untried => PrimaryChoice::Keep,
        _ if is_proven(proofs, &held.primary) => PrimaryChoice::Keep,
        // It is no better than the known one.
        _ if !agreed || proof_of(proofs, &first.primary) == Proof::None => PrimaryChoice::Doubt,
        PrimaryState::LongUnreachable => believed,
        PrimaryState::Unreachable if are_all => believed,
        PrimaryState::Unreachable => PrimaryChoice::Doubt,
    }
}

/// The service by opinions of one epoch: evidence first, then votes. `None` if it stays as it is.
fn best_of(held: Option<&Service>, opinions: &[&Opinion], proofs: &Proofs) -> Option<Service> {
    let epoch = opinions.first()?.epoch;
    let keeps = |endpoint: &Endpoint| held.filter(|held| held.primary == *endpoint);
    let mut tallies: SortedMap<&Endpoint, usize> = SortedMap::new();
    for opinion in opinions {
        *tallies.get_or_insert_with(&opinion.primary, || 0) += 1;
    }
    // The known one was named in this epoch, too, or in a later one.
    let was_asked = |held: &&Service| held.epoch >= epoch && proofs.contains_key(&held.primary);
    if let Some(held) = held.filter(was_asked) {
        tallies.get_or_insert_with(&held.primary, || 0);
    }
    let best = |(endpoint, votes): &(&Endpoint, usize)| {
        let (is, replicas, offset) = match proof_of(proofs, endpoint) {
            Proof::Primary { replicas, offset } => (2, replicas, offset),
            Proof::Unknown => (1, 0, 0),
            Proof::None => (0, 0, 0),
        };
        (is, replicas, *votes, offset, keeps(endpoint).is_some())
    };
    // Where even that is equal, any of them, until one proves to be the primary.
    let (primary, _) = tallies.into_entries().max_by_key(best)?;
    // Of those that name it, the first tells the rest.
    let teller = opinions.iter().find(|opinion| opinion.primary == *primary)?;
    // A lower epoch does not make the known one lower.
    Some(teller.service(keeps(primary).map_or(epoch, |held| epoch.max(held.epoch))))
}

/// What a server says of its role, by its reply to ROLE.
pub(crate) fn parse_role(reply: &Value) -> Proof {
    match reply.as_slice() {
        Some([role, offset, replicas, ..]) if role.as_str() == Some("master") => {
            let replicas = replicas.as_slice().map_or(0, <[Value]>::len);
            let offset = offset.as_i64().and_then(|offset| u64::try_from(offset).ok());
            Proof::Primary { replicas, offset: offset.unwrap_or_default() }
        }
        _ => Proof::None,
    }
}

/// The service that a sentinel's message is about.
// spec: sentinel.c, `sentinelEvent`: an instance of a service is told as
// `<type> <name> <ip> <port> @ <service> <ip> <port>`, the primary itself without what follows `@`
pub(crate) fn announced_service<'a>(channel: &str, message: &'a str) -> Option<&'a str> {
    let mut words = message.split(' ');
    if channel == "+switch-master" {
        return words.next();
    }
    let (kind, name) = (words.next()?, words.next()?);
    if kind == "master" {
        return Some(name);
    }
    // Its own name, which may be anything, and its address stand before.
    words.nth(2).filter(|word| *word == "@").and(words.next())
}

/// How many sentinels there are by these opinions, including the ones that answered.
pub(crate) fn sentinels_of(opinions: &[Opinion]) -> usize {
    opinions.iter().map(|opinion| opinion.sentinels.len() + 1).max().unwrap_or(0)
}

/// One opinion of each sentinel: the newest one, if it was asked under two names. Two that name
/// different servers in one epoch are of two sentinels, whatever others they list.
fn one_each<'a>(opinions: &[&'a Opinion]) -> Vec<&'a Opinion> {
    let mut each: Vec<&Opinion> = Vec::with_capacity(opinions.len());
    for opinion in opinions {
        let same = |other: &&mut &Opinion| {
            other.sentinels == opinion.sentinels
                && (other.epoch != opinion.epoch || other.primary == opinion.primary)
        };
        match each.iter_mut().find(same) {
            Some(other) if other.epoch < opinion.epoch => *other = opinion,
            Some(_) => {}
            None => each.push(opinion),
        }
    }
    each
}

impl Opinion {
    /// The place among the opinions of one question. Of those of one epoch the first is one that
    /// sees no failover, knows most replicas, and sees most of them online. Total, so that it is
    /// the same one whichever sentinel answers first.
    fn rank(&self) -> impl Ord {
        let online = self.replicas.iter().filter(|one| one.health == ReportedHealth::Online);
        let replicas = Reverse((self.replicas.len(), online.count()));
        (self.epoch, self.primary_down, replicas, self)
    }

    /// The service as this sentinel sees it.
    fn service(&self, epoch: u64) -> Service {
        Service { epoch, primary: self.primary.clone(), replicas: self.replicas.clone() }
    }
}

impl Service {
    /// Whether both lead commands to the same nodes. Replication offsets do not matter.
    fn is_alike(&self, other: &Self) -> bool {
        let alike = |(a, b): (&NodeView, &NodeView)| {
            (&a.endpoint, a.health, a.link_up) == (&b.endpoint, b.health, b.link_up)
        };
        (self.epoch, &self.primary) == (other.epoch, &other.primary)
            && self.replicas.len() == other.replicas.len()
            && self.replicas.iter().zip(&other.replicas).all(alike)
    }
}

/// Reads the replies to SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME, REPLICAS and SENTINELS; `None`
/// for what the sentinel does not tell: the epoch is 0 then, or there are no replicas or sentinels.
/// `endpoint` makes an endpoint of a host and a port, through the address map. Returns the opinion,
/// and how many entries of the lists could not be read and are left out.
///
/// During a failover the sentinel that leads it still reports the old primary in SENTINEL MASTER,
/// but with the new epoch once a replica is promoted. Only GET-MASTER-ADDR-BY-NAME, which it also
/// tells other sentinels, belongs to that epoch. So the address comes from there.
// spec: sentinel.c, `sentinelGetCurrentMasterAddress`, `sentinelSendHello`
///
/// # Errors
/// The primary has no address.
pub(crate) fn parse_opinion(
    [primary, address_by_name, replicas, sentinels]: [Option<&Value>; 4],
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<(Opinion, usize), String> {
    let fields = primary.and_then(fields).unwrap_or_default();
    let flags = fields.get("flags").copied().unwrap_or_default();
    // What cannot be read is the weakest.
    let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    let by_name = match address_by_name.and_then(Value::as_slice) {
        Some([host, port]) => address_of(host.as_str(), port.as_str(), endpoint),
        _ => None,
    };
    let primary = by_name.or_else(|| address(&fields, endpoint)).ok_or_else(|| {
        let text = |name| fields.get(name).copied().unwrap_or_default();
        format!("the primary has no address: ip {:?}, port {:?}", text("ip"), text("port"))
    })?;
    let (replicas, sentinels) = (list(replicas), list(sentinels));
    let listed = replicas.len() + sentinels.len();
    let replicas = replicas.iter().filter_map(|told| parse_replica(told, endpoint));
    let sentinels = sentinels.iter().filter_map(|told| address(&self::fields(told)?, endpoint));
    let (mut replicas, mut sentinels): (Vec<_>, Vec<_>) = (replicas.collect(), sentinels.collect());
    let left_out = listed - replicas.len() - sentinels.len();
    // Sentinels list others in no order, and a promoted replica among the replicas.
    replicas.retain(|replica| replica.endpoint.as_ref() != Some(&primary));
    // A few each, every ten seconds: the shared sort, which is small, and not the fastest.
    sort_by_key(&mut replicas, |replica| replica.endpoint.clone());
    sort_by_key(&mut sentinels, Endpoint::clone);
    // One that is listed twice is one.
    replicas.dedup_by(|next, one| next.endpoint == one.endpoint);
    sentinels.dedup();
    let primary_down = has_flag(flags, &["s_down", "o_down", "disconnected"]);
    Ok((Opinion { epoch, primary, primary_down, replicas, sentinels }, left_out))
}

fn parse_replica(value: &Value, endpoint: &dyn Fn(&str, u16) -> Endpoint) -> Option<NodeView> {
    let fields = fields(value)?;
    let address = address(&fields, endpoint)?;
    let flags = fields.get("flags").copied().unwrap_or_default();
    let link_up = fields.get("master-link-status").copied().unwrap_or("ok") == "ok";
    let health = if has_flag(flags, &["o_down"]) {
        ReportedHealth::Failed
    } else if has_flag(flags, &["s_down", "disconnected"]) {
        ReportedHealth::Suspected
    } else if link_up {
        ReportedHealth::Online
    } else {
        ReportedHealth::Loading
    };
    Some(NodeView {
        role: Role::Replica,
        offset: fields.get("slave-repl-offset").and_then(|offset| offset.parse().ok()),
        health,
        link_up,
        id: NodeId::provisional(&address),
        ..NodeView::provisional(&address)
    })
}

fn has_flag(flags: &str, wanted: &[&str]) -> bool {
    flags.split(',').any(|flag| wanted.contains(&flag))
}

/// The entries of a list; none of what is no list.
fn list(told: Option<&Value>) -> &[Value] {
    let all = told.and_then(Value::as_slice).unwrap_or_default();
    all.get(..MEMBERS_MAX).unwrap_or(all)
}

/// Names and values, of a map or of a flat list.
fn fields(value: &Value) -> Option<SortedMap<&str, &str>> {
    let pairs = value.pairs()?;
    Some(pairs.into_iter().filter_map(|(name, v)| Some((name.as_str()?, v.as_str()?))).collect())
}

fn address(
    fields: &SortedMap<&str, &str>,
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Option<Endpoint> {
    address_of(fields.get("ip").copied(), fields.get("port").copied(), endpoint)
}

/// `None` for what is no address: it is not learnt and not dialled.
fn address_of(
    host: Option<&str>,
    port: Option<&str>,
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Option<Endpoint> {
    let host = host.filter(|host| is_address(host))?;
    port?.parse().ok().filter(|port| *port > 0).map(|port| endpoint(host, port))
}

#[cfg(test)]
mod tests;
