//! What others may depend on us for: few crates, from one registry, under licences that we allow.
//!
//! The licences stand in `deny.toml`, which is also what `cargo deny` reads; it runs too where it
//! is installed, and adds the advisories that no file of ours can hold.
//!
//! Limit: 60 crates in the normal dependencies of `slotcar` with its default features, itself
//! counted. Each is code that its users build, audit and ship.

use super::DOOR;
use crate::Outcome;
use serde_json::Value;
use std::collections::BTreeSet;

const CRATES_MAX: usize = 60;
/// How the source of a crate from the one public registry ends.
const REGISTRY: &str = "/crates.io-index";

/// Checks all packages that the workspace's lock file names.
pub(super) fn check() -> Outcome {
    let deny = crate::root().join("deny.toml");
    let deny = std::fs::read_to_string(&deny).map_err(|e| format!("{}: {e}", deny.display()))?;
    let allowed = allowed(&deny)?;
    let metadata = output(&["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("metadata: {e}"))?;
    let packages = metadata["packages"].as_array().ok_or("metadata without packages")?;
    let complaints: Vec<String> =
        packages.iter().filter_map(|package| complaint(package, &allowed)).collect();
    if !complaints.is_empty() {
        return Err(complaints.join("; "));
    }
    println!("{} packages under allowed licences", packages.len());

    let tree = ["tree", "--locked", "--package", DOOR, "--edges", "normal"];
    let tree = output(&[&tree[..], &["--prefix", "none", "--format", "{p}"]].concat())?;
    let crates: BTreeSet<&str> = tree.lines().map(|l| l.trim_end_matches(" (*)")).collect();
    let crates = crates.iter().filter(|line| !line.is_empty()).count();
    println!("{crates} crates in {DOOR}, of at most {CRATES_MAX}");
    if crates > CRATES_MAX {
        return Err(format!("{DOOR} has {crates} crates; at most {CRATES_MAX}"));
    }
    match crate::cargo().args(["deny", "--version"]).output() {
        Ok(output) if output.status.success() => super::cargo(&["deny", "check"]),
        _ => {
            println!("cargo-deny is not installed: advisories not checked");
            Ok(())
        }
    }
}

fn output(arguments: &[&str]) -> Result<String, String> {
    let output = crate::cargo()
        .args(arguments)
        .output()
        .map_err(|e| format!("cargo {}: {e}", arguments[0]))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo {}: {why}", arguments[0]));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The names in the list `allow` of `deny.toml`.
fn allowed(deny: &str) -> Result<BTreeSet<&str>, String> {
    let missing = || "deny.toml: no `allow = [..]`".to_owned();
    let list = deny.split_once("\nallow = [").ok_or_else(missing)?.1;
    let list = list.split_once(']').ok_or_else(missing)?.0;
    Ok(list.split('"').skip(1).step_by(2).collect())
}

/// What is wrong with a package, if anything is.
fn complaint(package: &Value, allowed: &BTreeSet<&str>) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("a package without name");
    let licence = package["license"].as_str().unwrap_or("none");
    let foreign = package["source"].as_str().filter(|source| !source.ends_with(REGISTRY));
    match foreign {
        Some(source) => Some(format!("{name} comes from {source}")),
        None if !satisfied(licence, allowed) => Some(format!("{name} has licence {licence}")),
        None => None,
    }
}

/// Whether an SPDX expression can be met by `allowed` licences alone.
fn satisfied(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at, allowed) && at == words.len()
}

/// `a OR b`: binds less than AND.
fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any(words, at, allowed);
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only grants more than the licence does.
        *at += 2;
    }
    allowed.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_as_spdx_says() {
        let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Unicode-3.0"]);
        let table = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT/GPL-3.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND GPL-3.0", false),
            ("GPL-3.0 AND ISC OR MIT", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("none", false),
            ("", false),
            ("MIT MIT", false),
        ];
        for (expression, expected) in table {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn the_allowed_licences_are_read_from_the_list() {
        let deny = "[licenses]\nallow = [\n    \"MIT\", # most\n    \"ISC\",\n]\n";
        assert_eq!(allowed(deny), Ok(BTreeSet::from(["MIT", "ISC"])));
        assert!(allowed("").is_err());
    }
}
