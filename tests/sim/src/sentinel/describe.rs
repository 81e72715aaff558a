//! The description of servers and sentinels for clients: names and values.
//!
//! Spec: `addReplySentinelRedisInstance` in `sentinel.c`.

use super::failover::Failover;
use super::message::{Report, Role};
use super::{Instance, PeerSentinel, Sentinel};
use crate::ids::HostId;
use crate::resp::Reply;
use crate::server::Server;
use slotcar::Timestamp;
use std::net::SocketAddr;

/// The constant fields that describe a connection.
const LINK: [(&str, u8); 2] = [("link-pending-commands", 0), ("link-refcount", 1)];

/// A description under construction: names and values.
struct Fields(Vec<(Reply, Reply)>);

impl Fields {
    fn add(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((Reply::text(name), Reply::string(value.to_string())));
    }

    fn address(&mut self, address: SocketAddr) {
        self.add("ip", address.ip());
        self.add("port", address.port());
    }
}

impl Server {
    /// A server in the form of event messages.
    pub(super) fn instance_text(&self, address: SocketAddr) -> String {
        let Some(sentinel) = self.sentinel.as_ref() else { return String::new() };
        let (ip, port) = (address.ip(), address.port());
        let (service, primary) = (&sentinel.settings.service, sentinel.primary.address);
        if address == primary {
            return format!("master {service} {ip} {port}");
        }
        format!("slave {ip}:{port} {ip} {port} @ {}", self.service_text())
    }

    /// The service in the form of event messages: its name, and the primary.
    pub(super) fn service_text(&self) -> String {
        let Some(sentinel) = self.sentinel.as_ref() else { return String::new() };
        let (service, primary) = (&sentinel.settings.service, sentinel.primary.address);
        format!("{service} {} {}", primary.ip(), primary.port())
    }
}

impl Sentinel {
    /// The primary.
    pub(super) fn describe_primary(&self, now: Timestamp) -> Reply {
        let mut fields = Fields(Vec::new());
        fields.add("name", &self.settings.service);
        fields.address(self.primary.address);
        let o_down = if self.o_down.is_some() { "o_down," } else { "" };
        let mut flags = flags_of(&self.primary, &format!("{o_down}master"));
        if let Some(failover) = &self.failover {
            flags.push_str(",failover_in_progress");
            flags.push_str(if failover.is_forced() { ",force_failover" } else { "" });
        }
        let state = self.failover.as_ref().map(Failover::state);
        self.describe_instance(&mut fields, &self.primary, flags, (state, self.o_down), now);
        fields.add("config-epoch", self.config_epoch);
        fields.add("num-slaves", self.replicas.len());
        fields.add("num-other-sentinels", self.peers.len());
        fields.add("quorum", self.settings.quorum);
        fields.add("failover-timeout", self.settings.failover_timeout.as_millis());
        fields.add("parallel-syncs", 1);
        Reply::Map(fields.0)
    }

    /// All replicas.
    pub(super) fn describe_replicas(&self, now: Timestamp) -> Reply {
        let replica = |instance: &Instance| {
            let mut fields = Fields(Vec::new());
            fields.add("name", instance.address);
            fields.address(instance.address);
            let selected = self.failover.as_ref().and_then(Failover::selected);
            let promoted = if selected == Some(instance.address) { ",promoted" } else { "" };
            let flags = flags_of(instance, "slave") + promoted;
            self.describe_instance(&mut fields, instance, flags, (None, None), now);
            let (up, offset) =
                instance.report.as_ref().map_or((false, 0), |r| (r.link_up, r.offset));
            fields.add("master-link-down-time", 0);
            fields.add("master-link-status", if up { "ok" } else { "err" });
            let followed = match &instance.report {
                Some(Report { role: Role::Replica(address), .. }) => Some(*address),
                _ => None,
            };
            fields.add("master-host", followed.map_or("?".to_owned(), |a| a.ip().to_string()));
            fields.add("master-port", followed.map_or(0, |address| address.port()));
            fields.add("slave-priority", 100);
            fields.add("slave-repl-offset", offset);
            fields.add("replica-announced", 1);
            Reply::Map(fields.0)
        };
        Reply::Array(self.replicas.values().map(replica).collect())
    }

    /// All other sentinels.
    pub(super) fn describe_peers(&self, now: Timestamp, id_of: impl Fn(HostId) -> String) -> Reply {
        let peer = |peer: &PeerSentinel| {
            let mut fields = Fields(Vec::new());
            fields.add("name", &peer.id);
            fields.address(peer.address);
            fields.add("runid", &peer.id);
            let silent = self.is_silent(peer, now);
            fields.add("flags", if silent { "s_down,sentinel,disconnected" } else { "sentinel" });
            for (name, value) in LINK {
                fields.add(name, value);
            }
            let quiet = now.since(peer.message_at);
            fields.add("last-ping-sent", if silent { quiet.as_millis() } else { 0 });
            for name in ["last-ok-ping-reply", "last-ping-reply"] {
                fields.add(name, quiet.as_millis());
            }
            if silent {
                let limit = self.settings.down_after;
                fields.add("s-down-time", quiet.saturating_sub(limit).as_millis());
            }
            fields.add("down-after-milliseconds", self.settings.down_after.as_millis());
            fields.add("last-hello-message", now.since(peer.hello_at).as_millis());
            let (epoch, leader) =
                peer.vote.map_or((0, "?".to_owned()), |(epoch, host)| (epoch, id_of(host)));
            fields.add("voted-leader", leader);
            fields.add("voted-leader-epoch", epoch);
            Reply::Map(fields.0)
        };
        Reply::Array(self.peers.values().map(peer).collect())
    }

    fn describe_instance(
        &self,
        fields: &mut Fields,
        instance: &Instance,
        flags: String,
        (state, o_down): (Option<&'static str>, Option<Timestamp>),
        now: Timestamp,
    ) {
        let report = instance.report.as_ref();
        fields.add("runid", report.map_or("", |report| &report.run_id));
        fields.add("flags", flags);
        for (name, value) in LINK {
            fields.add(name, value);
        }
        if let Some(state) = state {
            fields.add("failover-state", state);
        }
        let asked = instance.asked_at.map_or(0, |at| now.since(at).as_millis());
        fields.add("last-ping-sent", asked);
        let quiet = now.since(instance.answered_at).as_millis();
        for name in ["last-ok-ping-reply", "last-ping-reply"] {
            fields.add(name, quiet);
        }
        for (name, since) in [("s-down-time", instance.s_down), ("o-down-time", o_down)] {
            if let Some(since) = since {
                fields.add(name, now.since(since).as_millis());
            }
        }
        fields.add("down-after-milliseconds", self.settings.down_after.as_millis());
        fields.add("info-refresh", quiet);
        let is_primary = report.is_some_and(|report| report.role == Role::Primary);
        fields.add("role-reported", if is_primary { "master" } else { "slave" });
        fields.add("role-reported-time", now.since(instance.role_since).as_millis());
    }
}

fn flags_of(instance: &Instance, kind: &str) -> String {
    let down = if instance.s_down.is_some() { "s_down," } else { "" };
    let lost = if instance.s_down.is_some() { ",disconnected" } else { "" };
    format!("{down}{kind}{lost}")
}
