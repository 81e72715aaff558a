//! Failure detection: servers without replies, the view of the other sentinels, and servers with
//! the wrong role.
//!
//! Spec: "SDOWN and ODOWN failure state", "Sentinels and replicas auto discovery"; `sentinel.c`.

use super::message::{Hello, Report, Role, SentinelMessage};
use super::{Instance, PeerSentinel};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use slotcar::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often servers and sentinels are polled.
pub(super) const PROBE: Duration = Duration::from_secs(1);
/// How often a sentinel introduces itself.
const HELLO: Duration = Duration::from_secs(2);
/// How often the other sentinels are asked about a primary that does not reply.
const ASK: Duration = Duration::from_secs(1);
/// How long a report of another sentinel is valid.
const OPINION_VALIDITY: Duration = Duration::from_secs(5);
/// A server is reconfigured when its role has been wrong for this long.
const WRONG_ROLE_MAX: Duration = Duration::from_secs(8);

impl Server {
    /// Polls all servers and sentinels.
    pub(super) fn probe_servers(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let address = self.address;
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        if now < sentinel.probe_at {
            return;
        }
        sentinel.probe_at = now.after(PROBE.min(sentinel.settings.down_after));
        let mut to: Vec<SocketAddr> = sentinel.peers.values().map(|c| c.address).collect();
        let primary = &mut sentinel.primary;
        for instance in [primary].into_iter().chain(sentinel.replicas.values_mut()) {
            instance.asked_at.get_or_insert(now);
            to.push(instance.address);
        }
        for to in to {
            self.send(env, to, SentinelMessage::Probe { address });
        }
    }

    /// A server or a sentinel replied.
    pub(super) fn note_report(&mut self, env: &mut Env<'_>, from: HostId, report: Report) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        if report.role == Role::Sentinel {
            if let Some(peer) = sentinel.peers.get_mut(&from) {
                peer.message_at = now;
            }
            return;
        }
        let is_primary = report.address == sentinel.primary.address;
        let Some(instance) = sentinel.instance_mut(report.address) else { return };
        (instance.answered_at, instance.asked_at) = (now, None);
        let before = instance.report.replace(report.clone());
        if before.as_ref().is_none_or(|before| before.role != report.role) {
            instance.role_since = now;
        }
        let rebooted = before.is_some_and(|before| before.run_id != report.run_id);
        if is_primary && report.role == Role::Primary {
            for address in &report.replicas {
                let known = sentinel.replicas.contains_key(address);
                if !known && *address != sentinel.primary.address {
                    sentinel.add_known_replica(*address);
                    if let Some(new) = sentinel.replicas.get_mut(address) {
                        *new = Instance::new(*address, now);
                    }
                }
            }
        }
        if rebooted {
            let text = self.instance_text(report.address);
            self.announce(env, "+reboot", text);
        }
        self.note_promotion(env, from, &report);
    }

    /// Introduces this sentinel to the others, through every server, every two seconds.
    pub(super) fn introduce_itself(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let (host, address) = (self.host, self.address);
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        if now < sentinel.hello_at {
            return;
        }
        sentinel.hello_at = now.after(HELLO);
        let hello = Hello {
            host,
            id: Arc::clone(&sentinel.id),
            address,
            current_epoch: sentinel.current_epoch,
            primary: sentinel.primary_address(),
            config_epoch: sentinel.config_epoch,
        };
        let servers = sentinel.replicas.keys().copied().chain([sentinel.primary.address]);
        for to in servers.collect::<Vec<_>>() {
            self.send(env, to, SentinelMessage::Hello(Box::new(hello.clone())));
        }
    }

    /// Another sentinel introduces itself; a monitored server has forwarded it.
    pub(super) fn handle_hello(&mut self, env: &mut Env<'_>, from: HostId, hello: &Hello) {
        let now = env.now();
        if self.sentinel.is_none() {
            if from == hello.host {
                self.forward_hello(env, hello);
            }
            return;
        }
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let peer = sentinel.peers.entry(hello.host).or_insert_with(|| PeerSentinel {
            id: Arc::clone(&hello.id),
            address: hello.address,
            message_at: now,
            hello_at: now,
            down_at: None,
            vote: None,
        });
        (peer.address, peer.message_at, peer.hello_at) = (hello.address, now, now);
        self.note_epoch(env, hello.current_epoch);
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        if hello.config_epoch <= sentinel.config_epoch {
            return;
        }
        let before = std::mem::replace(&mut sentinel.config_epoch, hello.config_epoch);
        if hello.primary != sentinel.primary_address() {
            let (ip, port) = (hello.address.ip(), hello.address.port());
            let of = self.service_text();
            let text = format!("sentinel {} {ip} {port} @ {of}", hello.id);
            self.announce(env, "+config-update-from", text);
            self.switch_primary(env, hello.primary, before);
        }
    }

    /// A greater epoch is known.
    pub(super) fn note_epoch(&mut self, env: &mut Env<'_>, epoch: u64) {
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        if epoch > sentinel.current_epoch {
            sentinel.current_epoch = epoch;
            self.announce(env, "+new-epoch", epoch.to_string());
        }
    }

    /// Marks servers that have not replied for too long, and unmarks those that reply again.
    pub(super) fn notice_silence(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let limit = sentinel.settings.down_after;
        let mut changed = Vec::new();
        let primary_address = sentinel.primary.address;
        let primary = &mut sentinel.primary;
        for instance in [primary].into_iter().chain(sentinel.replicas.values_mut()) {
            let silent = instance.asked_at.is_some_and(|at| now.since(at) > limit);
            let is_primary = instance.address == primary_address;
            let demoted = is_primary
                && matches!(&instance.report, Some(report) if report.role != Role::Primary)
                && now.since(instance.role_since) > limit + PROBE * 2;
            let down = silent || demoted;
            if down != instance.s_down.is_some() {
                instance.s_down = down.then_some(now);
                changed.push((if down { "+sdown" } else { "-sdown" }, instance.address));
            }
        }
        for (event, address) in changed {
            let text = self.instance_text(address);
            self.announce(env, event, text);
        }
    }

    /// Asks the other sentinels about a primary that does not reply.
    pub(super) fn ask_peers(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        if sentinel.primary.s_down.is_none() || now < sentinel.ask_at {
            return;
        }
        sentinel.ask_at = now.after(ASK);
        let candidate = sentinel.failover.is_some();
        self.ask_all(env, candidate);
    }

    /// Asks every other sentinel now.
    pub(super) fn ask_all(&self, env: &mut Env<'_>, candidate: bool) {
        let address = self.address;
        let Some(sentinel) = self.sentinel.as_ref() else { return };
        let (primary, epoch) = (sentinel.primary.address, sentinel.current_epoch);
        for peer in sentinel.peers.values() {
            let message = SentinelMessage::AskDown { address, primary, epoch, candidate };
            self.send(env, peer.address, message);
        }
    }

    /// Another sentinel asks about a primary, and perhaps for the vote.
    pub(super) fn answer_question(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        (address, primary): (SocketAddr, SocketAddr),
        epoch: u64,
        candidate: bool,
    ) {
        if candidate {
            self.consider_candidate(env, from, epoch);
        }
        let Some(sentinel) = self.sentinel.as_ref() else { return };
        let same = sentinel.primary.address == primary;
        let down = same && sentinel.primary.s_down.is_some();
        let vote = if candidate { sentinel.vote } else { None };
        self.send(env, address, SentinelMessage::Opinion { down, vote });
    }

    /// The reply of another sentinel.
    pub(super) fn note_opinion(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        down: bool,
        vote: Option<(u64, HostId)>,
    ) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let Some(peer) = sentinel.peers.get_mut(&from) else { return };
        peer.message_at = now;
        peer.down_at = down.then_some(now);
        if vote.is_some() {
            peer.vote = vote;
        }
    }

    /// Whether enough sentinels see the primary as down.
    pub(super) fn notice_agreement(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_mut() else { return };
        let counts = |at: Timestamp| now.since(at) < OPINION_VALIDITY;
        let others = sentinel.peers.values().filter(|c| c.down_at.is_some_and(counts)).count();
        let down = sentinel.primary.s_down.is_some() && 1 + others >= sentinel.settings.quorum;
        if down == sentinel.o_down.is_some() {
            return;
        }
        sentinel.o_down = down.then_some(now);
        let (address, quorum) = (sentinel.primary.address, sentinel.settings.quorum);
        let text = self.instance_text(address);
        if down {
            self.announce(env, "+odown", format!("{text} #quorum {}/{quorum}", 1 + others));
        } else {
            self.announce(env, "-odown", text);
        }
    }

    /// Makes servers replicate the primary that claim to be primaries, or replicate another server.
    pub(super) fn correct_servers(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let Some(sentinel) = self.sentinel.as_ref() else { return };
        let primary = &sentinel.primary;
        let sane = primary.s_down.is_none()
            && primary.has_role(&Role::Primary)
            && now.since(primary.answered_at) < PROBE * 2
            && sentinel.failover.is_none();
        if !sane {
            return;
        }
        let right = Role::Replica(primary.address);
        let wrong = |instance: &&Instance| {
            instance.report.as_ref().is_some_and(|report| report.role != right)
                && instance.s_down.is_none()
                && now.since(instance.role_since) > WRONG_ROLE_MAX
        };
        let (to, epoch) = (primary.address, sentinel.config_epoch);
        let wrong: Vec<(SocketAddr, bool)> = sentinel
            .replicas
            .values()
            .filter(wrong)
            .map(|instance| (instance.address, instance.has_role(&Role::Primary)))
            .collect();
        for (address, is_primary) in wrong {
            if let Some(instance) = self.sentinel.as_mut().and_then(|s| s.instance_mut(address)) {
                instance.role_since = now;
            }
            let event = if is_primary { "+convert-to-slave" } else { "+fix-slave-config" };
            let text = self.instance_text(address);
            self.announce(env, event, text);
            self.send(env, address, SentinelMessage::Follow { primary: Some(to), epoch });
        }
    }
}
