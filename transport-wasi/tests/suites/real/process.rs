//! A server process, as seen from inside: the outside starts, breaks and reaps it.
//!
//! The twin of the native harness's file of that name. Commands go to the server itself.

#[path = "../../../../tests/src/real/process/faults.rs"]
mod faults;

use super::version::Version;
use super::wire::{Conn, Reply};
use crate::remote::{ask, ask_one};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a server shall be started; made by [`Server::of`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Which program.
    version: Version,
    /// The address; a fresh one if not given.
    ip: Option<Ipv4Addr>,
    /// Configuration lines.
    lines: String,
    /// The default user's password.
    password: Option<String>,
    /// Started as a sentinel.
    sentinel: bool,
}

impl Options {
    /// Listens on this address, not on one of its own.
    pub fn ip(mut self, ip: Ipv4Addr) -> Options {
        self.ip = Some(ip);
        self
    }

    /// Adds configuration lines.
    pub fn config(mut self, lines: &str) -> Options {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }

    /// Sets the default user's password.
    pub fn password(mut self, password: &str) -> Options {
        self.password = Some(password.to_owned());
        self
    }

    /// Makes it a sentinel.
    pub fn sentinel(mut self) -> Options {
        self.sentinel = true;
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Server {
        let server = self.launch();
        server.wait_until_ready();
        server
    }

    /// Starts the process only.
    pub fn launch(self) -> Server {
        let kind = if self.sentinel { "sentinel" } else { "server" };
        let ip = self.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let password = self.password.clone().unwrap_or_default();
        let words = ["launch", self.version.name(), kind, &ip, &password, &self.lines];
        let answer = ask(&words);
        let [id, address] = answer.as_slice() else { panic!("{answer:?}: an id, an address") };
        let address = address.parse().expect("an address");
        Server {
            id: id.clone(),
            version: self.version,
            sentinel: self.sentinel,
            state: Mutex::new(State { address, password: self.password }),
        }
    }
}

/// A server process.
#[derive(Debug)]
pub struct Server {
    /// The outside's name for it.
    id: String,
    /// Which program.
    version: Version,
    /// Started as a sentinel.
    sentinel: bool,
    /// What changes.
    state: Mutex<State>,
}

/// What changes in a server's life.
#[derive(Debug)]
struct State {
    /// Where it listens, or listened.
    address: SocketAddr,
    /// The default user's password.
    password: Option<String>,
}

impl Server {
    /// Begins to describe a server.
    pub fn of(version: &Version) -> Options {
        let (version, lines) = (version.clone(), String::new());
        Options { version, ip: None, lines, password: None, sentinel: false }
    }

    /// A standalone server with nothing special.
    pub fn start(version: &Version) -> Server {
        Server::of(version).start()
    }

    /// Which program it is.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.state().address
    }

    /// Where it listens, as a URL, with the password if there is one.
    pub fn url(&self) -> String {
        let state = self.state();
        let password = state.password.as_ref().map(|p| format!(":{p}@")).unwrap_or_default();
        format!("redis://{password}{}", state.address)
    }

    /// The default user's password, if there is one.
    pub fn password(&self) -> Option<String> {
        self.state().password.clone()
    }

    /// A new connection, authenticated where there is a password.
    pub fn conn(&self) -> io::Result<Conn> {
        let (address, password) = {
            let state = self.state();
            (state.address, state.password.clone())
        };
        let mut conn = Conn::open(address)?;
        if let Some(password) = password
            && let Reply::Error(line) = conn.call(&["AUTH", &password])?
        {
            return Err(io::Error::other(line));
        }
        Ok(conn)
    }

    /// Runs one command on a new connection; panics if no reply comes. Errors are replies.
    #[track_caller]
    pub fn call(&self, arguments: &[&str]) -> Reply {
        self.try_call(arguments)
            .unwrap_or_else(|e| panic!("{} at {}: {e}", arguments.join(" "), self.address()))
    }

    /// Runs one command on a new connection.
    pub fn try_call(&self, arguments: &[&str]) -> io::Result<Reply> {
        self.conn()?.call(arguments)
    }

    /// Kills the process, as a power cut would.
    pub fn kill(&self) {
        self.tell("kill");
    }

    /// Freezes the process.
    pub fn pause(&self) {
        self.tell("pause");
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.tell("resume");
    }

    /// Starts it again where it was, killing it first if it runs.
    pub fn restart(&self) {
        self.restart_on(self.address());
    }

    /// Starts it again on another address, killing it first if it runs.
    pub fn restart_on(&self, address: SocketAddr) {
        self.relaunch_on(address);
        self.wait_until_ready();
    }

    /// [`Server::restart_on`] without waiting for an answer.
    pub fn relaunch_on(&self, address: SocketAddr) {
        ask(&["relaunch", &self.id, &address.to_string()]);
        self.state().address = address;
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

    /// Whether it answers PING right now, be it with a demand for a password.
    pub fn answers(&self) -> bool {
        let reply = Conn::open(self.address()).and_then(|mut conn| {
            conn.set_patience(Duration::from_millis(250))?;
            conn.call(&["PING"])
        });
        reply.is_ok_and(|reply| reply.text() == "PONG" || reply.is_error("NOAUTH"))
    }

    /// The configuration file, which no component can read: only for what is skipped here.
    pub fn config_path(&self) -> PathBuf {
        PathBuf::from(format!("/outside/{}", self.id))
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
