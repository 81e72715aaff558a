//! Reads under a policy against scripted nodes.

use super::*;
use crate::command::{Command, eval_ro, fcall_ro, get};
use crate::config::{Config, ReadFrom};
use crate::driver::scripted_cluster::{Answer, ScriptedCluster};
use crate::resp::from_frame;

const SECOND: Duration = Duration::from_secs(1);
/// The replicas of the only shard, or of the first.
const REPLICAS: [&str; 2] = ["c", "d"];

/// A client with a read policy.
struct Reader {
    /// The cluster.
    script: ScriptedCluster,
    /// The client's view of it.
    topology: Arc<LiveTopology>,
    /// Its read settings.
    settings: Arc<ReadSettings>,
}

impl Reader {
    /// `primaries` primaries, of which a owns `k` and has the replicas c and d.
    fn start(primaries: u16, policy: ReadFrom) -> Self {
        Self::with(primaries, Config::default().read_from(policy))
    }

    fn with(primaries: u16, config: Config) -> Self {
        let script =
            ScriptedCluster::of_primaries(primaries).with_replica("c", "a").with_replica("d", "a");
        let topology = script.topology(config.clone());
        Self { script, topology, settings: Arc::new(ReadSettings::of(&config)) }
    }

    /// The next GET at both replicas gets this answer.
    fn both(&self, answer: impl Fn() -> Answer) {
        for name in REPLICAS {
            self.script.on(name, "GET k", answer());
        }
    }

    /// Reads `k`; the name of the node that answered.
    fn read(&self) -> Result<String, Error> {
        self.read_by(&get("k"))
    }

    /// Runs a command that reads.
    fn read_by(&self, command: &Command) -> Result<String, Error> {
        let options = self.script.options(SECOND);
        let item = Item::whole(command);
        let read = read(&self.topology, &self.settings, item, options, ResumeFrom::Start);
        Ok(from_frame(&self.script.run(read)?.0).unwrap())
    }

    /// How many reads each node got: a, c, d.
    fn reads(&self) -> [usize; 3] {
        let sent = self.script.sent();
        ["a: GET k", "c: GET k", "d: GET k"]
            .map(|text| sent.iter().filter(|one| *one == text).count())
    }
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_refusal_sends_the_read_to_the_other_replica() {
    for refusal in ["-LOADING later", "-MASTERDOWN Link with MASTER is down"] {
        let reader = Reader::start(1, ReadFrom::Replica);
        reader.both(|| Answer::reply(refusal));
        // Both have refused once: one of them answers when its quarantine is over.
        assert!(REPLICAS.contains(&&*reader.read().unwrap()), "{refusal}");
        let [primary, c, d] = reader.reads();
        assert_eq!((primary, c + d), (0, 3), "{refusal}");
        assert!(c > 0 && d > 0, "{refusal}: another node first");
    }
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_lost_link_sends_the_read_to_the_other_replica() {
    let reader = Reader::start(1, ReadFrom::Replica);
    reader.both(|| Answer::Cut);
    assert!(REPLICAS.contains(&&*reader.read().unwrap()));
    let [primary, c, d] = reader.reads();
    assert_eq!((primary, c + d), (0, 3));
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_tryagain_says_nothing_about_the_node() {
    let reader = Reader::start(1, ReadFrom::Replica);
    reader.both(|| Answer::reply("-TRYAGAIN later"));
    assert!(REPLICAS.contains(&&*reader.read().unwrap()));
    let routes = reader.topology.routes();
    let now = reader.topology.env().now();
    assert!(routes.dialable().all(|node| node.health().quarantine(now).is_none()));
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn without_a_replica_the_policy_decides() {
    let stop = |cluster: &mut crate::driver::scripted_cluster::Nodes| {
        REPLICAS.iter().for_each(|name| cluster.stop(name));
    };
    let reader = Reader::start(1, ReadFrom::PreferReplica);
    reader.script.change(stop);
    assert_eq!(reader.read().unwrap(), "a");
    let reader = Reader::start(1, ReadFrom::Replica);
    reader.script.change(stop);
    let error = reader.read().unwrap_err();
    assert!(matches!(error.details(), Some(ErrorDetail::NoReplica { slot: 7629 })), "{error:?}");
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Topology, Delivery::NotSent));
    let shown = error.to_string();
    assert!(REPLICAS.iter().all(|name| shown.contains(&format!("{name}:7000"))), "{shown}");
    assert_eq!(reader.reads(), [0, 0, 0]);
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_replica_that_comes_back_in_time_serves_the_read() {
    let reader = Reader::start(1, ReadFrom::Replica);
    // Each refuses twice, so that their quarantines have to end.
    reader.both(|| Answer::reply("-LOADING later"));
    reader.both(|| Answer::reply("-LOADING later"));
    let began = reader.script.elapsed();
    assert!(REPLICAS.contains(&&*reader.read().unwrap()));
    let waited = reader.script.elapsed() - began;
    assert!(waited > Duration::ZERO && waited < SECOND, "{waited:?}");
    assert_eq!(reader.reads()[0], 0);
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn the_deadline_ends_a_read_that_gets_no_reply() {
    let reader = Reader::start(1, ReadFrom::Replica);
    reader.both(|| Answer::Silence);
    let began = reader.script.elapsed();
    let error = reader.read().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(reader.script.elapsed() - began, SECOND);
    assert_eq!(reader.reads()[0], 0);
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_moved_leads_to_the_shard_that_owns_the_slot_now() {
    let reader = Reader::start(2, ReadFrom::PreferReplica);
    let slot = 7629;
    let moved = || Answer::moved(slot, "b").after(move |c| c.move_slots(slot, slot, "b"));
    reader.both(moved);
    assert_eq!(reader.read().unwrap(), "b");
    assert_eq!(reader.reads()[0], 0, "the old primary is no replica of the slot");
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn attempts_have_a_limit() {
    let config = Config::default().read_from(ReadFrom::Replica).attempts_max(4);
    let reader = Reader::with(1, config);
    (0..9).for_each(|_| reader.both(|| Answer::reply("-TRYAGAIN later")));
    let error = reader.read().unwrap_err();
    assert_eq!((error.attempts(), error.delivery()), (4, Delivery::Refused), "{error}");
    assert_eq!(reader.reads().iter().sum::<usize>(), 4);
}

/// What a script that only reads says of itself is no reason to leave its node out. To the letter
/// as the server says it, it may be the server's: another node is asked.
#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_script_quarantines_no_node() {
    let config = Config::default().read_from(ReadFrom::Replica).attempts_max(4);
    let scripts = [
        (eval_ro("s", "k", "x"), "EVAL_RO s 1 k x"),
        (fcall_ro("s", "k", "x"), "FCALL_RO s 1 k x"),
    ];
    let table = [
        ("BUSY job is locked", 1),
        ("LOADING the truck", 1),
        ("CLUSTERDOWN", 1),
        ("READONLY You can't write against a read only replica.", 1),
        ("MOVED 7629 b:7000", 1),
        ("LOADING Redis is loading the dataset in memory", 4),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
             NOSAVE.",
            4,
        ),
    ];
    for (command, sent) in scripts {
        for (text, attempts) in table {
            let reader = Reader::with(1, config.clone());
            for name in REPLICAS {
                reader.script.always(name, sent, &format!("-{text}"));
            }
            let error = reader.read_by(&command).unwrap_err();
            // After its last attempt there is no node left that has not been asked.
            let kind = if attempts > 1 { ErrorKind::Topology } else { ErrorKind::Server };
            let seen = (error.kind(), error.delivery(), error.attempts());
            assert_eq!(seen, (kind, Delivery::Answered, attempts), "{error:?}");
            let (routes, now) = (reader.topology.routes(), reader.topology.env().now());
            let quarantined = |node: &&Arc<Node>| node.health().quarantine(now).is_some();
            assert_eq!(routes.dialable().filter(quarantined).count(), 0, "{text}");
            let all = reader.script.sent();
            assert_eq!(all.iter().filter(|one| one.ends_with(sent)).count(), attempts as usize);
        }
    }
}

/// The lag of a replica is that of its process: one that came back with old data is not read from
/// because of what the process before it had, however short ago that was.
#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_lag_is_forgotten_with_the_process_that_told_it() {
    let config = Config::default().read_from(ReadFrom::Replica).max_staleness(SECOND * 3600);
    let reader = Reader::with(1, config);
    let tells = |name: &str, info: &str| reader.script.always(name, "INFO replication", info);
    let has = |name: &str, replid: &str, offset: u64| {
        let text = format!("role:slave\nmaster_link_status:up\nmaster_replid:{replid}\n");
        let text = format!("{text}slave_repl_offset:{offset}\n");
        tells(name, &format!("${}\r\n{text}", text.len()));
    };
    let primary = "role:master\nmaster_replid:x\nmaster_repl_offset:100\n";
    tells("a", &format!("${}\r\n{primary}", primary.len()));
    REPLICAS.iter().for_each(|name| has(name, "x", 100));
    assert!(REPLICAS.contains(&&*reader.read().unwrap()));
    // Of one only the connection is lost. The other was restarted with an old file, and has not
    // found its primary; or it follows another one.
    for (replid, offset) in [("x", 5), ("other", 500)] {
        reader.script.change(|nodes| nodes.cut("c"));
        reader.script.change(|nodes| nodes.cut("d"));
        has("d", replid, offset);
        for _ in 0..20 {
            assert_eq!(reader.read().unwrap(), "c", "{replid} {offset}");
        }
    }
    reader.script.change(|nodes| nodes.cut("c"));
    has("c", "other", 500);
    let error = reader.read().unwrap_err();
    assert!(error.to_string().contains("its lag is not known"), "{error}");
    assert_eq!(reader.reads()[0], 0, "nothing goes to the primary");
    has("c", "x", 100);
    reader.script.change(|nodes| nodes.cut("c"));
    // It is asked again when the next health check is due.
    reader.script.jump(SECOND * 60);
    assert_eq!(reader.read().unwrap(), "c");
}

/// A replica that was found promoted, and then could not be reached, is asked until it is a replica
/// again.
#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_promoted_node_that_was_away_is_read_from_once_it_is_a_replica_again() {
    for state in ["role:master\n", "role:slave\nmaster_link_status:down\n"] {
        let reader = Reader::start(1, ReadFrom::Replica);
        let tells = |name: &str, info: &str| {
            let info = format!("${}\r\n{info}", info.len());
            reader.script.always(name, "INFO replication", &info);
        };
        let replica = "role:slave\nmaster_link_status:up\n";
        REPLICAS.iter().for_each(|name| tells(name, replica));
        let next_reads = || {
            let reads = (0..4).map(|_| {
                // Each is late enough for a health check.
                reader.script.jump(SECOND * 60);
                reader.read().unwrap()
            });
            Vec::from_iter(reads)
        };
        assert!(next_reads().contains(&"c".to_owned()));
        tells("c", state);
        assert_eq!(next_reads()[1..], ["d", "d", "d"], "{state}");
        reader.script.change(|nodes| nodes.stop("c"));
        assert_eq!(next_reads(), ["d", "d", "d", "d"], "{state}");
        tells("c", replica);
        reader.script.start("c");
        assert!(next_reads()[1..].contains(&"c".to_owned()), "{state}");
    }
}

/// A read that is sent again counts as a retry or as a redirect, not as both.
#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn a_read_that_is_sent_again_counts_once() {
    let counts = |reader: &Reader| {
        let metrics = reader.topology.env().telemetry().metrics();
        (metrics.retries, metrics.redirects)
    };
    let reader = Reader::start(1, ReadFrom::Replica);
    reader.read().unwrap();
    assert_eq!(counts(&reader), (0, 0));
    reader.both(|| Answer::reply("-LOADING later"));
    reader.read().unwrap();
    let refused = counts(&reader);
    assert!(refused.0 > 0 && refused.1 == 0, "{refused:?}");
    assert_eq!(reader.reads().iter().sum::<usize>() as u64, 2 + refused.0);
    let reader = Reader::start(2, ReadFrom::Replica);
    reader.both(|| Answer::ask(7629, "b"));
    reader.read().unwrap();
    let sent = reader.reads().iter().sum::<usize>() as u64;
    assert_eq!(counts(&reader), (0, sent - 1), "{sent} reads");
}
