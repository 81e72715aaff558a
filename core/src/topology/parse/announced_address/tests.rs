//! The rule as a table, one line for each thing that servers are known to say.

use super::*;

const PLAIN: Option<u16> = Some(7000);

/// `host`, as the text form of an endpoint.
fn dial(rule: AddressRule<'_>, host: &str) -> Option<String> {
    let told = Announcement { host, port: PLAIN, ..Announcement::default() };
    rule.resolve(told).endpoint.map(|endpoint| endpoint.to_string())
}

// spec: redis.io/commands/cluster-slots and cluster-shards, "endpoint"; the same holds for MOVED
// and ASK, so each line is tried as a redirect, too.
#[test]
fn a_host_is_named_or_that_of_the_node_asked_or_unknown() {
    let asked = Endpoint::tcp("seed.test", 7001);
    let rule = AddressRule { asked: &asked, tls: false, address_map: &BTreeMap::new() };
    let table = [
        ("10.0.0.1", Some("10.0.0.1:7000")),
        ("node-1.cluster.test", Some("node-1.cluster.test:7000")),
        ("fe80::1", Some("[fe80::1]:7000")),
        ("[fe80::1]", Some("[fe80::1]:7000")),
        ("", Some("seed.test:7000")),
        ("NULL", Some("seed.test:7000")),
        ("0.0.0.0", None),
        ("::", None),
        ("[::]", None),
        ("?", None),
    ];
    for (host, endpoint) in table {
        assert_eq!(dial(rule, host).as_deref(), endpoint, "{host:?}");
        for code in ["MOVED", "ASK"] {
            let line = format!("{code} 1 {host}:7000");
            let (host, port) = target(&line);
            let to = rule.redirect(&host, port).map(|endpoint| endpoint.to_string());
            assert_eq!(to.as_deref(), endpoint, "{line}");
        }
    }
}

/// Where a redirect leads, as `resp` reads it.
fn target(line: &str) -> (RedirectHost, u16) {
    use crate::resp::{Redirect, ServerError};
    match ServerError::from_text(line.as_bytes()).redirect().unwrap().unwrap() {
        Redirect::Ask { host, port, .. } | Redirect::Moved { host, port, .. } => (host, port),
    }
}

#[test]
fn the_port_is_that_of_the_protocol_in_use() {
    let asked = Endpoint::tcp("seed.test", 7001);
    let table = [
        // tls, port, tls-port, what is dialled
        (false, Some(7000), Some(7443), Some(7000)),
        (true, Some(7000), Some(7443), Some(7443)),
        (true, None, Some(7443), Some(7443)),
        // TLS that something in front of the servers speaks.
        (true, Some(7000), None, Some(7000)),
        // Nothing but TLS never answers to a plain connection.
        (false, None, Some(7443), None),
        (false, None, None, None),
    ];
    for (tls, port, tls_port, dialled) in table {
        let rule = AddressRule { asked: &asked, tls, address_map: &BTreeMap::new() };
        let told = Announcement { host: "h", port, tls_port, other_hosts: ["", ""] };
        let endpoint = rule.resolve(told).endpoint;
        let case = (tls, port, tls_port);
        assert_eq!(endpoint, dialled.map(|port| Endpoint::tcp("h", port)), "{case:?}");
    }
}

#[test]
fn the_address_map_comes_last_and_keeps_the_announced_name() {
    let asked = Endpoint::tcp("gate.test", 17001);
    let map = BTreeMap::from([
        (Endpoint::tcp("10.0.0.1", 7000), Endpoint::tcp("gate.test", 17001)),
        (Endpoint::tcp("gate.test", 7000), Endpoint::tcp("gate.test", 17009)),
        (Endpoint::tcp("fe80::2", 7000), Endpoint::tcp("gate.test", 17002)),
    ]);
    let rule = AddressRule { asked: &asked, tls: false, address_map: &map };
    let table = [
        ("10.0.0.1", "gate.test:17001"),
        ("[fe80::2]", "gate.test:17002"),
        ("10.0.0.3", "10.0.0.3:7000"),
        ("", "gate.test:17009"),
    ];
    for (host, endpoint) in table {
        assert_eq!(dial(rule, host).as_deref(), Some(endpoint), "{host:?}");
        let host = if host.is_empty() {
            RedirectHost::Same
        } else {
            RedirectHost::Named(host.trim_matches(['[', ']']).to_owned())
        };
        assert_eq!(rule.redirect(&host, 7000).unwrap().to_string(), endpoint);
    }
    let told = Announcement { host: "10.0.0.1", port: PLAIN, ..Announcement::default() };
    assert_eq!(rule.resolve(told).announced, Some(Endpoint::tcp("10.0.0.1", 7000)));
}

#[test]
fn other_hosts_are_aliases_by_the_same_rule() {
    let asked = Endpoint::tcp("seed.test", 7000);
    let map = BTreeMap::from([(Endpoint::tcp("10.0.0.1", 7000), Endpoint::tcp("gate", 1))]);
    let rule = AddressRule { asked: &asked, tls: false, address_map: &map };
    let aliases = |host, other_hosts| {
        let found = rule.resolve(Announcement { host, port: PLAIN, tls_port: None, other_hosts });
        found.aliases.iter().map(Endpoint::to_string).collect::<Vec<_>>()
    };
    assert_eq!(aliases("n1.test", ["10.0.0.1", "n1.test"]), ["gate:1"]);
    assert_eq!(aliases("10.0.0.1", ["10.0.0.1", "n1.test"]), ["n1.test:7000"]);
    assert_eq!(aliases("?", ["10.0.0.2", ""]), ["10.0.0.2:7000"]);
    assert_eq!(aliases("n1.test", ["", "?"]), [""; 0]);
}

#[test]
fn a_unix_socket_shares_its_host_with_nobody() {
    let asked = Endpoint::unix("/run/server.sock");
    let rule = AddressRule { asked: &asked, tls: false, address_map: &BTreeMap::new() };
    assert_eq!(dial(rule, ""), None);
    assert_eq!(dial(rule, "10.0.0.1").as_deref(), Some("10.0.0.1:7000"));
}
