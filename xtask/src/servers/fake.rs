//! fakeredis, a server in Python that other programs are tested with: its `TcpFakeServer`.
//!
//! pip installs it with what it needs into `root/python`, so mirrors and proxies are the machine's
//! own, and nothing else on the machine changes. It runs on the machine's `python3`.
//! `bin/fakeredis ADDRESS PORT` serves until it is ended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{unpack, wheel};

/// The name in the list, without the version.
pub(super) const FAMILY: &str = "fakeredis";

/// The version that the list promises.
const REQUIREMENT: &str = "fakeredis==2.41.0";

/// What `bin/fakeredis` is.
const SCRIPT: &str = r#"#!/bin/sh
export PYTHONPATH="${0%/*}/../root/python"
exec python3 -c '
import sys
if sys.argv[1:] == ["--version"]:
    from importlib.metadata import version
    print("fakeredis", version("fakeredis"))
else:
    from fakeredis import TcpFakeServer
    TcpFakeServer((sys.argv[1], int(sys.argv[2]))).serve_forever()
' "$@"
"#;

/// Builds `target`; returns the version that was installed.
pub(super) fn build(target: &Path) -> Result<String, String> {
    let bin = target.join("bin");
    fs::create_dir_all(&bin).map_err(|e| format!("{}: {e}", bin.display()))?;
    let packages = target.join("root/python").display().to_string();
    wheel::python(&["-m", "pip", "install", "-q", "--target", &packages, REQUIREMENT])?;
    let program = bin.join(FAMILY);
    unpack::write(&program, SCRIPT)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("{}: {e}", program.display()))?;
    unpack::ask_version(&program, "--version")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list and pip are told the same version.
    #[test]
    fn the_list_names_what_is_installed() {
        let listed = super::super::parse_list(super::super::LIST).unwrap();
        let server = listed.iter().find(|server| server.family == FAMILY).unwrap();
        assert!(REQUIREMENT.contains(&format!("=={}.", server.version)), "{REQUIREMENT}");
        assert!(!server.always);
    }
}
