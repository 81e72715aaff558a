//! Makes the npm package in `target/js/package`, and weighs it; and the same with a module without
//! fan-out, read policies and sentinel, in `target/js/lean`.
//!
//! Invariant: the folder holds what `npm pack` packs and nothing else; it is made anew each time.

use crate::process::{build_apart, run_to_end};
use crate::{Outcome, root, targets};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate of the module.
const CRATE: &str = "slotcar-npm";
/// Its profile: as small as the compiler can.
const PROFILE: &str = "small";
/// The folder of the program that makes a module for JavaScript of a .wasm.
const BINDGEN_FOLDER: &str = "tests/js-bindgen";
/// The variable that names one that is built already.
const BINDGEN: &str = "SLOTCAR_JS_BINDGEN";

/// A package: its folder, what its module has, and what is weighed.
pub(super) struct Kind {
    /// The folder in `target/js`.
    folder: &'static str,
    /// How cargo is told the parts of the client.
    features: &'static [&'static str],
    /// The file, and the most that it may have, in KB of 1000 bytes: as it is, and packed by gzip.
    budgets: [(&'static str, u64, u64); 2],
}

/// The package with everything. The goal for the module is 600 and 260; all but 60 KB of it is the
/// core.
pub(super) const FULL: Kind = Kind {
    folder: "package",
    features: &[],
    budgets: [("wasm/slotcar_bg.wasm", 904, 404), ("wasm/slotcar.js", 30, 7)],
};

/// The package without fan-out, read policies and sentinel. The goal for the module is 430 and 190.
pub(super) const LEAN: Kind = Kind {
    folder: "lean",
    features: &["--no-default-features", "--features", "cluster,pubsub"],
    budgets: [("wasm/slotcar_bg.wasm", 822, 367), ("wasm/slotcar.js", 30, 7)],
};

/// Builds the module and puts the package together. Returns its folder.
pub(super) fn build(kind: &Kind) -> Result<PathBuf, String> {
    install()?;
    let work = root().join("target/js");
    let package = work.join(kind.folder);
    if package.exists() {
        fs::remove_dir_all(&package).map_err(|e| format!("{}: {e}", package.display()))?;
    }
    for folder in ["lib", "hosts", "wasm"] {
        let folder = package.join(folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    make_module(kind, &work, &package.join("wasm"))?;
    copy_all(&root().join("js/lib"), &package.join("lib"), &["js", "d.ts"])?;
    copy_all(&root().join("transport-js/js"), &package.join("hosts"), &["js"])?;
    copy(&root().join("js/README.md"), &package.join("README.md"))?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(licence), &package.join(licence))?;
    }
    manifest(&package)?;
    Ok(package)
}

/// Installs what the build and the tests need from npm, if it is not there.
pub(super) fn install() -> Outcome {
    let folder = root().join("js");
    let lock = folder.join("package-lock.json");
    let installed = folder.join("node_modules/.package-lock.json");
    let changed = |path: &Path| fs::metadata(path).and_then(|m| m.modified());
    if let (Ok(lock), Ok(installed)) = (changed(&lock), changed(&installed))
        && lock <= installed
    {
        return Ok(());
    }
    let mut command = Command::new("npm");
    // No package needs its install script: binaries are in packages of their own.
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    run_to_end(&mut command)
}

/// Compiles the crate, makes the module of it and shrinks it.
fn make_module(kind: &Kind, work: &Path, to: &Path) -> Outcome {
    targets::ensure(targets::BARE)?;
    let mut command = crate::cargo();
    command.args(["build", "--package", CRATE, "--profile", PROFILE, "--target", targets::BARE]);
    command.args(kind.features);
    // What is stripped early is what says which features the code uses; `wasm-opt` strips the rest.
    command.env("CARGO_PROFILE_SMALL_STRIP", "none");
    run_to_end(command.env("CARGO_ENCODED_RUSTFLAGS", short_paths()))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let compiled = target.join(targets::BARE).join(PROFILE).join("slotcar_npm.wasm");
    // The module has the name of its input.
    let input = work.join("slotcar.wasm");
    copy(&compiled, &input)?;
    run_to_end(Command::new(bindgen()?).arg(&input).arg(to).arg("web"))?;
    let module = to.join("slotcar_bg.wasm");
    let before = work.join("slotcar_bg.wasm");
    fs::rename(&module, &before).map_err(|e| format!("{}: {e}", module.display()))?;
    let mut command = Command::new("node");
    command.arg(root().join("js/node_modules/binaryen/bin/wasm-opt"));
    command.args(["-Oz", "--strip-debug", "--strip-producers", "--strip-target-features"]);
    run_to_end(command.arg(&before).arg("-o").arg(&module))?;
    rewrite_glue(&to.join("slotcar.js"))
}

/// The flags that shorten the paths of source files in panics: those of this machine are nobody's
/// business, and cost a kilobyte or more.
fn short_paths() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let registries = sources.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let mut prefixes: Vec<PathBuf> = registries.flatten().map(|entry| entry.path()).collect();
    prefixes.push(root().components().collect());
    let flag = |prefix: PathBuf| format!("--remap-path-prefix={}/=", prefix.display());
    // The separator that cargo reads.
    prefixes.into_iter().map(flag).collect::<Vec<_>>().join("\u{1f}")
}

/// Leaves out comments and indentation of the generated script, whose exports are internal, and
/// lets its imports catch without a function for each call.
fn rewrite_glue(path: &Path) -> Outcome {
    let failed = |e| format!("{}: {e}", path.display());
    let text = fs::read_to_string(path).map_err(failed)?;
    let caught = catching(&uncommented(&text));
    let caught = caught.ok_or_else(|| {
        format!("{}: the generator has another `handleError` than is known here", path.display())
    })?;
    fs::write(path, caught).map_err(failed)
}

/// How the generator catches: by a function that is made for each call of an import.
const CATCHER: [&str; 2] = [
    "function handleError(f, args) {\ntry {\nreturn f.apply(this, args);\n} catch (e) {\n",
    "wasm.__wbindgen_exn_store(idx);\n}\n}\n",
];

/// The script whose imports have a `try` of their own; `None` if the generator catches otherwise.
/// A reply takes ten calls of imports, so that this is a tenth of what slotcar adds to it.
fn catching(text: &str) -> Option<String> {
    let (head, rest) = text.split_once(CATCHER[0])?;
    let (store, tail) = rest.split_once(CATCHER[1])?;
    let store = format!("function handleError(e) {{\n{store}wasm.__wbindgen_exn_store(idx);\n}}\n");
    let opened = "function() { return handleError(function (";
    let mut caught = String::new();
    let mut is_open = false;
    for line in [head, &store, tail].concat().lines() {
        if let Some((before, arguments)) = line.split_once(opened) {
            let arguments = arguments.strip_suffix(") {")?;
            caught.push_str(&format!("{before}function({arguments}) {{ try {{"));
            is_open = true;
        } else if let Some(after) = line.strip_prefix("}, arguments); }").filter(|_| is_open) {
            caught.push_str(&format!("}} catch (e) {{ handleError(e); }} }}{after}"));
            is_open = false;
        } else {
            caught.push_str(line);
        }
        caught.push('\n');
    }
    (!is_open).then_some(caught)
}

/// The lines that are no comment, without their indentation. A comment has lines of its own, as the
/// generator writes them.
fn uncommented(text: &str) -> String {
    let mut kept = String::new();
    let mut is_comment = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        is_comment |= trimmed.starts_with("/*");
        if !is_comment && !trimmed.starts_with("//") && !trimmed.is_empty() {
            kept.push_str(trimmed);
            kept.push('\n');
        }
        is_comment &= !trimmed.ends_with("*/");
    }
    kept
}

/// The path of the program that makes a module, which is built unless the variable names one.
pub(super) fn bindgen() -> Result<PathBuf, String> {
    if let Some(ready) = std::env::var_os(BINDGEN) {
        return Ok(ready.into());
    }
    let folder = root().join(BINDGEN_FOLDER);
    run_to_end(crate::cargo().args(build_apart(BINDGEN_FOLDER, "dev")))?;
    Ok(folder.join("target/debug/slotcar-js-bindgen"))
}

/// The manifest, without what only this folder needs.
fn manifest(package: &Path) -> Outcome {
    let path = root().join("js/package.json");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut manifest: Value =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let fields = manifest.as_object_mut().ok_or("js/package.json is no object")?;
    fields.remove("devDependencies");
    fields.remove("private");
    let text = serde_json::to_string_pretty(&manifest).map_err(|e| format!("manifest: {e}"))?;
    let path = package.join("package.json");
    fs::write(&path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::copy(from, to).map(|_| ()).map_err(|e| format!("{}: {e}", from.display()))
}

/// Copies the files of a folder that have one of these endings.
fn copy_all(from: &Path, to: &Path, endings: &[&str]) -> Outcome {
    let failed = |e| format!("{}: {e}", from.display());
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default();
        let text = name.to_string_lossy();
        if endings.iter().any(|ending| text.ends_with(&format!(".{ending}"))) {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Prints the sizes of the package's parts; the error names those that exceed their limit.
pub(super) fn weigh(kind: &Kind, package: &Path) -> Outcome {
    let mut over = Vec::new();
    for (file, most, most_packed) in kind.budgets {
        let path = package.join(file);
        let bytes = fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
        let packed = packed(&path)?;
        println!(
            "{:<7} {file:<22} {bytes:>7} bytes of at most {most} KB, {packed:>7} packed of at most \
             {most_packed} KB",
            kind.folder
        );
        if bytes > most * 1000 || packed > most_packed * 1000 {
            over.push(file);
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("too large: {}", over.join(", "))) }
}

/// How many bytes gzip makes of a file.
fn packed(path: &Path) -> Result<u64, String> {
    let output = Command::new("gzip").args(["-9", "-c"]).arg(path).output();
    let output = output.map_err(|e| format!("gzip: {e}"))?;
    Ok(output.stdout.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_with_lines_of_their_own_are_left_out() {
        let text = "/* types */\n/**\n * A class.\n */\nclass A {\n    // one\n    a = 1; \
                    // two\n\n}\n";
        assert_eq!(uncommented(text), "class A {\na = 1; // two\n}\n");
    }

    #[test]
    fn imports_catch_by_themselves() {
        let text = "now: function() { return handleError(function (arg0) {\nreturn arg0();\n\
                    }, arguments); },\nplain: function(arg0) {\n},\n\
                    function handleError(f, args) {\ntry {\nreturn f.apply(this, args);\n\
                    } catch (e) {\nconst idx = add(e);\nwasm.__wbindgen_exn_store(idx);\n}\n}\n";
        let caught = "now: function(arg0) { try {\nreturn arg0();\n\
                      } catch (e) { handleError(e); } },\nplain: function(arg0) {\n},\n\
                      function handleError(e) {\nconst idx = add(e);\n\
                      wasm.__wbindgen_exn_store(idx);\n}\n";
        assert_eq!(catching(text).as_deref(), Some(caught));
        assert_eq!(catching(&text.replace("f.apply", "f.call")), None);
    }
}
