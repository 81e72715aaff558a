//! What sentinels, and the servers that they watch, say to each other.
//!
//! Real ones use PING, INFO, PUBLISH and SENTINEL IS-MASTER-DOWN-BY-ADDR for it; here it is data,
//! because no client sees it. Who hears what, and who does not because of a partition, is the same.

use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use crate::server::message::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A sentinel that has not asked for so long does not watch a server any more.
const WATCHED_FOR: Duration = Duration::from_secs(30);

/// What is said.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    /// Are you there, and who are you? (PING and INFO)
    Probe {
        /// Where the answer goes.
        address: SocketAddr,
    },
    /// The answer.
    Report(Box<Report>),
    /// A sentinel introduces itself to the others through a server that all of them watch.
    Hello(Box<Hello>),
    /// Do you take the primary for down, and who is to lead? (SENTINEL IS-MASTER-DOWN-BY-ADDR)
    AskDown {
        /// Where the answer goes.
        address: SocketAddr,
        /// Which primary.
        primary: SocketAddr,
        /// The epoch of whoever asks.
        epoch: u64,
        /// It wants the vote.
        candidate: bool,
    },
    /// The answer.
    Opinion {
        /// It takes it for down.
        down: bool,
        /// For whom it voted, and in which epoch.
        vote: Option<(u64, HostId)>,
    },
    /// Be a replica of that server, or a primary. (REPLICAOF)
    Follow {
        /// Of which; of none to be a primary.
        primary: Option<SocketAddr>,
        /// The epoch of the failover that this is a part of.
        epoch: u64,
    },
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It takes writes.
    Primary,
    /// It copies that server.
    Replica(SocketAddr),
    /// It watches others.
    Sentinel,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// The id of its process.
    pub(crate) run_id: String,
    /// What it is.
    pub(crate) role: Role,
    /// For a replica: its link is up.
    pub(crate) link_up: bool,
    /// How much of the history it has.
    pub(crate) offset: u64,
    /// For a primary: its replicas.
    pub(crate) replicas: Vec<SocketAddr>,
}

/// How a sentinel introduces itself.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    /// Who it is.
    pub(crate) host: HostId,
    /// Its id.
    pub(crate) id: Arc<str>,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// The greatest epoch that it has heard of.
    pub(crate) current_epoch: u64,
    /// The primary, in its opinion.
    pub(crate) primary: SocketAddr,
    /// The epoch of that opinion.
    pub(crate) config_epoch: u64,
}

impl Server {
    /// A sentinel asks how this server does.
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
        self.say(env, address, Word::Report(Box::new(report)));
    }

    /// Passes an introduction on to all sentinels that watch this server but the one it is of.
    pub(crate) fn pass_on(&self, env: &mut Env<'_>, hello: &Hello) {
        for (host, (address, _)) in &self.watched_by {
            if *host != hello.host {
                self.say(env, *address, Word::Hello(Box::new(hello.clone())));
            }
        }
    }

    /// A sentinel makes this server a replica, or a primary. Clients have to find out anew whom
    /// they talk to, so their connections end.
    pub(crate) fn obey(&mut self, env: &mut Env<'_>, primary: Option<SocketAddr>, epoch: u64) {
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

    pub(super) fn say(&self, env: &mut Env<'_>, to: SocketAddr, word: Word) {
        env.send(self.host, to, Message::Sentinel(word));
    }

    /// The id of this process.
    pub(crate) fn run_id(&self) -> String {
        let seed = u64::from(self.host.0) << 32 | self.incarnation;
        crate::server::replication::new_history(seed)
    }
}
