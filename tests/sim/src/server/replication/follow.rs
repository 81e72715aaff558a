//! A replica's side of replication: connecting to its primary, applying its changes, and noticing
//! that it is gone.

use super::{Change, Link, Record, Write, new_history};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::command::Run;
use crate::server::keyspace::{Changes, Keyspace};
use crate::server::message::Message;
use crate::server::{Server, Timer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often a replica acknowledges.
const TICK: Duration = Duration::from_secs(1);
/// A link without a message for this long is down (`repl-timeout`).
const LINK_TIMEOUT: Duration = Duration::from_secs(60);

impl Server {
    /// Replicates another server from now on; with `None` it is a primary.
    pub(crate) fn follow(&mut self, env: &mut Env<'_>, primary: Option<SocketAddr>) {
        if self.replication.link.as_ref().map(|l| l.primary) == primary {
            return;
        }
        let was_replica = self.replication.is_replica();
        match primary {
            None => {
                let replication = &mut self.replication;
                let former = replication.history.clone();
                replication.former = Some((former, replication.offset));
                replication.history = new_history(env.rng.next_u64());
                replication.link = None;
                env.decide(self.host, "is a primary now");
            }
            Some(address) => {
                let since = env.now();
                self.replication.link = Some(Link { primary: address, up: false, since });
                self.replication.followers.clear();
                env.decide(self.host, format!("is a replica of {address} now"));
                self.request_sync(env);
                if !was_replica {
                    let text = "UNBLOCKED force unblock from blocking operation, instance state \
                                changed (master -> replica?)";
                    self.disconnect_blocked(env, text);
                }
            }
        }
    }

    pub(super) fn request_sync(&mut self, env: &mut Env<'_>) {
        if let Some(link) = &self.replication.link {
            let (history, offset) = (self.replication.history.clone(), self.replication.offset);
            let message = Message::Sync { address: self.address, history, offset };
            env.send(self.host, link.primary, message);
        }
    }

    pub(crate) fn start_replication(&mut self, env: &mut Env<'_>) {
        self.replication.group = None;
        // At the first start the data is complete; later the replica has to synchronise.
        if self.incarnation > 1 {
            self.replication.followers.clear();
            if let Some(link) = self.replication.link.as_mut() {
                link.up = false;
                link.since = env.now();
                self.request_sync(env);
            }
        }
        // Ticks of different servers do not coincide.
        let first = env.now().after(env.rng.duration(TICK));
        self.timer(env, first, Timer::Replication);
    }

    /// Once a second: a replica acknowledges, or asks again for a link.
    pub(crate) fn replication_tick(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        self.timer(env, now.after(TICK), Timer::Replication);
        if let Some(link) = self.replication.link.as_mut() {
            if link.up && now.since(link.since) > LINK_TIMEOUT {
                link.up = false;
                env.decide(self.host, "link to primary timed out");
            }
            if link.up { self.send_ack(env) } else { self.request_sync(env) }
        }
        self.replication.followers.retain(|_, f| now.since(f.acked_at) < LINK_TIMEOUT);
    }

    /// The process of another server ended, and its connections with it.
    pub(crate) fn peer_died(&mut self, env: &mut Env<'_>, peer: HostId, address: SocketAddr) {
        self.replication.followers.remove(&peer);
        let now = env.now();
        if let Some(link) = self.replication.link.as_mut()
            && link.primary == address
            && link.up
        {
            link.up = false;
            link.since = now;
            env.decide(self.host, "link to primary is down");
        }
    }

    pub(super) fn load_snapshot(
        &mut self,
        env: &mut Env<'_>,
        history: String,
        offset: u64,
        keyspace: Keyspace,
    ) {
        if !self.replication.is_replica() {
            return;
        }
        self.keyspace = keyspace;
        self.invalidate_all(None);
        let replication = &mut self.replication;
        (replication.history, replication.offset, replication.former) = (history, offset, None);
        replication.backlog.clear();
        replication.followers.clear();
        if !self.config.loading.is_zero() {
            self.conditions.loading_until = env.now().after(self.config.loading);
        }
        self.link_alive(env);
        self.send_ack(env);
    }

    pub(super) fn repeat(
        &mut self,
        env: &mut Env<'_>,
        history: String,
        records: Vec<Arc<Record>>,
        want_ack: bool,
    ) {
        if !self.replication.is_replica() {
            return;
        }
        self.replication.history = history;
        for record in records {
            if record.start != self.replication.offset {
                continue;
            }
            self.replication.offset = record.end;
            for write in &record.writes {
                self.repeat_write(env, write);
            }
            self.replication.keep(record);
        }
        self.link_alive(env);
        if want_ack {
            self.send_ack(env);
        }
    }

    pub(super) fn repeat_write(&mut self, env: &mut Env<'_>, write: &Write) {
        let arguments = match &write.change {
            Change::Command(arguments) => arguments,
            Change::Entries(entries) => {
                let mut changes = Changes::default();
                for (key, entry) in entries {
                    self.keyspace.databases[write.db].insert(key.clone(), entry.clone());
                    changes.touched.push((write.db, key.clone()));
                }
                return self.absorb(None, changes);
            }
        };
        let Ok(spec) = self.find(arguments) else { return };
        match spec.run {
            Run::Data(run) => {
                let (_, changes) = self.apply(write.db, write.now_ms, write.seed, run, arguments);
                self.tell_of_changes(spec.name, &changes);
                self.absorb(None, changes);
            }
            _ => self.repeat_publish(env, arguments),
        }
    }

    pub(super) fn link_alive(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        if let Some(link) = self.replication.link.as_mut() {
            if !std::mem::replace(&mut link.up, true) {
                env.decide(self.host, "link to primary is up");
            }
            link.since = now;
        }
    }

    pub(super) fn send_ack(&mut self, env: &mut Env<'_>) {
        if let Some(link) = &self.replication.link {
            let offset = self.replication.offset;
            env.send(self.host, link.primary, Message::Ack { offset });
        }
    }
}
