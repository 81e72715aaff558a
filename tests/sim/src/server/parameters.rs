//! The parameters of CONFIG: names, default values, and what each takes.
//!
//! The table is that of redis 8.0.2 without the parameters for TLS, files, addresses of the
//! machine, buffers of output and signals. All are kept and shown; `admin::config_set` says which
//! have an effect.
//!
//! Spec: `config.c`.

use crate::server::arguments::is;
use crate::server::value::parse_int;

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// It cannot be set.
    Fixed,
    /// `yes` or `no`.
    YesNo,
    /// An integer from the first to the second number.
    Number(i128, i128),
    /// The same in bytes, perhaps with a unit.
    Memory(i128, i128),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Anything.
    Text,
    /// Pairs of seconds and changes.
    Save,
    /// The letters of classes of events.
    Events,
}

use Kind::{Choice, Events, Fixed, Memory, Number, Save, Text, YesNo};

const I32_MIN: i128 = i32::MIN as i128;
const I32_MAX: i128 = i32::MAX as i128;
const U32_MAX: i128 = u32::MAX as i128;
const I64_MAX: i128 = i64::MAX as i128;
const U64_MAX: i128 = u64::MAX as i128;

/// A parameter: its name, its default value, and what it takes.
pub(crate) type Parameter = (&'static str, &'static str, Kind);

/// What is removed when there is no memory left.
const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

/// All parameters in the order of their names.
#[rustfmt::skip]
pub(crate) const PARAMETERS: &[Parameter] = &[
    ("acl-pubsub-default", "resetchannels", Choice(&["allchannels", "resetchannels"])),
    ("aclfile", "", Fixed),
    ("acllog-max-len", "128", Number(0, I64_MAX)),
    ("active-defrag-cycle-max", "25", Number(1, 99)),
    ("active-defrag-cycle-min", "1", Number(1, 99)),
    ("active-defrag-ignore-bytes", "104857600", Memory(1, I64_MAX)),
    ("active-defrag-max-scan-fields", "1000", Number(1, I64_MAX)),
    ("active-defrag-threshold-lower", "10", Number(0, 1000)),
    ("active-defrag-threshold-upper", "100", Number(0, 1000)),
    ("active-expire-effort", "1", Number(1, 10)),
    ("activedefrag", "no", YesNo),
    ("activerehashing", "yes", YesNo),
    ("always-show-logo", "no", Fixed),
    ("aof-load-truncated", "yes", YesNo),
    ("aof-rewrite-cpulist", "", Fixed),
    ("aof-rewrite-incremental-fsync", "yes", YesNo),
    ("aof-timestamp-enabled", "no", YesNo),
    ("aof-use-rdb-preamble", "yes", YesNo),
    ("appenddirname", "appendonlydir", Fixed),
    ("appendfilename", "appendonly.aof", Fixed),
    ("appendfsync", "everysec", Choice(&["everysec", "always", "no"])),
    ("appendonly", "no", YesNo),
    ("auto-aof-rewrite-min-size", "67108864", Memory(0, I64_MAX)),
    ("auto-aof-rewrite-percentage", "100", Number(0, I32_MAX)),
    ("bgsave-cpulist", "", Fixed),
    ("bind-source-addr", "", Text),
    ("bio-cpulist", "", Fixed),
    ("busy-reply-threshold", "5000", Number(0, I64_MAX)),
    ("client-query-buffer-limit", "1073741824", Memory(1048576, I64_MAX)),
    ("cluster-allow-pubsubshard-when-down", "yes", YesNo),
    ("cluster-allow-reads-when-down", "no", YesNo),
    ("cluster-allow-replica-migration", "yes", YesNo),
    ("cluster-announce-bus-port", "0", Number(0, 65535)),
    ("cluster-announce-hostname", "", Text),
    ("cluster-announce-human-nodename", "", Text),
    ("cluster-announce-ip", "", Text),
    ("cluster-announce-port", "0", Number(0, 65535)),
    ("cluster-announce-tls-port", "0", Number(0, 65535)),
    ("cluster-config-file", "nodes.conf", Fixed),
    ("cluster-enabled", "no", Fixed),
    ("cluster-link-sendbuf-limit", "0", Memory(0, U64_MAX)),
    ("cluster-migration-barrier", "1", Number(0, I32_MAX)),
    ("cluster-node-timeout", "15000", Number(0, I64_MAX)),
    ("cluster-port", "0", Fixed),
    ("cluster-preferred-endpoint-type", "ip", Choice(&["ip", "hostname", "unknown-endpoint"])),
    ("cluster-replica-no-failover", "no", YesNo),
    ("cluster-replica-validity-factor", "10", Number(0, I32_MAX)),
    ("cluster-require-full-coverage", "yes", YesNo),
    ("crash-log-enabled", "yes", YesNo),
    ("crash-memcheck-enabled", "yes", YesNo),
    ("daemonize", "no", Fixed),
    ("databases", "16", Fixed),
    ("disable-thp", "yes", Fixed),
    ("dynamic-hz", "yes", YesNo),
    ("enable-debug-command", "no", Fixed),
    ("enable-module-command", "no", Fixed),
    ("enable-protected-configs", "no", Fixed),
    ("hash-max-listpack-entries", "512", Number(0, I64_MAX)),
    ("hash-max-listpack-value", "64", Memory(0, I64_MAX)),
    ("hide-user-data-from-log", "no", YesNo),
    ("hll-sparse-max-bytes", "3000", Memory(0, I64_MAX)),
    ("hz", "10", Number(0, I32_MAX)),
    ("ignore-warnings", "", Text),
    ("io-threads", "1", Fixed),
    ("jemalloc-bg-thread", "yes", YesNo),
    ("latency-monitor-threshold", "0", Number(0, I64_MAX)),
    ("latency-tracking", "yes", YesNo),
    ("lazyfree-lazy-eviction", "no", YesNo),
    ("lazyfree-lazy-expire", "no", YesNo),
    ("lazyfree-lazy-server-del", "no", YesNo),
    ("lazyfree-lazy-user-del", "no", YesNo),
    ("lazyfree-lazy-user-flush", "no", YesNo),
    ("lfu-decay-time", "1", Number(0, I32_MAX)),
    ("lfu-log-factor", "10", Number(0, I32_MAX)),
    ("list-compress-depth", "0", Number(0, I32_MAX)),
    ("list-max-listpack-size", "-2", Number(I32_MIN, I32_MAX)),
    ("locale-collate", "", Text),
    ("logfile", "", Fixed),
    ("loglevel", "notice", Choice(&["debug", "verbose", "notice", "warning", "nothing"])),
    ("masterauth", "", Text),
    ("masteruser", "", Text),
    ("max-new-connections-per-cycle", "10", Number(1, 1000)),
    ("max-new-tls-connections-per-cycle", "1", Number(1, 1000)),
    ("maxclients", "10000", Number(1, U32_MAX)),
    ("maxmemory", "0", Memory(0, U64_MAX)),
    ("maxmemory-eviction-tenacity", "10", Number(0, 100)),
    ("maxmemory-policy", "noeviction", Choice(POLICIES)),
    ("maxmemory-samples", "5", Number(1, 64)),
    ("min-replicas-max-lag", "10", Number(0, I32_MAX)),
    ("min-replicas-to-write", "0", Number(0, I32_MAX)),
    ("no-appendfsync-on-rewrite", "no", YesNo),
    ("notify-keyspace-events", "", Events),
    ("oom-score-adj", "no", Choice(&["no", "yes", "relative", "absolute"])),
    ("pidfile", "", Fixed),
    ("port", "17999", Number(0, 65535)),
    ("proc-title-template", "{title} {listen-addr} {server-mode}", Text),
    ("propagation-error-behavior", "ignore", Choice(&["ignore", "panic", "panic-on-replicas"])),
    ("protected-mode", "yes", YesNo),
    ("proto-max-bulk-len", "536870912", Memory(1048576, I64_MAX)),
    ("rdb-del-sync-files", "no", YesNo),
    ("rdb-save-incremental-fsync", "yes", YesNo),
    ("rdbchecksum", "yes", Fixed),
    ("rdbcompression", "yes", YesNo),
    ("repl-backlog-size", "1048576", Memory(1, I64_MAX)),
    ("repl-backlog-ttl", "3600", Number(0, I64_MAX)),
    ("repl-disable-tcp-nodelay", "no", YesNo),
    ("repl-diskless-load", "disabled", Choice(&["disabled", "on-empty-db", "swapdb"])),
    ("repl-diskless-sync", "yes", YesNo),
    ("repl-diskless-sync-delay", "5", Number(0, I32_MAX)),
    ("repl-diskless-sync-max-replicas", "0", Number(0, I32_MAX)),
    ("repl-ping-replica-period", "10", Number(1, I32_MAX)),
    ("repl-timeout", "60", Number(1, I32_MAX)),
    ("replica-announce-ip", "", Text),
    ("replica-announce-port", "0", Number(0, 65535)),
    ("replica-announced", "yes", YesNo),
    ("replica-ignore-disk-write-errors", "no", YesNo),
    ("replica-ignore-maxmemory", "yes", YesNo),
    ("replica-lazy-flush", "no", YesNo),
    ("replica-priority", "100", Number(0, I32_MAX)),
    ("replica-read-only", "yes", YesNo),
    ("replica-serve-stale-data", "yes", YesNo),
    ("replicaof", "", Fixed),
    ("requirepass", "", Text),
    ("sanitize-dump-payload", "no", Choice(&["no", "yes", "clients"])),
    ("save", "", Save),
    ("server-cpulist", "", Fixed),
    ("set-max-intset-entries", "512", Number(0, I64_MAX)),
    ("set-max-listpack-entries", "128", Number(0, I64_MAX)),
    ("set-max-listpack-value", "64", Number(0, I64_MAX)),
    ("set-proc-title", "yes", Fixed),
    ("shutdown-timeout", "10", Number(0, I32_MAX)),
    ("slowlog-log-slower-than", "10000", Number(-1, I64_MAX)),
    ("slowlog-max-len", "128", Number(0, I64_MAX)),
    ("socket-mark-id", "0", Fixed),
    ("stop-writes-on-bgsave-error", "yes", YesNo),
    ("stream-node-max-bytes", "4096", Memory(0, I64_MAX)),
    ("stream-node-max-entries", "100", Number(0, I64_MAX)),
    ("supervised", "no", Fixed),
    ("syslog-enabled", "no", Fixed),
    ("syslog-facility", "local0", Fixed),
    ("syslog-ident", "redis", Fixed),
    ("tcp-backlog", "511", Fixed),
    ("tcp-keepalive", "300", Number(0, I32_MAX)),
    ("timeout", "0", Number(0, I32_MAX)),
    ("tracking-table-max-keys", "1000000", Number(0, I64_MAX)),
    ("unixsocket", "", Fixed),
    ("unixsocketperm", "0", Fixed),
    ("zset-max-listpack-entries", "128", Number(0, I64_MAX)),
    ("zset-max-listpack-value", "64", Memory(0, I64_MAX)),
];

/// Second names, and the first ones.
const ALIASES: &[(&str, &str)] = &[
    ("aof_rewrite_cpulist", "aof-rewrite-cpulist"),
    ("bgsave_cpulist", "bgsave-cpulist"),
    ("bio_cpulist", "bio-cpulist"),
    ("cluster-slave-no-failover", "cluster-replica-no-failover"),
    ("cluster-slave-validity-factor", "cluster-replica-validity-factor"),
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("lua-time-limit", "busy-reply-threshold"),
    ("min-slaves-max-lag", "min-replicas-max-lag"),
    ("min-slaves-to-write", "min-replicas-to-write"),
    ("repl-ping-slave-period", "repl-ping-replica-period"),
    ("server_cpulist", "server-cpulist"),
    ("slave-announce-ip", "replica-announce-ip"),
    ("slave-announce-port", "replica-announce-port"),
    ("slave-ignore-maxmemory", "replica-ignore-maxmemory"),
    ("slave-lazy-flush", "replica-lazy-flush"),
    ("slave-priority", "replica-priority"),
    ("slave-read-only", "replica-read-only"),
    ("slave-serve-stale-data", "replica-serve-stale-data"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// All second names, with the first ones.
pub(crate) fn aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALIASES.iter().copied()
}

/// The parameter of this name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Parameter> {
    let first = ALIASES.iter().find(|(alias, _)| is(name, alias)).map(|(_, first)| *first);
    PARAMETERS.iter().find(|(own, ..)| first.map_or(is(name, own), |first| first == *own))
}

/// What a parameter holds when it is set to `value`.
///
/// # Errors
///
/// What the server says of a value that the parameter does not take.
pub(crate) fn read(kind: Kind, value: &[u8]) -> Result<String, String> {
    let text = || String::from_utf8_lossy(value).into_owned();
    let within = |number: i128, low: i128, high: i128| {
        if (low..=high).contains(&number) {
            Ok(number.to_string())
        } else {
            Err(format!("argument must be between {low} and {high} inclusive"))
        }
    };
    match kind {
        Fixed => Err("can't set immutable config".to_owned()),
        Text => Ok(text()),
        YesNo => match ["yes", "no"].into_iter().find(|word| is(value, word)) {
            Some(word) => Ok(word.to_owned()),
            None => Err("argument must be 'yes' or 'no'".to_owned()),
        },
        Choice(words) => match words.iter().find(|word| is(value, word)) {
            Some(word) => Ok((*word).to_owned()),
            None => {
                let words = words.join(", ");
                Err(format!("argument(s) must be one of the following: {words}"))
            }
        },
        Number(low, high) => match parse_int(value) {
            // A server compares unsigned numbers as such.
            Some(number) if high == U32_MAX => within(i128::from(number as u64), low, high),
            Some(number) => within(i128::from(number), low, high),
            None => Err("argument couldn't be parsed into an integer".to_owned()),
        },
        Memory(low, high) => match bytes(value) {
            Some(number) => within(number, low, high),
            None => Err("argument must be a memory value".to_owned()),
        },
        Save => {
            let words: Vec<Option<i64>> =
                text().split_whitespace().map(|w| w.parse().ok()).collect();
            let good = |pair: &[Option<i64>]| matches!(pair, [Some(1..), Some(0..)]);
            if words.chunks(2).all(good) {
                Ok(text())
            } else {
                Err("Invalid save parameters".to_owned())
            }
        }
        Events => events(value),
    }
}

/// A number of bytes with or without a unit. A number that is too large wraps, as on a server.
fn bytes(text: &[u8]) -> Option<i128> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let units: [(&str, u64); 8] = [
        ("", 1),
        ("b", 1),
        ("k", 1000),
        ("kb", 1 << 10),
        ("m", 1_000_000),
        ("mb", 1 << 20),
        ("g", 1_000_000_000),
        ("gb", 1 << 30),
    ];
    let (_, factor) = units.into_iter().find(|(name, _)| is(unit, name))?;
    let number = match std::str::from_utf8(digits).ok()? {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    Some(i128::from(number.wrapping_mul(factor)))
}

/// The classes of events in the order in which a server shows them.
const EVENTS: &str = "g$lshzxetdnKEm";
/// Those that `A` stands for.
const EVENTS_ALL: &str = "g$lshzxetd";

fn events(value: &[u8]) -> Result<String, String> {
    let mut given = String::new();
    for byte in value {
        match char::from(*byte) {
            'A' => given.push_str(EVENTS_ALL),
            class if EVENTS.contains(class) => given.push(class),
            _ => {
                return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
            }
        }
    }
    let all = EVENTS_ALL.chars().all(|class| given.contains(class));
    // Beside all classes, new keys are not shown.
    let hidden = if all { "g$lshzxetdn" } else { "" };
    let rest = EVENTS.chars().filter(|class| given.contains(*class) && !hidden.contains(*class));
    Ok(all.then_some('A').into_iter().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_its_defaults_are_values() {
        assert!(PARAMETERS.is_sorted_by_key(|(name, ..)| *name));
        for (name, default, kind) in PARAMETERS {
            if !matches!(kind, Fixed) {
                assert_eq!(read(*kind, default.as_bytes()).as_deref(), Ok(*default), "{name}");
            }
            assert!(find(name.to_ascii_uppercase().as_bytes()).is_some());
        }
        for (alias, name) in aliases() {
            assert_eq!(find(alias.as_bytes()).map(|(name, ..)| *name), Some(name), "{alias}");
        }
    }

    #[test]
    fn values_are_read_as_servers_read_them() {
        let table = [
            (Memory(0, U64_MAX), "1gb", Ok("1073741824")),
            (Memory(0, U64_MAX), "1k", Ok("1000")),
            (Memory(0, U64_MAX), "x", Err("argument must be a memory value")),
            (Memory(0, U64_MAX), "-1", Err("argument must be a memory value")),
            (Number(1, 10), "11", Err("argument must be between 1 and 10 inclusive")),
            (Number(1, 10), "1x", Err("argument couldn't be parsed into an integer")),
            (YesNo, "YES", Ok("yes")),
            (Events, "KEA", Ok("AKE")),
            (Events, "xK", Ok("xK")),
            (Save, "3600 1 300 100", Ok("3600 1 300 100")),
            (Save, "3600", Err("Invalid save parameters")),
        ];
        for (kind, value, expected) in table {
            let got = read(kind, value.as_bytes());
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{value}");
        }
    }
}
