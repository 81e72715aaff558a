//! `SENTINEL`: the commands for clients and operators.
//!
//! Spec: redis.io/docs, "Sentinel commands".

use super::Sentinel;
use super::failover::best_replica;
use crate::resp::Reply;
use crate::server::arguments::int;
use crate::server::call::Call;
use crate::server::command::{ADMIN, Outcome, Spec, Stop, fail, fail_with};
use crate::server::data::scan::glob;
use crate::server::replication::new_history;
use bytes::Bytes;
use slotcar::Timestamp;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const UNKNOWN: Stop = fail("ERR No such master with that name");

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::container("sentinel"),
    Spec::server("sentinel|ckquorum", 3, ADMIN, check_quorum),
    Spec::server("sentinel|failover", 3, ADMIN, failover),
    Spec::server("sentinel|flushconfig", 2, ADMIN, |_, _| Ok(Reply::OK)),
    Spec::server("sentinel|get-master-addr-by-name", 3, ADMIN, primary_address),
    Spec::server("sentinel|is-master-down-by-addr", 6, ADMIN, is_down),
    Spec::server("sentinel|master", 3, ADMIN, |c, a| {
        let now = c.env.now();
        Ok(named(c, &a[2])?.describe_primary(now))
    }),
    Spec::server("sentinel|masters", 2, ADMIN, |c, _| {
        let now = c.env.now();
        Ok(Reply::Array(vec![sentinel(c)?.describe_primary(now)]))
    }),
    Spec::server("sentinel|myid", 2, ADMIN, |c, _| Ok(Reply::string(&*sentinel(c)?.id))),
    Spec::server("sentinel|pending-scripts", 2, ADMIN, |_, _| Ok(Reply::Array(Vec::new()))),
    Spec::server("sentinel|replicas", 3, ADMIN, replicas).since(5, 0),
    Spec::server("sentinel|reset", 3, ADMIN, reset),
    Spec::server("sentinel|sentinels", 3, ADMIN, |c, a| {
        let now = c.env.now();
        let sentinel = named(c, &a[2])?;
        let id_of = |host| match sentinel.peers.get(&host) {
            Some(peer) => peer.id.to_string(),
            None => sentinel.id.to_string(),
        };
        Ok(sentinel.describe_peers(now, id_of))
    }),
    Spec::server("sentinel|set", -5, ADMIN, set),
    Spec::server("sentinel|slaves", 3, ADMIN, replicas),
];

/// Commands of a sentinel in addition to `SENTINEL`.
pub(crate) const SHARED: &[&str] = &[
    "acl",
    "auth",
    "client",
    "command",
    "hello",
    "info",
    "ping",
    "psubscribe",
    "publish",
    "punsubscribe",
    "quit",
    "reset",
    "role",
    "sentinel",
    "subscribe",
    "unsubscribe",
];

fn sentinel<'c>(call: &'c Call<'_, '_>) -> Result<&'c Sentinel, Stop> {
    call.server.sentinel.as_deref().ok_or(fail("ERR this server is no sentinel"))
}

/// The sentinel, if it monitors a service of that name.
fn named<'c>(call: &'c Call<'_, '_>, name: &[u8]) -> Result<&'c Sentinel, Stop> {
    let sentinel = sentinel(call)?;
    if sentinel.settings.service.as_bytes() == name { Ok(sentinel) } else { Err(UNKNOWN) }
}

fn replicas(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let now = call.env.now();
    Ok(named(call, &arguments[2])?.describe_replicas(now))
}

fn primary_address(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let Ok(sentinel) = named(call, &arguments[2]) else { return Ok(Reply::NullArray) };
    let address = sentinel.primary_address();
    let parts = [address.ip().to_string(), address.port().to_string()];
    Ok(Reply::Array(parts.map(Reply::string).into()))
}

fn is_down(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (port, epoch) = (int(&arguments[3])?, int(&arguments[4])?);
    let sentinel = sentinel(call)?;
    let primary = &sentinel.primary;
    let same = primary.address.ip().to_string().as_bytes() == &arguments[2][..]
        && i64::from(primary.address.port()) == port;
    let down = same && primary.s_down.is_some();
    // A client cannot ask for a vote, but it may read this sentinel's vote in that epoch.
    let vote =
        sentinel.vote.filter(|(voted, _)| *voted as i64 == epoch && &arguments[5][..] != b"*");
    let leader = vote.map_or("*".to_owned(), |(_, host)| match sentinel.peers.get(&host) {
        Some(peer) => peer.id.to_string(),
        None => sentinel.id.to_string(),
    });
    let epoch = vote.map_or(0, |(epoch, _)| epoch as i64);
    Ok(Reply::Array(vec![Reply::flag(down), Reply::string(leader), Reply::Int(epoch)]))
}

fn check_quorum(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let now = call.env.now();
    let sentinel = named(call, &arguments[2])?;
    let usable = sentinel.usable(now);
    let (quorum, majority) = (sentinel.settings.quorum, sentinel.majority());
    if usable >= quorum && usable >= majority {
        return Ok(Reply::Status(
            format!(
                "OK {usable} usable Sentinels. Quorum and failover authorization can be reached"
            )
            .into(),
        ));
    }
    let mut text = format!("NOQUORUM {usable} usable Sentinels.");
    if usable < quorum {
        let _ = write!(
            text,
            " Not enough available Sentinels to reach the specified quorum for this master."
        );
    }
    if usable < majority {
        let _ = write!(
            text,
            " Not enough available Sentinels to reach the majority and authorize a failover"
        );
    }
    Err(fail_with(text))
}

fn failover(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let now = call.env.now();
    let sentinel = named(call, &arguments[2])?;
    if sentinel.failover.is_some() {
        return Err(fail("INPROG Failover already in progress"));
    }
    if best_replica(&sentinel.replicas, now).is_none() {
        return Err(fail("NOGOODSLAVE No suitable replica to promote"));
    }
    call.server.start_failover(call.env, true);
    Ok(Reply::OK)
}

fn reset(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let Some(sentinel) = call.server.sentinel.as_mut() else { return Err(UNKNOWN) };
    if !glob(&arguments[2], sentinel.settings.service.as_bytes()) {
        return Ok(Reply::Int(0));
    }
    sentinel.forget(call.env.now());
    Ok(Reply::Int(1))
}

fn set(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    named(call, &arguments[2])?;
    let Some(sentinel) = call.server.sentinel.as_mut() else { return Err(UNKNOWN) };
    for pair in arguments[3..].chunks(2) {
        let name = String::from_utf8_lossy(&pair[0]).to_ascii_lowercase();
        let wrong = || {
            let shown = pair.get(1).map(|v| String::from_utf8_lossy(v).into_owned());
            fail_with(format!(
                "ERR Invalid argument '{}' for SENTINEL SET '{name}'",
                shown.unwrap_or_default()
            ))
        };
        let value = pair.get(1).ok_or_else(wrong)?;
        let number = int(value).ok().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let settings = &mut sentinel.settings;
        match name.as_str() {
            "down-after-milliseconds" => {
                settings.down_after = Duration::from_millis(number.ok_or_else(wrong)?);
            }
            "failover-timeout" => {
                settings.failover_timeout = Duration::from_millis(number.ok_or_else(wrong)?);
            }
            "quorum" => settings.quorum = number.ok_or_else(wrong)? as usize,
            "parallel-syncs" | "auth-pass" | "auth-user" | "master-reboot-down-after-period" => {}
            _ => {
                return Err(fail_with(format!(
                    "ERR Invalid argument '{}' to SENTINEL SET",
                    String::from_utf8_lossy(&pair[0])
                )));
            }
        }
    }
    Ok(Reply::OK)
}

impl Sentinel {
    /// Forgets all but the primary; the others introduce themselves again.
    fn forget(&mut self, now: Timestamp) {
        self.replicas.clear();
        self.peers.clear();
        (self.failover, self.o_down) = (None, None);
        self.primary = super::Instance::new(self.primary.address, now);
    }

    /// An id.
    pub(crate) fn new_id(seed: u64) -> Arc<str> {
        new_history(seed).into()
    }
}
