//! Simulated sentinels against real ones: the same commands must give replies of the same shape.
//!
//! A shape is a reply without what differs from run to run: addresses, ports, ids and times. Kinds
//! of replies, names and order of fields, flags, counts, epochs and the texts of errors and
//! announcements stay. Servers and sentinels have different fields in different versions, so both
//! are compared in two versions, over both protocols.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

use slotcar_sim::{Served, Sim};
use slotcar_tests::real::wait::{BOUND, until};
use slotcar_tests::real::{Conn, Reply, Sentinels, Version};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Fields whose numbers are compared.
const COUNTS: [&str; 7] = [
    "config-epoch",
    "num-slaves",
    "num-other-sentinels",
    "quorum",
    "slave-priority",
    "replica-announced",
    "voted-leader-epoch",
];
/// Commands that are sent while no server is down.
const QUESTIONS: [&str; 31] = [
    "PING",
    "ROLE",
    "SENTINEL MASTER mymaster",
    "SENTINEL MASTER other",
    "SENTINEL MASTER",
    "SENTINEL MASTERS",
    "SENTINEL REPLICAS mymaster",
    "SENTINEL REPLICAS other",
    "SENTINEL SLAVES mymaster",
    "SENTINEL SENTINELS mymaster",
    "SENTINEL SENTINELS other",
    "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
    "SENTINEL GET-MASTER-ADDR-BY-NAME other",
    "SENTINEL MYID",
    "SENTINEL CKQUORUM mymaster",
    "SENTINEL CKQUORUM other",
    "SENTINEL RESET no*",
    "SENTINEL FAILOVER other",
    "SENTINEL BOGUS",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *",
    "CLIENT SETINFO LIB-NAME slotcar",
    "CLIENT SETNAME me",
    "AUTH word",
    "GET k",
    "SET k v",
    "SELECT 1",
    "MULTI",
    "READONLY",
    "SSUBSCRIBE c",
    "PUBLISH c m",
    "SUBSCRIBE +switch-master",
];

/// A group of either kind.
enum Group {
    Real(Sentinels),
    Simulated(Served),
}

impl Group {
    /// A primary, two replicas and three sentinels, real and simulated.
    fn pair(name: &str) -> [Group; 2] {
        let version = Version::named(name).unwrap();
        let (major, minor, patch) = version.number();
        let [major, minor, patch] = [major, minor, patch].map(|n| u8::try_from(n).unwrap());
        let simulated = match name.starts_with("valkey") {
            true => slotcar_sim::Version::valkey(major, minor, patch),
            false => slotcar_sim::Version::redis(major, minor, patch),
        };
        let served = Sim::sentinel(2, 3).version(simulated).serve().unwrap();
        [Group::Real(Sentinels::of(&version).start()), Group::Simulated(served)]
    }

    fn sentinel(&self, index: usize) -> SocketAddr {
        match self {
            Self::Real(group) => group.sentinel(index).address(),
            Self::Simulated(served) => served.addresses()[&format!("s{}", index + 1)],
        }
    }

    fn kill_sentinel(&self, index: usize) {
        match self {
            Self::Real(group) => group.sentinel(index).kill(),
            Self::Simulated(served) => served.sim().kill(&format!("s{}", index + 1)),
        }
    }

    fn kill_primary(&self) {
        match self {
            Self::Real(group) => group.server(group.primary().unwrap()).kill(),
            Self::Simulated(served) => served.sim().kill(&served.sim().agreed_primary().unwrap()),
        }
    }

    fn set_password(&self, index: usize, word: &str) {
        match self {
            Self::Real(group) => {
                group
                    .sentinel(index)
                    .call(&["ACL", "SETUSER", "default", &format!(">{word}")])
                    .ok();
            }
            Self::Simulated(served) => {
                served.sim().set_password(&format!("s{}", index + 1), word);
            }
        }
    }

    /// Sends commands to one sentinel on a new connection, first HELLO.
    fn ask(&self, index: usize, protocol: &str, questions: &[&str]) -> Vec<String> {
        let mut conn = Conn::open(self.sentinel(index)).unwrap();
        let hello = format!("HELLO {protocol}");
        let questions = [&*hello].into_iter().chain(questions.iter().copied());
        let one = |question: &str| {
            let words: Vec<&str> = question.split(' ').collect();
            format!("{question}: {}", shape(&conn.call(&words).unwrap()))
        };
        questions.map(one).collect()
    }

    /// Waits until all servers and sentinels are known, connected and in sync.
    fn settle(&self) {
        until("all servers to be in sync", || {
            let of = |what| format!("SENTINEL {what} mymaster");
            let questions = ["MASTER", "REPLICAS", "SENTINELS"].map(of);
            let told = self.ask(0, "3", &questions.each_ref().map(|q| &**q));
            let ails =
                |one: &String| ["disconnected", "\"err\"", "\"\""].iter().any(|w| one.contains(w));
            let all = told[2..].iter().all(|one| one.contains(": 2 of ["));
            (all && !told[1..].iter().any(ails)).then_some(())
        });
    }

    /// The shape of a reply, once it contains `wanted`.
    fn ask_until(&self, question: &str, wanted: &str) -> String {
        until(wanted, || {
            self.ask(0, "3", &[question]).pop().filter(|answer| answer.contains(wanted))
        })
    }

    /// The announcements of a sentinel, from before the primary is killed until the replicas follow
    /// the next one: channels and shapes.
    /// channels and shapes.
    fn announcements(&self) -> BTreeSet<String> {
        let mut conn = Conn::open(self.sentinel(0)).unwrap();
        conn.set_timeout(Duration::from_millis(200)).unwrap();
        conn.call(&["HELLO", "3"]).unwrap();
        conn.call(&["PSUBSCRIBE", "*"]).unwrap();
        self.kill_primary();
        let began = Instant::now();
        let mut heard = BTreeSet::new();
        while !heard.iter().any(|one: &String| one.contains("+switch-master")) {
            assert!(began.elapsed() < BOUND, "no failover: {heard:?}");
            // A read that times out is an error, too.
            heard.extend(conn.receive().ok().map(|push| shape(&push)));
        }
        while let Ok(push) = conn.receive() {
            heard.insert(shape(&push));
        }
        heard
    }
}

/// A reply without what differs from run to run.
fn shape(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(shape).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Array(items) if is_table(items) => {
            let pairs = items.chunks(2).map(|pair| pair_shape(&pair[0], &pair[1]));
            format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
        }
        // The order in which sentinels list the others is not defined.
        Reply::Array(items) => {
            let each: BTreeSet<String> = items.iter().map(shape).collect();
            format!("{} of [{}]", items.len(), each.into_iter().collect::<Vec<_>>().join(" "))
        }
        Reply::Map(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| pair_shape(name, value));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Reply::Push(items) => format!("push [{}]", list(items)),
        Reply::Bulk(_) => format!("\"{}\"", words(&reply.text())),
        Reply::Error(text) => format!("! {text}"),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "null".to_owned(),
        Reply::Status(text) => text.clone(),
    }
}

/// Whether a list is pairs of names and values.
fn is_table(items: &[Reply]) -> bool {
    let first = items.first().map(Reply::text);
    items.len() > 4 && matches!(first.as_deref(), Some("name" | "server"))
}

fn pair_shape(name: &Reply, value: &Reply) -> String {
    let name = name.text();
    let counts = COUNTS.contains(&&*name);
    match value {
        Reply::Bulk(_) if counts => format!("{name} \"{}\"", value.text()),
        Reply::Integer(_) if name == "id" => format!("{name} N"),
        _ => format!("{name} {}", shape(value)),
    }
}

/// A text without addresses, numbers and ids.
fn words(text: &str) -> String {
    let is_id = |word: &str| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let one = |word: &str| match word {
        _ if is_number(word) => "N".to_owned(),
        _ if word.split('/').all(is_number) => "N/N".to_owned(),
        _ if word.parse::<SocketAddr>().is_ok() => "ADDRESS".to_owned(),
        _ if word.parse::<std::net::IpAddr>().is_ok() => "IP".to_owned(),
        _ if is_id(word) => "ID".to_owned(),
        _ => word.to_owned(),
    };
    text.split(' ').map(one).collect::<Vec<_>>().join(" ")
}

/// Compares line by line.
#[track_caller]
fn same(version: &str, [real, simulated]: [Vec<String>; 2]) {
    assert_eq!(real.len(), simulated.len(), "{version}");
    let differ = real.iter().zip(&simulated).filter(|(real, simulated)| real != simulated);
    let told: Vec<_> = differ.map(|(r, s)| format!("real      {r}\nsimulated {s}")).collect();
    assert!(told.is_empty(), "{version}: {} differ\n{}", told.len(), told.join("\n"));
}

const VERSIONS: [&str; 2] = ["redis-7.0", "valkey-8.1"];

#[test]
fn sentinels_answer_alike_while_all_is_well() {
    for version in VERSIONS {
        let pair = Group::pair(version);
        pair.iter().for_each(Group::settle);
        for protocol in ["2", "3"] {
            same(version, [0, 1].map(|kind| pair[kind].ask(0, protocol, &QUESTIONS)));
        }
    }
}

#[test]
fn sentinels_with_a_password_refuse_alike() {
    let questions = [
        "SENTINEL MASTER mymaster",
        "PING",
        "AUTH wrong",
        "HELLO 3 AUTH default wrong",
        "AUTH s3cret",
        "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
    ];
    for version in VERSIONS {
        let pair = Group::pair(version);
        pair.iter().for_each(|group| group.set_password(0, "s3cret"));
        same(version, [0, 1].map(|kind| pair[kind].ask(0, "3", &questions)));
    }
}

/// Without the others, a sentinel can only report that they, and then the primary, are down.
#[test]
fn a_sentinel_alone_tells_of_the_dead_alike() {
    for version in VERSIONS {
        let pair = Group::pair(version);
        let told = [0, 1].map(|kind| {
            let group = &pair[kind];
            [1, 2].iter().for_each(|index| group.kill_sentinel(*index));
            let down = "flags \"s_down,sentinel,disconnected\"";
            let sentinels = until("both to be down", || {
                let told = group.ask(0, "3", &["SENTINEL SENTINELS mymaster"]).pop();
                // Equal shapes are shown once.
                told.filter(|told| told.contains(down) && !told.contains("flags \"sentinel"))
            });
            group.kill_primary();
            let primary = group.ask_until("SENTINEL MASTER mymaster", "\"s_down,");
            let quorum = group.ask_until("SENTINEL CKQUORUM mymaster", "NOQUORUM");
            vec![sentinels, primary, quorum]
        });
        same(version, told);
    }
}

/// The sentinel that leads a failover announces more than the others, and chance decides which one
/// leads: only what both announced is compared, by channel.
#[test]
fn a_failover_is_announced_alike() {
    for version in VERSIONS {
        let [real, simulated] = Group::pair(version).map(|group| group.announcements());
        let channel = |one: &String| one.split('"').nth(5).map(str::to_owned).unwrap();
        let of = |heard: &BTreeSet<String>, wanted: &str| {
            heard.iter().filter(|one| channel(one) == wanted).cloned().collect::<BTreeSet<_>>()
        };
        let both: BTreeSet<String> = real.iter().map(channel).collect();
        let both = both.into_iter().filter(|one| !of(&simulated, one).is_empty());
        let both: Vec<String> = both.collect();
        println!("{version}: {both:?}");
        for wanted in ["+new-epoch", "+sdown", "+slave", "+switch-master"] {
            assert!(both.iter().any(|one| one == wanted), "{wanted}: {real:?}\n{simulated:?}");
        }
        for one in both {
            let (real, simulated) = (of(&real, &one), of(&simulated, &one));
            // A failover may also mark replicas as down for a short time.
            assert!(real.intersection(&simulated).next().is_some(), "{real:?}\n{simulated:?}");
        }
    }
}
