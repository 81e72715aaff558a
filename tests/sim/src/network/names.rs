//! The name service of the simulated network.
//!
//! A name resolves to a set of addresses that the test may change while the run goes on, as the DNS
//! entry of a Kubernetes service changes when its pods move. Lookups take time, and may fail or be
//! slow. Address literals need no lookup.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Names, their addresses, and the time of a lookup.
#[derive(Debug)]
pub(crate) struct Names {
    /// Lower-case names and their addresses, in the order in which they are tried.
    table: BTreeMap<String, Vec<IpAddr>>,
    /// Names that do not resolve now, whatever the table contains.
    failing: BTreeSet<String>,
    /// How long a lookup takes.
    pub(crate) delay: Duration,
}

impl Names {
    pub(crate) fn new() -> Self {
        let delay = Duration::from_millis(1);
        Self { table: BTreeMap::new(), failing: BTreeSet::new(), delay }
    }

    /// Makes `name` resolve to `addresses` from now on; an empty set makes it unknown.
    pub(crate) fn set(&mut self, name: &str, addresses: Vec<IpAddr>) {
        let name = name.to_ascii_lowercase();
        if addresses.is_empty() {
            self.table.remove(&name);
        } else {
            self.table.insert(name, addresses);
        }
    }

    /// Makes lookups of `name` fail, or ends that.
    pub(crate) fn set_failing(&mut self, name: &str, failing: bool) {
        let name = name.to_ascii_lowercase();
        if failing {
            self.failing.insert(name);
        } else {
            self.failing.remove(&name);
        }
    }

    /// Ends every failure.
    pub(crate) fn heal(&mut self) {
        self.failing.clear();
    }

    /// The addresses of `name`, and whether a lookup was needed; `None` when it is unknown or
    /// failing.
    pub(crate) fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        if let Some(address) = literal(name) {
            return Some(vec![address]);
        }
        let name = name.to_ascii_lowercase();
        if self.failing.contains(&name) {
            return None;
        }
        self.table.get(&name).cloned()
    }
}

/// The address that `name` contains, if it is an address literal.
pub(crate) fn literal(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_fail_and_come_back_and_literals_pass() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        let mut names = Names::new();
        names.set("Redis.Local", vec![ip("10.0.0.1"), ip("10.0.0.2")]);
        assert_eq!(names.resolve("redis.local"), Some(vec![ip("10.0.0.1"), ip("10.0.0.2")]));
        names.set_failing("redis.LOCAL", true);
        assert_eq!(names.resolve("redis.local"), None);
        names.heal();
        names.set("redis.local", vec![ip("10.0.0.9")]);
        assert_eq!(names.resolve("redis.local"), Some(vec![ip("10.0.0.9")]));
        names.set("redis.local", vec![]);
        assert_eq!(names.resolve("redis.local"), None);
        assert_eq!(names.resolve("::1"), Some(vec![ip("::1")]));
    }
}
