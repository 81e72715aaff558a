//! Commands that the harness sends to a server, and what follows from its address and password.
//!
//! Components use this file, too: nothing here needs the process.

use super::Server;
use crate::real::version::Version;
use crate::real::wire::{Conn, Reply};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

impl Server {
    /// A standalone server with nothing special.
    pub fn start(version: &Version) -> Server {
        Server::of(version).start()
    }

    /// Where it listens, as a URL, with the password if there is one.
    pub fn url(&self) -> String {
        let password = self.password().map(|p| format!(":{p}@")).unwrap_or_default();
        format!("redis://{password}{}", self.address())
    }

    /// A new connection, authenticated where there is a password.
    pub fn conn(&self) -> io::Result<Conn> {
        let mut conn = Conn::open(self.address())?;
        if let Some(password) = self.password() {
            let reply = conn.call(&["AUTH", &password])?;
            if let Reply::Error(line) = reply {
                return Err(io::Error::other(line));
            }
        }
        Ok(conn)
    }

    /// Runs one command on a new connection; panics if no reply comes. Errors are replies.
    #[track_caller]
    pub fn call(&self, arguments: &[&str]) -> Reply {
        self.try_call(arguments)
            .unwrap_or_else(|e| panic!("{} at {}: {e}", arguments.join(" "), self.address()))
    }

    /// Runs one command on a new connection, which the server has forgotten when this returns.
    pub fn try_call(&self, arguments: &[&str]) -> io::Result<Reply> {
        let mut conn = self.conn()?;
        let reply = conn.call(arguments)?;
        conn.close();
        Ok(reply)
    }

    /// Whether it answers PING right now, be it with a demand for a password.
    ///
    /// The reply may take 250 ms. A starved server may take longer, so `false` does not prove that
    /// the server is down; [`Server::is_up`] does.
    pub fn answers(&self) -> bool {
        self.answers_within(Duration::from_millis(250))
    }

    /// Whether it answers PING, with so much time for the reply.
    pub(super) fn answers_within(&self, timeout: Duration) -> bool {
        let reply = Conn::open(self.address()).and_then(|mut conn| {
            conn.set_timeout(timeout)?;
            let reply = conn.call(&["PING"])?;
            conn.close();
            Ok(reply)
        });
        match reply {
            Ok(reply) => reply.text() == "PONG" || reply.is_error("NOAUTH"),
            Err(_) => false,
        }
    }

    /// Starts it again where it was, killing it first if it runs.
    pub fn restart(&self) {
        self.restart_on(self.address());
    }

    /// Starts it again on another address with the same folder, killing it first if it runs.
    pub fn restart_on(&self, address: SocketAddr) {
        self.relaunch_on(address);
        self.wait_until_ready();
    }
}
