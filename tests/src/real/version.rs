//! Which servers the tests run against, and where their programs are.
//!
//! The names come from `tests/servers.txt`, the programs from `.servers` (or `$SLOTCAR_SERVERS`) as
//! `cargo xtask servers` leaves them, and from PATH. **Invariant**: a listed version that is not
//! there is a failure, never a silent skip; only `SLOTCAR_VERSIONS` takes versions out.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same list that `cargo xtask servers` fetches from.
const LIST: &str = include_str!("../../servers.txt");

/// The two families of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// One version of a server that is on this machine.
#[derive(Clone, Debug)]
pub struct Version {
    /// Such as `redis-7.0`.
    name: String,
    /// The family of the server.
    family: Family,
    /// Major, minor, patch, as the program itself reports them.
    number: (u32, u32, u32),
    /// The server program; `--sentinel` makes it a sentinel.
    server: PathBuf,
    /// The command line client.
    cli: PathBuf,
}

impl Version {
    /// Every version that the tests shall cover, oldest Redis first.
    ///
    /// Panics, with what to do, if one of them is missing.
    pub fn all() -> Vec<Version> {
        let restriction = std::env::var("SLOTCAR_VERSIONS").ok();
        select(&present(), restriction.as_deref()).unwrap_or_else(|sentence| panic!("{sentence}"))
    }

    /// One version by name; `None`, with a line that says so, if `SLOTCAR_VERSIONS` leaves it out.
    ///
    /// Panics if it is missing though it should be covered.
    pub fn named(name: &str) -> Option<Version> {
        let found = Version::all().into_iter().find(|v| v.name == name);
        if found.is_none() {
            eprintln!("SKIPPED: {name} is left out by SLOTCAR_VERSIONS");
        }
        found
    }

    /// A version that only `cargo xtask servers --only NAME` fetches; `None`, with a line that says
    /// so, if it is not there, or if `SLOTCAR_VERSIONS` leaves it out.
    pub fn asked(name: &str) -> Option<Version> {
        let restriction = std::env::var("SLOTCAR_VERSIONS").ok();
        if restriction.is_some_and(|names| !names.split(',').any(|other| other.trim() == name)) {
            eprintln!("SKIPPED: {name} is left out by SLOTCAR_VERSIONS");
            return None;
        }
        let found = present().remove(name);
        if found.is_none() {
            eprintln!(
                "SKIPPED: {name} is not there; `cargo xtask servers --only {name}` fetches it"
            );
        }
        found
    }

    /// The version for a test that needs no particular one: redis-7.0, else the first covered.
    pub fn any() -> Version {
        let all = Version::all();
        let usual = all.iter().find(|v| v.name == "redis-7.0").or(all.first());
        usual.expect("at least one version is covered, or all() had panicked").clone()
    }

    /// Such as `redis-7.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The family of the server.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Major, minor, patch.
    pub fn number(&self) -> (u32, u32, u32) {
        self.number
    }

    /// Whether it is at least this Redis, or at least this Valkey (major, minor).
    pub fn since(&self, redis: (u32, u32), valkey: (u32, u32)) -> bool {
        let (major, minor, _) = self.number;
        let wanted = match self.family {
            Family::Redis => redis,
            Family::Valkey => valkey,
        };
        (major, minor) >= wanted
    }

    /// Whether it knows what Redis 7.0 brought: sharded pub/sub, CLUSTER SHARDS, announced host
    /// names, FUNCTION. Every Valkey does.
    pub fn since_7(&self) -> bool {
        self.since((7, 0), (7, 0))
    }

    /// The server program.
    pub fn server(&self) -> &Path {
        &self.server
    }

    /// The command line client.
    pub fn cli(&self) -> &Path {
        &self.cli
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.number;
        write!(f, "{} ({major}.{minor}.{patch})", self.name)
    }
}

/// The names that the list always wants, in its order.
fn listed() -> impl Iterator<Item = &'static str> {
    let lines = LIST.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.nth(1) == Some("always")).then_some(name)
    })
}

/// The versions that the tests cover; the error says to the developer what to do.
fn select(
    present: &BTreeMap<String, Version>,
    restriction: Option<&str>,
) -> Result<Vec<Version>, String> {
    let wanted: Vec<&str> = match restriction {
        None => listed().collect(),
        Some(names) => names.split(',').map(str::trim).filter(|n| !n.is_empty()).collect(),
    };
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|name| !present.contains_key(*name)).collect();
    if !missing.is_empty() || wanted.is_empty() {
        let names: Vec<&str> = present.keys().map(String::as_str).collect();
        return Err(format!(
            "servers missing: {}; present: {}. Run `cargo xtask servers`, or set SLOTCAR_VERSIONS \
             to the versions that shall be covered",
            missing.join(", "),
            names.join(", ")
        ));
    }
    Ok(wanted.iter().filter_map(|name| present.get(*name).cloned()).collect())
}

/// A program that is no server: that of a proxy. `None`, with a line that says so, if it is not
/// there and `SLOTCAR_VERSIONS` is set.
///
/// Panics if it is missing otherwise.
pub fn program(name: &str, program: &str) -> Option<PathBuf> {
    let path = folder().join(name).join("bin").join(program);
    if path.exists() {
        return Some(fs::canonicalize(&path).unwrap_or(path));
    }
    let restricted = std::env::var_os("SLOTCAR_VERSIONS").is_some();
    assert!(restricted, "{name} is missing. Run `cargo xtask servers`, or set SLOTCAR_VERSIONS");
    eprintln!("SKIPPED: {name} is not there, and SLOTCAR_VERSIONS is set");
    None
}

/// Where `cargo xtask servers` leaves what it fetches.
fn folder() -> PathBuf {
    match std::env::var_os("SLOTCAR_SERVERS") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.servers"),
    }
}

/// Everything on this machine, by name; a fetched server hides one of the same name on PATH.
fn present() -> BTreeMap<String, Version> {
    let folder = folder();
    let on_path = ["redis", "valkey"].into_iter().filter_map(on_path);
    let mut found: BTreeMap<String, Version> = on_path.map(|v| (v.name.clone(), v)).collect();
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(version) = fetched(&name, &entry.path()) {
            found.insert(name, version);
        }
    }
    found
}

fn fetched(name: &str, folder: &Path) -> Option<Version> {
    let stamp = fs::read_to_string(folder.join("stamp")).ok()?;
    let number = parse_number(stamp.split_whitespace().next()?)?;
    let bin = fs::canonicalize(folder.join("bin")).ok()?;
    let (server, cli) = (bin.join("redis-server"), bin.join("redis-cli"));
    Some(Version { name: name.to_owned(), family: family_of(name)?, number, server, cli })
}

fn on_path(family: &str) -> Option<Version> {
    let server = PathBuf::from(format!("{family}-server"));
    let output = Command::new(&server).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split_whitespace().find_map(|w| w.strip_prefix("v="))?;
    let number = parse_number(word)?;
    let name = format!("{family}-{}.{}", number.0, number.1);
    let cli = PathBuf::from(format!("{family}-cli"));
    Some(Version { name, family: family_of(family)?, number, server, cli })
}

fn family_of(name: &str) -> Option<Family> {
    match name.split('-').next()? {
        "redis" => Some(Family::Redis),
        "valkey" => Some(Family::Valkey),
        _ => None,
    }
}

fn parse_number(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(names: &[&str]) -> BTreeMap<String, Version> {
        let version = |name: &str| Version {
            name: name.to_owned(),
            family: family_of(name).unwrap(),
            number: (7, 0, 15),
            server: PathBuf::new(),
            cli: PathBuf::new(),
        };
        names.iter().map(|name| ((*name).to_owned(), version(name))).collect()
    }

    fn names(versions: &[Version]) -> Vec<&str> {
        versions.iter().map(Version::name).collect()
    }

    // A version that is listed and absent fails the run, and the message says which one.
    #[test]
    fn missing_versions_are_loud() {
        let all: Vec<&str> = listed().collect();
        assert_eq!(all.first(), Some(&"redis-6.0"));
        assert_eq!(names(&select(&machine(&all), None).unwrap()), all);
        let sentence = select(&machine(&all[1..]), None).unwrap_err();
        assert!(sentence.starts_with("servers missing: redis-6.0;"), "{sentence}");
    }

    #[test]
    fn only_the_restriction_takes_versions_out() {
        let machine = machine(&["redis-7.0", "valkey-9.1"]);
        assert_eq!(names(&select(&machine, Some("valkey-9.1")).unwrap()), ["valkey-9.1"]);
        assert!(select(&machine, Some("valkey-9.1,redis-6.0")).is_err());
        assert!(select(&machine, Some("")).is_err());
    }

    #[test]
    fn numbers_come_from_the_program() {
        assert_eq!(parse_number("7.0.15"), Some((7, 0, 15)));
        assert_eq!(parse_number("7.0"), None);
        let seven = &machine(&["redis-7.0"])["redis-7.0"];
        assert!(seven.since((7, 0), (9, 0)) && !seven.since((7, 2), (7, 0)) && seven.since_7());
    }
}
