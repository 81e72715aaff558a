//! Settings of a running server that a test changes, and counters that it reads.
//!
//! A server that refuses a change fails the test. The harness remembers a changed password, for its
//! own connections and for restarts; all other changes end with the process.

use std::collections::BTreeMap;

use super::Server;
use crate::real::wire::Reply;

impl Server {
    /// CONFIG SET; panics if the server refuses.
    #[track_caller]
    pub fn set_config(&self, name: &str, value: &str) {
        self.call(&["CONFIG", "SET", name, value]).ok();
    }

    /// Changes the password (`None` removes it) for new connections, now and after a restart.
    ///
    /// Connections that are authenticated stay so; [`Server::kill_clients`] ends them.
    #[track_caller]
    pub fn set_password(&self, password: Option<&str>) {
        let value = password.unwrap_or("");
        let mut conn = self.conn().expect("the server accepts the old password");
        let mut run = |arguments: &[&str]| {
            conn.call(arguments).expect("the server answers").ok();
        };
        if !self.sentinel {
            run(&["CONFIG", "SET", "masterauth", value]);
        }
        run(&["CONFIG", "SET", "requirepass", value]);
        self.state().password = password.map(str::to_owned);
    }

    /// Closes connections of one type: `normal`, `pubsub`, `replica` or `master`. Returns how many.
    #[track_caller]
    pub fn kill_clients(&self, kind: &str) -> u64 {
        let reply = self.call(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).ok();
        reply.integer().and_then(|n| n.try_into().ok()).expect("CLIENT KILL TYPE counts")
    }

    /// Suspends all commands of all clients for so many milliseconds; connecting still works.
    ///
    /// Nothing ends it early: the server suspends CLIENT UNPAUSE with the rest.
    #[track_caller]
    pub fn pause_clients(&self, milliseconds: u64) {
        self.call(&["CLIENT", "PAUSE", &milliseconds.to_string()]).ok();
    }

    /// Suspends commands that may write, until [`Server::unpause_writes`]. Needs 6.2.
    #[track_caller]
    pub fn pause_writes(&self) {
        self.call(&["CLIENT", "PAUSE", "600000", "WRITE"]).ok();
    }

    /// Ends [`Server::pause_writes`].
    #[track_caller]
    pub fn unpause_writes(&self) {
        self.call(&["CLIENT", "UNPAUSE"]).ok();
    }

    /// One section of INFO as names and values.
    #[track_caller]
    pub fn info(&self, section: &str) -> BTreeMap<String, String> {
        let text = self.call(&["INFO", section]).ok().text();
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// How often each command ran since the start or the last reset: this proves where reads went.
    ///
    /// Subcommands have names of their own from 7.0 on, such as `cluster|slots`.
    #[track_caller]
    pub fn command_calls(&self) -> BTreeMap<String, u64> {
        let stats = self.info("commandstats");
        let calls = stats.iter().filter_map(|(name, values)| {
            let calls = values.split(',').find_map(|field| field.strip_prefix("calls="))?;
            Some((name.strip_prefix("cmdstat_")?.to_owned(), calls.parse().ok()?))
        });
        calls.collect()
    }

    /// Sets the counts of [`Server::command_calls`] back to zero.
    #[track_caller]
    pub fn reset_command_calls(&self) {
        self.call(&["CONFIG", "RESETSTAT"]).ok();
    }

    /// How many clients are connected, without the connection that asks.
    #[track_caller]
    pub fn client_count(&self) -> usize {
        // Replicas and primaries are in the list, too; the field `flags` marks them.
        let text = self.call(&["CLIENT", "LIST"]).ok().text();
        let ordinary = |line: &&str| {
            let flags = line.split(' ').find_map(|f| f.strip_prefix("flags=")).unwrap_or("");
            !flags.contains(['S', 'M', 'O'])
        };
        text.lines().filter(ordinary).count() - 1
    }

    /// How many connections it accepted since its start, including those of the harness.
    #[track_caller]
    pub fn connections_received(&self) -> u64 {
        let stats = self.info("stats");
        stats["total_connections_received"].parse().expect("INFO counts connections")
    }

    /// `master` or `slave`, as ROLE says it, or `sentinel`.
    #[track_caller]
    pub fn role(&self) -> String {
        self.call(&["ROLE"]).ok().items().first().map(Reply::text).unwrap_or_default()
    }
}
