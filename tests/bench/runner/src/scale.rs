//! How the cost of one grows with the number of all: instructions per operation of the scenarios of
//! `scale`, in growing sizes.
//!
//! A cost that grows with the logarithm is one of a search in a tree; a walk over all makes it grow
//! with their number. [`GROWTH_MAX`] lies between the two. Callgrind's counts repeat within one per
//! cent on a busy machine, so the gate needs no quiet one. Times are printed, and judged by nobody.

use crate::Outcome;
use crate::servers::Servers;
use crate::tools::Tool;
use harness::workload::Place;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A scenario: its name, and its sizes. Growth is judged between the second and the last.
///
/// The first is the least there can be: one caller drives by itself, one shard needs no table, so
/// that it is cheaper for other reasons.
const SCENARIOS: &[(&str, &[usize])] = &[
    ("subscriptions", &[1, 100, 3_000, 30_000]),
    ("sharded", &[3, 30, 300, 1_000]),
    ("shards", &[3, 30, 300, 1_000]),
    ("scan", &[1, 40, 400, 4_000]),
    ("callers", &[1, 100, 1_000, 10_000]),
    ("room", &[1, 100, 1_000, 10_000]),
];

/// By which factor a cost per operation may grow while the number grows by 33 to 300. A search in a
/// tree takes one and a half times as many steps, or two: from 7 to 15, from 5 to 10. A walk of one
/// instruction for each of 1,000 nodes or 10,000 callers at least doubles a cost of some 5,000.
const GROWTH_MAX: f64 = 2.0;

/// So many subscriptions are dropped beside GETs.
const DROPPED: usize = 30_000;

/// What was asked for.
struct Request {
    /// The program.
    scale: PathBuf,
    /// The server's program.
    server: PathBuf,
    /// Only these scenarios.
    only: Vec<String>,
    /// All sizes but the greatest.
    quick: bool,
}

/// What a section has cost in one size.
#[derive(Clone, Debug, PartialEq)]
struct Cost {
    /// Its name.
    name: String,
    /// Instructions, or nanoseconds, per operation.
    each: f64,
}

/// The command `scale`.
pub(crate) fn run(words: &[String]) -> Outcome {
    let request = parse(words)?;
    if !Tool::Callgrind.is_there() {
        return Err("valgrind is not installed".to_owned());
    }
    println!("instructions per operation; beside the factor, CPU time with the script's own part");
    let mut grown = Vec::new();
    for (scenario, sizes) in SCENARIOS {
        if !request.only.is_empty() && !request.only.iter().any(|name| name == scenario) {
            continue;
        }
        let sizes = if request.quick { &sizes[..sizes.len() - 1] } else { sizes };
        let counts: Vec<Vec<Cost>> =
            sizes.iter().map(|size| count(&request, scenario, *size)).collect::<Outcome<_>>()?;
        let last = *sizes.last().expect("a scenario has sizes");
        let times = time(&request, scenario, last)?;
        grown.extend(table(scenario, sizes, &counts, &times));
    }
    if request.only.is_empty() || request.only.iter().any(|name| name == "beside") {
        beside(&request)?;
    }
    if grown.is_empty() {
        return Ok(());
    }
    let grown = grown.join(", ");
    Err(format!(
        "a walk over all is done for one: the cost grew more than {GROWTH_MAX} times: {grown}"
    ))
}

/// Prints a scenario's table. Returns the sections whose cost has grown.
fn table(scenario: &str, sizes: &[usize], counts: &[Vec<Cost>], times: &[Cost]) -> Vec<String> {
    print!("{scenario:<24}");
    sizes.iter().for_each(|size| print!("{size:>10}"));
    println!("    factor      time");
    let mut grown = Vec::new();
    for (at, Cost { name, .. }) in counts.last().into_iter().flatten().enumerate() {
        let row: Vec<f64> = counts.iter().map(|size| size[at].each).collect();
        let factor = growth(&row);
        print!("  {name:<22}");
        row.iter().for_each(|each| print!("{each:>10.0}"));
        let time = times.get(at).map_or(0.0, |time| time.each / 1000.0);
        let word = if factor > GROWTH_MAX { "  GROWN" } else { "" };
        println!("{factor:>10.2}{time:>7.1} us{word}");
        if factor > GROWTH_MAX {
            grown.push(format!("{scenario} {name}"));
        }
    }
    grown
}

/// How much more the last size costs than the second.
fn growth(row: &[f64]) -> f64 {
    let base = row.get(1).or(row.first()).copied().unwrap_or(1.0).max(1.0);
    row.last().copied().unwrap_or_default() / base
}

/// Counts the instructions of a scenario's sections in one size.
fn count(request: &Request, scenario: &str, size: usize) -> Outcome<Vec<Cost>> {
    let folder = std::env::temp_dir().join(format!("slotcar-scale-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = folder.join("counts");
    let mut command = Command::new(Tool::Callgrind.program());
    command
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_work*"])
        .args(["--zero-before=*begin_of_section*", "--dump-after=*end_of_section*"])
        .arg("--log-file=/dev/null")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(&request.scale)
        .args([scenario.to_owned(), size.to_string()]);
    let sections = sections(&mut command)?;
    let read = |(at, (name, ops, _)): (usize, &(String, f64, f64))| {
        let part = format!("{}.{}", file.display(), at + 1);
        let text = std::fs::read_to_string(&part).map_err(|error| format!("{part}: {error}"))?;
        let total = total(&text).ok_or_else(|| format!("{part} has no total"))?;
        Ok(Cost { name: name.clone(), each: total / ops })
    };
    let costs = sections.iter().enumerate().map(read).collect();
    let _ = std::fs::remove_dir_all(&folder);
    costs
}

/// Times the sections of a scenario in one size.
fn time(request: &Request, scenario: &str, size: usize) -> Outcome<Vec<Cost>> {
    let mut command = Command::new(&request.scale);
    let sections = sections(command.args([scenario.to_owned(), size.to_string()]))?;
    let each = sections.into_iter().map(|(name, ops, nanos)| Cost { name, each: nanos / ops });
    Ok(each.collect())
}

/// Runs the program: the sections that it prints, with their operations and CPU time.
fn sections(command: &mut Command) -> Outcome<Vec<(String, f64, f64)>> {
    let text = output(command)?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (name, ops, nanos) = (words.next()?, words.next()?, words.next()?);
        Some((name.to_owned(), ops.parse().ok()?, nanos.parse().ok()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn output(command: &mut Command) -> Outcome<String> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What callgrind has collected in a part of its output.
fn total(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// Drops many subscriptions at a real server, alone and beside GETs.
fn beside(request: &Request) -> Outcome {
    let servers = Servers::start(&request.server, &[Place::One])?;
    let (host, port) = servers.addrs(Place::One)[0].clone();
    let mut command = Command::new(&request.scale);
    command.args(["beside".to_owned(), host, port.to_string(), DROPPED.to_string()]);
    println!("{DROPPED} subscriptions dropped at {}", servers.version()?);
    for line in output(&mut command)?.lines() {
        let Some((name, nanos)) = line.split_once(' ') else { continue };
        let micros = nanos.parse::<f64>().unwrap_or_default() / 1000.0;
        println!("  {name:<22}{micros:>10.0} us");
    }
    Ok(())
}

fn parse(words: &[String]) -> Outcome<Request> {
    let (scale, server) = ("scale".into(), "redis-server".into());
    let mut request = Request { scale, server, only: Vec::new(), quick: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--quick" => request.quick = true,
            "--scale" => request.scale = value()?.into(),
            "--server" => request.server = value()?.into(),
            name if name == "beside" || SCENARIOS.iter().any(|(other, _)| *other == name) => {
                request.only.push(name.to_owned());
            }
            _ => {
                let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
                let names = names.join(" ");
                return Err(format!("{word}: there are {names} beside --quick"));
            }
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cost that grows with the logarithm passes; one that grows with the number does not. The
    /// least size is not compared with.
    #[test]
    fn a_walk_is_told_from_a_search() {
        let cost = |each| vec![Cost { name: "one".to_owned(), each }];
        let sizes = [1, 100, 10_000];
        let search = [1000.0, 5000.0, 7500.0].map(cost);
        assert!(table("callers", &sizes, &search, &[]).is_empty());
        let walk = [1000.0, 5000.0, 5000.0 + 9900.0].map(cost);
        assert_eq!(table("callers", &sizes, &walk, &[]), ["callers one"]);
    }

    #[test]
    fn reads_what_callgrind_writes() {
        assert_eq!(total("events: Ir\nfn=(1)\n1 2\ntotals: 10436943\n"), Some(10_436_943.0));
        assert_eq!(total("events: Ir\n"), None);
    }
}
