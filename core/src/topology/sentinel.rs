//! What sentinels say of a service, and which of them to believe.
//!
//! Sentinels count elections: the one with the higher config epoch has seen the later failover. So
//! a sentinel that slept, or was restarted with an old file, cannot move the client back. A lower
//! epoch wins only against a primary that cannot be reached, or says itself that it is none, where
//! every sentinel that is known has answered and all agree: sentinels that were set up anew count
//! from zero again. Most of them are not enough, for answers may be as late as they like. Who waits
//! for one that is gone for good is not left waiting for ever (`driver/sentinels.rs`).
//!
//! A sentinel may be known by a name and by its address, and then answers twice. It has one vote:
//! two answers are one sentinel's if they list the same others, for nobody lists himself.
//!
//! Invariants: pure; the order of the opinions does not matter. Limits: `MEMBERS_MAX` replicas or
//! sentinels are read of one reply.
//! Spec: redis.io/docs, "High availability with Redis Sentinel", "Configuration epochs".
//! Called by `driver/sentinels.rs` (parsing) and `driver/look.rs` (choice).

use super::node_id::NodeId;
use super::view::{NodeView, ReportedHealth, Role};
use crate::endpoint::Endpoint;
use crate::resp::Value;
use crate::sorted::SortedMap;

/// More than any service has.
const MEMBERS_MAX: usize = 1024;

/// One sentinel's opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    /// Its config epoch: how many failovers it has seen.
    pub(crate) epoch: u64,
    /// Who takes writes.
    pub(crate) primary: Endpoint,
    /// It takes the primary for down, or is in the middle of a failover.
    pub(crate) troubled: bool,
    /// Who copies the primary.
    pub(crate) replicas: Vec<NodeView>,
    /// Other sentinels of the service, sorted.
    pub(crate) sentinels: Vec<Endpoint>,
}

/// What is held of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// The epoch at which it was learnt.
    pub(crate) epoch: u64,
    /// Who takes writes.
    pub(crate) primary: Endpoint,
    /// Who copies it.
    pub(crate) replicas: Vec<NodeView>,
}

/// How the primary that is held does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrimaryState {
    /// Nothing speaks against it.
    Reachable,
    /// No connection to it can be made, or it says itself that it is none.
    Unreachable,
    /// The same, for as long as all who answer have named another one: whoever is silent is not
    /// waited for any more.
    LongUnreachable,
}

/// What was made of opinions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrimaryChoice {
    /// What is held stays.
    Keep,
    /// What is held stays, although it is not fit and all who answered name one other: they count
    /// from further back, and somebody who may know better has not answered.
    Doubt,
    /// This takes its place.
    Take(Service),
}

/// What follows from `opinions`. `known`: how many sentinels there are, as far as is known.
pub(crate) fn choose(
    held: Option<&Service>,
    state: PrimaryState,
    known: usize,
    opinions: &[Opinion],
) -> PrimaryChoice {
    let Some(newest) = opinions.iter().map(|opinion| opinion.epoch).max() else {
        return PrimaryChoice::Keep;
    };
    let voices = one_each(opinions);
    if let Some(held) = held.filter(|held| newest < held.epoch) {
        let agreed = opinions.iter().all(|opinion| opinion.primary == opinions[0].primary);
        let known = known.max(sentinels_of(opinions));
        let enough = match state {
            _ if !agreed => return PrimaryChoice::Keep,
            // Nothing moves: they may tell of the replicas.
            _ if opinions[0].primary == held.primary => true,
            PrimaryState::Reachable => return PrimaryChoice::Keep,
            PrimaryState::Unreachable => voices.len() >= known,
            PrimaryState::LongUnreachable => true,
        };
        if !enough {
            return PrimaryChoice::Doubt;
        }
    }
    let newest_ones = || voices.iter().filter(|opinion| opinion.epoch == newest);
    let mut votes: SortedMap<&Endpoint, usize> = SortedMap::new();
    for opinion in newest_ones() {
        *votes.get_or_insert_with(&opinion.primary, || 0) += 1;
    }
    let keeps = |endpoint: &Endpoint| held.filter(|held| held.primary == *endpoint);
    let most = |(endpoint, votes): &(&Endpoint, usize)| (*votes, keeps(endpoint).is_some());
    let primary = votes.into_entries().max_by_key(most).map(|(primary, _)| primary);
    // Of those who agree, the one that is not in trouble and knows most replicas tells the rest.
    let teller = newest_ones()
        .filter(|opinion| Some(&opinion.primary) == primary)
        .max_by_key(|opinion| (!opinion.troubled, opinion.replicas.len()));
    let Some(teller) = teller else { return PrimaryChoice::Keep };
    let service = Service {
        // Who remembers less than is known does not make it forgotten.
        epoch: keeps(&teller.primary).map_or(newest, |held| newest.max(held.epoch)),
        primary: teller.primary.clone(),
        replicas: teller.replicas.clone(),
    };
    let same = held.is_some_and(|held| held.is_alike(&service));
    if same { PrimaryChoice::Keep } else { PrimaryChoice::Take(service) }
}

/// How many sentinels there are by these opinions, themselves included.
pub(crate) fn sentinels_of(opinions: &[Opinion]) -> usize {
    opinions.iter().map(|opinion| opinion.sentinels.len() + 1).max().unwrap_or(0)
}

/// One opinion of each sentinel: the newest, if it was asked under two names.
fn one_each(opinions: &[Opinion]) -> Vec<&Opinion> {
    let mut each: Vec<&Opinion> = Vec::with_capacity(opinions.len());
    for opinion in opinions {
        match each.iter_mut().find(|other| other.sentinels == opinion.sentinels) {
            Some(other) if other.epoch < opinion.epoch => *other = opinion,
            Some(_) => {}
            None => each.push(opinion),
        }
    }
    each
}

impl Service {
    /// Whether commands go where they went: how far replicas are in the stream changes nothing.
    fn is_alike(&self, other: &Self) -> bool {
        let alike = |(a, b): (&NodeView, &NodeView)| {
            (&a.endpoint, a.health, a.link_up) == (&b.endpoint, b.health, b.link_up)
        };
        (self.epoch, &self.primary) == (other.epoch, &other.primary)
            && self.replicas.len() == other.replicas.len()
            && self.replicas.iter().zip(&other.replicas).all(alike)
    }
}

/// Reads the replies to SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME, REPLICAS and SENTINELS.
/// `endpoint` makes one of a host and a port, through the address map.
///
/// In a failover whoever leads it goes on telling the old primary's state, with the new epoch from
/// the moment on that a replica was promoted; only the address that it sends clients to, and tells
/// other sentinels, belongs to that epoch.
// spec: sentinel.c, `sentinelGetCurrentMasterAddress`, `sentinelSendHello`
///
/// # Errors
/// What is missing or makes no sense.
pub(crate) fn parse_opinion(
    [primary, place, replicas, sentinels]: [&Value; 4],
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<Opinion, String> {
    let fields = fields(primary)?;
    let flags = fields.get("flags").copied().unwrap_or_default();
    let epoch = fields.get("config-epoch").copied().unwrap_or("0");
    let epoch: u64 = epoch.parse().map_err(|_| format!("config-epoch {epoch:?} is no number"))?;
    let primary = match place.as_slice() {
        Some([host, port]) => address_of(host.as_str(), port.as_str(), endpoint)?,
        _ => address(&fields, endpoint)?,
    };
    let replicas = list(replicas)?.iter().take(MEMBERS_MAX);
    let sentinels = list(sentinels)?.iter().take(MEMBERS_MAX);
    let replicas: Result<Vec<_>, _> = replicas.map(|r| parse_replica(r, endpoint)).collect();
    let sentinels = sentinels.map(|s| self::fields(s).and_then(|f| address(&f, endpoint)));
    let (mut replicas, mut sentinels) = (replicas?, sentinels.collect::<Result<Vec<_>, _>>()?);
    // Sentinels list others in no order of their own, and a promoted replica among the replicas.
    replicas.retain(|replica| replica.endpoint.as_ref() != Some(&primary));
    replicas.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
    sentinels.sort();
    let troubled = has_flag(flags, &["s_down", "o_down", "disconnected"]);
    Ok(Opinion { epoch, primary, troubled, replicas, sentinels })
}

fn parse_replica(
    value: &Value,
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<NodeView, String> {
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
    Ok(NodeView {
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

fn list(value: &Value) -> Result<&[Value], String> {
    value.as_slice().ok_or_else(|| "a list was expected".to_owned())
}

/// Names and values, of a map or of a flat list.
fn fields(value: &Value) -> Result<SortedMap<&str, &str>, String> {
    let pairs = value.pairs().ok_or("names and values were expected")?;
    Ok(pairs.into_iter().filter_map(|(name, v)| Some((name.as_str()?, v.as_str()?))).collect())
}

fn address(
    fields: &SortedMap<&str, &str>,
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<Endpoint, String> {
    address_of(fields.get("ip").copied(), fields.get("port").copied(), endpoint)
}

fn address_of(
    host: Option<&str>,
    port: Option<&str>,
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<Endpoint, String> {
    let (host, port) = (host.unwrap_or_default(), port.unwrap_or_default());
    match port.parse() {
        Ok(port) if port > 0 && !host.is_empty() => Ok(endpoint(host, port)),
        _ => Err(format!("{host:?} and {port:?} are no host and port")),
    }
}

#[cfg(test)]
mod tests;
