//! `INFO`: the sections that clients read.
//!
//! Spec: command page of INFO.

use super::Server;
use super::call::Call;
use super::command::{LOADING, Outcome, STALE, Spec};
use crate::env::Env;
use crate::resp::Reply;
use bytes::Bytes;
use std::fmt::Write as _;

pub(crate) const COMMANDS: &[Spec] = &[Spec::server("info", -1, LOADING | STALE, info)];

/// A section's name and the function that writes it.
type Section = (&'static str, fn(&Server, &Env<'_>, &mut String));

const SECTIONS: &[Section] = &[
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication),
    ("cpu", cpu),
    ("commandstats", command_stats),
    ("errorstats", error_stats),
    ("cluster", cluster),
    ("keyspace", keyspace),
    ("sentinel", sentinel),
];

/// The sections of a sentinel.
const OF_SENTINEL: &[&str] = &["server", "clients", "stats", "cpu", "sentinel"];

/// Sections that are shown on request only.
const EXTRA: &[&str] = &["commandstats"];

fn info(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let asked: Vec<String> =
        arguments[1..].iter().map(|a| String::from_utf8_lossy(a).to_ascii_lowercase()).collect();
    let all = asked.iter().any(|name| name == "all" || name == "everything");
    let default = asked.is_empty() || asked.iter().any(|name| name == "default");
    let mut text = String::new();
    for (name, write) in SECTIONS {
        let wanted = all
            || (default && !EXTRA.contains(name))
            || asked.iter().any(|section| section == name);
        let has = match call.server.sentinel {
            Some(_) => OF_SENTINEL.contains(name),
            None => *name != "sentinel",
        };
        if wanted && has {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            write(call.server, call.env, &mut text);
        }
    }
    Ok(Reply::Verbatim("txt", text))
}

/// Appends a line; writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = write!($text, $($format)*);
        $text.push_str("\r\n");
    }};
}

fn server(server: &Server, env: &Env<'_>, text: &mut String) {
    let version = server.config.version;
    line!(text, "# Server");
    line!(text, "redis_version:{}", version.redis_text());
    if version.valkey {
        line!(text, "server_name:valkey");
        line!(text, "valkey_version:{}", version.text());
    }
    line!(text, "redis_mode:{}", server.mode());
    line!(text, "os:simulated");
    line!(text, "arch_bits:64");
    line!(text, "process_id:{}", server.host.0 + 1);
    line!(text, "run_id:{}", server.run_id());
    line!(text, "tcp_port:{}", server.address.port());
    line!(text, "server_time_usec:{}", env.unix_ms() * 1000);
    let seconds = env.now().since(server.started_at).as_secs();
    line!(text, "uptime_in_seconds:{seconds}");
    line!(text, "uptime_in_days:{}", seconds / (24 * 3600));
    if version.valkey {
        line!(text, "availability_zone:{}", server.config.zone);
    }
}

fn clients(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Clients");
    line!(text, "connected_clients:{}", server.sessions.len());
    line!(text, "maxclients:{}", server.config.clients_max);
    line!(text, "blocked_clients:{}", server.blocking.count());
    let tracking = server.sessions.values().filter(|s| s.tracking.is_some()).count();
    line!(text, "tracking_clients:{tracking}");
    let subscribers = server.sessions.values().filter(|s| s.is_subscriber()).count();
    line!(text, "pubsub_clients:{subscribers}");
}

fn memory(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Memory");
    line!(text, "used_memory:1048576");
    let maxmemory = server.config.parameters.get("maxmemory").map_or("0", String::as_str);
    line!(text, "maxmemory:{maxmemory}");
    line!(text, "maxmemory_policy:noeviction");
}

fn persistence(server: &Server, env: &Env<'_>, text: &mut String) {
    line!(text, "# Persistence");
    line!(text, "loading:{}", u8::from(server.conditions.loading_until > env.now()));
    line!(text, "async_loading:0");
    line!(text, "rdb_bgsave_in_progress:0");
    line!(text, "aof_enabled:0");
}

fn stats(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Stats");
    line!(text, "total_connections_received:{}", server.stats.connections);
    line!(text, "total_commands_processed:{}", server.stats.requests);
    line!(text, "rejected_connections:{}", server.stats.rejected_connections);
    line!(text, "expired_keys:{}", server.stats.expired_keys);
    line!(text, "pubsub_channels:{}", server.channels.channels.len());
    line!(text, "pubsub_patterns:{}", server.channels.patterns.len());
    line!(text, "pubsubshard_channels:{}", server.channels.shard.len());
    line!(text, "tracking_total_keys:{}", server.tracked_keys());
    let errors: u64 = server.stats.errors.values().sum();
    line!(text, "total_error_replies:{errors}");
}

fn replication(server: &Server, env: &Env<'_>, text: &mut String) {
    let replication = &server.replication;
    line!(text, "# Replication");
    let role = if replication.is_replica() { "slave" } else { "master" };
    line!(text, "role:{role}");
    if let Some(link) = &replication.link {
        let since = env.now().since(link.since).as_secs();
        line!(text, "master_host:{}", link.primary.ip());
        line!(text, "master_port:{}", link.primary.port());
        line!(text, "master_link_status:{}", if link.up { "up" } else { "down" });
        line!(text, "master_last_io_seconds_ago:{}", if link.up { since as i64 } else { -1 });
        line!(text, "master_sync_in_progress:0");
        line!(text, "slave_read_repl_offset:{}", replication.offset);
        line!(text, "slave_repl_offset:{}", replication.offset);
        if !link.up {
            line!(text, "master_link_down_since_seconds:{since}");
        }
        line!(text, "slave_priority:100");
        line!(text, "slave_read_only:1");
        line!(text, "replica_announced:1");
    }
    line!(text, "connected_slaves:{}", replication.followers.len());
    for (index, follower) in replication.followers.values().enumerate() {
        let lag = env.now().since(follower.acked_at).as_secs();
        line!(
            text,
            "slave{index}:ip={},port={},state=online,offset={},lag={lag}",
            follower.address.ip(),
            follower.address.port(),
            follower.acked
        );
    }
    line!(text, "master_failover_state:no-failover");
    line!(text, "master_replid:{}", replication.history);
    let none = (String::from("0000000000000000000000000000000000000000"), -1);
    let (id, offset) =
        replication.former.clone().map_or(none, |(id, offset)| (id, offset as i64 + 1));
    line!(text, "master_replid2:{id}");
    line!(text, "master_repl_offset:{}", replication.offset);
    line!(text, "second_repl_offset:{offset}");
    line!(text, "repl_backlog_active:1");
    line!(text, "repl_backlog_first_byte_offset:{}", replication.backlog_start() + 1);
}

fn cpu(_server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# CPU");
    line!(text, "used_cpu_sys:0.000000");
    line!(text, "used_cpu_user:0.000000");
}

fn command_stats(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Commandstats");
    for (name, calls) in &server.stats.calls {
        line!(
            text,
            "cmdstat_{name}:calls={calls},usec={calls},usec_per_call=1.00,rejected_calls=0,\
             failed_calls=0"
        );
    }
}

fn error_stats(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Errorstats");
    for (code, count) in &server.stats.errors {
        line!(text, "errorstat_{code}:count={count}");
    }
}

fn cluster(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Cluster");
    line!(text, "cluster_enabled:{}", u8::from(server.cluster.is_some()));
}

fn keyspace(server: &Server, _env: &Env<'_>, text: &mut String) {
    line!(text, "# Keyspace");
    for (index, database) in server.keyspace.databases.iter().enumerate() {
        if !database.entries.is_empty() {
            let (keys, expires) = (database.entries.len(), database.expiries.len());
            line!(text, "db{index}:keys={keys},expires={expires},avg_ttl=0");
        }
    }
}

fn sentinel(server: &Server, env: &Env<'_>, text: &mut String) {
    let Some(sentinel) = server.sentinel.as_deref() else { return };
    line!(text, "# Sentinel");
    line!(text, "sentinel_masters:1");
    line!(text, "sentinel_tilt:0");
    line!(text, "sentinel_running_scripts:0");
    line!(text, "sentinel_scripts_queue_length:0");
    line!(text, "sentinel_simulate_failure_flags:0");
    let status = match (sentinel.o_down, sentinel.primary.s_down) {
        (Some(_), _) => "odown",
        (None, Some(_)) => "sdown",
        (None, None) => "ok",
    };
    line!(
        text,
        "master0:name={},status={status},address={},slaves={},sentinels={}",
        sentinel.settings.service,
        sentinel.primary_address(),
        sentinel.replicas.len(),
        sentinel.usable(env.now()).max(sentinel.peers.len() + 1)
    );
}

impl Server {
    /// The deployment of the server, for INFO and HELLO.
    pub(crate) fn mode(&self) -> &'static str {
        match (&self.sentinel, &self.cluster) {
            (Some(_), _) => "sentinel",
            (None, Some(_)) => "cluster",
            (None, None) => "standalone",
        }
    }
}
