//! The configuration of one server.
//!
//! Fields that the simulation itself needs are typed; everything else that `CONFIG GET` shows is
//! text.

use std::collections::BTreeMap;
use std::time::Duration;

/// Which server is simulated. Replies differ a little between versions, and the commands differ a
/// lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u8,
    /// Second number.
    pub minor: u8,
    /// Third number.
    pub patch: u8,
    /// It identifies itself as Valkey.
    pub valkey: bool,
}

impl Version {
    /// A Redis version.
    #[must_use]
    pub const fn redis(major: u8, minor: u8, patch: u8) -> Self {
        Self { major, minor, patch, valkey: false }
    }

    /// A Valkey version.
    #[must_use]
    pub const fn valkey(major: u8, minor: u8, patch: u8) -> Self {
        Self { major, minor, patch, valkey: true }
    }

    /// The Redis version whose commands it has: Valkey started from Redis 7.2.
    pub(crate) fn commands(self) -> (u8, u8) {
        if self.valkey && self.major >= 8 { (7, 9) } else { (self.major, self.minor) }
    }

    /// The version for `INFO` and `HELLO`.
    pub(crate) fn redis_text(self) -> String {
        if self.valkey {
            "7.2.4".to_owned()
        } else {
            format!("{}.{}.{}", self.major, self.minor, self.patch)
        }
    }

    pub(crate) fn text(self) -> String {
        format!("{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The configuration of a server.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The simulated product and version.
    pub(crate) version: Version,
    /// Passwords by user; without one for `default`, no client needs a password.
    pub(crate) users: BTreeMap<String, String>,
    /// Numbered databases.
    pub(crate) databases: usize,
    /// Maximum number of connections.
    pub(crate) clients_max: usize,
    /// `availability-zone`.
    pub(crate) zone: String,
    /// `replica-serve-stale-data`.
    pub(crate) serve_stale: bool,
    /// There is no memory for writes.
    pub(crate) out_of_memory: bool,
    /// How long it answers LOADING after a start or a full synchronisation.
    pub(crate) loading: Duration,
    /// The other parameters that were set; see `parameters` for the values of the rest.
    pub(crate) parameters: BTreeMap<&'static str, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: Version::redis(8, 0, 2),
            users: BTreeMap::new(),
            databases: 16,
            clients_max: 10_000,
            zone: String::new(),
            serve_stale: true,
            out_of_memory: false,
            loading: Duration::ZERO,
            parameters: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Whether a client has to authenticate first.
    pub(crate) fn requires_password(&self) -> bool {
        self.users.contains_key("default")
    }
}
