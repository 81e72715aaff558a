//! Runs commands on data, and applies the consequences of a change: `WATCH`, blocked sessions,
//! client caches, replicas.

use super::command::{Outcome, R, Spec, Stop, W};
use super::keyspace::{Changes, Store};
use super::{Server, Timer};
use crate::env::Env;
use crate::ids::ConnId;
use crate::rng::Rng;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Counters for INFO.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Connections accepted.
    pub(crate) connections: u64,
    /// Connections refused.
    pub(crate) rejected_connections: u64,
    /// Requests read.
    pub(crate) requests: u64,
    /// Calls by command.
    pub(crate) calls: BTreeMap<&'static str, u64>,
    /// Error replies by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Keys that expired.
    pub(crate) expired_keys: u64,
}

impl Stats {
    pub(crate) fn count_call(&mut self, name: &'static str) {
        *self.calls.entry(name).or_default() += 1;
    }

    pub(crate) fn count_error(&mut self, text: &str) {
        let code = text.split(' ').next().unwrap_or("ERR");
        match self.errors.get_mut(code) {
            Some(count) => *count += 1,
            None => {
                self.errors.insert(code.to_owned(), 1);
            }
        }
    }
}

impl Server {
    /// Runs a command on data for a client, or for a script of one.
    pub(crate) fn run_data(
        &mut self,
        env: &mut Env<'_>,
        conn: Option<ConnId>,
        db: usize,
        spec: &'static Spec,
        run: fn(&mut Store<'_>, &[Bytes]) -> Outcome,
        arguments: &[Bytes],
    ) -> Outcome {
        let seed = env.rng.next_u64();
        let now_ms = env.unix_ms();
        let (outcome, changes) = self.apply(db, now_ms, seed, run, arguments);
        if changes.dirty > 0 && spec.has(W) {
            self.record(db, now_ms, seed, arguments);
        }
        if outcome.is_ok() && spec.has(W) {
            env.executed(self.host, arguments);
        }
        self.tell_of_changes(spec.name, &changes);
        self.absorb(conn, changes);
        outcome
    }

    /// Runs a command on the keyspace and nothing else.
    pub(crate) fn apply(
        &mut self,
        db: usize,
        now_ms: u64,
        seed: u64,
        run: fn(&mut Store<'_>, &[Bytes]) -> Outcome,
        arguments: &[Bytes],
    ) -> (Outcome, Changes) {
        let mut store = Store {
            keyspace: &mut self.keyspace,
            db,
            now_ms,
            rng: Rng::new(seed),
            changes: Changes::default(),
            salt: u64::from(self.host.0) + 1,
        };
        let outcome = run(&mut store, arguments);
        (outcome, store.changes)
    }

    /// Notifies all parts of this server of a change.
    pub(crate) fn absorb(&mut self, by: Option<ConnId>, changes: Changes) {
        self.stats.expired_keys += changes.expired.len() as u64;
        for db in &changes.flushed {
            self.invalidate_all(*db);
        }
        for key in changes.expired {
            self.key_changed(None, key);
        }
        for key in changes.touched {
            self.key_changed(by, key);
        }
    }

    fn key_changed(&mut self, by: Option<ConnId>, key: (usize, Bytes)) {
        if let Some(watchers) = self.watchers.get(&key) {
            for conn in watchers {
                if let Some(session) = self.sessions.get_mut(conn) {
                    session.watch_broken = true;
                }
            }
        }
        self.blocking.key_changed(&key);
        self.invalidate(by, &key.1);
    }

    /// Removes the keys that have expired.
    pub(crate) fn expire_due(&mut self, env: &mut Env<'_>) {
        let now_ms = env.unix_ms();
        let mut changes = Changes::default();
        for (db, database) in self.keyspace.databases.iter_mut().enumerate() {
            while let Some((at, key)) = database.expiries.first().cloned()
                && at <= now_ms
            {
                database.remove(&key);
                changes.expired.push((db, key));
            }
        }
        self.tell_of_changes("expired", &changes);
        self.absorb(None, changes);
    }

    /// Records what a caching client reads.
    pub(crate) fn track_reads(
        &mut self,
        conn: ConnId,
        _db: usize,
        spec: &'static Spec,
        arguments: &[Bytes],
    ) {
        let tracked = self.sessions.get(&conn).is_some_and(|s| s.tracking.is_some());
        if tracked
            && spec.has(R)
            && let Some(positions) = spec.key_positions(arguments)
        {
            let keys = positions.into_iter().filter_map(|at| arguments.get(at)).cloned().collect();
            self.remember_reads(conn, keys);
        }
    }

    /// Unblocks sessions until none is left that can run.
    pub(crate) fn serve_ready(&mut self, env: &mut Env<'_>) {
        // A session that runs may unblock others: the outer loop serves them.
        if std::mem::replace(&mut self.serving, true) {
            return;
        }
        while let Some(conn) = self.blocking.next_ready() {
            self.retry_blocked(env, conn);
            self.process_input(env, conn);
        }
        self.serving = false;
    }

    /// Whether the error of an outcome is one that a caller may see as a reply.
    pub(crate) fn reply_of(outcome: Outcome) -> crate::resp::Reply {
        match outcome {
            Ok(reply) => reply,
            Err(Stop::Error(text)) => crate::resp::Reply::Error(text),
            Err(Stop::Block(wait)) => wait.on_timeout,
        }
    }

    /// Sets the timer for the end of a pause.
    pub(crate) fn pause(&mut self, env: &mut Env<'_>, until: slotcar::Timestamp, all: bool) {
        self.conditions.paused = Some((until, all));
        self.timer(env, until, Timer::Unpause);
    }
}
