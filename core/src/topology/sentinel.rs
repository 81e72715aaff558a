//! What sentinels say about a service, and which of them to believe.
//!
//! Sentinels number failovers: the one with the higher config epoch has seen the later failover. So
//! a sentinel that slept, or was restarted with an old file, cannot move the client back. A lower
//! epoch wins only against a primary that cannot be reached, or whose ROLE is another one, and only
//! if every known sentinel has answered and all agree: sentinels that were set up again count from
//! zero. Most of them are not enough, because answers may be arbitrarily late. A sentinel that is
//! gone is not waited for without end (`DOUBT_MAX` in `driver/discovery/sentinel_query.rs`).
//!
//! A sentinel may be known by a name and by its address, and then answers twice. It has one vote:
//! two answers come from one sentinel if they list the same others, because none lists itself.
//!
//! Invariants: pure; the order of the opinions does not matter. Limits: `MEMBERS_MAX` replicas or
//! sentinels are read of one reply.
//! Spec: redis.io/docs, "High availability with Redis Sentinel", "Configuration epochs".

use super::node_id::NodeId;
use super::view::{NodeView, ReportedHealth, Role};
use crate::endpoint::Endpoint;
use crate::resp::Value;
use crate::sorted::{SortedMap, sort_by_key};

/// How many replicas or sentinels are read of one reply: more than any service has.
const MEMBERS_MAX: usize = 1024;

/// What one sentinel says about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What this client sees of the known primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrimaryState {
    /// It is connected, or was not tried yet.
    Reachable,
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
    /// The known one for now, although it cannot be reached and all answers name one other: their
    /// epoch is lower, and a sentinel that may know better has not answered.
    Doubt,
    /// This one.
    Take(Service),
}

/// Chooses by `opinions`. `known`: how many sentinels are known.
pub(crate) fn choose(
    held: Option<&Service>,
    state: PrimaryState,
    known: usize,
    opinions: &[Opinion],
) -> PrimaryChoice {
    let Some(newest) = opinions.iter().map(|opinion| opinion.epoch).max() else {
        return PrimaryChoice::Keep;
    };
    let votes_by_sentinel = one_each(opinions);
    if let Some(held) = held.filter(|held| newest < held.epoch) {
        let agreed = opinions.iter().all(|opinion| opinion.primary == opinions[0].primary);
        let known = known.max(sentinels_of(opinions));
        let enough = match state {
            _ if !agreed => return PrimaryChoice::Keep,
            // The primary stays; their word on the replicas counts.
            _ if opinions[0].primary == held.primary => true,
            PrimaryState::Reachable => return PrimaryChoice::Keep,
            PrimaryState::Unreachable => votes_by_sentinel.len() >= known,
            PrimaryState::LongUnreachable => true,
        };
        if !enough {
            return PrimaryChoice::Doubt;
        }
    }
    let newest_ones = || votes_by_sentinel.iter().filter(|opinion| opinion.epoch == newest);
    let mut votes: SortedMap<&Endpoint, usize> = SortedMap::new();
    for opinion in newest_ones() {
        *votes.get_or_insert_with(&opinion.primary, || 0) += 1;
    }
    let keeps = |endpoint: &Endpoint| held.filter(|held| held.primary == *endpoint);
    let most = |(endpoint, votes): &(&Endpoint, usize)| (*votes, keeps(endpoint).is_some());
    let primary = votes.into_entries().max_by_key(most).map(|(primary, _)| primary);
    // Of those that name it, one that sees no failover and knows most replicas tells the rest.
    let teller = newest_ones()
        .filter(|opinion| Some(&opinion.primary) == primary)
        .max_by_key(|opinion| (!opinion.primary_down, opinion.replicas.len()));
    let Some(teller) = teller else { return PrimaryChoice::Keep };
    let service = Service {
        // A lower epoch does not make the known one lower.
        epoch: keeps(&teller.primary).map_or(newest, |held| newest.max(held.epoch)),
        primary: teller.primary.clone(),
        replicas: teller.replicas.clone(),
    };
    let same = held.is_some_and(|held| held.is_alike(&service));
    if same { PrimaryChoice::Keep } else { PrimaryChoice::Take(service) }
}

/// How many sentinels there are by these opinions, including the ones that answered.
pub(crate) fn sentinels_of(opinions: &[Opinion]) -> usize {
    opinions.iter().map(|opinion| opinion.sentinels.len() + 1).max().unwrap_or(0)
}

/// One opinion of each sentinel: the newest one, if it was asked under two names.
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

/// Reads the replies to SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME, REPLICAS and SENTINELS.
/// `endpoint` makes an endpoint of a host and a port, through the address map.
///
/// During a failover the sentinel that leads it still reports the old primary in SENTINEL MASTER,
/// but with the new epoch once a replica is promoted. Only GET-MASTER-ADDR-BY-NAME, which it also
/// tells other sentinels, belongs to that epoch. So the address comes from there.
// spec: sentinel.c, `sentinelGetCurrentMasterAddress`, `sentinelSendHello`
///
/// # Errors
/// Which part is missing or malformed.
pub(crate) fn parse_opinion(
    [primary, address_by_name, replicas, sentinels]: [&Value; 4],
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<Opinion, String> {
    let fields = fields(primary)?;
    let flags = fields.get("flags").copied().unwrap_or_default();
    let epoch = fields.get("config-epoch").copied().unwrap_or("0");
    let epoch: u64 =
        epoch.parse().map_err(|_| format!("config-epoch {epoch:?} is not a number"))?;
    let primary = match address_by_name.as_slice() {
        Some([host, port]) => address_of(host.as_str(), port.as_str(), endpoint)?,
        _ => address(&fields, endpoint)?,
    };
    let replicas = list(replicas)?.iter().take(MEMBERS_MAX);
    let sentinels = list(sentinels)?.iter().take(MEMBERS_MAX);
    let replicas: Result<Vec<_>, _> = replicas.map(|r| parse_replica(r, endpoint)).collect();
    let sentinels = sentinels.map(|s| self::fields(s).and_then(|f| address(&f, endpoint)));
    let (mut replicas, mut sentinels) = (replicas?, sentinels.collect::<Result<Vec<_>, _>>()?);
    // Sentinels list others in no order, and a promoted replica among the replicas.
    replicas.retain(|replica| replica.endpoint.as_ref() != Some(&primary));
    // A few each, every ten seconds: the shared sort, which is small, and not the fastest.
    sort_by_key(&mut replicas, |replica| replica.endpoint.clone());
    sort_by_key(&mut sentinels, Endpoint::clone);
    let primary_down = has_flag(flags, &["s_down", "o_down", "disconnected"]);
    Ok(Opinion { epoch, primary, primary_down, replicas, sentinels })
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
        _ => Err(format!("{host:?} and {port:?} are not a host and a port")),
    }
}

#[cfg(test)]
mod tests;
