//! What fits together, and what does not.

use super::*;
use std::path::PathBuf;

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::tcp(host, port)
}

/// A cluster that validates.
fn cluster() -> Config {
    one_server().deployment(Deployment::Cluster)
}

/// Goal: each contradiction names the setting, and what is allowed.
#[test]
fn contradictions() {
    let zero = Duration::ZERO;
    let base = one_server;
    let table = [
        (Config::default(), "endpoints is missing"),
        (base().endpoints([tcp("", 1)]), "a host is missing"),
        (base().endpoints([tcp("h", 0)]), "the port of `h`"),
        (base().endpoints([tcp("a b", 1)]), "`a b` is not a host"),
        (base().endpoints([tcp("[x", 1)]), "`[x` is not a host"),
        (base().endpoints([tcp("a,b", 1)]), "`a,b` is not a host"),
        (base().endpoints([tcp("fe80::1%", 1)]), "`fe80::1%` is not a host"),
        (base().endpoints([tcp("ü", 1)]), "`ü` is not a host"),
        (base().endpoints([tcp("a", 1), tcp("b", 1)]), "endpoints: a standalone server has one"),
        (base().endpoints([Endpoint::unix("x")]), "endpoints: `x` is not an absolute path"),
        (base().endpoints([Endpoint::unix("/x")]).tls(true), "tls: a unix socket has no TLS"),
        (cluster().endpoints([Endpoint::unix("/x")]), "endpoints: a unix socket is for"),
        (base().replicas([Endpoint::unix("/x")]), "replicas: a unix socket cannot be"),
        (base().replicas([tcp("h", 6379)]), "replicas: h:6379 is listed twice"),
        (base().replicas([tcp("r", 1), tcp("r", 1)]), "replicas: r:1 is listed twice"),
        (base().replicas([tcp("r", 0)]), "the port of `r`"),
        (cluster().replicas([tcp("r", 1)]), "replicas: only for a standalone server"),
        (base().username("ada"), "username: needs a password"),
        (base().client_name(""), "client_name: `` is not printable ASCII"),
        (base().client_name("a b"), "client_name: `a b` is not printable"),
        (base().client_name("a\nb"), "client_name: `a\\nb` is not printable"),
        (base().read_from(ReadFrom::Zone("".into())), "read_from: `` is not the name of a zone"),
        (base().zones([(tcp("h", 1), "a,b".into())]), "zones: `a,b` is not the name of a zone"),
        (base().zones([(tcp("h", 0), "a".into())]), "the port of `h`"),
        (base().max_staleness(zero), "max_staleness: `0s` is not a duration above zero"),
        (base().command_timeout(zero), "command_timeout: `0s` is not a duration"),
        (base().connect_timeout(zero), "connect_timeout: `0s` is not a duration"),
        (base().progress_timeout(zero), "progress_timeout: `0s` is not a duration"),
        (base().refusal_wait_max(zero), "refusal_wait_max: `0s` is not a duration"),
        (base().probe_interval(zero), "probe_interval: `0s` is not a duration"),
        (base().backoff_base(zero), "backoff_base: `0s` is not a duration"),
        (base().refresh_interval(zero), "refresh_interval: `0s` is not a duration"),
        (base().sentinel_interval(zero), "sentinel_interval: `0s` is not a duration"),
        (
            base().backoff_base(Duration::from_secs(3)),
            "backoff_base: 3s is more than the backoff_cap of 2s",
        ),
        (base().attempts_max(0), "attempts_max: `0` is not a number from 1"),
        (base().dials_per_second(0), "dials_per_second: `0` is not"),
        (base().exclusive_connections_max(0), "exclusive_connections_max: `0` is not"),
        (base().connections_max(0), "connections_max: `0` is not a number from 1"),
        (
            base().connections_max(3).connections_per_node(4),
            "connections_per_node: 4 is more than the connections_max of 3",
        ),
        (base().connections_per_node(0), "connections_per_node: `0` is not a number from 1 to 256"),
        (base().connections_per_node(257), "connections_per_node: `257` is not"),
        (base().pipeline_commands_max(0), "pipeline_commands_max: `0` is not"),
        (base().primary_fallback_percent_max(101), "primary_fallback_percent_max: `101` is not"),
        (base().refreshes_per_second(0), "refreshes_per_second: `0` is not"),
        (base().reply_depth_max(0), "reply_depth_max: `0` is not"),
        (base().reply_depth_max(129), "reply_depth_max: `129` is not a number from 1 to 128"),
        (base().subscription_messages_max(0), "subscription_messages_max: `0` is not"),
        (base().node_bytes_max(0), "node_bytes_max: `0B` is not a size of at least one byte"),
        (base().reply_bytes_max(0), "reply_bytes_max: `0B` is not"),
        (base().subscription_bytes_max(0), "subscription_bytes_max: `0B` is not"),
    ];
    for (config, beginning) in table {
        let error = config.validate().expect_err(beginning);
        assert!(error.to_string().starts_with(beginning), "{error}");
        assert_eq!(config.to_url(), Err(error), "what cannot be used has no URL");
    }
}

/// Sentinels have credentials of their own.
#[test]
fn sentinel_rules() {
    let sentinel = |service: &str, user: Option<&str>, password: Option<&str>| {
        one_server().deployment(Deployment::Sentinel {
            service: service.into(),
            username: user.map(String::from),
            password: password.map(Secret::from),
            tls: None,
        })
    };
    let missing = ConfigError::Missing { key: "service" };
    assert_eq!(sentinel("", None, None).validate(), Err(missing));
    let error = sentinel("m", Some("u"), None).validate().unwrap_err().to_string();
    assert!(error.starts_with("sentinel_username: needs a password"), "{error}");
    assert_eq!(sentinel("m", Some("u"), Some("")).validate(), Ok(()));
    assert_eq!(sentinel("m", None, Some("p")).database(9).validate(), Ok(()));
}

/// A map that folds two nodes into one address would make redirects run in a circle.
#[test]
fn address_map_keeps_nodes_apart() {
    let map = |to: [u16; 2]| {
        cluster().address_map([
            (tcp("10.0.0.1", 1), tcp("nat", to[0])),
            (tcp("10.0.0.2", 1), tcp("nat", to[1])),
        ])
    };
    assert_eq!(map([1, 2]).validate(), Ok(()));
    let error = map([1, 1]).validate().unwrap_err().to_string();
    assert_eq!(error, "address_map: 10.0.0.1:1 and 10.0.0.2:1 both lead to nat:1");
}

/// Hosts that are fine although they look odd.
#[test]
fn hosts_that_are_taken() {
    for host in ["a_b.c-d", "10.0.0.1", "::", "::ffff:10.0.0.1", "fe80::1%eth0", "xn--bcher-kva"] {
        assert_eq!(one_server().endpoints([tcp(host, 1)]).validate(), Ok(()), "{host}");
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf8_has_no_url() {
    use std::os::unix::ffi::OsStringExt;
    let path = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
    let config = one_server().endpoints([Endpoint::unix(path)]);
    assert!(matches!(config.to_url(), Err(ConfigError::InvalidValue { key: "endpoints", .. })));
}

/// Serde takes the same names and texts, and refuses what it does not know by name.
#[test]
fn serde_rules() {
    let text = r#"{
        "endpoints": ["10.0.0.1:7000", "[::1]:7001"],
        "deployment": "cluster",
        "address_map": {"10.0.0.9:1": "nat:2"},
        "read_from": "round_robin:replicas",
        "refresh_interval": "off",
        "command_timeout": "1500ms",
        "node_bytes_max": "1MiB",
        "attempts_max": 3
    }"#;
    let wanted = cluster()
        .endpoints([tcp("10.0.0.1", 7000), tcp("::1", 7001)])
        .address_map([(tcp("10.0.0.9", 1), tcp("nat", 2))])
        .read_from(ReadFrom::RoundRobin(Among::Replicas))
        .refresh_interval(None)
        .command_timeout(Duration::from_millis(1500))
        .node_bytes_max(1 << 20)
        .attempts_max(3);
    assert_eq!(serde_json::from_str::<Config>(text).unwrap(), wanted);
    assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());

    let table = [
        (r#"{"atempts_max": 3}"#, "unknown field `atempts_max`"),
        (r#"{"attempts_max": 3, "attempts_max": 3}"#, "duplicate field `attempts_max`"),
        (r#"{"endpoints": ["h"]}"#, "the port of `h` is not a number"),
        (r#"{"endpoints": ["unix:x"]}"#, "the port of `unix` is not a number"),
        (r#"{"endpoints": ["unix:80"], "tls": 1}"#, "invalid type: integer `1`"),
        (r#"{"zones": {"h": "a"}}"#, "the port of `h` is not a number"),
        (r#"{"command_timeout": "5"}"#, "`5` is not a duration"),
        (r#"{"read_from": "replicas"}"#, "`replicas` is not one of primary"),
        (r#"{"deployment": "ring"}"#, "unknown variant `ring`"),
        (r#"{"deployment": {"sentinel": {}}}"#, "missing field `service`"),
        (r#"{"deployment": {"sentinel": {"service": "m", "x": 1}}}"#, "unknown field `x`"),
    ];
    for (text, beginning) in table {
        let error = serde_json::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.starts_with(beginning), "{text}: {error}");
    }
}
