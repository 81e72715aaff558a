//! A primary's side of replication: what was sent to each replica, and what it acknowledged.
//!
//! A record that is not acknowledged within a tick is sent again, so a lost message costs time and
//! no data.

use super::Follower;
use crate::env::Env;
use crate::ids::HostId;
use crate::resp::Reply;
use crate::server::Server;
use crate::server::message::Message;
use crate::server::session::Blocked;
use std::net::SocketAddr;

impl Server {
    /// A message of another server's replication.
    pub(crate) fn handle_replication(&mut self, env: &mut Env<'_>, from: HostId, message: Message) {
        match message {
            Message::Sync { address, history, offset } => {
                self.accept_follower(env, from, address, &history, offset);
            }
            Message::Snapshot { history, offset, keyspace } => {
                self.load_snapshot(env, history, offset, *keyspace);
            }
            Message::Records { history, records, want_ack } => {
                self.repeat(env, history, records, want_ack);
            }
            Message::Ack { offset } => self.acknowledge(env, from, offset),
            Message::Bus(_)
            | Message::Sentinel(_)
            | Message::Restore { .. }
            | Message::Restored { .. } => {}
        }
    }

    /// Sends to each replica the records that were not sent yet.
    pub(crate) fn send_records(&mut self, env: &mut Env<'_>) {
        let offset = self.replication.offset;
        let behind: Vec<HostId> = self
            .replication
            .followers
            .iter()
            .filter(|(_, f)| f.sent < offset)
            .map(|(host, _)| *host)
            .collect();
        for host in behind {
            self.send_records_to(env, host, false);
        }
    }

    pub(super) fn send_records_to(&mut self, env: &mut Env<'_>, host: HostId, want_ack: bool) {
        let Some(follower) = self.replication.followers.get(&host) else { return };
        let (address, sent) = (follower.address, follower.sent);
        match self.replication.after(sent) {
            Some(records) => {
                let history = self.replication.history.clone();
                let offset = self.replication.offset;
                if let Some(follower) = self.replication.followers.get_mut(&host) {
                    follower.sent = offset;
                }
                env.send(self.host, address, Message::Records { history, records, want_ack });
            }
            None => self.send_snapshot(env, host, address),
        }
    }

    pub(super) fn send_snapshot(&mut self, env: &mut Env<'_>, host: HostId, address: SocketAddr) {
        let (history, offset) = (self.replication.history.clone(), self.replication.offset);
        let now = env.now();
        let follower = Follower { address, sent: offset, acked: 0, acked_at: now };
        self.replication.followers.insert(host, follower);
        let keyspace = Box::new(self.keyspace.clone());
        env.send(self.host, address, Message::Snapshot { history, offset, keyspace });
    }

    pub(super) fn accept_follower(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        address: SocketAddr,
        history: &str,
        offset: u64,
    ) {
        // A replica without a link to its own primary has nothing to pass on.
        if !self.replication.link_is_up() {
            return;
        }
        if self.replication.continues(history, offset) && self.replication.after(offset).is_some() {
            let now = env.now();
            let follower = Follower { address, sent: offset, acked: offset, acked_at: now };
            self.replication.followers.insert(from, follower);
            self.send_records_to(env, from, true);
        } else {
            self.send_snapshot(env, from, address);
        }
    }

    pub(super) fn acknowledge(&mut self, env: &mut Env<'_>, from: HostId, offset: u64) {
        let now = env.now();
        let Some(follower) = self.replication.followers.get_mut(&from) else { return };
        let stalled = follower.acked == offset && follower.sent > offset;
        follower.acked = offset;
        follower.acked_at = now;
        if stalled {
            // The records seem to be lost: send them again.
            follower.sent = offset;
        }
        self.send_records_to(env, from, false);
        self.serve_waiting(env);
    }

    pub(super) fn serve_waiting(&mut self, env: &mut Env<'_>) {
        let done: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(conn, session)| match session.blocked {
                Some(Blocked::Replicas { count, offset }) => {
                    let have = self.replication.acknowledged_by(offset);
                    (have >= count).then_some((*conn, have))
                }
                _ => None,
            })
            .collect();
        for (conn, have) in done {
            self.unblock(conn, &Reply::count(have));
            self.process_input(env, conn);
        }
    }
}
