//! Failover: one sentinel is elected leader, promotes a replica, and makes the others replicate it.
//!
//! ```text
//!   Asking -- majority of votes --> Promoting -- it reports --> Repointing -- all follow --> done
//!     |                                 |
//!     +--- no majority in time          +--- no report in time
//! ```
//!
//! Spec: "Sentinel failover algorithm", "Configuration epochs"; `sentinelFailoverStateMachine`.

use super::Instance;
use super::message::{Report, Role, SentinelMessage};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use slotcar::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An election that is not won in this time is given up.
const ELECTION: Duration = Duration::from_secs(10);
/// The largest random delay before a sentinel tries again.
const DESYNC: Duration = Duration::from_secs(1);
/// A replica whose last reply is older is not promoted.
const FRESH: Duration = Duration::from_secs(5);
/// How often an order that has not taken effect is sent again.
const RESEND: Duration = Duration::from_secs(1);

/// The state of a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The other sentinels are asked for their votes.
    Asking,
    /// This replica gets the order to be the primary.
    Promoting(SocketAddr),
    /// It is the primary; the others get the order to replicate it.
    Repointing(SocketAddr),
}

/// A failover that a sentinel leads, or wants to lead.
#[derive(Debug)]
pub(crate) struct Failover {
    /// Its epoch.
    epoch: u64,
    /// Its state.
    stage: Stage,
    /// Since when it is in that state.
    since: Timestamp,
    /// When an order that has not taken effect is sent again.
    again_at: Timestamp,
    /// An operator started it: there is no vote.
    forced: bool,
    /// The config epoch before it.
    before: u64,
}

impl Failover {
    /// The replica that is the primary now.
    pub(crate) fn promoted(&self) -> Option<SocketAddr> {
        match self.stage {
            Stage::Repointing(address) => Some(address),
            Stage::Asking | Stage::Promoting(_) => None,
        }
    }

    /// The replica that is the primary now, or is being promoted.
    pub(crate) fn selected(&self) -> Option<SocketAddr> {
        match self.stage {
            Stage::Asking => None,
            Stage::Promoting(address) | Stage::Repointing(address) => Some(address),
        }
    }

    /// Whether an operator started it.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced
    }

    /// The flags that clients see for its state.
    pub(crate) fn state(&self) -> &'static str {
        match self.stage {
            Stage::Asking => "wait_start",
            Stage::Promoting(_) => "wait_promotion",
            Stage::Repointing(_) => "reconf_slaves",
        }
    }
}

impl Server {
    /// Starts a failover when enough sentinels see the primary as down.
    pub(super) fn begin_failover(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_ref() else { return };
        if sentinel.o_down.is_some() && sentinel.failover.is_none() && now >= sentinel.try_at {
            self.start_failover(env, false);
        }
    }

    /// Starts a failover; `forced` when an operator asks for it.
    pub(crate) fn start_failover(&mut self, env: &mut Env<'_>, forced: bool) {
        let now = env.now();
        let pause = env.rng.duration(DESYNC);
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let epoch = sentinel.current_epoch + 1;
        sentinel.try_at = now.after(sentinel.settings.failover_timeout * 2).after(pause);
        let (stage, since, again_at) = (Stage::Asking, now, now);
        sentinel.failover = Some(Failover { epoch, stage, since, again_at, forced, before: 0 });
        let address = sentinel.primary.address;
        self.note_epoch(env, epoch);
        let text = self.instance_text(address);
        self.announce(env, "+try-failover", text);
        if !forced {
            self.ask_all(env, true);
        }
    }

    /// Moves a failover to its next state, if it is time.
    pub(super) fn continue_failover(&mut self, env: &mut Env<'_>) {
        let Some(sentinel) = self.sentinel.as_ref() else { return };
        match sentinel.failover.as_ref().map(|failover| failover.stage) {
            None => {}
            Some(Stage::Asking) => self.count_votes(env),
            Some(Stage::Promoting(address)) => self.promote(env, address),
            Some(Stage::Repointing(address)) => self.repoint(env, address),
        }
    }

    /// Another sentinel asks to lead.
    pub(super) fn consider_candidate(&mut self, env: &mut Env<'_>, from: HostId, epoch: u64) {
        let now = env.now();
        let pause = env.rng.duration(DESYNC);
        self.note_epoch(env, epoch);
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let voted = sentinel.vote.is_some_and(|(voted, _)| voted >= epoch);
        if voted || sentinel.current_epoch > epoch {
            return;
        }
        sentinel.vote = Some((epoch, from));
        sentinel.try_at = now.after(sentinel.settings.failover_timeout * 2).after(pause);
        let id = sentinel.peers.get(&from).map_or_else(|| "?".into(), |c| Arc::clone(&c.id));
        self.announce(env, "+vote-for-leader", format!("{id} {epoch}"));
    }

    fn count_votes(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let me = self.host;
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let Some(failover) = sentinel.failover.as_ref() else { return };
        let (epoch, forced, since) = (failover.epoch, failover.forced, failover.since);
        let mut votes: BTreeMap<HostId, usize> = BTreeMap::new();
        let cast = sentinel.peers.values().filter_map(|peer| peer.vote);
        for (_, host) in cast.filter(|(voted, _)| *voted == epoch) {
            *votes.entry(host).or_default() += 1;
        }
        if sentinel.vote.is_none_or(|(voted, _)| voted < epoch) {
            let leading = votes.iter().max_by_key(|(_, count)| **count).map(|(host, _)| *host);
            sentinel.vote = Some((epoch, leading.unwrap_or(me)));
        }
        if let Some((voted, host)) = sentinel.vote
            && voted == epoch
        {
            *votes.entry(host).or_default() += 1;
        }
        let wanted = sentinel.majority().max(sentinel.settings.quorum);
        let won = votes.get(&me).copied().unwrap_or(0) >= wanted;
        let address = sentinel.primary.address;
        if won || forced {
            let text = self.instance_text(address);
            self.announce(env, "+elected-leader", text.clone());
            self.announce(env, "+failover-state-select-slave", text);
            self.choose_replica(env);
        } else if now.since(since) > ELECTION.min(sentinel.settings.failover_timeout) {
            self.abort(env, "-failover-abort-not-elected");
        }
    }

    /// Of the replicas that can be promoted, the one with the most data.
    fn choose_replica(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let Some(address) = best_replica(&sentinel.replicas, now) else {
            return self.abort(env, "-failover-abort-no-good-slave");
        };
        if let Some(failover) = sentinel.failover.as_mut() {
            (failover.stage, failover.since) = (Stage::Promoting(address), now);
            failover.again_at = now;
        }
        let text = self.instance_text(address);
        for event in [
            "+selected-slave",
            "+failover-state-send-slaveof-noone",
            "+failover-state-wait-promotion",
        ] {
            self.announce(env, event, text.clone());
        }
        self.promote(env, address);
    }

    fn promote(&mut self, env: &mut Env<'_>, address: SocketAddr) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let timeout = sentinel.settings.failover_timeout;
        let Some(failover) = sentinel.failover.as_mut() else { return };
        if now.since(failover.since) > timeout {
            return self.abort(env, "-failover-abort-slave-timeout");
        }
        if now >= failover.again_at {
            failover.again_at = now.after(RESEND);
            let epoch = failover.epoch;
            // Its reply moves the failover on.
            sentinel.probe_at = now;
            self.send(env, address, SentinelMessage::Follow { primary: None, epoch });
        }
    }

    /// A server reports its role: it may be the primary now.
    pub(super) fn note_promotion(&mut self, env: &mut Env<'_>, from: HostId, report: &Report) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let Some(failover) = sentinel.failover.as_mut() else { return };
        if failover.stage != Stage::Promoting(report.address) || report.role != Role::Primary {
            return;
        }
        (failover.stage, failover.since) = (Stage::Repointing(report.address), now);
        failover.again_at = now;
        failover.before = std::mem::replace(&mut sentinel.config_epoch, failover.epoch);
        sentinel.hello_at = now;
        // It may have been a primary already, without ever having got the order.
        env.journal.promoted(from, now, sentinel.config_epoch);
        let old = sentinel.primary.address;
        let text = self.instance_text(report.address);
        self.announce(env, "+promoted-slave", text);
        let text = self.instance_text(old);
        self.announce(env, "+failover-state-reconf-slaves", text);
        self.introduce_itself(env);
    }

    fn repoint(&mut self, env: &mut Env<'_>, to: SocketAddr) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let timeout = sentinel.settings.failover_timeout;
        let Some(failover) = sentinel.failover.as_mut() else { return };
        let role = Role::Replica(to);
        let late = now.since(failover.since) > timeout;
        let others = sentinel.replicas.values().filter(|i| i.address != to && i.s_down.is_none());
        let wrong: Vec<SocketAddr> =
            others.filter(|instance| !instance.has_role(&role)).map(|i| i.address).collect();
        if wrong.is_empty() || late {
            let (old, before) = (sentinel.primary.address, failover.before);
            let text = self.instance_text(old);
            self.announce(env, "+failover-end", text);
            return self.switch_primary(env, to, before);
        }
        if now >= failover.again_at {
            failover.again_at = now.after(RESEND);
            let epoch = failover.epoch;
            sentinel.probe_at = now;
            for address in wrong {
                self.send(env, address, SentinelMessage::Follow { primary: Some(to), epoch });
            }
        }
    }

    fn abort(&mut self, env: &mut Env<'_>, event: &'static str) {
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        sentinel.failover = None;
        let address = sentinel.primary.address;
        let text = self.instance_text(address);
        self.announce(env, event, text);
    }
}

/// The replica to promote; `None` when none qualifies.
pub(super) fn best_replica(
    replicas: &BTreeMap<SocketAddr, Instance>,
    now: Timestamp,
) -> Option<SocketAddr> {
    let fit = |instance: &&Instance| {
        instance.s_down.is_none()
            && now.since(instance.answered_at) < FRESH
            && instance.report.is_some()
    };
    let rank = |instance: &&Instance| {
        let report = instance.report.as_ref();
        let offset = report.map_or(0, |report| report.offset);
        (offset, std::cmp::Reverse(report.map(|report| report.run_id.clone())))
    };
    replicas.values().filter(fit).max_by_key(rank).map(|instance| instance.address)
}
