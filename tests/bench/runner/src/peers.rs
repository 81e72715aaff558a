//! The peers that were built: every `peer-*` program beside this one, asked what it is.
//!
//! A peer is one library; a subject is a peer in one of its modes, and what is run and measured.

use crate::launch::Cpus;
use crate::options::Options;
use crate::record::Sample;
use crate::{Outcome, launch};
use harness::args::{Args, Mode};
use harness::entry::UNSUPPORTED;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long one run may take.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// The id of the wire limit.
pub(crate) const RAW: &str = "raw";

/// The id of this project's own client.
pub(crate) const OWN: &str = "slotcar";

/// A peer's program.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The name of its crate without `peer-`.
    pub(crate) id: String,
    /// How the tables call it.
    pub(crate) name: String,
    /// What it can be called on.
    modes: Vec<Mode>,
    /// The program.
    program: PathBuf,
}

/// A peer in one mode.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The peer.
    pub(crate) peer: Peer,
    /// The mode.
    pub(crate) mode: Mode,
}

/// All peers that are there, in the modes that were asked for; the wire limit first, slotcar next.
pub(crate) fn find(options: &Options) -> Outcome<Vec<Subject>> {
    let mut peers = Vec::new();
    for program in programs()? {
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(id) = name.strip_prefix("peer-").filter(|id| !id.contains('.')) else { continue };
        if options.wants_peer(id) {
            peers.push(describe(id, &program)?);
        }
    }
    for id in options.peers.iter().flatten().filter(|id| *id != crate::redis_benchmark::ID) {
        if !peers.iter().any(|peer| peer.id == *id) {
            eprintln!("SKIPPED: the peer {id} is not built");
        }
    }
    peers.sort_by_key(|peer| (peer.id != RAW, peer.id != OWN, peer.id.clone()));
    let subjects = peers.iter().flat_map(|peer| {
        let wanted = |mode: &&Mode| peer.id == RAW || options.wants_mode(**mode);
        let subject = |mode: &Mode| Subject { peer: peer.clone(), mode: *mode };
        peer.modes.iter().filter(wanted).map(subject).collect::<Vec<_>>()
    });
    Ok(subjects.collect())
}

fn programs() -> Outcome<Vec<PathBuf>> {
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = itself.parent().expect("a program is in a folder");
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn describe(id: &str, program: &Path) -> Outcome<Peer> {
    let mut command = launch::command(program, Cpus::Any);
    let text = launch::output(command.arg("describe"), RUN_LIMIT)
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut lines = text.lines();
    let (name, modes) = (lines.next().unwrap_or(id), lines.next().unwrap_or_default());
    let modes = modes.split(' ').filter_map(Mode::named).collect();
    Ok(Peer { id: id.to_owned(), name: name.to_owned(), modes, program: program.to_owned() })
}

impl Subject {
    /// The command line of a run, under a tool if `tool` is not empty.
    pub(crate) fn command(&self, args: &Args, tool: &[String]) -> Command {
        // Under a tool only one thread runs at a time: a second CPU would add nothing but chance.
        let alone = self.mode.one_thread() || !tool.is_empty();
        let cpus = if alone { Cpus::Client } else { Cpus::Clients };
        let mut command = match tool {
            [] => launch::command(&self.peer.program, cpus),
            [program, rest @ ..] => {
                let mut command = launch::command(Path::new(program), cpus);
                command.args(rest).arg(&self.peer.program);
                command
            }
        };
        command.arg("run").args(Args { mode: self.mode, ..args.clone() }.to_words());
        command
    }

    /// Runs it: a sample, or `None` where it cannot do the workload.
    pub(crate) fn run(&self, args: &Args, tool: &[String]) -> Outcome<Option<Sample>> {
        let named = |error: String| {
            format!("{} {} in {}: {error}", self.peer.name, self.mode.name(), args.workload.name)
        };
        let text = launch::output(&mut self.command(args, tool), RUN_LIMIT).map_err(named)?;
        let last = text.lines().last().unwrap_or_default();
        if last == UNSUPPORTED {
            return Ok(None);
        }
        serde_json::from_str(last).map(Some).map_err(|error| named(error.to_string()))
    }
}
