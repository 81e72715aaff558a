//! What sentinels say of a service, and which of them to believe.
//!
//! Sentinels count elections: the one with the higher config epoch has seen the later failover. So
//! a sentinel that slept, or was restarted with an old file, cannot move the client back. Only when
//! the primary that is held has proved to be none (its connection fails, or its ROLE says so) may a
//! lower epoch win, and then only if all sentinels answer and agree: sentinels that were set up
//! anew count from zero again.
//!
//! Invariants: pure; the order of the opinions does not matter. Limits: `MEMBERS_MAX` replicas or
//! sentinels are read of one reply.
//! Spec: redis.io/docs, "High availability with Redis Sentinel", "Configuration epochs".
//! Called by `driver/sentinels.rs` (parsing) and `driver/topology.rs` (choice).

use super::node_id::NodeId;
use super::view::{Health, NodeView, Role};
use crate::endpoint::Endpoint;
use crate::resp::Value;
use crate::sorted::SortedMap;

/// So many opinions are enough where there are more sentinels.
const ENOUGH: usize = 3;
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
    /// Other sentinels of the service.
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

/// What follows from `opinions`; `None` to keep what is held. `disproved`: the primary that is held
/// has shown that it is none.
pub(crate) fn choose(
    held: Option<&Service>,
    disproved: bool,
    opinions: &[Opinion],
) -> Option<Service> {
    let newest = opinions.iter().map(|opinion| opinion.epoch).max()?;
    let floor = held.map_or(0, |held| held.epoch);
    if newest < floor {
        let first = opinions.first()?;
        let agreed = opinions.iter().all(|opinion| opinion.primary == first.primary);
        // A sentinel that is silent now may be the one that remembers.
        let complete = |opinion: &Opinion| opinions.len() > opinion.sentinels.len();
        let complete = opinions.len() >= ENOUGH || opinions.iter().all(complete);
        if !(disproved && agreed && complete) {
            return None;
        }
    }
    let mut votes: SortedMap<&Endpoint, usize> = SortedMap::new();
    let newest_ones = || opinions.iter().filter(|opinion| opinion.epoch == newest);
    for opinion in newest_ones() {
        *votes.get_or_insert_with(&opinion.primary, || 0) += 1;
    }
    let keeps = |endpoint: &Endpoint| held.is_some_and(|held| held.primary == *endpoint);
    let (primary, _) =
        votes.into_entries().max_by_key(|(endpoint, votes)| (*votes, keeps(endpoint)))?;
    // Of those who agree, the one that is not in trouble and knows most replicas tells the rest.
    let teller = newest_ones()
        .filter(|opinion| opinion.primary == *primary)
        .max_by_key(|opinion| (!opinion.troubled, opinion.replicas.len()))?;
    let service =
        Service { epoch: newest, primary: primary.clone(), replicas: teller.replicas.clone() };
    let same = held.is_some_and(|held| held.is_alike(&service));
    (!same).then_some(service)
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

/// Reads the replies to SENTINEL MASTER, REPLICAS and SENTINELS. `endpoint` makes one of a host and
/// a port, through the address map.
///
/// # Errors
/// What is missing or makes no sense.
pub(crate) fn parse_opinion(
    primary: &Value,
    replicas: &Value,
    sentinels: &Value,
    endpoint: &dyn Fn(&str, u16) -> Endpoint,
) -> Result<Opinion, String> {
    let fields = fields(primary)?;
    let flags = fields.get("flags").copied().unwrap_or_default();
    let epoch = fields.get("config-epoch").copied().unwrap_or("0");
    let epoch: u64 = epoch.parse().map_err(|_| format!("config-epoch {epoch:?} is no number"))?;
    // Until a failover is over, who leads it names the old primary with the epoch of the new one.
    let under_way = u64::from(has_flag(flags, &["failover_in_progress"]));
    let replicas = list(replicas)?.iter().take(MEMBERS_MAX);
    let sentinels = list(sentinels)?.iter().take(MEMBERS_MAX);
    // Sentinels list replicas in no order of their own.
    let by_place = |list: Result<Vec<NodeView>, String>| {
        list.map(|mut list| {
            list.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
            list
        })
    };
    Ok(Opinion {
        epoch: epoch.saturating_sub(under_way),
        primary: address(&fields, endpoint)?,
        troubled: has_flag(flags, &["s_down", "o_down", "disconnected"]),
        replicas: by_place(replicas.map(|r| parse_replica(r, endpoint)).collect())?,
        sentinels: sentinels
            .map(|s| self::fields(s).and_then(|f| address(&f, endpoint)))
            .collect::<Result<_, _>>()?,
    })
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
        Health::Failed
    } else if has_flag(flags, &["s_down", "disconnected"]) {
        Health::Suspected
    } else if link_up {
        Health::Online
    } else {
        Health::Loading
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
    let host = fields.get("ip").copied().unwrap_or_default();
    let port = fields.get("port").copied().unwrap_or_default();
    match port.parse() {
        Ok(port) if port > 0 && !host.is_empty() => Ok(endpoint(host, port)),
        _ => Err(format!("{host:?} and {port:?} are no host and port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(epoch: u64, port: u16) -> Opinion {
        let primary = Endpoint::tcp("10.0.0.1", port);
        Opinion { epoch, primary, troubled: false, replicas: Vec::new(), sentinels: Vec::new() }
    }

    fn held(epoch: u64, port: u16) -> Service {
        Service { epoch, primary: Endpoint::tcp("10.0.0.1", port), replicas: Vec::new() }
    }

    fn port(service: Option<Service>) -> Option<u16> {
        match service?.primary {
            Endpoint::Tcp { port, .. } => Some(port),
            Endpoint::Unix { .. } => None,
        }
    }

    #[test]
    fn a_replica_that_moves_on_in_the_stream_is_no_news() {
        let replica = |offset, health| NodeView {
            role: Role::Replica,
            offset: Some(offset),
            health,
            ..NodeView::provisional(&Endpoint::tcp("10.0.0.2", 1))
        };
        let with = |view: NodeView| Opinion { replicas: vec![view], ..opinion(3, 1) };
        let held = choose(None, false, &[with(replica(10, Health::Online))]);
        let next = [with(replica(20, Health::Online))];
        assert_eq!(choose(held.as_ref(), false, &next), None);
        let next = [with(replica(20, Health::Suspected))];
        assert!(choose(held.as_ref(), false, &next).is_some(), "one that is down is");
    }

    /// The leader of a failover has the new epoch before it has the new primary.
    #[test]
    fn an_opinion_in_the_middle_of_a_failover_is_an_older_one() {
        let text = |text: &str| Value::Text(text.to_owned());
        let fields = |flags| {
            let pairs =
                [("ip", "10.0.0.1"), ("port", "1"), ("config-epoch", "4"), ("flags", flags)];
            Value::Array(pairs.into_iter().flat_map(|(n, v)| [text(n), text(v)]).collect())
        };
        let none = || Value::Array(Vec::new());
        let epoch = |flags| {
            let endpoint = &|host: &str, port| Endpoint::tcp(host, port);
            parse_opinion(&fields(flags), &none(), &none(), endpoint).unwrap().epoch
        };
        assert_eq!((epoch("master"), epoch("master,failover_in_progress")), (4, 3));
        let late = Opinion { epoch: 3, ..opinion(4, 1) };
        assert_eq!(choose(Some(&held(4, 2)), false, &[late]), None);
    }

    /// Two of three with old files agree about the old primary; the third, which knows better, is
    /// silent.
    #[test]
    fn old_opinions_do_not_win_while_a_sentinel_is_silent() {
        let others = vec![Endpoint::tcp("s2", 26379), Endpoint::tcp("s3", 26379)];
        let old = || Opinion { sentinels: others.clone(), ..opinion(0, 1) };
        let held = held(1, 2);
        assert_eq!(choose(Some(&held), true, &[old(), old()]), None);
        assert_eq!(port(choose(Some(&held), true, &[old(), old(), old()])), Some(1));
    }

    // spec: sentinel, "Configuration epochs": the higher one is the later failover.
    #[test]
    fn the_newest_epoch_wins_and_never_goes_back() {
        type Row<'a> = (Option<Service>, bool, &'a [Opinion], Option<u16>);
        let table: &[Row<'_>] = &[
            (None, false, &[], None),
            (None, false, &[opinion(3, 1), opinion(2, 2), opinion(2, 2)], Some(1)),
            (Some(held(3, 1)), false, &[opinion(2, 2), opinion(2, 2)], None),
            (Some(held(3, 1)), true, &[opinion(2, 2), opinion(1, 1)], None),
            (Some(held(3, 1)), true, &[opinion(0, 2), opinion(0, 2)], Some(2)),
            (Some(held(3, 1)), false, &[opinion(4, 2), opinion(3, 1), opinion(3, 1)], Some(2)),
            (Some(held(3, 1)), false, &[opinion(3, 2), opinion(3, 1)], None),
            (Some(held(3, 1)), false, &[opinion(3, 2), opinion(3, 2), opinion(3, 1)], Some(2)),
        ];
        for (index, (held, disproved, opinions, expected)) in table.iter().enumerate() {
            let chosen = choose(held.as_ref(), *disproved, opinions);
            assert_eq!(port(chosen), *expected, "row {index}");
        }
    }
}
