//! Decides whether this node serves a request, and if not, where the client is redirected to.
//!
//! Spec: cluster-spec, "MOVED redirection", "ASK redirection", "Multi-key operations";
//! `getNodeByQuery`.

use super::slots::key_slot;
use super::{Cluster, Peer, PreferredEndpoint};
use crate::env::Env;
use crate::ids::{ConnId, HostId};
use crate::server::Server;
use crate::server::command::{PUBSUB, Spec, W};
use crate::server::session::Blocked;
use bytes::Bytes;
use std::borrow::Cow;

const DOWN: &str = "CLUSTERDOWN The cluster is down";
const DOWN_READS: &str = "CLUSTERDOWN The cluster is down and only accepts read commands";
const UNBOUND: &str = "CLUSTERDOWN Hash slot not served";
const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
const TRY_AGAIN: &str = "TRYAGAIN Multiple keys request during rehashing of slot";

/// The keys of a request, and what kind of request it is.
#[derive(Debug, Default)]
struct Wanted {
    /// Keys or sharded channels.
    keys: Vec<Bytes>,
    /// It writes.
    writes: bool,
    /// Its keys are sharded channels.
    channels: bool,
}

impl Wanted {
    fn add(&mut self, spec: &Spec, arguments: &[Bytes]) {
        self.writes |= spec.has(W);
        self.channels |= spec.has(PUBSUB);
        let positions = spec.key_positions(arguments).unwrap_or_default();
        self.keys.extend(positions.into_iter().filter_map(|at| arguments.get(at)).cloned());
    }
}

impl Server {
    /// Refuses a request that another node should serve.
    pub(crate) fn check_cluster(
        &mut self,
        env: &mut Env<'_>,
        conn: ConnId,
        spec: &'static Spec,
        arguments: &[Bytes],
        asking: bool,
    ) -> Result<(), Cow<'static, str>> {
        if self.cluster.is_none() {
            return Ok(());
        }
        let mut wanted = Wanted::default();
        if spec.name == "exec" {
            let session = self.sessions.get(&conn);
            let requests = session.and_then(|s| s.queued.as_ref()).map(|q| q.requests.clone());
            for request in requests.unwrap_or_default() {
                if let Ok(spec) = self.find(&request) {
                    wanted.add(spec, &request);
                }
            }
        } else {
            wanted.add(spec, arguments);
        }
        let read_only = self.sessions.get(&conn).is_some_and(|s| s.read_only);
        let moves_keys = spec.name == "migrate";
        self.judge_slot(env, &wanted, (asking, read_only, moves_keys))
    }

    fn judge_slot(
        &self,
        env: &Env<'_>,
        wanted: &Wanted,
        (asking, read_only, moves_keys): (bool, bool, bool),
    ) -> Result<(), Cow<'static, str>> {
        let (Some(cluster), Some(first)) = (self.cluster.as_ref(), wanted.keys.first()) else {
            return Ok(());
        };
        let slot = key_slot(first);
        let owner = cluster.owners.owner(slot).ok_or(UNBOUND)?;
        if wanted.keys.iter().any(|key| key_slot(key) != slot) {
            return Err(CROSS_SLOT.into());
        }
        let mine = owner == cluster.me;
        let my_primarys = owner == cluster.my_primary();
        let considers = cluster.is_primary() || read_only;
        let migrating = cluster.migrating.get(&slot).filter(|_| considers && my_primarys);
        let importing = considers && migrating.is_none() && cluster.importing.contains_key(&slot);
        let missing = if (migrating.is_some() || importing) && !wanted.channels {
            wanted.keys.iter().filter(|key| !self.has_key(env, key)).count()
        } else {
            0
        };
        if !cluster.ok {
            if wanted.channels || !cluster.settings.reads_when_down {
                return Err(DOWN.into());
            }
            if wanted.writes {
                return Err(DOWN_READS.into());
            }
        }
        if moves_keys && (migrating.is_some() || importing) {
            return Ok(());
        }
        if let Some(target) = migrating
            && missing > 0
        {
            return if missing < wanted.keys.len() {
                Err(TRY_AGAIN.into())
            } else {
                Err(cluster.redirect("ASK", slot, *target))
            };
        }
        if importing && asking {
            let several = wanted.keys.iter().any(|key| key != first);
            return if several && missing > 0 { Err(TRY_AGAIN.into()) } else { Ok(()) };
        }
        let replica_serves = (read_only || wanted.channels) && !wanted.writes && my_primarys;
        if mine || (replica_serves && !cluster.is_primary()) {
            return Ok(());
        }
        Err(cluster.redirect("MOVED", slot, owner))
    }

    fn has_key(&self, env: &Env<'_>, key: &Bytes) -> bool {
        let entry = self.keyspace.databases[0].entries.get(key);
        entry.is_some_and(|e| e.expires_at.is_none_or(|at| at > env.unix_ms()))
    }

    /// Redirects sessions that wait for keys of slots that this node does not serve any more.
    pub(crate) fn redirect_blocked(&mut self, env: &mut Env<'_>) {
        let Some(cluster) = self.cluster.as_ref() else { return };
        let mut refused = Vec::new();
        for (conn, session) in &self.sessions {
            let Some(Blocked::Keys { keys, .. }) = &session.blocked else { continue };
            let Some(key) = keys.first() else { continue };
            let slot = key_slot(key);
            let text: Cow<'static, str> = match cluster.owners.owner(slot) {
                _ if !cluster.ok => DOWN.into(),
                None => UNBOUND.into(),
                Some(owner) if owner == cluster.me => continue,
                Some(owner) if session.read_only && owner == cluster.my_primary() => continue,
                Some(_) if cluster.importing.contains_key(&slot) => continue,
                Some(owner) => cluster.redirect("MOVED", slot, owner),
            };
            refused.push((*conn, text));
        }
        for (conn, text) in refused {
            self.unblock(conn, &crate::resp::Reply::Error(text));
            self.process_input(env, conn);
        }
    }
}

impl Cluster {
    /// The error line that redirects a client to another node.
    pub(crate) fn redirect(&self, word: &str, slot: u16, to: HostId) -> Cow<'static, str> {
        let Some(peer) = self.peers.get(&to) else { return UNBOUND.into() };
        let endpoint = self.endpoint_of(peer).unwrap_or_default();
        format!("{word} {slot} {endpoint}:{}", peer.client_address().port()).into()
    }

    /// The endpoint for clients; empty when they are to use the host that they sent the request to.
    pub(crate) fn endpoint_of(&self, peer: &Peer) -> Option<String> {
        match self.settings.endpoint {
            PreferredEndpoint::Ip => Some(peer.client_address().ip().to_string()),
            PreferredEndpoint::Hostname => Some(peer.hostname.as_deref().unwrap_or("?").to_owned()),
            PreferredEndpoint::Unknown => None,
        }
    }
}
