//! The cold start: from a process that does not exist to its first reply from a cluster.
//!
//! Peers are given one seed, as an application would; the wire limit knows the owner. What the
//! client opened and sent is read from the servers' statistics right after the first reply. What it
//! does in the background may be counted or not.

use crate::Outcome;
use crate::peers::{RAW, Subject};
use crate::record::{Found, Start};
use crate::servers::{ask, command};
use harness::args::{Addr, Args};
use harness::entry::FIRST;
use harness::workload::Workload;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

/// What the servers run among themselves or for this program.
const NOT_THE_CLIENTS: &[&str] = &["config|resetstat", "replconf", "psync"];

/// Whether it is measured: a blocking interface has nothing to show here.
pub(crate) fn suits(subject: &Subject) -> bool {
    subject.peer.id == RAW || subject.mode != harness::args::Mode::Sync
}

/// Starts one process; `None` where the peer cannot do it.
pub(crate) fn start(
    subject: &Subject,
    workload: &'static Workload,
    cluster: &[Addr],
) -> Outcome<Option<Found>> {
    for addr in cluster {
        command(addr, &["CONFIG", "RESETSTAT"])?;
    }
    let seeds = if subject.peer.id == RAW { cluster } else { &cluster[..1] };
    let (mode, addrs) = (subject.mode, seeds.to_vec());
    let args = Args { workload, mode, addrs, ops: 1, count_alloc: false, latency_every: 1 };
    let mut process = subject.command(&args, &[]);
    let text = |error: std::io::Error| format!("{}: {error}", subject.peer.name);
    let begin = Instant::now();
    let mut child = process.stdout(Stdio::piped()).spawn().map_err(text)?;
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    stdout.read_line(&mut line).map_err(text)?;
    let wall_ns = begin.elapsed().as_nanos() as f64;
    let (connections, commands) = statistics(cluster)?;
    // Whatever else it writes must not stop it from ending.
    std::io::copy(&mut stdout, &mut std::io::sink()).map_err(text)?;
    child.wait().map_err(text)?;
    Ok((line.trim() == FIRST).then_some(Found::Start(Start { wall_ns, connections, commands })))
}

/// Connections and commands that the nodes have seen since their statistics were reset.
fn statistics(cluster: &[Addr]) -> Outcome<(f64, BTreeMap<String, f64>)> {
    let (mut connections, mut commands) = (0.0, BTreeMap::new());
    for addr in cluster {
        let text = ask(addr, &["INFO", "all"])?;
        for line in text.lines() {
            if let Some(count) = line.strip_prefix("total_connections_received:") {
                // One of them is this question's.
                connections += count.trim().parse::<f64>().unwrap_or(1.0) - 1.0;
            }
            if let Some((name, count)) = command_count(line)
                && !NOT_THE_CLIENTS.contains(&name)
            {
                *commands.entry(name.to_owned()).or_insert(0.0) += count;
            }
        }
    }
    Ok((connections, commands))
}

/// Of `cmdstat_get:calls=12,usec=..`: the name and how often.
fn command_count(line: &str) -> Option<(&str, f64)> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    let (count, _) = rest.split_once(',')?;
    Some((name, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_command_statistics() {
        let line = "cmdstat_cluster|slots:calls=3,usec=9,usec_per_call=3.00";
        assert_eq!(command_count(line), Some(("cluster|slots", 3.0)));
        assert_eq!(command_count("errorstat_ERR:count=1"), None);
    }
}
