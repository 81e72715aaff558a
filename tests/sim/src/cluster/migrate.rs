//! `MIGRATE`: keys move from one server to another. A key is at one of them at any time.
//!
//! **Invariants**: a server does nothing else while it waits for the other one, as real ones do.
//! That makes the move atomic for clients.
//!
//! Spec: command page of MIGRATE.

use crate::env::Env;
use crate::ids::{ConnId, HostId};
use crate::resp::Reply;
use crate::server::arguments::{Options, int, is};
use crate::server::call::Call;
use crate::server::command::{Outcome, SYNTAX, fail};
use crate::server::keyspace::{Changes, Entry};
use crate::server::message::Message;
use crate::server::session::Blocked;
use crate::server::{Server, Timer};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// A MIGRATE in progress.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// The session that asked for it.
    conn: ConnId,
    /// The keys.
    keys: Vec<Bytes>,
    /// They stay here as well (COPY).
    copy: bool,
}

pub(crate) fn migrate(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (mut copy, mut replace, mut keys) = (false, false, vec![arguments[3].clone()]);
    let mut options = Options::new(&arguments[6..]);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "COPY") => copy = true,
            o if is(o, "REPLACE") => replace = true,
            o if is(o, "AUTH") => drop(options.value()?),
            o if is(o, "AUTH2") => drop(options.many(2)?),
            o if is(o, "KEYS") => {
                if !arguments[3].is_empty() {
                    return Err(fail(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                keys = options.rest().to_vec();
                break;
            }
            _ => return Err(SYNTAX),
        }
    }
    let timeout = match int(&arguments[5])? {
        ms if ms > 0 => ms as u64,
        _ => 1000,
    };
    int(&arguments[4])?;
    let address = std::str::from_utf8(&arguments[1])
        .ok()
        .and_then(|host| call.env.resolve(host))
        .zip(std::str::from_utf8(&arguments[2]).ok().and_then(|port| port.parse().ok()))
        .map(|(ip, port)| SocketAddr::new(ip, port));
    let address = address.ok_or(fail("IOERR error or timeout writing to target instance"))?;
    call.server.migrate_keys(call.env, call.conn, address, keys, (copy, replace), timeout)
}

impl Server {
    /// Sends keys to another server and does nothing else until that has replied.
    fn migrate_keys(
        &mut self,
        env: &mut Env<'_>,
        conn: ConnId,
        address: SocketAddr,
        keys: Vec<Bytes>,
        (copy, replace): (bool, bool),
        timeout_ms: u64,
    ) -> Outcome {
        let now_ms = env.unix_ms();
        let alive = |entry: &&Entry| entry.expires_at.is_none_or(|at| at > now_ms);
        let entries: Vec<(Bytes, Entry)> = keys
            .into_iter()
            .filter_map(|key| {
                let entry = self.keyspace.databases[0].entries.get(&key).filter(alive)?.clone();
                Some((key, entry))
            })
            .collect();
        if entries.is_empty() {
            return Ok(Reply::Status("NOKEY".into()));
        }
        let keys = entries.iter().map(|(key, _)| key.clone()).collect();
        self.transfer = Some(Transfer { conn, keys, copy });
        let message = Message::Restore { address: self.address, entries, replace };
        env.send(self.host, address, message);
        let mut call = Call { server: self, env, conn, in_exec: false };
        call.block(Blocked::Remote, Some(timeout_ms));
        let until = env.now().after(Duration::from_millis(timeout_ms));
        self.freeze(env, until);
        Ok(Reply::Nothing)
    }

    /// Another server sends keys.
    pub(crate) fn restore(
        &mut self,
        env: &mut Env<'_>,
        address: SocketAddr,
        entries: Vec<(Bytes, Entry)>,
        replace: bool,
    ) {
        let database = &self.keyspace.databases[0];
        let busy = !replace && entries.iter().any(|(key, _)| database.entries.contains_key(key));
        let error = if busy {
            Some("BUSYKEY Target key name already exists.".to_owned())
        } else if self.replication.is_replica() {
            Some(crate::server::refusal::READONLY_TEXT.to_owned())
        } else {
            None
        };
        if error.is_none() {
            self.place(entries);
        }
        env.send(self.host, address, Message::Restored { error });
    }

    /// Stores keys, as if they had always been here.
    pub(crate) fn place(&mut self, entries: Vec<(Bytes, Entry)>) {
        let mut changes = Changes::default();
        for (key, entry) in &entries {
            self.keyspace.databases[0].insert(key.clone(), entry.clone());
            changes.touched.push((0, key.clone()));
        }
        self.record_restore(entries);
        self.absorb(None, changes);
    }

    /// The other server has stored the keys, or refuses them.
    pub(crate) fn restored(&mut self, env: &mut Env<'_>, _from: HostId, error: Option<String>) {
        let Some(transfer) = self.transfer.take() else { return };
        let waits =
            |s: &crate::server::session::Session| matches!(s.blocked, Some(Blocked::Remote));
        let still_waiting = self.sessions.get(&transfer.conn).is_none_or(waits);
        if !still_waiting {
            // It timed out: the keys are at both places. The next attempt replaces them with
            // REPLACE.
            return;
        }
        let reply = match error {
            Some(text) => Reply::error(format!("ERR Target instance replied with error: {text}")),
            None => {
                if !transfer.copy {
                    self.delete_keys(env, transfer.keys);
                }
                Reply::OK
            }
        };
        self.conditions.frozen_until = env.now();
        self.unblock(transfer.conn, &reply);
        let now = env.now();
        self.timer(env, now, Timer::Thaw);
    }
}
