//! A server process, seen from a component: the suite outside starts, breaks and reaps it.
//!
//! Commands to the server are sent by the native harness's own source.

#[path = "../../../tests/src/real/process/asked.rs"]
mod asked;
#[path = "../../../tests/src/real/process/faults.rs"]
mod faults;
#[path = "../../../tests/src/real/process/options.rs"]
mod options;

pub use options::Options;

use super::remote::{ask, ask_one};
use super::version::Version;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

impl Options {
    /// Starts the process only.
    pub fn launch(self) -> Server {
        let kind = if self.sentinel { "sentinel" } else { "server" };
        let ip = self.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let port = self.port.map(|port| port.to_string()).unwrap_or_default();
        let password = self.password.clone().unwrap_or_default();
        let (name, lines) = (self.version.name(), self.lines.join("\n"));
        let answer = ask(&["launch", name, kind, &ip, &port, &password, &lines]);
        let [id, address] = answer.as_slice() else { panic!("{answer:?}: an id, an address") };
        let address = address.parse().expect("an address");
        Server {
            id: id.clone(),
            version: self.version,
            sentinel: self.sentinel,
            state: Mutex::new(State { address, password: self.password, up: true }),
        }
    }
}

/// A server process.
#[derive(Debug)]
pub struct Server {
    /// Its id outside.
    id: String,
    /// Which program.
    version: Version,
    /// It is a sentinel.
    sentinel: bool,
    /// What changes while the server exists.
    state: Mutex<State>,
}

/// What changes while a server exists.
#[derive(Debug)]
struct State {
    /// Where it listens, or listened.
    address: SocketAddr,
    /// The default user's password.
    password: Option<String>,
    /// It runs and is not frozen.
    up: bool,
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

    /// The default user's password, if there is one.
    pub fn password(&self) -> Option<String> {
        self.state().password.clone()
    }

    /// Whether the process exists and is not frozen: then it answers, however long that takes.
    pub fn is_up(&self) -> bool {
        self.state().up
    }

    /// Kills the process, as a power cut would.
    pub fn kill(&self) {
        self.tell("kill");
        self.state().up = false;
    }

    /// Stops the process, as an operator would: it closes its connections in order.
    pub fn stop(&self) {
        self.tell("stop");
        self.state().up = false;
    }

    /// Freezes the process.
    pub fn pause(&self) {
        self.tell("pause");
        self.state().up = false;
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.tell("resume");
        self.state().up = true;
    }

    /// [`Server::restart_on`] without waiting for an answer.
    pub fn relaunch_on(&self, address: SocketAddr) {
        ask(&["relaunch", &self.id, &address.to_string()]);
        let mut state = self.state();
        (state.address, state.up) = (address, true);
    }

    /// Adds configuration lines for the next restart.
    pub fn config_at_restart(&self, lines: &str) {
        ask(&["config_at_restart", &self.id, lines]);
    }

    /// Waits until it answers PING.
    pub fn wait_until_ready(&self) {
        let address = ask_one(&["ready", &self.id]).parse().expect("an address");
        self.state().address = address;
    }

    /// The configuration file as it is, which a sentinel rewrites while it runs.
    pub fn configuration(&self) -> String {
        ask_one(&["configuration", &self.id])
    }

    /// Replaces the configuration file, for the next restart of a sentinel.
    pub fn set_configuration(&self, text: &str) {
        ask(&["set_configuration", &self.id, text]);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn tell(&self, what: &str) {
        ask(&[what, &self.id]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell("drop");
    }
}
