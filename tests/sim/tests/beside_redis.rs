//! The simulator beside a real redis 8.0.2: the same requests, the same bytes in return.
//!
//! `beside/cases.txt` has a line for each form of each command; `beside/mutate.rs` makes a hundred
//! requests out of each, with wrong numbers of arguments, wrong types and values at the edge.
//! `beside/intended.rs` has the differences that are meant, with the reason.
//! `cargo xtask sim diff` runs the comparison, all of it over both protocols, and prints every
//! difference. `docs/simulator.md` says
//! what the simulator knows and refuses, and what differs.
//!
//! The same requests go to other versions and deployments of the simulator, where nothing is
//! compared: no request may cost a server its life.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a suite that cannot run has failed")]

#[path = "beside/frames.rs"]
mod frames;
#[path = "beside/intended.rs"]
mod intended;
#[path = "beside/mutate.rs"]
mod mutate;
#[path = "beside/page.rs"]
mod page;
#[path = "beside/peer.rs"]
mod peer;

use frames::{Answer, Frame};
use futures::executor::block_on;
use intended::{INTENDED, Intended};
use mutate::{Case, Line, Request, lines};
use peer::{Peer as _, Real, Runner, Simulated};
use slotcar_sim::{Sim, Version};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The real server.
const SERVER: &str = "redis-8.0";
/// Real servers at a time: each waits for its client most of the time.
const SERVERS: usize = 4;

/// Differences that are printed when the comparison fails.
const SHOWN_MAX: usize = 100;

/// What a simulated server answers to the cases of a line.
fn simulated(sim: Sim, cases: &[Case], probes: bool) -> Result<Vec<Answer>, String> {
    let current = Rc::new(RefCell::new(String::new()));
    let at = Rc::clone(&current);
    let run = catch_unwind(AssertUnwindSafe(|| {
        let inner = sim.clone();
        sim.try_run(|_| async move {
            let peer = Simulated::new(inner);
            let mut runner = if probes { Runner::new(peer) } else { Runner::without_probes(peer) };
            let mut answers = Vec::with_capacity(cases.len());
            for case in cases {
                case.text.clone_into(&mut at.borrow_mut());
                answers.push(runner.run(case).await);
            }
            answers
        })
    }));
    match run {
        Ok(Ok(answers)) => Ok(answers),
        Ok(Err(failure)) => Err(format!("{}: {failure}", current.borrow())),
        Err(_) => Err(format!("{}: it panicked", current.borrow())),
    }
}

fn standalone(version: Version) -> Sim {
    Sim::standalone().version(version).seed(1).idle_limit(Duration::from_secs(1 << 40)).start()
}

/// What came out of a comparison.
#[derive(Default)]
struct Found {
    /// The number of requests.
    count: usize,
    /// Differences that are not meant, by the place of their line.
    differences: Vec<(usize, String)>,
    /// Those that are meant and were met, by their place in the table.
    met: BTreeSet<usize>,
}

impl Found {
    /// Compares the answers to the cases of a line.
    fn compare(&mut self, place: usize, real: &mut Runner<Real>, cases: &[Case]) {
        real.forget_state();
        let theirs: Vec<Answer> = cases.iter().map(|case| block_on(real.run(case))).collect();
        self.count += cases.len();
        match simulated(standalone(Version::redis(8, 0, 2)), cases, true) {
            Ok(ours) => {
                for ((case, theirs), ours) in cases.iter().zip(&theirs).zip(&ours) {
                    self.judge(place, case, theirs, ours);
                }
            }
            Err(text) => self.differences.push((place, text)),
        }
    }

    fn judge(&mut self, place: usize, case: &Case, theirs: &Answer, ours: &Answer) {
        let replies = (theirs.text(case.mark), ours.text(case.mark));
        let states = (theirs.state(case.mark), ours.state(case.mark));
        if replies.0 == replies.1 && states.0 == states.1 {
            return;
        }
        let same_state = states.0 == states.1;
        let explains =
            |row: &Intended| same_state && row.explains(&case.text, &replies.0, &replies.1);
        if let Some(at) = INTENDED.iter().position(explains) {
            self.met.insert(at);
            return;
        }
        let protocol = if case.resp3 { "RESP3" } else { "RESP2" };
        let mut text = format!("{} ({protocol})", case.text);
        if replies.0 != replies.1 {
            text.push_str(&format!("\n  redis:     {}\n  simulator: {}", replies.0, replies.1));
        } else {
            let changed = states.0.lines().zip(states.1.lines()).filter(|(a, b)| a != b);
            for (a, b) in changed {
                text.push_str(&format!(
                    "\n  redis:     afterwards {a}\n  simulator: afterwards {b}"
                ));
            }
        }
        self.differences.push((place, text));
    }
}

/// Compares all lines that start with `only`, on several servers at a time.
fn compare(only: &str, in_both: bool) -> Found {
    let lines = lines(in_both);
    let lines: Vec<&Line> = lines.iter().filter(|l| l.cases[0].text.starts_with(only)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut real = Runner::new(Real::start(SERVER).expect("the server starts"));
        let mut found = Found::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(line) = lines.get(place) else { return found };
            found.compare(place, &mut real, &line.cases);
        }
    };
    let mut all = Found::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SERVERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let found = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            all.count += found.count;
            all.differences.extend(found.differences);
            all.met.extend(found.met);
        }
    });
    all.differences.sort();
    all
}

#[test]
fn the_simulator_answers_as_redis_8_does() {
    let only = std::env::var("SLOTCAR_SIM_DIFF");
    if !Real::exists(SERVER) {
        assert!(only.is_err(), "no {SERVER} in .servers; `cargo xtask servers` fetches it");
        eprintln!("SKIPPED: no {SERVER} in .servers; `cargo xtask servers` fetches it");
        return;
    }
    let start = only.clone().unwrap_or_default();
    let Found { count, differences, met } = compare(&start, only.is_ok());
    assert!(count > 0, "no request of beside/cases.txt starts with `{start}`");
    let mut texts: Vec<String> = differences.into_iter().map(|(_, text)| text).collect();
    if start.is_empty() {
        let unmet = INTENDED.iter().enumerate().filter(|(at, _)| !met.contains(at));
        texts.extend(unmet.map(|(_, row)| format!("no difference any more: {}", row.what)));
    }
    if only.is_ok() {
        texts.iter().for_each(|text| println!("{text}"));
        println!("{count} requests, {} differences that are not intended", texts.len());
    }
    let shown = if only.is_ok() { 0 } else { texts.len().min(SHOWN_MAX) };
    assert!(
        texts.is_empty(),
        "{} of {count} requests are answered in another way than by redis 8.0.2; \
         `cargo xtask sim diff` shows all\n{}",
        texts.len(),
        texts[..shown].join("\n")
    );
}

/// All commands of a simulated server, sub-commands as `container|name`.
fn known_commands() -> BTreeSet<String> {
    let sim = standalone(Version::redis(8, 0, 2));
    sim.clone().run(|_| async move { names(&Simulated::new(sim).aside("COMMAND LIST").await) })
}

/// The strings of an array.
fn names(reply: &Frame) -> BTreeSet<String> {
    let Frame::Many(_, items) = reply else { panic!("{reply:?} is no array") };
    let name = |item: &Frame| match item {
        Frame::Bulk(_, name) => String::from_utf8_lossy(name).to_ascii_lowercase(),
        other => panic!("{other:?} is no name"),
    };
    items.iter().map(name).collect()
}

#[test]
fn each_command_has_requests() {
    let lines = lines(false);
    let is_sent = |name: &str| {
        let words: Vec<String> = name.to_ascii_uppercase().split('|').map(str::to_owned).collect();
        let begins = |request: &Request| {
            words.iter().zip(request).filter(|(a, b)| a.as_bytes() == b.as_slice()).count()
                == words.len()
        };
        lines.iter().any(|line| line.requests.iter().any(begins))
    };
    let missing: Vec<String> = known_commands().into_iter().filter(|name| !is_sent(name)).collect();
    assert!(missing.is_empty(), "no line of beside/cases.txt sends {missing:?}");
}

/// The name, the number of arguments, the flags and the positions of the keys are what clients read
/// of COMMAND.
#[test]
fn commands_are_described_as_by_redis() {
    let Some(mut real) = Real::start(SERVER) else {
        eprintln!("SKIPPED: no {SERVER} in .servers; `cargo xtask servers` fetches it");
        return;
    };
    let described = |reply: Frame| match reply {
        Frame::Many(_, items) => match items.into_iter().next() {
            Some(Frame::Many(_, parts)) => {
                parts[..6].iter().map(|part| part.text(true, false)).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    };
    let sim = standalone(Version::redis(8, 0, 2));
    let names: Vec<String> = known_commands().into_iter().collect();
    let asked = names.clone();
    let ours: Vec<String> = sim.clone().run(|_| async move {
        let mut peer = Simulated::new(sim);
        let mut replies = Vec::new();
        for name in asked {
            replies.push(described(peer.aside(&format!("COMMAND INFO {name}")).await));
        }
        replies
    });
    let mut differences = Vec::new();
    for (name, ours) in names.iter().zip(ours) {
        let theirs = described(block_on(real.aside(&format!("COMMAND INFO {name}"))));
        if theirs != ours {
            differences.push(format!("{name}\n  redis:     {theirs}\n  simulator: {ours}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The fields of a reply to INFO, each as `section|field`.
fn info_fields(reply: &Frame) -> BTreeSet<String> {
    let Frame::Bulk(_, text) = reply else { panic!("{reply:?} is no text") };
    let text = String::from_utf8_lossy(text).into_owned();
    let (mut section, mut fields) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            name.clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once(':') {
            fields.insert(format!("{section}|{name}"));
        }
    }
    assert!(fields.len() > 30, "{fields:?}");
    fields
}

/// The simulator's INFO has no field that redis lacks, and the page says which of redis' it lacks.
#[test]
fn info_has_the_fields_of_redis_but_for_those_that_the_page_lists() {
    let Some(mut real) = Real::start(SERVER) else {
        eprintln!("SKIPPED: no {SERVER} in .servers; `cargo xtask servers` fetches it");
        return;
    };
    let theirs = info_fields(&block_on(real.aside("INFO")));
    let sim = standalone(Version::redis(8, 0, 2));
    let ours = sim.clone().run(|_| async move { Simulated::new(sim).aside("INFO").await });
    let ours = info_fields(&ours);
    let more: Vec<&String> = ours.difference(&theirs).collect();
    assert!(more.is_empty(), "redis 8.0.2 has no {more:?}");
    let lacking: BTreeSet<String> = theirs.difference(&ours).cloned().collect();
    page::expect("info", &page::fields(&lacking));
}

/// `docs/simulator.md` says what the simulator knows. `SLOTCAR_BLESS=1` writes it.
#[test]
fn the_page_says_what_is_known() {
    page::expect("known", &page::commands(&known_commands()));
}

/// ... what it refuses of what redis knows,
#[test]
fn the_page_says_what_is_refused() {
    let Some(mut real) = Real::start(SERVER) else {
        eprintln!("SKIPPED: no {SERVER} in .servers; `cargo xtask servers` fetches it");
        return;
    };
    let known = known_commands();
    let theirs = names(&block_on(real.aside("COMMAND LIST")));
    let refused: BTreeSet<String> = theirs.difference(&known).cloned().collect();
    // Of a container that is refused, the sub-commands are as well.
    let is_part = |name: &String| {
        name.split_once('|').is_some_and(|(container, _)| refused.contains(container))
    };
    let shown = refused.iter().filter(|name| !is_part(name)).cloned().collect();
    page::expect("refused", &page::commands(&shown));
    let more: Vec<&String> = known.difference(&theirs).collect();
    assert!(more.is_empty(), "redis 8.0.2 knows no {more:?}");
}

/// ... and the differences that are meant.
#[test]
fn the_page_says_what_differs() {
    page::expect("differences", &intended::table());
}

/// What the page lists as refused is refused as redis refuses what it does not know.
#[test]
fn what_is_refused_is_refused_as_by_redis() {
    let refused = page::listed("refused");
    assert!(refused.len() > 80, "{refused:?}");
    let sim = standalone(Version::redis(8, 0, 2));
    sim.clone().run(|_| async move {
        let mut peer = Simulated::new(sim);
        for name in refused {
            let words = name.replace('|', " ");
            let expected = match name.split_once('|') {
                Some((container, sub)) => {
                    format!("-ERR unknown subcommand '{sub}'. Try {container} HELP.")
                }
                None => format!("-ERR unknown command '{name}', with args beginning with: "),
            };
            assert_eq!(peer.aside(&words).await.text(false, false), expected, "{words}");
        }
    });
}

#[test]
fn no_request_costs_a_server_its_life() {
    let cluster = || Sim::cluster(1, 0).seed(1).idle_limit(Duration::from_secs(1 << 40)).start();
    let deployments: [(&str, &dyn Fn() -> Sim); 4] = [
        ("redis 8.0", &|| standalone(Version::redis(8, 0, 2))),
        ("redis 7.0", &|| standalone(Version::redis(7, 0, 15))),
        ("valkey 9.1", &|| standalone(Version::valkey(9, 1, 2))),
        ("a cluster", &cluster),
    ];
    let mut failures = Vec::new();
    for (name, start) in deployments {
        for line in lines(false) {
            if let Err(text) = simulated(start(), &line.cases, false) {
                failures.push(format!("{name}: {text}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
