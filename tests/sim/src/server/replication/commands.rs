//! ROLE, REPLICAOF, WAIT and WAITAOF.
//!
//! Spec: command pages of these.

use crate::ids::HostId;
use crate::resp::Reply;
use crate::server::arguments;
use crate::server::blocking::no_files;
use crate::server::call::Call;
use crate::server::command::{
    ADMIN, BLOCKING, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, Outcome, STALE, Spec, fail,
};
use crate::server::session::Blocked;
use bytes::Bytes;
use std::net::SocketAddr;

const FOLLOW: u32 = ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("replicaof", 3, FOLLOW, replicaof).since(5, 0),
    Spec::server("role", 1, NOSCRIPT | LOADING | STALE | FAST, role),
    Spec::server("slaveof", 3, FOLLOW, replicaof),
    Spec::server("wait", 3, BLOCKING, wait),
    Spec::server("waitaof", 4, BLOCKING, waitaof).since(7, 2),
];

fn replicaof(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if call.server.cluster.is_some() {
        return Err(fail("ERR REPLICAOF not allowed in cluster mode."));
    }
    let (host, port) = (&arguments[1], &arguments[2]);
    if arguments::is(host, "NO") && arguments::is(port, "ONE") {
        call.server.follow(call.env, None);
        return Ok(Reply::OK);
    }
    let port = arguments::int_or(port, "ERR Invalid master port")?;
    let port = u16::try_from(port).map_err(|_| fail("ERR Invalid master port"))?;
    let host = std::str::from_utf8(host).unwrap_or("");
    let address = call.env.resolve(host).map(|ip| SocketAddr::new(ip, port));
    let address = address.ok_or(fail("ERR can't resolve the primary's name"))?;
    let current = call.server.replication.link.as_ref().map(|l| l.primary);
    if current == Some(address) {
        return Ok(Reply::Status("OK Already connected to specified master".into()));
    }
    call.server.follow(call.env, Some(address));
    Ok(Reply::OK)
}

fn role(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    if let Some(sentinel) = &call.server.sentinel {
        let services = Reply::Array(vec![Reply::string(&*sentinel.settings.service)]);
        return Ok(Reply::Array(vec![Reply::text("sentinel"), services]));
    }
    let replication = &call.server.replication;
    let offset = Reply::Int(replication.offset as i64);
    Ok(match &replication.link {
        None => {
            let followers = replication.followers.values().map(|f| {
                Reply::Array(vec![
                    Reply::string(f.address.ip().to_string()),
                    Reply::string(f.address.port().to_string()),
                    Reply::string(f.acked.to_string()),
                ])
            });
            let followers = Reply::Array(followers.collect());
            Reply::Array(vec![Reply::text("master"), offset, followers])
        }
        Some(link) => Reply::Array(vec![
            Reply::text("slave"),
            Reply::string(link.primary.ip().to_string()),
            Reply::Int(i64::from(link.primary.port())),
            Reply::text(if link.up { "connected" } else { "connect" }),
            if link.up { offset } else { Reply::Int(-1) },
        ]),
    })
}

fn wait(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let count = arguments::int(&arguments[1])?;
    let timeout = arguments::timeout_ms(&arguments[2])?;
    if call.server.replication.is_replica() {
        return Err(fail(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 \
             if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    // Of a connection that has written nothing, every replica has everything.
    let offset = call.session().written_to;
    let have = call.server.replication.acknowledged_by(offset);
    if have as i64 >= count || call.in_exec {
        return Ok(Reply::count(have));
    }
    let followers: Vec<HostId> = call.server.replication.followers.keys().copied().collect();
    for host in followers {
        call.server.send_records_to(call.env, host, true);
    }
    call.block(Blocked::Replicas { count: count.max(0) as usize, offset }, timeout);
    Ok(Reply::Nothing)
}

/// No simulated server has an append-only file, so nothing is ever in one.
fn waitaof(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let local = arguments::int(&arguments[1])?;
    if !(0..=1).contains(&local) {
        return Err(fail("ERR value is out of range, value must between 0 and 1"));
    }
    let text = "ERR value is out of range, must be positive";
    let replicas = arguments::int_or(&arguments[2], text)?;
    if replicas < 0 {
        return Err(fail(text));
    }
    let timeout = arguments::timeout_ms(&arguments[3])?;
    if call.server.replication.is_replica() {
        return Err(fail(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
             replicas are just local and are not propagated.",
        ));
    }
    if local == 1 {
        return Err(fail(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    if replicas == 0 || call.in_exec {
        return Ok(no_files());
    }
    call.block(Blocked::Files, timeout);
    Ok(Reply::Nothing)
}
