//! A private apt: downloads the packages of any Debian suite without touching the machine's own.
//!
//! It works as root and as an ordinary user. State, cache, lists and locks are in a scratch folder.
//! The list of installed packages is an EMPTY file, so apt fetches all libraries of that suite that
//! the packages depend on. The mirror and proxies are the machine's own, read from its apt
//! configuration; no address is written here. Debian's own keyring verifies every suite.
//! **Limits**: each apt call is tried `TRIES` times, with a pause that grows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use super::unpack::write;

/// Attempts per apt call, on top of apt's own retries per file: mirrors are flaky for seconds.
const TRIES: u32 = 4;

/// What this machine says about its own Debian.
#[derive(Debug)]
pub(super) struct Release {
    /// The mirror's base for ordinary suites.
    main: String,
    /// The mirror's base for `-security` suites, where the machine has one.
    security: Option<String>,
    /// The machine's own download settings (proxies, certificates), as apt.conf lines.
    settings: String,
}

/// Finds out which Debian mirror this machine uses; the error says why there is none.
pub(super) fn host_release() -> Result<Release, String> {
    let about = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |key: &str| {
        let line = about.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    if field("ID").as_deref() != Some("debian") {
        return Err("this is not a Debian system".to_owned());
    }
    let codename = field("VERSION_CODENAME").ok_or("/etc/os-release names no codename")?;
    // What `update` would fetch, not `indextargets`: that one is silent until lists were fetched.
    let uris = stdout("apt-get", &["--print-uris", "update"])?;
    let main = mirror_of(&uris, &codename);
    let main = main.ok_or_else(|| format!("apt has no source for {codename}"))?;
    let security = mirror_of(&uris, &format!("{codename}-security"));
    let dump = stdout("apt-config", &["dump"])?;
    Ok(Release { main, security, settings: download_settings(&dump) })
}

/// The base address that serves a suite, out of `apt-get --print-uris update`.
fn mirror_of(uris: &str, suite: &str) -> Option<String> {
    let tail = format!("/dists/{suite}/");
    uris.lines().find_map(|line| {
        let uri = line.strip_prefix('\'')?.split('\'').next()?;
        uri.split_once(&tail).map(|(base, _)| base.to_owned())
    })
}

/// The lines of `apt-config dump` that say how to download, without what to download.
fn download_settings(dump: &str) -> String {
    let about_content = ["Acquire::IndexTargets", "Acquire::Languages", "Acquire::Changelogs"];
    let keep = |line: &&str| {
        line.starts_with("Acquire::")
            && !about_content.iter().any(|prefix| line.starts_with(prefix))
    };
    dump.lines().filter(keep).fold(String::new(), |text, line| text + line + "\n")
}

/// One set of suites with its private apt state; sets are shared between servers of one run.
#[derive(Debug)]
pub(super) struct Archive {
    /// Everything apt reads and writes for these suites.
    home: PathBuf,
    /// The suite that packages are asked for in.
    suite: String,
}

impl Archive {
    /// Writes the private configuration into `scratch`.
    pub(super) fn open(
        scratch: &Path,
        release: &Release,
        suites: &[String],
    ) -> Result<Archive, String> {
        let suite = suites.last().ok_or("no suite named")?.clone();
        let home = scratch.join(format!("apt-{}", suites.join("+")));
        for inner in ["state/lists/partial", "cache/archives/partial", "log"] {
            let path = home.join(inner);
            fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        write(&home.join("status"), "")?;
        write(&home.join("sources.list"), &sources(release, suites)?)?;
        write(&home.join("apt.conf"), &configuration(&home, &release.settings))?;
        Ok(Archive { home, suite })
    }

    /// Fetches the index, once per set of suites.
    pub(super) fn update(&self) -> Result<(), String> {
        let done = self.home.join("updated");
        if !done.exists() {
            self.apt(&["update"])?;
            write(&done, "")?;
        }
        Ok(())
    }

    /// Downloads packages with all they depend on; returns the .deb files, all of them.
    pub(super) fn download(&self, packages: &[String]) -> Result<Vec<PathBuf>, String> {
        let archives = self.home.join("cache/archives");
        let mut arguments = vec!["--yes", "--download-only", "-t", &self.suite, "install"];
        arguments.extend(packages.iter().map(String::as_str));
        // A set may hold two families: each download starts clean, or the one would see the other.
        self.apt(&["clean"])?;
        self.apt(&arguments)?;
        let entries =
            fs::read_dir(&archives).map_err(|e| format!("{}: {e}", archives.display()))?;
        let mut debs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        debs.retain(|path| path.extension().is_some_and(|e| e == "deb"));
        debs.sort();
        Ok(debs)
    }

    fn apt(&self, arguments: &[&str]) -> Result<(), String> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                thread::sleep(Duration::from_secs(2 << attempt));
            }
            let output = Command::new("apt-get")
                .env("APT_CONFIG", self.home.join("apt.conf"))
                .env("LC_ALL", "C")
                .args(["-q", "-o", "APT::Update::Error-Mode=any"])
                .args(arguments)
                .output()
                .map_err(|e| format!("apt-get: {e}"))?;
            if output.status.success() {
                return Ok(());
            }
            last = complaint(&output);
        }
        Err(format!("apt-get {} failed {TRIES} times: {last}", arguments.join(" ")))
    }
}

fn sources(release: &Release, suites: &[String]) -> Result<String, String> {
    let rings = ["gpg", "pgp"].map(|e| format!("/usr/share/keyrings/debian-archive-keyring.{e}"));
    let ring = rings.iter().find(|path| Path::new(path).exists());
    let signed = ring.map(|path| format!("[signed-by={path}] ")).unwrap_or_default();
    let mut text = String::new();
    for suite in suites {
        let base = match &release.security {
            Some(security) if suite.ends_with("-security") => security,
            // Without a security mirror the suite proper still holds the packages.
            None if suite.ends_with("-security") => continue,
            _ => &release.main,
        };
        text.push_str(&format!("deb {signed}{base} {suite} main\n"));
    }
    if text.is_empty() { Err("apt has no security mirror".to_owned()) } else { Ok(text) }
}

/// A configuration that does not read the machine's own: its hooks act on the machine and may need
/// root.
fn configuration(home: &Path, settings: &str) -> String {
    let home = home.display();
    format!(
        r#"{settings}
Dir::State "{home}/state";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Log "{home}/log";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{home}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"#
    )
}

/// What apt said, shortened: its errors, else its last lines.
fn complaint(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&all);
    let mut lines: Vec<&str> =
        text.lines().filter(|l| l.starts_with("E:") || l.starts_with("Err")).collect();
    if lines.is_empty() {
        lines = text.lines().rev().take(5).collect();
        lines.reverse();
    }
    lines.join("; ")
}

fn stdout(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .env("LC_ALL", "C")
        .args(arguments)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program} {}: {}", arguments.join(" "), complaint(&output)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Only the machine's own suite says where Debian is: other vendors' sources look alike.
    #[test]
    fn the_mirror_comes_from_the_hosts_own_suite() {
        let uris = "\
            'http://vendor.example/apt/dists/tool-bookworm/InRelease' a 0 \n\
            'http://mirror.example/debian/dists/bookworm-updates/InRelease' b 0 \n\
            'http://mirror.example/debian/dists/bookworm/InRelease' c 0 \n\
            'http://mirror.example/safe/dists/bookworm-security/InRelease' d 0 \n";
        assert_eq!(mirror_of(uris, "bookworm").as_deref(), Some("http://mirror.example/debian"));
        let security = mirror_of(uris, "bookworm-security");
        assert_eq!(security.as_deref(), Some("http://mirror.example/safe"));
        assert_eq!(mirror_of(uris, "trixie"), None);
    }

    #[test]
    fn proxies_are_kept_and_targets_are_not() {
        let dump = "APT::Architecture \"amd64\";\n\
            Acquire::http::Proxy \"http://proxy.example:3128\";\n\
            Acquire::IndexTargets::deb::DEP-11 \"\";\n\
            DPkg::Post-Invoke:: \"true\";\n";
        let kept = download_settings(dump);
        assert_eq!(kept, "Acquire::http::Proxy \"http://proxy.example:3128\";\n");
    }

    #[test]
    fn security_suites_use_the_security_mirror() {
        let release = |security: Option<&str>| Release {
            main: "http://mirror.example/debian".to_owned(),
            security: security.map(str::to_owned),
            settings: String::new(),
        };
        let suites = ["bookworm".to_owned(), "bookworm-security".to_owned()];
        let text = sources(&release(Some("http://mirror.example/safe")), &suites).unwrap();
        assert!(text.contains("http://mirror.example/debian bookworm main\n"), "{text}");
        assert!(text.contains("http://mirror.example/safe bookworm-security main\n"), "{text}");
        assert_eq!(sources(&release(None), &suites).unwrap().lines().count(), 1);
    }
}
