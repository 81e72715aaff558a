//! The servers of a run: one standalone, and where wanted a cluster of three primaries and their
//! replicas, on free loopback ports, all pinned to one CPU, with the benchmark's data loaded.
//!
//! They live in a folder under the temporary directory and end with this value. The cluster is
//! formed by plain commands, so that no tool beside the server is needed; it wants Redis 7.0 or
//! Valkey (`ADDSLOTSRANGE`, `cluster-port`).

use crate::launch::Cpus;
use crate::{Outcome, launch};
use harness::args::Addr;
use harness::data;
use harness::wire::{RANGES, Wire};
use harness::workload::Place;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer, and the cluster to form.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at a server that is starting.
const POLL: Duration = Duration::from_millis(20);

/// Running servers.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Their folder.
    folder: PathBuf,
    /// Their processes.
    children: Vec<Child>,
    /// The standalone server.
    one: Option<Addr>,
    /// The cluster: primaries in slot order, then the replica of each.
    cluster: Vec<Addr>,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Servers {
    /// Starts what the places need.
    pub(crate) fn start(program: &Path, places: &[Place]) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("slotcar-bench-{}", std::process::id()));
        let (children, cluster) = (Vec::new(), Vec::new());
        let mut servers = Self { folder, children, one: None, cluster };
        if places.contains(&Place::One) {
            let (addr, _) = servers.spawn(program, false)?;
            let text = |error| format!("loading {}:{}: {error}", addr.0, addr.1);
            data::load(std::slice::from_ref(&addr), false).map_err(text)?;
            servers.one = Some(addr);
        }
        if places.iter().any(|&place| place != Place::One) {
            servers.start_cluster(program)?;
        }
        Ok(servers)
    }

    /// The addresses that a peer is given.
    pub(crate) fn addrs(&self, place: Place) -> Vec<Addr> {
        match place {
            Place::One => self.one.iter().cloned().collect(),
            Place::Cluster | Place::Replicas => self.cluster.clone(),
        }
    }

    /// Where a tool may write.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name and version of the server.
    pub(crate) fn version(&self) -> Outcome<String> {
        let addr = self.one.as_ref().or(self.cluster.first()).ok_or("no server was started")?;
        let text = ask(addr, &["INFO", "server"])?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => Ok(format!("valkey {version}")),
            (None, Some(version)) => Ok(format!("redis {version}")),
            (None, None) => Err("INFO gives no version".to_owned()),
        }
    }

    /// Starts one server; returns its address and its cluster bus's port.
    fn spawn(&mut self, program: &Path, cluster: bool) -> Outcome<(Addr, u16)> {
        let (port, bus) = free_ports()?;
        let folder = self.folder.join(port.to_string());
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut command = launch::command(program, Cpus::Server);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
        command.args(["--save", "", "--appendonly", "no", "--logfile", "log"]);
        command.arg("--dir").arg(&folder);
        // No subscriber is cut off for being slow, and nothing but the workload wakes a replica.
        command.args(["--client-output-buffer-limit", "pubsub", "0", "0", "0"]);
        command.args(["--repl-ping-replica-period", "3600", "--repl-diskless-sync-delay", "0"]);
        if cluster {
            command.args(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]);
            command.args(["--cluster-node-timeout", "5000", "--cluster-port", &bus.to_string()]);
        }
        let child = command.stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        self.children.push(child);
        let addr = ("127.0.0.1".to_owned(), port);
        let begin = Instant::now();
        while !ask(&addr, &["PING"]).is_ok_and(|reply| reply == "PONG") {
            let child = self.children.last_mut().expect("it was pushed above");
            if child.try_wait().is_ok_and(|status| status.is_some())
                || begin.elapsed() > START_LIMIT
            {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("no log");
                return Err(format!("{} does not start: {last}", program.display()));
            }
            std::thread::sleep(POLL);
        }
        Ok((addr, bus))
    }

    fn start_cluster(&mut self, program: &Path) -> Outcome {
        let nodes: Vec<(Addr, u16)> =
            (0..6).map(|_| self.spawn(program, true)).collect::<Outcome<_>>()?;
        let addrs: Vec<Addr> = nodes.iter().map(|(addr, _)| addr.clone()).collect();
        for (index, addr) in addrs.iter().enumerate() {
            command(addr, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
        }
        for (addr, (first, last)) in addrs.iter().zip(RANGES) {
            let (first, last) = (first.to_string(), last.to_string());
            command(addr, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        for ((host, port), bus) in &nodes[1..] {
            let (port, bus) = (port.to_string(), bus.to_string());
            command(&addrs[0], &["CLUSTER", "MEET", host, &port, &bus])?;
        }
        wait_for("the cluster's nodes to meet", || {
            all(&addrs, &["CLUSTER", "INFO"], |text| text.contains("cluster_known_nodes:6"))
        })?;
        for (primary, replica) in addrs[..3].iter().zip(&addrs[3..]) {
            let id = ask(primary, &["CLUSTER", "MYID"])?;
            command(replica, &["CLUSTER", "REPLICATE", &id])?;
        }
        wait_for("the cluster to form", || {
            let linked = |text: &str| text.contains("master_link_status:up");
            Ok(all(&addrs, &["CLUSTER", "INFO"], |text| text.contains("cluster_state:ok"))?
                && all(&addrs, &["CLUSTER", "NODES"], |text| text.matches("slave ").count() == 3)?
                && all(&addrs[3..], &["INFO", "replication"], linked)?)
        })?;
        data::load(&addrs, true).map_err(|error| format!("loading the cluster: {error}"))?;
        for primary in &addrs[..3] {
            ask(primary, &["WAIT", "1", "5000"])?;
        }
        self.cluster = addrs;
        Ok(())
    }
}

/// One command, whose reply is a string; on a connection of its own.
pub(crate) fn ask(addr: &Addr, parts: &[&str]) -> Outcome<String> {
    let asked = Wire::connect(addr).and_then(|mut wire| wire.call_text(parts));
    asked.map_err(|error| format!("{} at {}:{}: {error}", parts.join(" "), addr.0, addr.1))
}

/// One command that must answer OK.
pub(crate) fn command(addr: &Addr, parts: &[&str]) -> Outcome {
    let reply = ask(addr, parts)?;
    if reply == "OK" { Ok(()) } else { Err(format!("{} answers {reply}", parts.join(" "))) }
}

fn all(addrs: &[Addr], parts: &[&str], holds: impl Fn(&str) -> bool) -> Outcome<bool> {
    addrs.iter().try_fold(true, |sofar, addr| Ok(sofar && holds(&ask(addr, parts)?)))
}

fn wait_for(what: &str, holds: impl Fn() -> Outcome<bool>) -> Outcome {
    let begin = Instant::now();
    while !holds()? {
        if begin.elapsed() > START_LIMIT {
            return Err(format!("waited {} s for {what}", START_LIMIT.as_secs()));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Two free ports: for clients and for the cluster's bus.
fn free_ports() -> Outcome<(u16, u16)> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string());
    // Both bound at once, so that they differ.
    let (one, other) = (bind()?, bind()?);
    let port = |listener: &TcpListener| {
        listener.local_addr().map(|addr| addr.port()).map_err(|error| error.to_string())
    };
    Ok((port(&one)?, port(&other)?))
}
