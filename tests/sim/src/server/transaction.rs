//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Spec: "Transactions".

use super::Server;
use super::call::Call;
use super::command::Keys::Range;
use super::command::{ALLOW_BUSY, FAST, LOADING, NOSCRIPT, Outcome, STALE, Spec, fail};
use super::session::Queued;
use crate::ids::ConnId;
use crate::resp::Reply;
use bytes::Bytes;

const FLAGS: u32 = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("discard", 1, FLAGS, discard),
    Spec::server("exec", 1, NOSCRIPT | LOADING | STALE, exec),
    Spec::server("multi", 1, FLAGS, multi),
    Spec::server("unwatch", 1, FLAGS, |call, _| {
        let conn = call.conn;
        call.server.unwatch(conn);
        Ok(Reply::OK)
    }),
    Spec::server("watch", -2, FLAGS, watch).keyed(Range(1, -1, 1)),
];

fn multi(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let session = call.session();
    if session.queued.is_some() {
        return Err(fail("ERR MULTI calls can not be nested"));
    }
    session.queued = Some(Queued::default());
    Ok(Reply::OK)
}

fn discard(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    if call.session().queued.take().is_none() {
        return Err(fail("ERR DISCARD without MULTI"));
    }
    let conn = call.conn;
    call.server.unwatch(conn);
    Ok(Reply::OK)
}

fn watch(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let conn = call.conn;
    let session = call.session();
    if session.queued.is_some() {
        return Err(fail("ERR WATCH inside MULTI is not allowed"));
    }
    let db = session.db;
    for key in &arguments[1..] {
        call.session().watched.insert((db, key.clone()));
        call.server.watchers.entry((db, key.clone())).or_default().insert(conn);
    }
    Ok(Reply::OK)
}

fn exec(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let conn = call.conn;
    let Some(queued) = call.session().queued.take() else {
        return Err(fail("ERR EXEC without MULTI"));
    };
    let broken = call.session().watch_broken || call.server.watched_key_expired(call.env, conn);
    call.server.unwatch(conn);
    if queued.aborted {
        return Err(fail("EXECABORT Transaction discarded because of previous errors."));
    }
    if broken {
        return Ok(Reply::NullArray);
    }
    let mut replies = Vec::with_capacity(queued.requests.len());
    call.server.begin_group();
    for request in &queued.requests {
        let reply = match call.server.find(request) {
            Ok(spec) => Server::reply_of(call.server.execute(call.env, conn, spec, request, true)),
            Err(text) => Reply::Error(text),
        };
        replies.push(reply);
    }
    call.server.end_group();
    Ok(Reply::Array(replies))
}

impl Server {
    /// Removes all watched keys of a session.
    pub(crate) fn unwatch(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.watch_broken = false;
        for key in std::mem::take(&mut session.watched) {
            if let Some(watchers) = self.watchers.get_mut(&key) {
                watchers.remove(&conn);
                if watchers.is_empty() {
                    self.watchers.remove(&key);
                }
            }
        }
    }

    /// A watched key that has expired counts as changed, removed or not.
    fn watched_key_expired(&self, env: &crate::env::Env<'_>, conn: ConnId) -> bool {
        let now_ms = env.unix_ms();
        let Some(session) = self.sessions.get(&conn) else { return false };
        session.watched.iter().any(|(db, key)| {
            let entry = self.keyspace.databases.get(*db).and_then(|d| d.entries.get(key));
            entry.and_then(|e| e.expires_at).is_some_and(|at| at <= now_ms)
        })
    }
}
