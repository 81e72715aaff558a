//! What each client costs to build: crates, CPU time of a clean build, size of the program.
//!
//! Each is built by itself in a fresh target folder, without the network, in release mode. All
//! figures contain the harness; those of the wire limit contain nothing else.

use crate::Outcome;
use nix::sys::resource::{UsageWho, getrusage};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Crates of this workspace that every tree contains.
const OWN: &[&str] = &["harness ", "on-tokio ", "peer-"];

/// The command `build`: a manifest, then peers.
pub(crate) fn run(words: &[String]) -> Outcome {
    let [manifest, peers @ ..] = words else {
        return Err("usage: runner build MANIFEST PEER..".to_owned());
    };
    cargo(manifest, &["fetch", "--quiet"])?;
    println!("| client | crates | CPU of a clean build | wall | program, stripped |");
    println!("| ------ | ------:| --------------------:| ----:| -----------------:|");
    for peer in peers {
        let package = format!("peer-{peer}");
        let edges = ["tree", "--offline", "--edges", "normal,build", "--prefix", "none"];
        let tree = cargo(manifest, &[&edges[..], &["--package", &package]].concat())?;
        let folder = std::env::temp_dir().join(format!("slotcar-{package}-{}", std::process::id()));
        let built = build(manifest, &package, &folder);
        // Whatever came of it, megabytes of it stay behind otherwise.
        let _ = std::fs::remove_dir_all(&folder);
        let (cpu, wall, size) = built?;
        let crates = crates(&tree);
        println!("| {peer} | {crates} | {cpu:.0} s | {wall:.0} s | {:.2} MB |", size as f64 / 1e6);
    }
    Ok(())
}

fn cargo(manifest: &str, words: &[&str]) -> Outcome<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(words).args(["--manifest-path", manifest]);
    let output = command.output().map_err(|error| format!("cargo: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// CPU and wall seconds, and bytes of the program.
fn build(manifest: &str, package: &str, folder: &Path) -> Outcome<(f64, f64, u64)> {
    let target = folder.to_str().ok_or("the temporary folder's name is not UTF-8")?;
    let (begin, before) = (Instant::now(), children_cpu());
    let options = ["build", "--quiet", "--release", "--offline", "--target-dir", target];
    cargo(manifest, &[&options[..], &["--package", package]].concat())?;
    let (cpu, wall) = (children_cpu() - before, begin.elapsed().as_secs_f64());
    let program = folder.join("release").join(package);
    let size = std::fs::metadata(program).map_err(|error| error.to_string())?.len();
    Ok((cpu, wall, size))
}

/// Crates of a tree that are not this workspace's; a crate in two versions counts twice.
fn crates(tree: &str) -> usize {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    let mut crates: Vec<&str> =
        lines.filter(|line| !OWN.iter().any(|own| line.starts_with(own))).collect();
    crates.sort_unstable();
    crates.dedup();
    crates.len()
}

/// User and system seconds of all ended children.
fn children_cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the arguments are valid");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeated and own crates are left out, versions are told apart.
    #[test]
    fn counts_crates_once() {
        let tree = "peer-raw v0.1.0 (/x)\nharness v0.1.0 (/x)\nnix v0.31.1\nnix v0.31.1 (*)\n\
                    memchr v2.0.0\nmemchr v1.0.0\n";
        assert_eq!(crates(tree), 3);
    }
}
