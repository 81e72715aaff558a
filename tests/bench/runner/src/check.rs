//! The gate: user-space instructions per operation, compared with a committed baseline.
//!
//! Callgrind's counts repeat within one per cent on any machine with the same toolchain and C
//! library, even on a busy one; times do not. A count that is more than [`GROWTH_MAX`] above its
//! baseline in three runs fails. A count that went down is only reported.

use crate::options::Options;
use crate::peers::{self, OWN, Subject};
use crate::servers::Servers;
use crate::tools::{self, Tool};
use crate::{Outcome, late};
use harness::args::{Addr, Mode};
use harness::workload::{self, Place, Shape, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// What is counted: short, and all of the hot path.
const WORKLOADS: &[&str] = &["a", "b", "d", "f1", "f2", "j", "js"];

/// In which modes.
const MODES: &[Mode] = &[Mode::Smol, Mode::Smolg, Mode::Ct];

/// The part by which a count may exceed its baseline.
const GROWTH_MAX: f64 = 0.05;

/// Counts above the limit are taken again, so often in all, and the least is believed. A baseline is
/// the most of as many: on a busy machine a client may be too late to have to wait, and so cheaper.
const RUNS_MAX: usize = 3;

/// The committed file.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Baseline {
    /// Explains the file to its reader.
    about: String,
    /// What else the counts depend on.
    environment: String,
    /// Instructions per operation, by workload and mode.
    instructions: BTreeMap<String, f64>,
}

/// What was asked for.
struct Request {
    /// The baseline's file.
    baseline: PathBuf,
    /// Whether to write it.
    update: bool,
    /// The server's program.
    server: PathBuf,
}

/// The command `check`.
pub(crate) fn run(words: &[String]) -> Outcome {
    let request = parse(words)?;
    if !Tool::Callgrind.is_there() {
        return Err("valgrind is not installed".to_owned());
    }
    let baseline = read(&request)?;
    let only = ["--peers".to_owned(), OWN.to_owned()];
    let options = Options::parse(&only)?.expect("it does not ask for help");
    let subjects = peers::find(&options)?;
    let servers = Servers::start(&request.server, &[Place::One, Place::Cluster])?;
    let late = [late::in_front_of(&servers.addrs(Place::One)[0])?];
    println!("instructions per operation ({})", servers.version()?);
    let mut found = BTreeMap::new();
    let mut grown = Vec::new();
    for (workload, mode) in WORKLOADS.iter().flat_map(|w| MODES.iter().map(move |m| (w, m))) {
        let workload = workload::named(workload).expect("it is in the table");
        let key = format!("{}/{}", workload.name, mode.name());
        let subject = subjects.iter().find(|subject| subject.mode == *mode);
        let subject = subject.ok_or("peer-slotcar is not built")?;
        let expected = baseline.instructions.get(&key).copied().filter(|_| !request.update);
        // Messages come without being asked for: a client that is slow finds many at each read.
        let direct = servers.addrs(workload.place);
        let addrs = if workload.shape == Shape::Messages { &direct[..] } else { &late[..] };
        let counted = repeated(subject, workload, addrs, &servers, expected)?;
        println!("  {key:<8} {counted:>9.0}{}", verdict(counted, expected));
        if expected.is_none() && !request.update {
            return Err(format!("{key} has no baseline; {HOW}"));
        }
        if expected.is_some_and(|expected| counted > expected * (1.0 + GROWTH_MAX)) {
            grown.push(key.clone());
        }
        found.insert(key, counted.round());
    }
    if request.update {
        return write(&request, found);
    }
    judge(&grown, &baseline)
}

/// How to move the baseline.
const HOW: &str = "if that is meant, `cargo xtask bench check --update` writes the baseline";

fn judge(grown: &[String], baseline: &Baseline) -> Outcome {
    if grown.is_empty() {
        return Ok(());
    }
    let here = environment();
    let else_where = if here == baseline.environment {
        String::new()
    } else {
        format!(" (the baseline is of {}, this is {here})", baseline.environment)
    };
    let per_cent = GROWTH_MAX * 100.0;
    let grown = grown.join(", ");
    Err(format!("instructions grew by more than {per_cent} % in {grown}{else_where}; {HOW}"))
}

/// The count of one run, or the least of a few when the first ones are above the limit; without a
/// limit, the most of a few.
fn repeated(
    subject: &Subject,
    workload: &'static Workload,
    addrs: &[Addr],
    servers: &Servers,
    expected: Option<f64>,
) -> Outcome<f64> {
    let mut runs: Vec<f64> = Vec::new();
    while runs.len() < RUNS_MAX {
        let counts = Tool::Callgrind.per_op(
            subject,
            (workload, addrs),
            tools::ops(workload),
            servers.folder(),
        )?;
        let counts = counts.ok_or_else(|| format!("slotcar does not do {}", workload.name))?;
        let count = counts.values().sum();
        runs.push(count);
        if expected.is_some_and(|expected| count <= expected * (1.0 + GROWTH_MAX)) {
            break;
        }
    }
    let choose = if expected.is_some() { f64::min } else { f64::max };
    Ok(runs.into_iter().reduce(choose).expect("there was at least one run"))
}

fn verdict(counted: f64, expected: Option<f64>) -> String {
    let Some(expected) = expected else { return String::new() };
    let growth = counted / expected - 1.0;
    let word = match growth {
        growth if growth > GROWTH_MAX => "  GROWN",
        growth if growth < -GROWTH_MAX => "  cheaper: the baseline may be updated",
        _ => "",
    };
    format!("  baseline {expected:>9.0}  {:>+6.1} %{word}", growth * 100.0)
}

fn parse(words: &[String]) -> Outcome<Request> {
    let mut request = Request {
        baseline: "instructions.json".into(),
        update: false,
        server: "redis-server".into(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--update" => request.update = true,
            "--baseline" => request.baseline = value()?.into(),
            "--server" => request.server = value()?.into(),
            _ => return Err(format!("unknown option {word}; there is --update")),
        }
    }
    Ok(request)
}

fn read(request: &Request) -> Outcome<Baseline> {
    let named = |error: String| format!("{}: {error}", request.baseline.display());
    match std::fs::read_to_string(&request.baseline) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| named(error.to_string())),
        Err(_) if request.update => Ok(Baseline::default()),
        Err(error) => Err(named(error.to_string())),
    }
}

fn write(request: &Request, instructions: BTreeMap<String, f64>) -> Outcome {
    let about = "User-space instructions per operation, by workload and mode; \
                 checked and written by `cargo xtask bench check [--update]`.";
    let baseline = Baseline { about: about.to_owned(), environment: environment(), instructions };
    let mut text = serde_json::to_string_pretty(&baseline).map_err(|error| error.to_string())?;
    text.push('\n');
    std::fs::write(&request.baseline, text)
        .map_err(|error| format!("{}: {error}", request.baseline.display()))?;
    println!("written to {}", request.baseline.display());
    Ok(())
}

/// What the counts depend on beside the code: compiler, C library, valgrind.
fn environment() -> String {
    let ask = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.unwrap_or_else(|_| format!("no {program}"))
    };
    let rustc = ask("rustc", "--version");
    let rustc = rustc.split(" (").next().unwrap_or_default();
    let libc = ask("getconf", "GNU_LIBC_VERSION");
    format!("{}, {rustc}, {libc}, {}", std::env::consts::ARCH, ask("valgrind", "--version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five per cent pass, more does not; what got cheaper is told but passes.
    #[test]
    fn verdicts_follow_the_limit() {
        assert!(!verdict(1049.0, Some(1000.0)).contains("GROWN"));
        assert!(verdict(1051.0, Some(1000.0)).contains("GROWN"));
        assert!(verdict(900.0, Some(1000.0)).contains("cheaper"));
    }

    /// A failure says how to accept it, and that the counts are of another machine.
    #[test]
    fn a_failure_tells_what_to_do() {
        let environment = "elsewhere".to_owned();
        let baseline = Baseline { environment, ..Baseline::default() };
        let sentence = judge(&["b/ct".to_owned()], &baseline).unwrap_err();
        assert!(sentence.contains("b/ct"), "{sentence}");
        assert!(sentence.contains("bench check --update"), "{sentence}");
        assert!(sentence.contains("elsewhere"), "{sentence}");
        assert_eq!(judge(&[], &baseline), Ok(()));
    }
}
