//! Properties: what is written is read back, and nothing that is read can panic.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Any endpoint that can be dialled through TCP.
fn endpoint() -> impl Strategy<Value = Endpoint> {
    let host = prop_oneof![
        "[a-zA-Z0-9._-]{1,12}",
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        "fe80::[0-9a-f]{1,4}%[a-z0-9]{1,5}",
    ];
    (host, 1..=u16::MAX).prop_map(|(host, port)| Endpoint::Tcp { host, port })
}

/// Any duration but zero.
fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1..=u64::MAX, 0..1_000_000_000u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        (1..10_000u64).prop_map(Duration::from_millis),
        (1..10_000u64).prop_map(|minutes| Duration::from_secs(minutes * 60)),
    ]
}

/// Any text but the empty one, control characters and signs of the URL included.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{1,8}", "[:/?#@,=&%+ \\x00-\\x1f]{1,8}"]
}

fn read_from() -> impl Strategy<Value = ReadFrom> {
    let among = || prop_oneof![Just(Among::Replicas), Just(Among::All)];
    prop_oneof![
        Just(ReadFrom::Primary),
        Just(ReadFrom::PreferReplica),
        Just(ReadFrom::Replica),
        among().prop_map(ReadFrom::RoundRobin),
        among().prop_map(ReadFrom::Random),
        among().prop_map(ReadFrom::Nearest),
        among().prop_map(ReadFrom::LeastLoaded),
        zone().prop_map(|zone| ReadFrom::Zone(zone.into())),
    ]
}

fn zone() -> impl Strategy<Value = String> {
    text().prop_map(|zone| zone.replace([',', '='], "-"))
}

/// Credentials: none, a password, or both.
fn credentials() -> impl Strategy<Value = (Option<String>, Option<Secret>)> {
    let password = || prop_oneof![Just(String::new()), text()].prop_map(Secret::from);
    prop_oneof![
        Just((None, None)),
        password().prop_map(|password| (None, Some(password))),
        (text(), password()).prop_map(|(user, password)| (Some(user), Some(password))),
    ]
}

/// Where the nodes are, with everything that depends on it.
fn nodes() -> impl Strategy<Value = Config> {
    let servers = (endpoint(), vec(endpoint(), 0..3), any::<(bool, u32)>()).prop_map(
        |(primary, mut replicas, (tls, database))| {
            replicas.sort();
            replicas.dedup();
            replicas.retain(|replica| *replica != primary);
            Config::default().endpoints([primary]).replicas(replicas).tls(tls).database(database)
        },
    );
    let socket = (text(), any::<u32>()).prop_map(|(path, database)| {
        let path = format!("/{}", path.replace('\0', "-"));
        Config::default().endpoints([Endpoint::unix(path)]).database(database)
    });
    let cluster =
        (vec(endpoint(), 1..4), any::<(bool, u32)>()).prop_map(|(seeds, (tls, database))| {
            let config = Config::default().endpoints(seeds).tls(tls).database(database);
            config.deployment(Deployment::Cluster)
        });
    let sentinel =
        (vec(endpoint(), 1..4), text(), credentials(), any::<Option<bool>>(), any::<(bool, u32)>())
            .prop_map(|(seeds, service, (username, password), own_tls, (tls, database))| {
                let deployment = Deployment::Sentinel { service, username, password, tls: own_tls };
                Config::default()
                    .endpoints(seeds)
                    .deployment(deployment)
                    .tls(tls)
                    .database(database)
            });
    prop_oneof![servers, socket, cluster, sentinel]
}

/// Any configuration that validates.
fn config() -> impl Strategy<Value = Config> {
    let names = (
        credentials(),
        option::of("[!-~]{1,8}"),
        read_from(),
        btree_map(endpoint(), endpoint(), 0..3),
        btree_map(endpoint(), zone(), 0..3),
    );
    let times = (
        [duration(), duration(), duration(), duration(), duration(), duration()],
        [(); 4].map(|()| option::of(duration())),
    );
    let counts = (
        vec(1..=u32::MAX, 7),
        [1..=usize::MAX, 1..=usize::MAX, 1..=usize::MAX],
        (1..=256u32, 1..=128u32, 0..=100u32),
        (any::<[bool; 6]>(), 0..4usize),
    );
    (nodes(), names, times, counts).prop_map(|(mut c, names, times, counts)| {
        ((c.username, c.password), c.client_name, c.read_from, c.address_map, c.zones) = names;
        let mut targets = std::collections::BTreeSet::new();
        c.address_map.retain(|_, to| targets.insert(to.clone()));
        let [command, connect, progress, base, cap, sentinel] = times.0;
        (c.command_timeout, c.connect_timeout, c.progress_timeout) = (command, connect, progress);
        (c.backoff_base, c.backoff_cap) = (base.min(cap), base.max(cap));
        c.sentinel_interval = sentinel;
        [c.max_staleness, c.probe_interval, c.refresh_interval, c.refusal_wait_max] = times.1;
        (c.attempts_max, c.redirects_max, c.dials_per_second) =
            (counts.0[0], counts.0[1], counts.0[2]);
        (c.refreshes_per_second, c.exclusive_connections_max) = (counts.0[3], counts.0[4]);
        (c.pipeline_commands_max, c.subscription_messages_max) = (counts.0[5], counts.0[6]);
        [c.node_bytes_max, c.reply_bytes_max, c.subscription_bytes_max] = counts.1;
        (c.connections_per_node, c.reply_depth_max, c.primary_fallback_percent_max) = counts.2;
        let ([resp2, fail, retry, shared, courtesies, limits], lagging) = counts.3;
        c.connections_max = limits.then(|| counts.0[6].max(c.connections_per_node));
        c.protocol = if resp2 { Protocol::Resp2 } else { Protocol::Resp3 };
        c.when_full = if fail { WhenFull::Fail } else { WhenFull::Wait };
        c.retry_unknown = retry;
        c.courtesies = courtesies || c.client_name.is_some();
        if shared {
            c.subscription_connection = SubscriptionConnection::Shared;
        }
        c.when_lagging = [
            WhenLagging::DropOldest,
            WhenLagging::DropNewest,
            WhenLagging::Disconnect,
            WhenLagging::PauseReading,
        ][lagging];
        c
    })
}

/// A string made of a URL's building blocks, so that random ones get past the scheme.
fn almost_url() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("redis".to_owned()),
        Just("-sentinel".to_owned()),
        Just("-cluster".to_owned()),
        Just("unix".to_owned()),
        Just("://".to_owned()),
        Just("[::1%25e]".to_owned()),
        Just(":6379".to_owned()),
        Just("service=m".to_owned()),
        Just("address_map=a:1=b:2".to_owned()),
        Just("command_timeout=".to_owned()),
        "[:/?#@,=&%\\[\\]]",
        "[0-9a-zA-Z]{0,4}",
        "\\PC{0,2}",
    ];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn url_gives_back_the_configuration(config in config()) {
        let url = config.to_url().unwrap();
        let back = Config::from_url(&url);
        prop_assert_eq!(back.as_ref(), Ok(&config), "{}", url);
        prop_assert_eq!(back.unwrap().to_url(), Ok(url));
    }

    #[test]
    fn json_gives_back_the_configuration(config in config()) {
        let json = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{}", json);
    }

    #[test]
    fn any_string_is_a_configuration_or_an_error(url in prop_oneof![".*", almost_url()]) {
        match Config::from_url(&url) {
            Ok(config) => {
                let again = Config::from_url(&config.to_url().unwrap());
                prop_assert_eq!(again, Ok(config));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_damaged_url_shows_no_password(
        config in config(),
        cut in any::<prop::sample::Index>(),
        junk in "[:/?#@,=&%]{0,2}",
    ) {
        // The password is unlike everything else; damage in front of it or behind it must not show
        // it.
        let url = config.password("hunter2").to_url().unwrap();
        let at = cut.index(url.len());
        let damaged = format!("{}{junk}{}", &url[..at], &url[at..]);
        if let Err(error) = Config::from_url(&damaged) {
            prop_assert!(!error.to_string().contains("hunter2"), "{}: {}", damaged, error);
        }
    }
}
