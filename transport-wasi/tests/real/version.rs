//! The versions of servers that exist outside, by name and number.
//!
//! The twin of the native file of that name.

use super::remote::ask;
use std::fmt;

/// One version of a server.
#[derive(Clone, Debug)]
pub struct Version {
    /// Such as `redis-7.0`.
    name: String,
    /// Major, minor, patch.
    number: (u32, u32, u32),
}

impl Version {
    /// Each version that the tests cover inside of components.
    pub fn all() -> Vec<Version> {
        Version::told(&["versions"])
    }

    fn told(question: &[&str]) -> Vec<Version> {
        let parse = |words: &[String]| {
            let [name, number] = words else { panic!("{words:?}: a name and a number") };
            let number: Vec<u32> =
                number.split('.').map(|part| part.parse().expect("a number")).collect();
            Version { name: name.clone(), number: (number[0], number[1], number[2]) }
        };
        ask(question).chunks(2).map(parse).collect()
    }

    /// One version by name, if it is covered.
    pub fn named(name: &str) -> Option<Version> {
        Version::told(&["version", name]).pop()
    }

    /// The version for a test that needs no particular one.
    pub fn any() -> Version {
        let all = Version::all();
        let usual = all.iter().find(|version| version.name == "redis-7.0").or(all.first());
        usual.expect("at least one version is covered").clone()
    }

    /// Such as `redis-7.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is at least this Redis, or at least this Valkey (major, minor).
    pub fn since(&self, redis: (u32, u32), valkey: (u32, u32)) -> bool {
        let wanted = if self.name.starts_with("redis") { redis } else { valkey };
        (self.number.0, self.number.1) >= wanted
    }

    /// Whether it knows what Redis 7.0 brought.
    pub fn since_7(&self) -> bool {
        self.since((7, 0), (7, 0))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
