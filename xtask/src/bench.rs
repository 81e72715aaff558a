//! `cargo xtask bench`: builds the benchmark's own workspace (tests/bench) and runs it.
//!
//! Without an argument, or with options only, it measures slotcar beside its peers. `check`
//! compares instruction counts with the committed ones, `scale` those of one of many with those of
//! one of few. `build` measures what each client costs to build. Peers are built one by one, so
//! that none changes the features of another's dependencies. A peer that does not build is reported
//! and left out; an older program of it is not used.

use crate::{Outcome, servers};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The peers: the crates `peer-*` of the benchmark's workspace.
const PEERS: &[&str] = &["raw", "slotcar", "redis1", "redis2", "fred", "rustis"];

/// A peer that is not built here: it comes with the servers.
const REDIS_BENCHMARK: &str = "redis-benchmark";

/// The server that is measured against if none is named.
const SERVER: &str = "redis-7.0";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments.split_first() {
        Some((first, rest)) if first == "check" => check(rest),
        Some((first, rest)) if first == "build" => build_cost(rest),
        Some((first, rest)) if first == "scale" => scale(rest),
        _ => measure(arguments.to_vec()),
    }
}

fn measure(mut arguments: Vec<String>) -> Outcome {
    build("runner")?;
    let mut runner = runner("measure");
    if !arguments.iter().any(|word| word == "--help" || word == "--from") {
        let named = take_option(&mut arguments, "--peers")?;
        let peers = match &named {
            Some(names) => names.split(',').collect(),
            None => [PEERS, &[REDIS_BENCHMARK]].concat(),
        };
        let unknown = peers.iter().find(|peer| !PEERS.contains(peer) && **peer != REDIS_BENCHMARK);
        if let Some(peer) = unknown {
            let there = PEERS.join(", ");
            return Err(format!("no peer {peer}: there are {there}, {REDIS_BENCHMARK}"));
        }
        runner.args(["--peers", &build_peers(&peers).join(",")]);
        let server = server(take_option(&mut arguments, "--server")?)?;
        runner.arg("--server").arg(&server);
        match beside(&server, REDIS_BENCHMARK) {
            Some(program) => drop(runner.arg("--redis-benchmark").arg(program)),
            None if peers.contains(&REDIS_BENCHMARK) => {
                eprintln!("SKIPPED: redis-benchmark is neither beside the server nor on PATH");
            }
            None => {}
        }
    }
    runner.arg("--out").arg(target(crate::root().join("target")).join("bench"));
    finish(runner.args(arguments))
}

fn check(arguments: &[String]) -> Outcome {
    let mut arguments = arguments.to_vec();
    if !is_there(Path::new("valgrind")) && !install("valgrind") {
        eprintln!("SKIPPED: valgrind is not installed, so instructions were NOT checked");
        eprintln!("         (`apt-get install valgrind` brings it)");
        return Ok(());
    }
    let server = server(take_option(&mut arguments, "--server")?)?;
    build("runner")?;
    build("peer-slotcar")?;
    let mut runner = runner("check");
    runner.arg("--baseline").arg(folder().join("instructions.json"));
    finish(runner.arg("--server").arg(server).args(arguments))
}

fn scale(arguments: &[String]) -> Outcome {
    let mut arguments = arguments.to_vec();
    if !is_there(Path::new("valgrind")) && !install("valgrind") {
        eprintln!("SKIPPED: valgrind is not installed, so growth was NOT checked");
        return Ok(());
    }
    let server = server(take_option(&mut arguments, "--server")?)?;
    build("runner")?;
    // With its symbols: callgrind finds what to count by the names of functions.
    build_as("scale", "prof")?;
    let program = target(folder().join("target")).join("prof/scale");
    let mut runner = runner("scale");
    finish(runner.arg("--scale").arg(program).arg("--server").arg(server).args(arguments))
}

fn build_cost(peers: &[String]) -> Outcome {
    build("runner")?;
    let mut runner = runner("build");
    runner.arg(folder().join("Cargo.toml"));
    if peers.is_empty() {
        runner.args(PEERS);
    }
    finish(runner.args(peers))
}

/// Builds peers; returns those that are there.
fn build_peers(peers: &[&str]) -> Vec<String> {
    let build = |peer: &&&str| match build(&format!("peer-{peer}")) {
        Ok(()) => true,
        Err(sentence) => {
            eprintln!("SKIPPED: {peer}: {sentence}");
            false
        }
    };
    let there = peers.iter().filter(|peer| **peer == REDIS_BENCHMARK || build(peer));
    there.map(|peer| (*peer).to_owned()).collect()
}

fn build(package: &str) -> Outcome {
    build_as(package, "release")
}

fn build_as(package: &str, profile: &str) -> Outcome {
    let mut cargo = crate::cargo();
    cargo.args(["build", "--quiet", "--profile", profile, "--package", package]);
    cargo.arg("--manifest-path");
    eprintln!("building {package}");
    finish(cargo.arg(folder().join("Cargo.toml")))
        .map_err(|_| format!("{package} does not build; its errors are above"))
}

fn runner(command: &str) -> Command {
    let mut runner = Command::new(target(folder().join("target")).join("release/runner"));
    runner.arg(command);
    runner
}

fn finish(command: &mut Command) -> Outcome {
    let program = command.get_program().to_os_string();
    let name = Path::new(&program).display();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// The server's program: that of the name or path given, else the usual one, fetched if need be.
fn server(named: Option<String>) -> Outcome<PathBuf> {
    let fetched = |name: &str| servers::folder().join(name).join("bin/redis-server");
    if let Some(named) = named {
        let candidates = [fetched(&named), PathBuf::from(&named)];
        let found = candidates.into_iter().find(|program| is_there(program));
        return found.ok_or_else(|| format!("{named} is neither a fetched server nor a program"));
    }
    let usual = fetched(SERVER);
    let on_path = PathBuf::from("redis-server");
    if is_there(&usual) {
        return Ok(usual);
    }
    if is_there(&on_path) {
        return Ok(on_path);
    }
    servers::run(&["--only".to_owned(), SERVER.to_owned()])?;
    Ok(usual)
}

/// A tool that came with a server, or else one on PATH.
fn beside(server: &Path, tool: &str) -> Option<PathBuf> {
    [server.with_file_name(tool), tool.into()].into_iter().find(|program| is_there(program))
}

fn is_there(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs a Debian package where that needs no question: with apt, as root.
fn install(package: &str) -> bool {
    let root = Command::new("id").arg("-u").output();
    if !root.is_ok_and(|output| output.stdout == b"0\n") || !is_there(Path::new("apt-get")) {
        return false;
    }
    eprintln!("installing {package}");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--quiet=2", "--no-install-recommends", "--yes", package]);
    // What apt says goes to standard error: standard output has the counts.
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet=2"]).stdout(std::io::stderr());
    (finish(&mut apt).is_ok() || finish(&mut update).and_then(|()| finish(&mut apt)).is_ok())
        && is_there(Path::new(package))
}

/// Takes `option VALUE` out of the arguments.
fn take_option(arguments: &mut Vec<String>, option: &str) -> Outcome<Option<String>> {
    let Some(at) = arguments.iter().position(|word| word == option) else { return Ok(None) };
    arguments.remove(at);
    if at == arguments.len() {
        return Err(format!("{option} wants a value"));
    }
    Ok(Some(arguments.remove(at)))
}

fn folder() -> PathBuf {
    crate::root().join("tests/bench")
}

/// Cargo's target folder: the one it was told, or its usual place.
fn target(usual: PathBuf) -> PathBuf {
    let told: Option<OsString> = std::env::var_os("CARGO_TARGET_DIR");
    told.filter(|path| !path.is_empty()).map_or(usual, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An option leaves with its value, and nothing else does.
    #[test]
    fn takes_an_option_out() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut arguments = words("b --peers raw,fred --quick");
        assert_eq!(take_option(&mut arguments, "--peers"), Ok(Some("raw,fred".to_owned())));
        assert_eq!(arguments, words("b --quick"));
        assert_eq!(take_option(&mut arguments, "--peers"), Ok(None));
        let mut arguments = words("b --peers");
        assert!(take_option(&mut arguments, "--peers").is_err());
    }
}
