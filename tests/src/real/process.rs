//! One server process on a loopback address of its own: starts, faults, restarts, end.
//!
//! All methods take `&self`: one thread may break a server while others use it.
//! **Invariants**: a started server has answered PING; a stopped or dropped one is reaped; a
//! restart keeps the folder, and with it the node id and what was saved (nothing, by default).
//! `process/asked.rs` sends commands to the server, `process/faults.rs` changes its settings.

mod asked;
mod faults;
mod options;

pub use options::Options;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use super::certificates::TLS_PORT;
use super::version::Version;
use super::wait::{BOUND, until, until_true};
use super::{address, scratch};

/// Starts with another port after the first was taken in between.
const PORT_TRIES: usize = 5;

impl Options {
    /// Starts the process only: several servers start faster side by side.
    pub fn launch(self) -> Server {
        let ip = self.ip.unwrap_or_else(address::fresh);
        let fixed_port = self.port.is_some();
        let port = self.port.unwrap_or_else(|| address::free_port(ip));
        let server = Server {
            folder: scratch::folder(self.version.name()),
            version: self.version,
            sentinel: self.sentinel,
            fixed_port,
            state: Mutex::new(State {
                address: SocketAddr::from((ip, port)),
                child: None,
                paused: false,
                lines: self.lines,
                password: self.password,
            }),
        };
        server.write_config();
        server.spawn();
        server
    }
}

/// A server process.
#[derive(Debug)]
pub struct Server {
    /// Which program.
    version: Version,
    /// Its working folder: configuration, log, node id, saved data.
    folder: PathBuf,
    /// It is a sentinel, which rewrites its own configuration file.
    sentinel: bool,
    /// The caller chose the port.
    fixed_port: bool,
    /// What changes while the server exists.
    state: Mutex<State>,
}

/// What changes while a server exists.
#[derive(Debug)]
struct State {
    /// Where it listens, or listened.
    address: SocketAddr,
    /// The process, unless it was stopped or killed.
    child: Option<Child>,
    /// Frozen by [`Server::pause`].
    paused: bool,
    /// Configuration lines for the next start.
    lines: Vec<String>,
    /// The default user's password.
    password: Option<String>,
}

impl Server {
    /// Begins to describe a server.
    pub fn of(version: &Version) -> Options {
        Options::new(version)
    }

    /// Which program it is.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.state().address
    }

    /// Where it listens for TLS, if its configuration says so as `Pem::listening` does.
    pub fn tls_address(&self) -> SocketAddr {
        SocketAddr::new(self.address().ip(), TLS_PORT)
    }

    /// The default user's password, if there is one.
    pub fn password(&self) -> Option<String> {
        self.state().password.clone()
    }

    /// Its unix socket.
    pub fn unix_path(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    /// Its working folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process id; panics if it does not run.
    pub fn pid(&self) -> u32 {
        self.state().child.as_ref().expect("the server runs").id()
    }

    /// Whether the process exists; a paused one does.
    pub fn is_running(&self) -> bool {
        let mut state = self.state();
        state.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Whether the process exists and is not frozen: then it answers, however long that takes.
    pub fn is_up(&self) -> bool {
        self.is_running() && !self.state().paused
    }

    /// Its log, over all its starts.
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// Kills the process with SIGKILL, as a power cut would, and reaps it.
    pub fn kill(&self) {
        let mut state = self.state();
        if let Some(mut child) = state.child.take() {
            // An error means that it has ended already; it must be reaped in both cases.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the process with SIGTERM, as an operator would: it closes its connections in order.
    pub fn stop(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = until(&format!("{} to stop", self.address()), || {
            self.state().child.as_mut().and_then(|child| child.try_wait().ok().flatten())
        });
        self.state().child = None;
        status
    }

    /// Freezes the process: connections stay open and are even accepted, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        // The signal is delivered later; the state of the process says when.
        until_true("the server to freeze", || self.process_state() == Some('T'));
        self.state().paused = true;
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
        self.state().paused = false;
        until_true("the server to thaw", || self.process_state() != Some('T'));
    }

    /// [`Server::restart_on`] without waiting for an answer.
    pub fn relaunch_on(&self, address: SocketAddr) {
        self.kill();
        self.state().address = address;
        if !self.sentinel {
            self.write_config();
        }
        self.spawn();
    }

    /// Adds configuration lines for the next restart.
    pub fn config_at_restart(&self, lines: &str) {
        self.state().lines.extend(lines.lines().map(|l| l.trim().to_owned()));
    }

    /// Waits until it answers PING; panics with its log if it ends before.
    pub fn wait_until_ready(&self) {
        for _ in 0..PORT_TRIES {
            let alive = until(&format!("{} to answer PING", self.address()), || {
                if !self.is_running() {
                    return Some(false);
                }
                self.answers_within(BOUND).then_some(true)
            });
            if alive {
                return;
            }
            let log = self.log();
            let taken = log.lines().rev().take(10).any(|l| l.contains("Address already in use"));
            assert!(taken && !self.fixed_port, "{} did not start:\n{}", self.version, tail(&log));
            self.move_to_free_port();
        }
        panic!("{} found no free port in {PORT_TRIES} tries", self.version);
    }

    /// The configuration file as it is, which a sentinel rewrites while it runs.
    pub fn configuration(&self) -> String {
        let path = self.config_path();
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Replaces the configuration file, for the next restart of a sentinel.
    pub fn set_configuration(&self, text: &str) {
        let path = self.config_path();
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    fn config_path(&self) -> PathBuf {
        self.folder.join("server.conf")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process id is positive");
        kill_process(pid, signal).expect("the process was not reaped yet");
    }

    /// The letter of `/proc/PID/stat`: R and S for a running process, T for a frozen one.
    fn process_state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn move_to_free_port(&self) {
        let mut state = self.state();
        let SocketAddr::V4(old) = state.address else { unreachable!("every address is IPv4") };
        state.address.set_port(address::free_port(*old.ip()));
        state.child = None;
        drop(state);
        self.write_config();
        self.spawn();
    }

    fn spawn(&self) {
        let log = fs::File::options().create(true).append(true).open(self.log_path());
        let log = log.unwrap_or_else(|e| panic!("{}: {e}", self.log_path().display()));
        let errors = log.try_clone().expect("a file handle can be duplicated");
        let mut command = Command::new(self.version.server());
        command.arg(self.config_path()).current_dir(&self.folder);
        if self.sentinel {
            command.arg("--sentinel");
        }
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = child.unwrap_or_else(|e| panic!("{}: {e}", self.version.server().display()));
        let mut state = self.state();
        (state.child, state.paused) = (Some(child), false);
    }

    fn write_config(&self) {
        let state = self.state();
        let (ip, port) = (state.address.ip(), state.address.port());
        let mut text = format!("bind {ip}\nport {port}\ndir {}\n", self.folder.display());
        // Protected mode takes every address but 127.0.0.1 for a stranger's.
        text.push_str("protected-mode no\n");
        if !self.sentinel {
            let socket = self.unix_path();
            let _ = writeln!(text, "unixsocket {}\nsave \"\"\nappendonly no", socket.display());
            let _ = writeln!(text, "replica-announce-ip {ip}\nrepl-diskless-sync yes");
            text.push_str("repl-diskless-sync-delay 0\n");
            if self.version.since_7() {
                text.push_str("enable-debug-command yes\nshutdown-timeout 0\n");
            }
        }
        if let Some(password) = &state.password {
            let _ = writeln!(text, "requirepass {password}");
            if !self.sentinel {
                let _ = writeln!(text, "masterauth {password}");
            }
        }
        for line in &state.lines {
            // A line may name the server's address, which a restart can change.
            let line = line.replace("{ip}", &ip.to_string()).replace("{port}", &port.to_string());
            text.push_str(&line);
            text.push('\n');
        }
        let path = self.config_path();
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        scratch::discard(&self.folder);
    }
}

fn tail(log: &str) -> String {
    let mut lines: Vec<&str> = log.lines().rev().take(15).collect();
    lines.reverse();
    lines.join("\n")
}
