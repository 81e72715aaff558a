//! `CLIENT TRACKING`: the server records which keys a client caches and sends an invalidation when
//! one changes.
//!
//! **Invariants**: an invalidation that a client's own request causes is sent after the reply to
//! that request; all other clients get it at once.
//!
//! Spec: "Client-side caching in Redis".

use super::Server;
use super::call::Call;
use super::command::{Outcome, SYNTAX, Stop, fail, fail_with};
use crate::ids::ConnId;
use crate::resp::Reply;
use crate::server::arguments::{Options, is};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The channel of invalidations for RESP2 connections.
const REDIRECT_CHANNEL: &[u8] = b"__redis__:invalidate";

/// The options of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientTracking {
    /// Gets invalidations for every key with a prefix, read or not (`BCAST`).
    pub(crate) broadcast: bool,
    /// The prefixes; none means every key.
    pub(crate) prefixes: Vec<Bytes>,
    /// Records only keys that are read right after `CLIENT CACHING yes` (`OPTIN`).
    pub(crate) opt_in: bool,
    /// Records all keys except those read right after `CLIENT CACHING no` (`OPTOUT`).
    pub(crate) opt_out: bool,
    /// Gets no invalidations for its own changes (`NOLOOP`).
    pub(crate) no_loop: bool,
    /// The session that gets the invalidations instead (`REDIRECT`).
    pub(crate) redirect: Option<u64>,
    /// The argument of `CLIENT CACHING` for the next request.
    pub(crate) caching: Option<bool>,
}

/// The keys that clients cache.
#[derive(Debug, Default)]
pub(crate) struct Tracking {
    /// Sessions by key that they read.
    keys: BTreeMap<Bytes, BTreeSet<ConnId>>,
    /// Sessions that broadcast tracking.
    broadcast: BTreeSet<ConnId>,
    /// Invalidations for the session whose request is running, sent after its reply.
    own: Vec<(ConnId, Bytes)>,
}

impl Tracking {
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.broadcast.remove(&conn);
        self.keys.retain(|_, conns| {
            conns.remove(&conn);
            !conns.is_empty()
        });
    }

    /// How many keys are recorded.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Server {
    /// Records what a session has read.
    pub(crate) fn remember_reads(&mut self, conn: ConnId, keys: Vec<Bytes>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(tracking) = session.tracking.as_mut() else { return };
        let said = tracking.caching.take();
        let wanted = match (tracking.opt_in, tracking.opt_out) {
            (true, _) => said == Some(true),
            (_, true) => said != Some(false),
            _ => true,
        };
        if wanted && !tracking.broadcast {
            for key in keys {
                self.tracking.keys.entry(key).or_default().insert(conn);
            }
        }
    }

    /// A key has changed.
    pub(crate) fn invalidate(&mut self, by: Option<ConnId>, key: &Bytes) {
        let mut receivers: BTreeSet<ConnId> = self.tracking.keys.remove(key).unwrap_or_default();
        for conn in &self.tracking.broadcast {
            let tracking = self.sessions.get(conn).and_then(|s| s.tracking.as_ref());
            if tracking.is_some_and(|t| {
                t.prefixes.is_empty() || t.prefixes.iter().any(|p| key.starts_with(p))
            }) {
                receivers.insert(*conn);
            }
        }
        for conn in receivers {
            let no_loop = self
                .sessions
                .get(&conn)
                .and_then(|s| s.tracking.as_ref())
                .is_none_or(|t| t.no_loop && by == Some(conn));
            if no_loop {
                continue;
            }
            if by == Some(conn) {
                self.tracking.own.push((conn, key.clone()));
            } else {
                self.tell(conn, Some(key));
            }
        }
    }

    /// Everything, or one database, has changed.
    pub(crate) fn invalidate_all(&mut self, _db: Option<usize>) {
        self.tracking.keys.clear();
        let conns: Vec<ConnId> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.tracking.is_some())
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            self.tell(conn, None);
        }
    }

    /// Sends a session the invalidations that its own request caused, after the reply.
    pub(crate) fn send_own_invalidations(&mut self) {
        for (conn, key) in std::mem::take(&mut self.tracking.own) {
            self.tell(conn, Some(&key));
        }
    }

    fn tell(&mut self, conn: ConnId, key: Option<&Bytes>) {
        let redirect = self
            .sessions
            .get(&conn)
            .and_then(|s| s.tracking.as_ref())
            .and_then(|tracking| tracking.redirect);
        let target = match redirect {
            None => conn,
            Some(id) => match self.sessions.iter().find(|(_, s)| s.id == id) {
                Some((target, _)) => *target,
                None => return self.send_redirect_broken(conn, id),
            },
        };
        let Some(session) = self.sessions.get_mut(&target) else { return };
        let keys = key.map_or(Reply::Null, |key| Reply::bulks([key.clone()]));
        if session.resp3() {
            session.push(&Reply::Push(vec![Reply::text("invalidate"), keys]));
        } else if redirect.is_some() && session.channels.contains(REDIRECT_CHANNEL) {
            let channel = Reply::Bulk(Bytes::from_static(REDIRECT_CHANNEL));
            session.push(&Reply::Push(vec![Reply::text("message"), channel, keys]));
        }
        self.mark_dirty(target);
    }

    /// The session for the invalidations is gone.
    fn send_redirect_broken(&mut self, conn: ConnId, redirect: u64) {
        if let Some(session) = self.sessions.get_mut(&conn)
            && session.resp3()
        {
            let id = Reply::Int(redirect as i64);
            session.push(&Reply::Push(vec![Reply::text("tracking-redir-broken"), id]));
            self.mark_dirty(conn);
        }
    }

    pub(crate) fn tracked_keys(&self) -> usize {
        self.tracking.len()
    }
}

/// `CLIENT TRACKING ON|OFF ...`
pub(crate) fn tracking(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let on = match &arguments[2] {
        word if is(word, "ON") => true,
        word if is(word, "OFF") => false,
        _ => return Err(SYNTAX),
    };
    let mut tracking_options = parse(call, &arguments[3..])?;
    let conn = call.conn;
    if on && let Some(before) = call.session().tracking.as_ref() {
        check_change(before, &tracking_options)?;
        if tracking_options.broadcast {
            tracking_options.prefixes.extend(before.prefixes.iter().cloned());
        }
    }
    call.server.tracking.forget(conn);
    if on && tracking_options.broadcast {
        call.server.tracking.broadcast.insert(conn);
    }
    call.session().tracking = on.then_some(tracking_options);
    Ok(Reply::OK)
}

/// Refuses changes that a session with tracking may not make.
fn check_change(before: &ClientTracking, tracking_options: &ClientTracking) -> Result<(), Stop> {
    if before.broadcast != tracking_options.broadcast {
        return Err(fail(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ));
    }
    if before.opt_out && tracking_options.opt_in || before.opt_in && tracking_options.opt_out {
        return Err(fail(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ));
    }
    for prefix in &tracking_options.prefixes {
        let overlaps = |other: &&Bytes| other.starts_with(prefix) || prefix.starts_with(other);
        if let Some(other) = before.prefixes.iter().find(overlaps) {
            let (a, b) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(other));
            return Err(fail_with(format!(
                "ERR Prefix '{a}' overlaps with an existing prefix '{b}'. Prefixes for a single \
                 client must not overlap."
            )));
        }
    }
    Ok(())
}

fn parse(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Result<ClientTracking, Stop> {
    let mut tracking_options = ClientTracking::default();
    let mut options = Options::new(arguments);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "BCAST") => tracking_options.broadcast = true,
            o if is(o, "OPTIN") => tracking_options.opt_in = true,
            o if is(o, "OPTOUT") => tracking_options.opt_out = true,
            o if is(o, "NOLOOP") => tracking_options.no_loop = true,
            o if is(o, "PREFIX") => tracking_options.prefixes.push(options.value()?.clone()),
            o if is(o, "REDIRECT") => {
                let id = options.int()? as u64;
                if !call.server.sessions.values().any(|s| s.id == id) {
                    return Err(fail("ERR The client ID you want redirect to does not exist"));
                }
                tracking_options.redirect = Some(id);
            }
            _ => return Err(SYNTAX),
        }
    }
    if !tracking_options.prefixes.is_empty() && !tracking_options.broadcast {
        return Err(fail("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if tracking_options.opt_in && tracking_options.opt_out {
        return Err(fail("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if tracking_options.broadcast && (tracking_options.opt_in || tracking_options.opt_out) {
        return Err(fail("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    for (index, prefix) in tracking_options.prefixes.iter().enumerate() {
        let overlaps = |other: &&Bytes| other.starts_with(prefix) || prefix.starts_with(other);
        if let Some(other) = tracking_options.prefixes[index + 1..].iter().find(overlaps) {
            let (a, b) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(other));
            return Err(fail_with(format!(
                "ERR Prefix '{a}' overlaps with another provided prefix '{b}'. Prefixes for a \
                 single client must not overlap."
            )));
        }
    }
    Ok(tracking_options)
}

/// `CLIENT CACHING YES|NO`
pub(crate) fn caching(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let Some(tracking) = call.session().tracking.as_mut() else {
        return Err(fail(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        ));
    };
    let yes = match &arguments[2] {
        word if is(word, "YES") => true,
        word if is(word, "NO") => false,
        _ => return Err(SYNTAX),
    };
    if yes && !tracking.opt_in {
        let text = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        return Err(fail(text));
    }
    if !yes && !tracking.opt_out {
        let text = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        return Err(fail(text));
    }
    tracking.caching = Some(yes);
    Ok(Reply::OK)
}

/// `CLIENT GETREDIR`
pub(crate) fn get_redirect(call: &mut Call<'_, '_>) -> Reply {
    match &call.session().tracking {
        None => Reply::Int(-1),
        Some(tracking) => Reply::Int(tracking.redirect.unwrap_or(0) as i64),
    }
}

/// `CLIENT TRACKINGINFO`
pub(crate) fn info(call: &mut Call<'_, '_>) -> Reply {
    let tracking = call.session().tracking.clone();
    let mut flags = Vec::new();
    match &tracking {
        None => flags.push(Reply::text("off")),
        Some(t) => {
            flags.push(Reply::text("on"));
            let named = [
                (t.broadcast, "bcast"),
                (t.opt_in, "optin"),
                (t.opt_out, "optout"),
                (t.caching == Some(true), "caching-yes"),
                (t.caching == Some(false), "caching-no"),
                (t.no_loop, "noloop"),
            ];
            flags.extend(named.iter().filter(|(on, _)| *on).map(|(_, name)| Reply::text(name)));
        }
    }
    let redirect = match &tracking {
        None => -1,
        Some(t) => t.redirect.unwrap_or(0) as i64,
    };
    let prefixes = tracking.map(|t| t.prefixes).unwrap_or_default();
    Reply::Map(vec![
        (Reply::text("flags"), Reply::Set(flags)),
        (Reply::text("redirect"), Reply::Int(redirect)),
        (Reply::text("prefixes"), Reply::bulks(prefixes)),
    ])
}
