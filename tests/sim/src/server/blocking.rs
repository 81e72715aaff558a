//! Blocked sessions: they wait for keys, for replicas, or for the end of a pause.
//!
//! **Invariants**: the session that waits longest for a key is served first. An unblocked command
//! is run again; when it finds nothing it keeps waiting, at its old place in the queue.

use super::Server;
use super::call::Call;
use super::command::Stop;
use super::session::Blocked;
use crate::env::Env;
use crate::ids::ConnId;
use crate::resp::Reply;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The sessions that wait for keys.
#[derive(Debug, Default)]
pub(crate) struct Blocking {
    /// Waiting sessions by key, longest first.
    by_key: BTreeMap<(usize, Bytes), VecDeque<ConnId>>,
    /// Keys that changed and that a session waits for.
    ready: BTreeSet<(usize, Bytes)>,
    /// Sessions to try again, in order.
    queue: VecDeque<ConnId>,
}

impl Blocking {
    pub(crate) fn wait(&mut self, conn: ConnId, db: usize, keys: &[Bytes]) {
        for key in keys {
            let waiting = self.by_key.entry((db, key.clone())).or_default();
            if !waiting.contains(&conn) {
                waiting.push_back(conn);
            }
        }
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        if self.by_key.is_empty() {
            return;
        }
        self.by_key.retain(|_, waiting| {
            waiting.retain(|other| *other != conn);
            !waiting.is_empty()
        });
        self.queue.retain(|other| *other != conn);
    }

    pub(crate) fn key_changed(&mut self, key: &(usize, Bytes)) {
        if self.by_key.contains_key(key) {
            self.ready.insert(key.clone());
        }
    }

    /// The next session to try again.
    pub(crate) fn next_ready(&mut self) -> Option<ConnId> {
        while self.queue.is_empty() {
            let key = self.ready.pop_first()?;
            self.queue.extend(self.by_key.get(&key).into_iter().flatten());
        }
        self.queue.pop_front()
    }

    /// How many sessions wait.
    pub(crate) fn count(&self) -> usize {
        self.by_key.values().flatten().collect::<BTreeSet<_>>().len()
    }
}

impl Server {
    /// Runs a blocked command again.
    pub(crate) fn retry_blocked(&mut self, env: &mut Env<'_>, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(Blocked::Keys { arguments, .. }) = &session.blocked else { return };
        let arguments = arguments.clone();
        let Ok(spec) = self.find(&arguments) else { return };
        match self.execute(env, conn, spec, &arguments, false) {
            Err(Stop::Block(_)) => {}
            outcome => self.unblock(conn, &Self::reply_of(outcome)),
        }
    }

    /// Unblocks a session with a reply.
    pub(crate) fn unblock(&mut self, conn: ConnId, reply: &Reply) {
        self.blocking.forget(conn);
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.blocked = None;
        }
        self.finish_request(conn, reply);
    }

    /// The timeout of a session, if it is still at that block.
    pub(crate) fn give_up(&mut self, env: &mut Env<'_>, conn: ConnId, count: u64) {
        let Some(session) = self.sessions.get(&conn) else { return };
        if session.block_count != count {
            return;
        }
        let reply = match &session.blocked {
            None => return,
            Some(Blocked::Keys { on_timeout, .. }) => on_timeout.clone(),
            Some(Blocked::Replicas { offset, .. }) => {
                Reply::count(self.replication.acknowledged_by(*offset))
            }
            Some(Blocked::Files) => no_files(),
            Some(Blocked::Remote) => {
                self.transfer = None;
                Reply::error("IOERR error or timeout reading to target instance")
            }
            Some(Blocked::Paused { .. }) => return,
        };
        self.unblock(conn, &reply);
        self.process_input(env, conn);
    }

    /// The pause is over: runs the requests that it delayed.
    pub(crate) fn resume_paused(&mut self, env: &mut Env<'_>) {
        if self.conditions.paused.is_some_and(|(until, _)| until > env.now()) {
            return;
        }
        self.conditions.paused = None;
        let paused: Vec<ConnId> = self
            .sessions
            .iter()
            .filter(|(_, s)| matches!(s.blocked, Some(Blocked::Paused { .. })))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in paused {
            self.resume_request(env, conn);
            self.process_input(env, conn);
        }
    }

    fn resume_request(&mut self, env: &mut Env<'_>, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if let Some(Blocked::Paused { arguments }) = session.blocked.take() {
            self.request(env, conn, arguments);
        }
    }

    /// Ends every wait for keys with an error, and its connection with it.
    pub(crate) fn disconnect_blocked(&mut self, env: &mut Env<'_>, text: &'static str) {
        let conns: Vec<ConnId> = self
            .sessions
            .iter()
            .filter(|(_, s)| matches!(&s.blocked, Some(Blocked::Keys { .. })))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            self.unblock(conn, &Reply::error(text));
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.closing = true;
            }
        }
        self.resume_paused(env);
    }
}

/// The reply to `WAITAOF`: neither this server's file has the writes nor a replica's.
pub(crate) fn no_files() -> Reply {
    Reply::Array(vec![Reply::Int(0), Reply::Int(0)])
}

/// `CLIENT UNBLOCK`: unblocks another session.
pub(crate) fn unblock_client(call: &mut Call<'_, '_>, id: i64, with_error: bool) -> Reply {
    let target = call
        .server
        .sessions
        .iter()
        .find(|(_, s)| i64::try_from(s.id) == Ok(id))
        .map(|(conn, s)| (*conn, s));
    let Some((conn, session)) = target else { return Reply::Int(0) };
    let reply = match &session.blocked {
        Some(Blocked::Keys { on_timeout, .. }) => on_timeout.clone(),
        Some(Blocked::Replicas { .. }) => Reply::Int(0),
        Some(Blocked::Files) => no_files(),
        _ => return Reply::Int(0),
    };
    let reply = if with_error {
        Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
    } else {
        reply
    };
    call.server.unblock(conn, &reply);
    call.server.blocking.resume(conn);
    Reply::Int(1)
}

impl Blocking {
    /// Runs what a session sent while it was blocked.
    fn resume(&mut self, conn: ConnId) {
        self.queue.push_back(conn);
    }
}
