//! What URLs mean, and what is said about those that mean nothing.

use super::*;

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::tcp(host, port)
}

fn sentinel(service: &str) -> Deployment {
    Deployment::Sentinel { service: service.into(), username: None, password: None, tls: None }
}

/// Every scheme: where it leads, whether through TLS, and the port it takes by default.
#[test]
fn schemes() {
    for (server, tls) in [("redis", false), ("valkey", false), ("rediss", true), ("valkeys", true)]
    {
        let plain = Config::from_url(&format!("{server}://h")).unwrap();
        assert_eq!(plain, one_server().tls(tls));

        let cluster = Config::from_url(&format!("{server}-cluster://h,g:7001")).unwrap();
        let seeds = [tcp("h", 6379), tcp("g", 7001)];
        let wanted = Config::default().endpoints(seeds).deployment(Deployment::Cluster).tls(tls);
        assert_eq!(cluster, wanted);

        let url = format!("{}-Sentinel://h,g:7001/2?service=main", server.to_uppercase());
        let seeds = [tcp("h", 26379), tcp("g", 7001)];
        let wanted = Config::default().endpoints(seeds).deployment(sentinel("main")).tls(tls);
        assert_eq!(Config::from_url(&url).unwrap(), wanted.database(2));
    }
}

/// Each part of a URL, beside the setters that say the same.
#[test]
fn parts() {
    let base = one_server;
    let cluster = |seeds: &[Endpoint]| {
        Config::default().endpoints(seeds.to_vec()).deployment(Deployment::Cluster)
    };
    let table = [
        ("redis://h/", base()),
        ("redis://h?", base()),
        ("redis://h/0", base()),
        ("redis://h:6379/15", base().database(15)),
        ("redis://@h", base()),
        ("redis://:pw@h", base().password("pw")),
        ("redis://:@h", base().password("")),
        ("redis://ada:@h", base().username("ada").password("")),
        ("redis://ada:p:w@h", base().username("ada").password("p:w")),
        ("redis://ada:p@w@h", base().username("ada").password("p@w")),
        ("redis://a%3Ab:p%40%2F%2C%25%C3%A9@h", base().username("a:b").password("p@/,%é")),
        ("redis://[::1]", base().endpoints([tcp("::1", 6379)])),
        ("redis://[fe80::1%25eth0]:7000", base().endpoints([tcp("fe80::1%eth0", 7000)])),
        (
            "redis-cluster://h1:7000,h2,[::1]:7001",
            cluster(&[tcp("h1", 7000), tcp("h2", 6379), tcp("::1", 7001)]),
        ),
        (
            "redis://h?replicas=r1:7000,r2,%5B::1%5D:1",
            base().replicas([tcp("r1", 7000), tcp("r2", 6379), tcp("::1", 1)]),
        ),
        (
            "redis-cluster://h?address_map=10.0.0.1:1=nat:2,10.0.0.2:1%3Dnat:3",
            cluster(&[tcp("h", 6379)]).address_map([
                (tcp("10.0.0.1", 1), tcp("nat", 2)),
                (tcp("10.0.0.2", 1), tcp("nat", 3)),
            ]),
        ),
        (
            "redis://h?zones=h:6379=eu%20a,r:1=b",
            base().zones([(tcp("h", 6379), "eu a".into()), (tcp("r", 1), "b".into())]),
        ),
    ];
    for (url, wanted) in table {
        assert_eq!(Config::from_url(url).as_ref(), Ok(&wanted), "{url}");
        assert_eq!(url.parse().as_ref(), Ok(&wanted), "{url}");
    }
}

/// Unix sockets and sentinels have places of their own for what others write in the path.
#[test]
fn parts_of_sockets_and_sentinels() {
    let table = [
        (
            "unix:///run/redis.sock",
            Config::default().endpoints([Endpoint::unix("/run/redis.sock")]),
        ),
        (
            "unix://ada:pw@/run/redis@1%20%C3%A9?db=3&client_name=x",
            Config::default()
                .endpoints([Endpoint::unix("/run/redis@1 é")])
                .username("ada")
                .password("pw")
                .database(3)
                .client_name("x"),
        ),
        (
            "rediss-sentinel://ada:pw@s1,s2:1/4?service=my%20main&sentinel_username=watch\
             &sentinel_password=s%26cret&sentinel_tls=false",
            Config::default()
                .endpoints([tcp("s1", 26379), tcp("s2", 1)])
                .username("ada")
                .password("pw")
                .database(4)
                .tls(true)
                .deployment(Deployment::Sentinel {
                    service: "my main".into(),
                    username: Some("watch".into()),
                    password: Some("s&cret".into()),
                    tls: Some(false),
                }),
        ),
    ];
    for (url, wanted) in table {
        assert_eq!(Config::from_url(url).as_ref(), Ok(&wanted), "{url}");
        assert_eq!(url.parse().as_ref(), Ok(&wanted), "{url}");
    }
}

/// Every key that has a text of its own, with a value that is not its default.
#[test]
fn query_keys() {
    let secs = Duration::from_secs;
    let base = one_server;
    let shared = || base().subscription_connection(SubscriptionConnection::Shared);
    let table = [
        ("client_name=web-1", base().client_name("web-1")),
        ("protocol=resp2", base().protocol(Protocol::Resp2)),
        ("courtesies=false", base().courtesies(false)),
        ("read_from=prefer_replica", base().read_from(ReadFrom::PreferReplica)),
        ("max_staleness=2s", base().max_staleness(secs(2))),
        ("primary_fallback_percent_max=25", base().primary_fallback_percent_max(25)),
        ("command_timeout=1m", base().command_timeout(secs(60))),
        ("connect_timeout=500ms", base().connect_timeout(Duration::from_millis(500))),
        ("progress_timeout=1h", base().progress_timeout(secs(3600))),
        ("probe_interval=off", base().probe_interval(None)),
        ("backoff_base=7us", base().backoff_base(Duration::from_micros(7))),
        ("backoff_cap=999999999ns", base().backoff_cap(Duration::from_nanos(999_999_999))),
        ("attempts_max=1", base().attempts_max(1)),
        ("redirects_max=0", base().redirects_max(0)),
        ("refusal_wait_max=500ms", base().refusal_wait_max(Duration::from_millis(500))),
        ("retry_unknown=true", base().retry_unknown(true)),
        ("dials_per_second=1", base().dials_per_second(1)),
        ("refreshes_per_second=4294967295", base().refreshes_per_second(u32::MAX)),
        ("refresh_interval=off", base().refresh_interval(None)),
        ("sentinel_interval=1s", base().sentinel_interval(secs(1))),
        ("connections_per_node=4", base().connections_per_node(4)),
        ("exclusive_connections_max=8", base().exclusive_connections_max(8)),
        ("connections_max=6", base().connections_max(6)),
        ("subscription_connection=shared", shared()),
        ("node_bytes_max=1B", base().node_bytes_max(1)),
        ("when_full=fail", base().when_full(WhenFull::Fail)),
        ("pipeline_commands_max=10", base().pipeline_commands_max(10)),
        ("reply_bytes_max=64KiB", base().reply_bytes_max(64 << 10)),
        ("reply_depth_max=64", base().reply_depth_max(64)),
        ("subscription_bytes_max=2GiB", base().subscription_bytes_max(2 << 30)),
        ("subscription_messages_max=1", base().subscription_messages_max(1)),
        ("when_lagging=pause_reading", base().when_lagging(WhenLagging::PauseReading)),
    ];
    let tested = table.iter().map(|(text, _)| text.split('=').next().unwrap());
    assert!(tested.eq(keys::KEYS.iter().map(|key| key.name)), "a key is missing here");
    for (text, wanted) in table {
        let url = format!("redis://h:6379?{text}");
        assert_eq!(Config::from_url(&url).as_ref(), Ok(&wanted), "{url}");
        assert_eq!(wanted.to_url(), Ok(url));
    }
}

/// Every field has a key, or a place elsewhere in the URL: none is left out of the round trip.
#[test]
fn no_field_is_forgotten() {
    let serde_json::Value::Object(fields) = serde_json::to_value(Config::default()).unwrap() else {
        panic!("a configuration is an object");
    };
    let elsewhere = ["endpoints", "deployment", "username", "password", "database", "tls"];
    for field in fields.keys() {
        let known = keys::names().chain(elsewhere).any(|name| name == field);
        assert!(known, "{field} has no place in a URL");
    }
}

#[test]
fn read_policies() {
    let all = [
        ("primary", ReadFrom::Primary),
        ("prefer_replica", ReadFrom::PreferReplica),
        ("replica", ReadFrom::Replica),
        ("round_robin:replicas", ReadFrom::RoundRobin(Among::Replicas)),
        ("round_robin:all", ReadFrom::RoundRobin(Among::All)),
        ("random:replicas", ReadFrom::Random(Among::Replicas)),
        ("random:all", ReadFrom::Random(Among::All)),
        ("nearest:replicas", ReadFrom::Nearest(Among::Replicas)),
        ("nearest:all", ReadFrom::Nearest(Among::All)),
        ("least_loaded:replicas", ReadFrom::LeastLoaded(Among::Replicas)),
        ("least_loaded:all", ReadFrom::LeastLoaded(Among::All)),
        ("zone:eu-west-1a", ReadFrom::Zone("eu-west-1a".into())),
    ];
    for (text, policy) in all {
        let url = format!("redis://h?read_from={text}");
        assert_eq!(Config::from_url(&url).unwrap().read_from, policy);
        assert_eq!(serde_json::to_string(&policy).unwrap(), format!("\"{text}\""));
    }
    for text in ["", "Replica", "round_robin", "random:primary", "zone:", "zone", "replicas"] {
        let error = url_error(&format!("redis://h?read_from={text}"));
        assert!(error.to_string().starts_with(&format!("read_from: `{text}` is not one of")));
    }
}

/// Goal: each mistake has an error that names the thing, as it was written, and what is allowed.
#[test]
fn mistakes_in_a_url() {
    let table = [
        ("", "not a server's URL: it begins with a scheme and ://"),
        ("localhost:6379", "not a server's URL: it begins with a scheme and ://"),
        ("http://h", "unknown scheme `http`: allowed are redis,"),
        ("redis-ring://h", "unknown scheme `redis-ring`: allowed"),
        ("a b://h", "not a server's URL: its scheme holds letters"),
        ("redis://", "a host is missing"),
        ("redis://:6379", "a host is missing"),
        ("redis-cluster://h1,,h2", "a host is missing"),
        ("redis-cluster://h1,", "a host is missing"),
        ("redis://[]", "a host is missing"),
        ("redis://h:0", "the port of `h` is not a number from 1 to 65535"),
        ("redis://h:65536", "the port of `h` is not a number"),
        ("redis://h:", "the port of `h` is not a number"),
        ("redis://h:+80", "the port of `h` is not a number"),
        ("redis://[::1]:x", "the port of `::1` is not a number"),
        ("redis://[::g]", "`::g` is not a host"),
        ("redis://[::1", "`[::1` is not a host"),
        ("redis://[::1]x", "`[::1]x` is not a host"),
        ("redis://::1", "not a server's URL: a host with two colons"),
        ("redis://h%20x", "`h x` is not a host"),
        ("redis://h%2", "`h%2` is not a host"),
        ("redis://h/x", "database: `x` is not a whole number from 0 to 4294967295"),
        ("redis://h/-1", "database: `-1` is not a whole number"),
        ("redis://h/+1", "database: `+1` is not a whole number"),
        ("redis://h/4294967296", "database: `4294967296` is not a whole number"),
        ("redis://h/1/2", "database: `1/2` is not a whole number"),
        ("redis://h#x", "not a server's URL: it has no fragment"),
        ("redis://a:b@h1,a:b@h2", "not a server's URL: credentials are written once"),
        ("redis://a@h", "username: needs a password"),
        ("redis://a:%zz@h", "credentials: they must be percent-encoded UTF-8"),
        ("redis://a:%ff@h", "credentials: they must be percent-encoded UTF-8"),
    ];
    assert_mistakes(&table);
}

/// The same for what stands in the query.
#[test]
fn mistakes_in_a_query() {
    let table = [
        ("redis://h?x=1", "unknown key `x`: allowed are address_map, db, replicas,"),
        ("redis://h?=1", "unknown key ``: allowed are"),
        ("redis://h?a:b=1", "not a server's URL: a query key holds letters"),
        ("redis://h?client_name=a@b", "not a server's URL: an @ behind the host"),
        ("redis://h/0@1", "not a server's URL: an @ behind the host"),
        ("redis://h?command-timeout=1s", "unknown key `command-timeout`: allowed are"),
        ("redis://h?attempts_max=1&attempts_max=1", "attempts_max is written twice"),
        ("redis://h?attempts_max", "not a server's URL: each part of its query is key=value"),
        ("redis://h?attempts_max=", "attempts_max: `` is not a whole number"),
        ("redis://h?attempts_max=ten", "attempts_max: `ten` is not a whole number"),
        ("redis://h?attempts_max=%", "attempts_max: `%` is not percent-encoded UTF-8"),
        ("redis://h?command_timeout=5", "command_timeout: `5` is not a duration: a whole number"),
        ("redis://h?command_timeout=5sec", "command_timeout: `5sec` is not a duration"),
        ("redis://h?command_timeout=1.5s", "command_timeout: `1.5s` is not a duration"),
        ("redis://h?command_timeout=-1s", "command_timeout: `-1s` is not a duration"),
        ("redis://h?command_timeout=s", "command_timeout: `s` is not a duration"),
        ("redis://h?command_timeout=99999999999999999h", "command_timeout: `99999999999999999h`"),
        ("redis://h?command_timeout=off", "command_timeout: `off` is not a duration"),
        ("redis://h?refresh_interval=never", "refresh_interval: `never` is not off, or a duration"),
        ("redis://h?node_bytes_max=64", "node_bytes_max: `64` is not a size: a whole number"),
        ("redis://h?node_bytes_max=64MB", "node_bytes_max: `64MB` is not a size"),
        ("redis://h?node_bytes_max=99999999999GiB", "node_bytes_max: `99999999999GiB`"),
        ("redis://h?retry_unknown=yes", "retry_unknown: `yes` is not true or false"),
        ("redis://h?protocol=3", "protocol: `3` is not resp3 or resp2"),
        ("redis://h?when_full=drop", "when_full: `drop` is not wait or fail"),
        ("redis://h?when_lagging=x", "when_lagging: `x` is not one of drop_oldest"),
        ("redis://h?db=1", "db: only for a unix socket"),
        ("redis://h?service=main", "service: only with a scheme that ends in -sentinel"),
        (
            "redis-cluster://h?sentinel_tls=true",
            "sentinel_tls: only with a scheme that ends in -sentinel",
        ),
        ("redis-sentinel://h", "service is missing"),
        ("redis-sentinel://h?service=", "service is missing"),
        ("redis-sentinel://h?service=m&sentinel_tls=1", "sentinel_tls: `1` is not true or false"),
        ("redis-sentinel://h?service=m&sentinel_username=u", "sentinel_username: needs a password"),
        ("redis://h?replicas=", "a host is missing"),
        ("redis://h?replicas=r:0", "the port of `r` is not a number"),
        ("redis://h?address_map=a:1", "address_map: `a:1` is not host:port=value"),
        ("redis://h?address_map=a:1=b", "the port of `b` is not a number"),
        ("redis://h?zones=a=b", "the port of `a` is not a number"),
        ("redis://h?zones=a:1=b,a:1=c", "zones: a:1 is listed twice"),
        ("redis://h1,h2", "endpoints: a standalone server has one, not 2"),
        (
            "redis://h?courtesies=false&client_name=x",
            "client_name: a server is told it as a courtesy: leave out the name, or \
             courtesies=false",
        ),
        ("unix://", "endpoints: `` is not an absolute path"),
        ("unix://h/x", "not a server's URL: a unix socket has no host: write unix:///path"),
        ("unix:///x%00y", "endpoints: `/x\\0y` is not an absolute path"),
        ("unix:///x?db=a", "db: `a` is not a whole number"),
    ];
    assert_mistakes(&table);
}

/// Each URL has an error whose text begins so.
fn assert_mistakes(table: &[(&str, &str)]) {
    for (url, beginning) in table {
        let text = url_error(url).to_string();
        assert!(text.starts_with(beginning), "{url}: {text}");
    }
}

/// Goal: whatever is wrong, and wherever a password ends up by that, the error does not show it.
#[test]
fn no_error_shows_a_password() {
    let table = [
        "redis://user:hunter2",
        "redis://:hunter2",
        "redis://hunter2@h",
        "redis://user:hunter2:x",
        "redis://user:hunter2/x@h",
        "redis://user:x/hunter2@h",
        "redis://user:x?hunter2@h",
        "redis://user:x?hunter2=1@h",
        "redis://user:x#hunter2@h",
        "redis://user:x,hunter2@h",
        "redis://user:hunter2%@h",
        "redis://user:hunter2%ff@h",
        "redis://user:hunter2@h:x",
        "redis://user:hunter2@h/x",
        "redis://user:hunter2@h?x=1",
        "redis://user:x%zz@hunter2@h",
        "user:hunter2@h",
        "user:hunter2://h",
        "unix://user:hunter2/x",
        "unix://user:x/hunter2@/run/x",
        "unix://hunter2/run/x",
        "unix://?/user:hunter2@/run/x?db=1",
        "unix://?/user:hunter2=1",
        "redis-sentinel://h?service=m&sentinel_password=hunter2%",
        "redis-sentinel://h?service=m&sentinel_password=x&hunter2",
        "redis-cluster://h?sentinel_password=hunter2",
    ];
    for url in table {
        let error = url_error(url);
        let shown = format!("{error} {error:?} {:?}", crate::Error::from(error.clone()));
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
    let json = [
        r#"{"password": 20021}"#,
        r#"{"password": -20021}"#,
        r#"{"password": 20021.5}"#,
        r#"{"deployment": {"sentinel": {"service": "m", "password": 20021}}}"#,
    ];
    for text in json {
        let error = serde_json::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.starts_with("a password is a string"), "{error}");
        assert!(!error.contains("20021"), "{error}");
    }
    let config =
        Config::from_url("redis-sentinel://:hunter2@h?service=m&sentinel_password=hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
}
