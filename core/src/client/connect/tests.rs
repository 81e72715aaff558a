//! Each courtesy (`connection/courtesy.rs`) is refused in many words, by silence and by hanging up,
//! in each deployment: the client connects, reads and writes all the same.
//!
//! Invariant: virtual time; the server is a script.

use super::*;
use crate::config::Protocol;
use crate::driver::node::script::{Reply, Script, Server};
use crate::endpoint::Endpoint;
use crate::prelude::*;
use std::time::Duration;

/// Texts of servers, proxies and ACLs, which say the same in other words.
const TEXTS: [&str; 9] = [
    "NOPERM this user has no permissions to run the command",
    "ERR unknown command",
    "ERR command not found",
    "ERR Wrong CLUSTER subcommand or number of arguments",
    "ERR CLUSTER subcommand must be one of GETKEYSINSLOT, INFO, KEYSLOT, NODES, SLOTS",
    "ERR unknown subcommand",
    "ERR Unknown subcommand or wrong number of arguments for 'SHARDS'. Try CLUSTER HELP.",
    "ERR syntax error",
    "unsupported by this proxy",
];

/// How a server refuses.
#[derive(Clone, Copy, Debug)]
enum How {
    Says(&'static str),
    Hangup,
    Silence,
}

fn ways() -> Vec<How> {
    TEXTS.into_iter().map(How::Says).chain([How::Hangup, How::Silence]).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standalone,
    Cluster,
    Sentinel,
}

/// What is said unasked to a deployment.
fn courtesies(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Standalone => &["HELLO", "CLIENT", "CLIENT SETINFO", "CLIENT SETNAME", "PING"],
        Kind::Cluster => &[
            "HELLO",
            "CLIENT",
            "CLIENT SETINFO",
            "CLUSTER MYID",
            "CLUSTER SHARDS",
            "CLUSTER NODES",
            "PING",
        ],
        Kind::Sentinel => &[
            "HELLO",
            "CLIENT",
            "ROLE",
            "SENTINEL MASTER",
            "SENTINEL GET-MASTER-ADDR-BY-NAME",
            "SENTINEL REPLICAS",
            "SENTINEL SENTINELS",
            "PING",
        ],
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn list(items: &[&str]) -> String {
    let items: String = items.iter().map(|item| bulk(item)).collect();
    format!("*{}\r\n{items}", items.matches('$').count())
}

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn server() -> Endpoint {
    Endpoint::tcp("server", 6379)
}

fn sentinel() -> Endpoint {
    Endpoint::tcp("sentinel", 26379)
}

/// What a good server says.
fn answer(words: &str) -> String {
    let is = |start: &str| words == start || words.starts_with(&format!("{start} "));
    let node = format!("*3\r\n{}:6379\r\n{}", bulk("server"), bulk(ID));
    match words {
        _ if is("HELLO") => "%1\r\n+proto\r\n:3\r\n".to_owned(),
        _ if is("PING") => "+PONG\r\n".to_owned(),
        _ if is("GET") => bulk("v"),
        _ if is("ROLE") => format!("*3\r\n{}:1\r\n*0\r\n", bulk("master")),
        _ if is("CLUSTER MYID") => bulk(ID),
        _ if is("CLUSTER SLOTS") => format!("*1\r\n*3\r\n:0\r\n:16383\r\n{node}"),
        _ if is("CLUSTER SHARDS") => {
            let node = ["id", ID, "ip", "server", "endpoint", "server", "role", "master"];
            let health = format!("{}{}", bulk("health"), bulk("online"));
            let node = list(&node).replacen("*8", "*12", 1);
            let node = format!("{node}{}:6379\r\n{health}", bulk("port"));
            let slots = format!("{}*2\r\n:0\r\n:16383\r\n", bulk("slots"));
            format!("*1\r\n*4\r\n{slots}{}*1\r\n{node}", bulk("nodes"))
        }
        _ if is("CLUSTER NODES") => {
            bulk(&format!("{ID} server:6379@16379 myself,master - 0 0 1 connected 0-16383\n"))
        }
        _ if is("SENTINEL MASTER") => list(&[
            "name",
            "s",
            "ip",
            "server",
            "port",
            "6379",
            "flags",
            "master",
            "config-epoch",
            "1",
        ]),
        _ if is("SENTINEL GET-MASTER-ADDR-BY-NAME") => list(&["server", "6379"]),
        _ if is("SENTINEL") => "*0\r\n".to_owned(),
        _ if is("COMMAND INFO") => {
            "*1\r\n*6\r\n$3\r\nfoo\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n".to_owned()
        }
        _ => "+OK\r\n".to_owned(),
    }
}

/// A script of both servers, which refuse commands that begin with one of these words.
fn refusing(refused: &'static [&'static str], how: How) -> Script {
    let script = Script::default();
    let respond = move |args: &[String]| {
        let words = args.join(" ");
        let is = |start: &&&str| words == **start || words.starts_with(&format!("{start} "));
        match (refused.iter().find(is), how) {
            (None, _) => Reply::Text(answer(&words)),
            (Some(_), How::Says(text)) => Reply::Text(format!("-{text}\r\n")),
            (Some(_), How::Hangup) => Reply::Close,
            (Some(_), How::Silence) => Reply::Silence,
        }
    };
    script.set(&server(), Server::replying(respond));
    script.set(&sentinel(), Server::replying(respond));
    script
}

fn config(kind: Kind) -> Config {
    let config = Config::default();
    match kind {
        Kind::Standalone => config.endpoints([server()]),
        Kind::Cluster => config.endpoints([server()]).deployment(Deployment::Cluster),
        Kind::Sentinel => {
            let (service, username, password, tls) = ("s".to_owned(), None, None, None);
            let deployment = Deployment::Sentinel { service, username, password, tls };
            config.endpoints([sentinel()]).deployment(deployment)
        }
    }
}

/// Connects, writes and reads; how long that took.
fn check(script: &Script, config: Config, what: &str) -> Duration {
    script.run(async {
        let client = Client::connect(script.clone(), config).await;
        let client = client.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        client.set("k", "v").await.unwrap_or_else(|error| panic!("{what}: SET: {error:?}"));
        let value: Result<String, _> = client.get("k").await;
        assert_eq!(value.unwrap_or_else(|error| panic!("{what}: GET: {error:?}")), "v", "{what}");
    });
    script.now().since_epoch()
}

const KINDS: [Kind; 3] = [Kind::Standalone, Kind::Cluster, Kind::Sentinel];

/// A configuration with everything that a handshake may say, in both protocols, and a bare one.
fn configs(kind: Kind) -> Vec<Config> {
    let bare = config(kind);
    let full = bare.clone().password("pw").client_name("me").database(2);
    let resp2 = |config: &Config| config.clone().protocol(Protocol::Resp2);
    vec![resp2(&bare), resp2(&full), bare, full]
}

#[test]
fn each_courtesy_refused_in_each_way() {
    for kind in KINDS {
        for courtesy in courtesies(kind) {
            for how in ways() {
                for config in configs(kind) {
                    let what = format!("{kind:?} {courtesy} {how:?} {config:?}");
                    let refused: &'static [&'static str] = std::slice::from_ref(courtesy);
                    let took = check(&refusing(refused, how), config, &what);
                    let most = match how {
                        How::Says(_) => Duration::ZERO,
                        How::Hangup => Duration::from_millis(100),
                        // Two time-outs, and pauses.
                        How::Silence => Duration::from_secs(6),
                    };
                    assert!(took <= most, "{what}: {took:?}");
                }
            }
        }
    }
}

/// A proxy that knows neither HELLO nor CLIENT, like twemproxy, and a user who may say nothing.
#[test]
fn all_introductions_refused_in_each_way() {
    for kind in KINDS {
        for how in ways() {
            for config in configs(kind) {
                let what = format!("{kind:?} {how:?} {config:?}");
                check(&refusing(&["HELLO", "CLIENT"], how), config, &what);
            }
        }
        for text in TEXTS {
            let all: &'static [&'static str] = match kind {
                Kind::Sentinel => &[
                    "HELLO",
                    "CLIENT",
                    "PING",
                    "ROLE",
                    "SENTINEL MASTER",
                    "SENTINEL REPLICAS",
                    "SENTINEL SLAVES",
                    "SENTINEL SENTINELS",
                    "SUBSCRIBE",
                ],
                _ => &[
                    "HELLO",
                    "CLIENT",
                    "PING",
                    "CLUSTER MYID",
                    "CLUSTER SHARDS",
                    "CLUSTER NODES",
                    "COMMAND",
                ],
            };
            for config in configs(kind) {
                let what = format!("{kind:?} {text} {config:?}");
                check(&refusing(all, How::Says(text)), config, &what);
            }
        }
    }
}

/// What a node hangs up on is remembered: the second connection is made without it.
#[test]
fn a_hang_up_is_remembered_for_the_node() {
    let script = refusing(&["HELLO", "CLIENT"], How::Hangup);
    script.run(async {
        let config = config(Kind::Standalone).password("pw");
        let client = Client::connect(script.clone(), config).await.expect("without HELLO");
        assert_eq!((script.dials(&server()), script.received(&["HELLO"])), (2, 1));
        // An exclusive connection.
        client.send::<()>(cmd("BLPOP").arg("q").arg(1)).await.expect("it says OK");
        assert_eq!((script.dials(&server()), script.received(&["HELLO"])), (3, 1));
        assert_eq!(script.received(&["AUTH"]), 2, "each connection authenticates");
        assert_eq!(script.received(&["CLIENT"]), 0);
    });
}

/// Where nothing is refused, nothing more is said, and no connection more is made.
#[test]
fn a_good_server_is_dialled_once() {
    for (kind, commands) in KINDS.into_iter().zip([6, 8, 14]) {
        let script = refusing(&[], How::Hangup);
        check(&script, config(kind), "good");
        assert_eq!(script.dials(&server()), 1, "{kind:?}");
        let received = script.received(&[]);
        assert!(received <= commands, "{kind:?}: {received}");
    }
}

#[test]
fn without_courtesies_none_is_said() {
    for kind in KINDS {
        let script = refusing(&[], How::Hangup);
        check(&script, config(kind).courtesies(false), "off");
        for word in ["HELLO", "CLIENT", "PING", "ROLE", "COMMAND", "SUBSCRIBE"] {
            assert_eq!(script.received(&[word]), 0, "{kind:?} {word}");
        }
        assert_eq!(script.received(&["CLUSTER", "MYID"]), 0);
        // Credentials and database are no courtesies.
        let script = refusing(&[], How::Hangup);
        check(&script, config(kind).courtesies(false).password("pw").database(2), "off");
        assert!(script.received(&["AUTH", "pw"]) >= 1);
        assert_eq!(script.received(&["SELECT", "2"]), 1);
    }
}

/// Nothing about the credentials or the database is done without.
#[test]
fn credentials_and_database_are_no_courtesies() {
    for (refused, text, step) in [
        ("HELLO", "WRONGPASS invalid username-password pair", "HELLO"),
        ("AUTH", "ERR invalid password", "AUTH"),
        ("AUTH", "ERR unknown command 'AUTH'", "AUTH"),
        ("SELECT", "ERR SELECT is not allowed in cluster mode", "SELECT"),
        ("SELECT", "NOPERM this user has no permissions", "SELECT"),
    ] {
        let how = How::Says(text);
        let script = refusing(std::slice::from_ref(Box::leak(Box::new(refused))), how);
        let config = config(Kind::Cluster).password("pw").database(2);
        let config = match refused {
            "AUTH" => config.protocol(Protocol::Resp2),
            _ => config,
        };
        let error = script.run(Client::connect(script.clone(), config)).expect_err(text);
        let told = format!("{error}");
        assert!(told.contains(&format!("{step} was refused")), "{told}");
        assert_eq!(error.server_error().map(|e| e.to_string()).as_deref(), Some(text));
        assert_eq!(script.received(&["GET"]) + script.received(&["CLUSTER", "SHARDS"]), 0);
    }
    for refused in ["AUTH", "SELECT"] {
        let refused: &'static [&'static str] = std::slice::from_ref(Box::leak(Box::new(refused)));
        let script = refusing(refused, How::Hangup);
        let config = config(Kind::Standalone).password("pw").database(2);
        let config = config.protocol(Protocol::Resp2);
        let error = script.run(Client::connect(script.clone(), config)).expect_err("a hang-up");
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert_eq!(script.received(&["PING"]), 0, "no command without credentials");
    }
}

/// An empty password is a template that was filled with nothing; one of a user is a password.
#[test]
fn an_empty_password_is_none() {
    for protocol in ["resp3", "resp2"] {
        let script = refusing(&[], How::Hangup);
        let config = |url: &str| Config::from_url(&format!("{url}?protocol={protocol}")).unwrap();
        check(&script, config("redis://:@server"), "empty");
        let authenticated =
            |script: &Script| script.received(&["AUTH"]) + script.received(&["HELLO", "3", "AUTH"]);
        assert_eq!(authenticated(&script), 0, "{protocol}");
        check(&script, config("redis://user:@server"), "a user");
        assert_eq!(authenticated(&script), 1, "{protocol}");
    }
}

/// What a server said before it hung up is the cause. TLS is guessed only where a server took every
/// connection and never said a word.
#[test]
fn what_was_said_before_a_hang_up_is_shown() {
    let script = Script::default();
    let says = |text: &'static str| {
        Server::replying(move |args: &[String]| match &*args[0] {
            "HELLO" => Reply::Text(format!("-{text}\r\n")),
            _ => Reply::Close,
        })
    };
    let connect = |script: &Script| {
        let client = Client::connect(script.clone(), config(Kind::Standalone));
        script.run(client).expect_err("it hangs up")
    };
    script.set(&server(), says("ERR this proxy is closed on Sundays"));
    let error = connect(&script);
    let told = error.server_error().map(ToString::to_string);
    assert_eq!(told.as_deref(), Some("ERR this proxy is closed on Sundays"), "{error:?}");
    assert!(!error.to_string().contains("TLS"), "{error}");
    script.set(&server(), Server::replying(|_| Reply::Close));
    let error = connect(&script);
    assert!(error.to_string().contains("; does this port require TLS?"), "{error}");
    // It hangs up only after it has answered.
    script.set(
        &server(),
        Server::replying(|args: &[String]| match &*args[0] {
            "HELLO" => Reply::Text(answer("HELLO")),
            _ => Reply::Close,
        }),
    );
    let client = Client::connect(script.clone(), config(Kind::Standalone).database(1));
    let error = script.run(client).expect_err("it hangs up");
    assert!(!error.to_string().contains("TLS"), "{error}");
}

/// Any answer to PING shows that the server is there, but those about credentials.
#[test]
fn ping_may_be_refused() {
    for text in TEXTS {
        check(&refusing(&["PING"], How::Says(text)), config(Kind::Standalone), text);
    }
    for text in ["NOAUTH Authentication required.", "WRONGPASS no", "DENIED protected mode"] {
        let script = refusing(&["PING"], How::Says(text));
        let client = Client::connect(script.clone(), config(Kind::Standalone));
        let error = script.run(client).expect_err(text);
        assert_eq!(error.server_error().map(ToString::to_string).as_deref(), Some(text));
    }
}

/// A server is asked once about a command that the client does not know, however it answers.
#[test]
fn a_refused_command_info_is_not_asked_again() {
    for how in ways() {
        let script = refusing(&["COMMAND"], how);
        script.run(async {
            let client = Client::connect(script.clone(), config(Kind::Cluster)).await;
            let client = client.expect("it answers");
            for _ in 0..3 {
                let sent = client.send::<()>(cmd("JSON.FOO").arg("k")).await;
                sent.unwrap_or_else(|error| panic!("{how:?}: {error:?}"));
            }
        });
        let asked = script.received(&["COMMAND"]);
        let most = if matches!(how, How::Says(_)) { 1 } else { 3 };
        assert!((1..=most).contains(&asked), "{how:?}: {asked}");
    }
}

/// One bad entry of a sentinel is one entry; what is no address is not dialled.
#[test]
fn what_a_sentinel_says_wrong_is_left_out_and_not_dialled() {
    const BAD: [(&str, &str); 6] =
        [("", "1"), ("?", "1"), ("0.0.0.0", "1"), ("::", "1"), ("host", "0"), ("host", "no")];
    let script = Script::default();
    let respond = |args: &[String]| {
        let entry = |(host, port)| list(&["ip", host, "port", port, "flags", "slave"]);
        let words = args.join(" ");
        Reply::Text(match words.as_str() {
            "SENTINEL REPLICAS s" | "SENTINEL SENTINELS s" => {
                format!("*6\r\n{}", BAD.map(entry).concat())
            }
            "SENTINEL MASTER s" => list(&["ip", "?", "port", "0", "config-epoch", "none"]),
            _ => answer(&words),
        })
    };
    script.set(&server(), Server::replying(respond));
    script.set(&sentinel(), Server::replying(respond));
    script.run(async {
        let client = Client::connect(script.clone(), config(Kind::Sentinel)).await;
        let client = client.expect("the primary's address is told");
        client.set("k", "v").await.expect("it is dialled");
        assert_eq!(client.metrics().entries_left_out, 2 * BAD.len() as u64);
        assert!(client.topology().shards[0].replicas.is_empty());
    });
    for (host, port) in BAD {
        let port = port.parse().unwrap_or_default();
        assert_eq!(script.dials(&Endpoint::tcp(host, port)), 0, "{host:?} {port}");
    }
}

/// Of two that are refused, each is done without: at once or, where the server is silent, by the
/// second call. A sentinel that is silent on two may as well be suspended, and a server that hangs
/// up on PING, too, need not be there: for these there is the setting.
#[test]
fn two_courtesies_refused_in_each_way() {
    for kind in KINDS {
        let all = courtesies(kind);
        let pairs = (0..all.len()).flat_map(|n| (0..n).map(move |m| [all[m], all[n]]));
        // What else says who the primary is?
        let needed = ["SENTINEL MASTER", "SENTINEL GET-MASTER-ADDR-BY-NAME"];
        for pair in pairs.filter(|pair| *pair != needed) {
            let refused: &'static [&'static str] = Box::leak(Box::new(pair));
            for config in configs(kind) {
                let what = format!("{kind:?} {pair:?} {config:?}");
                check(&refusing(refused, How::Says(TEXTS[0])), config.clone(), &what);
                if pair[1] == "PING" {
                    let off = Config { client_name: None, ..config }.courtesies(false);
                    check(&refusing(refused, How::Hangup), off, &what);
                    continue;
                }
                check(&refusing(refused, How::Hangup), config.clone(), &what);
                if kind == Kind::Sentinel {
                    continue;
                }
                let script = refusing(refused, How::Silence);
                script.run(async {
                    let client = Client::connect_lazy(script.clone(), config).expect("good");
                    let _ = client.set("k", "v").await;
                    let second = client.set("k", "v").await;
                    second.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                });
            }
        }
    }
}
