//! Messages between sentinels, and between sentinels and the servers that they monitor.
//!
//! Real ones use PING, INFO, PUBLISH and SENTINEL IS-MASTER-DOWN-BY-ADDR for this; here it is data,
//! because no client sees it. The receivers of a message, and those that a partition cuts off, are
//! the same.

use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use crate::server::message::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A sentinel that has sent no request for this long does not monitor a server any more.
const WATCHED_FOR: Duration = Duration::from_secs(30);

/// A message.
#[derive(Clone, Debug)]
pub(crate) enum SentinelMessage {
    /// Asks for a sign of life and for a description of the receiver. (PING and INFO)
    Probe {
        /// The address for the reply.
        address: SocketAddr,
    },
    /// The reply to it.
    Report(Box<Report>),
    /// A sentinel introduces itself to the others through a server that all of them monitor.
    Hello(Box<Hello>),
    /// Asks whether the receiver sees the primary as down, and for its vote. (SENTINEL
    /// IS-MASTER-DOWN-BY-ADDR)
    AskDown {
        /// The address for the reply.
        address: SocketAddr,
        /// The primary.
        primary: SocketAddr,
        /// The epoch of the sender.
        epoch: u64,
        /// The sender asks for the vote.
        candidate: bool,
    },
    /// The reply to it.
    Opinion {
        /// The sender sees the primary as down.
        down: bool,
        /// The leader that it voted for, and the epoch of the vote.
        vote: Option<(u64, HostId)>,
    },
    /// Orders the receiver to replicate a server, or to be a primary. (REPLICAOF)
    Follow {
        /// The primary to replicate; `None` to be a primary.
        primary: Option<SocketAddr>,
        /// The epoch of the failover that this is a part of.
        epoch: u64,
    },
}

/// The role of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It takes writes.
    Primary,
    /// It replicates that server.
    Replica(SocketAddr),
    /// It is a sentinel.
    Sentinel,
}

/// A server's description of itself.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The id of its process.
    pub(crate) run_id: String,
    /// Its role.
    pub(crate) role: Role,
    /// For a replica: its link to the primary is up.
    pub(crate) link_up: bool,
    /// Its replication offset.
    pub(crate) offset: u64,
    /// For a primary: its replicas.
    pub(crate) replicas: Vec<SocketAddr>,
}

/// The introduction of a sentinel.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    /// Its host.
    pub(crate) host: HostId,
    /// Its id.
    pub(crate) id: Arc<str>,
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The greatest epoch that it has seen.
    pub(crate) current_epoch: u64,
    /// The primary, in its view.
    pub(crate) primary: SocketAddr,
    /// The epoch of that view.
    pub(crate) config_epoch: u64,
}

impl Server {
    /// A sentinel asks this server for its description.
    pub(crate) fn answer_probe(&mut self, env: &mut Env<'_>, from: HostId, address: SocketAddr) {
        let now = env.now();
        self.watched_by.insert(from, (address, now));
        self.watched_by.retain(|_, (_, at)| now.since(*at) < WATCHED_FOR);
        let replication = &self.replication;
        let role = match &replication.link {
            _ if self.sentinel.is_some() => Role::Sentinel,
            Some(link) => Role::Replica(link.primary),
            None => Role::Primary,
        };
        let report = Report {
            address: self.address,
            run_id: self.run_id(),
            role,
            link_up: replication.link_is_up(),
            offset: replication.offset,
            replicas: replication.followers.values().map(|f| f.address).collect(),
        };
        self.send(env, address, SentinelMessage::Report(Box::new(report)));
    }

    /// Forwards an introduction to all sentinels that monitor this server, except its sender.
    pub(crate) fn forward_hello(&self, env: &mut Env<'_>, hello: &Hello) {
        for (host, (address, _)) in &self.watched_by {
            if *host != hello.host {
                self.send(env, *address, SentinelMessage::Hello(Box::new(hello.clone())));
            }
        }
    }

    /// A sentinel makes this server a replica, or a primary. Its clients' connections end, because
    /// the clients have to check the role of their server again.
    pub(crate) fn follow_order(
        &mut self,
        env: &mut Env<'_>,
        primary: Option<SocketAddr>,
        epoch: u64,
    ) {
        if primary.is_none() && self.sentinel.is_none() {
            env.journal.promoted(self.host, env.queue.now(), epoch);
        }
        let current = self.replication.link.as_ref().map(|link| link.primary);
        if current == primary || primary == Some(self.address) || self.sentinel.is_some() {
            return;
        }
        self.follow(env, primary);
        let conns: Vec<_> = self.sessions.keys().copied().collect();
        for conn in conns {
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.closing = true;
            }
            self.mark_dirty(conn);
        }
    }

    pub(super) fn send(&self, env: &mut Env<'_>, to: SocketAddr, message: SentinelMessage) {
        env.send(self.host, to, Message::Sentinel(message));
    }

    /// The id of this process.
    pub(crate) fn run_id(&self) -> String {
        let seed = u64::from(self.host.0) << 32 | self.incarnation;
        crate::server::replication::new_history(seed)
    }
}
