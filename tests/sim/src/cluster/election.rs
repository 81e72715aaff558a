//! Failover: a replica takes its primary's place, by election, by command, or by force.
//!
//! ```text
//!   automatic  primary failed, delay of 0.5-1 s, more for less data -+
//!   manual     CLUSTER FAILOVER, primary pauses, offsets are equal --+
//!   FORCE      ------------------------------------------------------+- votes -+
//!   TAKEOVER   ----------------------------------------------------------------+- take over
//! ```
//!
//! Spec: cluster-spec, "Replica election and promotion"; `clusterHandleReplicaFailover`.

use super::bus::{Header, Packet};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use slotcar::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a manual failover may take.
pub(crate) const MANUAL_TIMEOUT: Duration = Duration::from_secs(5);
/// An election waits at least this long, so that the news of the failure can spread.
const ELECTION_DELAY: Duration = Duration::from_millis(500);
/// The additional wait of a replica for each replica that has more data.
const RANK_DELAY: Duration = Duration::from_secs(1);
/// Votes are valid for at least this long.
const VOTE_TIMEOUT_MIN: Duration = Duration::from_secs(2);
/// A replica whose link was down for more node timeouts than this (and a ping period) is no
/// candidate.
const VALIDITY_FACTOR: u32 = 10;
/// The ping period of the replication link.
const REPLICATION_PING: Duration = Duration::from_secs(10);

/// An election with this replica as the candidate.
#[derive(Debug, Default)]
pub(crate) struct Election {
    /// When it asks for votes.
    starts_at: Option<Timestamp>,
    /// How many replicas had more data when that was decided.
    rank: u32,
    /// It has asked for votes.
    asked: bool,
    /// The epoch of the election.
    epoch: u64,
    /// The nodes that voted for it.
    votes: BTreeSet<HostId>,
}

/// A manual failover that a node takes part in.
#[derive(Debug)]
pub(crate) struct ManualFailover {
    /// When it is given up.
    until: Timestamp,
    /// For a primary: the replica that asked.
    pub(crate) replica: Option<HostId>,
    /// For a replica: the offset at which the primary paused.
    pub(crate) primary_offset: Option<u64>,
    /// For a replica: it need not wait any longer.
    can_start: bool,
}

impl Server {
    /// Moves a failover to its next state, if there is one.
    pub(crate) fn tick_failover(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let offset = self.replication.offset;
        let Some(cluster) = self.cluster.as_mut() else { return };
        if cluster.manual.as_ref().is_some_and(|m| m.until < now) {
            cluster.manual = None;
            env.decide(self.host, "manual failover timed out");
            self.end_pause(env);
        }
        let Some(cluster) = self.cluster.as_mut() else { return };
        if let Some(manual) = cluster.manual.as_mut()
            && manual.primary_offset == Some(offset)
        {
            manual.can_start = true;
        }
        if !cluster.is_primary() {
            self.stand_for_election(env);
        }
    }

    fn stand_for_election(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_ref() else { return };
        let timeout = (cluster.settings.node_timeout * 2).max(VOTE_TIMEOUT_MIN);
        let manual = cluster.manual.as_ref().is_some_and(|m| m.can_start);
        let primary = cluster.my_primary();
        let failed = cluster.peers.get(&primary).is_some_and(|p| p.failed.is_some());
        let slots = cluster.owners.count_of(primary);
        if !(failed || manual) || slots == 0 || (!manual && self.is_too_old(now)) {
            return;
        }
        let rank = if manual { 0 } else { self.rank() };
        let host = self.host;
        let Some(cluster) = self.cluster.as_mut() else { return };
        let election = &mut cluster.election;
        match election.starts_at {
            Some(at) if now.since(at) <= timeout * 2 => {}
            _ => {
                let delay = if manual {
                    Duration::ZERO
                } else {
                    ELECTION_DELAY + env.rng.duration(ELECTION_DELAY) + RANK_DELAY * rank
                };
                let starts_at = Some(now.after(delay));
                *election = Election { starts_at, rank, ..Election::default() };
                env.decide(host, format!("asks for votes in {delay:?}, rank {rank}"));
                self.broadcast_pong(env);
                if !manual {
                    return;
                }
            }
        }
        self.hold_election(env, rank, manual, timeout);
    }

    fn hold_election(&mut self, env: &mut Env<'_>, rank: u32, manual: bool, timeout: Duration) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_mut() else { return };
        let quorum = cluster.quorum();
        let election = &mut cluster.election;
        let Some(starts_at) = election.starts_at else { return };
        if !election.asked && !manual && rank > election.rank {
            // Other replicas turned out to have more data.
            election.starts_at = Some(starts_at.after(RANK_DELAY * (rank - election.rank)));
            election.rank = rank;
            return;
        }
        if now < starts_at || now.since(starts_at) > timeout {
            return;
        }
        if !election.asked {
            cluster.current_epoch += 1;
            cluster.election.epoch = cluster.current_epoch;
            cluster.election.asked = true;
            let epoch = cluster.current_epoch;
            env.decide(self.host, format!("asks for votes in epoch {epoch}"));
            if let Some(header) = self.bus_header() {
                self.broadcast(env, &Packet::VoteRequest(Box::new(header), manual));
            }
            return;
        }
        if election.votes.len() >= quorum {
            let epoch = election.epoch;
            let mine = cluster.myself_mut();
            mine.config_epoch = mine.config_epoch.max(epoch);
            env.decide(self.host, format!("wins the election of epoch {epoch}"));
            self.take_over(env);
        }
    }

    /// Whether this replica's data is too old to serve.
    fn is_too_old(&self, now: Timestamp) -> bool {
        let Some(cluster) = self.cluster.as_ref() else { return true };
        let Some(link) = &self.replication.link else { return true };
        let timeout = cluster.settings.node_timeout;
        let age = now.since(link.since).saturating_sub(timeout);
        age > REPLICATION_PING + timeout * VALIDITY_FACTOR
    }

    /// How many replicas of the same primary have more data.
    fn rank(&self) -> u32 {
        let Some(cluster) = self.cluster.as_ref() else { return 0 };
        let (offset, id) = (self.replication.offset, &cluster.myself().id);
        let better = cluster.replicas_of(cluster.my_primary()).filter(|(host, p)| {
            *host != cluster.me && (p.offset > offset || p.offset == offset && p.id < *id)
        });
        better.count() as u32
    }

    /// A replica asks for a vote.
    pub(crate) fn consider_vote(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        header: &Header,
        forced: bool,
    ) {
        let now = env.now();
        let host = self.host;
        let Some(cluster) = self.cluster.as_mut() else { return };
        let pause = cluster.settings.node_timeout * 2;
        let epoch = cluster.current_epoch;
        if !cluster.votes(cluster.me)
            || header.current_epoch < epoch
            || cluster.last_vote_epoch == epoch
        {
            return;
        }
        let Some(primary) = cluster.peers.get(&from).and_then(|p| p.replica_of) else { return };
        let newer_claim = header.claim.iter().any(|(start, end)| {
            cluster.owners.within(*start, *end).iter().any(|(.., owner)| {
                let owner = owner.and_then(|owner| cluster.peers.get(&owner));
                owner.is_some_and(|p| p.config_epoch > header.config_epoch)
            })
        });
        let Some(primary) = cluster.peers.get_mut(&primary) else { return };
        let voted_lately = primary.voted_at.is_some_and(|at| now.since(at) < pause);
        if newer_claim || voted_lately || !(forced || primary.failed.is_some()) {
            return;
        }
        primary.voted_at = Some(now);
        cluster.last_vote_epoch = epoch;
        env.decide(host, format!("votes for node {} in epoch {epoch}", from.0));
        self.send_packet(env, from, Packet::Vote(epoch));
    }

    /// A vote arrived.
    pub(crate) fn count_vote(&mut self, env: &mut Env<'_>, from: HostId, epoch: u64) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        if cluster.votes(from) && epoch >= cluster.election.epoch && cluster.election.asked {
            cluster.election.votes.insert(from);
            self.tick_failover(env);
        }
    }

    /// Takes the primary's place.
    pub(crate) fn take_over(&mut self, env: &mut Env<'_>) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let me = cluster.me;
        let Some(old) = cluster.myself().replica_of else { return };
        cluster.myself_mut().replica_of = None;
        cluster.manual = None;
        cluster.election = Election::default();
        self.follow(env, None);
        self.rebind(env, old, Some(me));
        self.update_cluster_state(env);
        self.broadcast_pong(env);
    }

    /// `CLUSTER FAILOVER` on a replica.
    pub(crate) fn start_manual_failover(&mut self, env: &mut Env<'_>, forced: bool) {
        let until = env.now().after(MANUAL_TIMEOUT);
        let Some(cluster) = self.cluster.as_mut() else { return };
        cluster.manual =
            Some(ManualFailover { until, replica: None, primary_offset: None, can_start: forced });
        cluster.election = Election::default();
        let primary = cluster.my_primary();
        env.decide(self.host, if forced { "forces a failover" } else { "asks for a failover" });
        if forced {
            self.tick_failover(env);
        } else {
            self.send_packet(env, primary, Packet::ManualStart);
        }
    }

    /// A replica asks to take this primary's place: writes wait until it has done so or gives up.
    pub(crate) fn pause_for_failover(&mut self, env: &mut Env<'_>, from: HostId) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_mut() else { return };
        if cluster.peers.get(&from).and_then(|p| p.replica_of) != Some(cluster.me) {
            return;
        }
        cluster.manual = Some(ManualFailover {
            until: now.after(MANUAL_TIMEOUT),
            replica: Some(from),
            primary_offset: None,
            can_start: false,
        });
        env.decide(self.host, "pauses writes for a failover");
        self.pause(env, now.after(MANUAL_TIMEOUT * 2), false);
        self.ping(env, from);
    }

    /// Ends a pause, if there is one, and runs the requests that it delayed.
    pub(crate) fn end_pause(&mut self, env: &mut Env<'_>) {
        if self.conditions.paused.take().is_some() {
            self.resume_paused(env);
        }
    }
}
