//! The module trees of all crates, from their roots along `mod` declarations.
//!
//! It gives `imports` the file of each module path, and complains about every Rust file that no
//! root reaches: such a file is not compiled, so its mistakes do not show. Programs that must not
//! compile, which tests name by a pattern, are let be.

use super::Complaint;
use super::items::is_test;
use super::sources::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A library or program and its modules.
pub(super) struct Crate<'a> {
    /// The folder of its root file, from the workspace's root, such as `core/src`.
    pub(super) folder: PathBuf,
    /// Every module by its path below `crate`, the root's empty path included.
    pub(super) modules: BTreeMap<Vec<String>, Module<'a>>,
}

/// A module: a file, or a block within one.
pub(super) struct Module<'a> {
    /// The file that it is written in.
    pub(super) source: &'a Source,
    /// Its items.
    pub(super) items: &'a [syn::Item],
    /// Compiled for tests only.
    pub(super) is_test: bool,
}

/// The trees of all crates whose root is among `sources`.
pub(super) fn crates<'a>(
    sources: &'a [Source],
    complaints: &mut BTreeSet<Complaint>,
) -> Vec<Crate<'a>> {
    let files: BTreeMap<&Path, &Source> = sources.iter().map(|s| (s.path.as_path(), s)).collect();
    let mut crates = Vec::new();
    let mut reached = BTreeSet::new();
    for source in sources.iter().filter(|s| s.ast.is_some() && is_root(&s.path, sources)) {
        let folder = source.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut tree = Tree { files: &files, modules: BTreeMap::new() };
        tree.add_file(Vec::new(), source, &folder, false);
        reached.extend(tree.modules.values().map(|m| m.source.path.as_path()));
        reached.extend(tree.modules.values().flat_map(|m| included(m.source, &files)));
        crates.push(Crate { folder, modules: tree.modules });
    }
    // Beside a program that must not compile is what the compiler says of it.
    let fails = |s: &Source| crate::root().join(s.path.with_extension("stderr")).exists();
    let unreached = sources
        .iter()
        .filter(|s| s.ast.is_some() && !reached.contains(s.path.as_path()) && !fails(s));
    complaints.extend(
        unreached
            .map(|s| Complaint::new(s, 0, "no `mod` declares this file, so it is not compiled")),
    );
    crates
}

/// Files that only tests need.
pub(super) fn test_files(crates: &[Crate<'_>]) -> BTreeSet<PathBuf> {
    let modules = || crates.iter().flat_map(|c| c.modules.values());
    let shipped: BTreeSet<_> =
        modules().filter(|m| !m.is_test).map(|m| m.source.path.clone()).collect();
    let tests = modules().filter(|m| m.is_test).map(|m| m.source.path.clone());
    tests.filter(|path| !shipped.contains(path)).collect()
}

/// Whether cargo starts a crate at `path`, by its habits or by a `path` in the manifest.
fn is_root(path: &Path, sources: &[Source]) -> bool {
    let manifests = sources.iter().filter(|s| s.path.ends_with("Cargo.toml"));
    let nearest = manifests
        .filter(|m| m.path.parent().is_some_and(|folder| path.starts_with(folder)))
        .max_by_key(|m| m.path.components().count());
    let Some(manifest) = nearest else { return false };
    let folder = manifest.path.parent().unwrap_or(Path::new(""));
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let inside = inside.to_str().unwrap_or_default();
    if manifest.text.contains(&format!("path = \"{inside}\"")) {
        return true;
    }
    let folders = ["tests", "examples", "benches"];
    match inside.split('/').collect::<Vec<_>>()[..] {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
        ["src", "bin", _] | ["src", "bin", _, "main.rs"] => true,
        [folder, _] | [folder, _, "main.rs"] => folders.contains(&folder),
        _ => false,
    }
}

/// Files that `source` takes in by `include!`.
fn included<'a>(source: &Source, files: &BTreeMap<&'a Path, &'a Source>) -> Vec<&'a Path> {
    let folder = source.path.parent().unwrap_or(Path::new(""));
    let calls = source.text.match_indices("include!(\"");
    let names = calls.filter_map(|(at, call)| source.text[at + call.len()..].split('"').next());
    names.filter_map(|n| files.get_key_value(folder.join(n).as_path()).map(|(k, _)| *k)).collect()
}

/// A crate's tree while it grows.
struct Tree<'a, 'f> {
    /// All files by path.
    files: &'f BTreeMap<&'a Path, &'a Source>,
    /// What was found so far.
    modules: BTreeMap<Vec<String>, Module<'a>>,
}

impl<'a> Tree<'a, '_> {
    /// Adds the module `path` that `source` holds; its child files lie in `folder`.
    fn add_file(&mut self, path: Vec<String>, source: &'a Source, folder: &Path, is_test: bool) {
        let Some(ast) = &source.ast else { return };
        self.add_items(path, source, &ast.items, folder, is_test);
    }

    fn add_items(
        &mut self,
        path: Vec<String>,
        source: &'a Source,
        items: &'a [syn::Item],
        folder: &Path,
        in_test: bool,
    ) {
        for item in items {
            let syn::Item::Mod(child) = item else { continue };
            let name = child.ident.to_string();
            let child_path = [&path[..], std::slice::from_ref(&name)].concat();
            let is_test = in_test || is_test(&child.attrs);
            match &child.content {
                Some((_, items)) => {
                    self.add_items(child_path, source, items, &folder.join(&name), is_test);
                }
                None => self.add_child(child_path, child, source, folder, is_test),
            }
        }
        self.modules.insert(path, Module { source, items, is_test: in_test });
    }

    /// Adds the file that `mod name;` stands for, if it exists; the compiler tells if it does not.
    fn add_child(
        &mut self,
        path: Vec<String>,
        child: &syn::ItemMod,
        parent: &Source,
        folder: &Path,
        is_test: bool,
    ) {
        let name = child.ident.to_string();
        if let Some(given) = given_path(child) {
            let beside = beside(&parent.path, &given);
            if let Some(source) = self.files.get(beside.as_path()) {
                let folder = source.path.parent().unwrap_or(Path::new("")).to_owned();
                self.add_file(path, source, &folder, is_test);
            }
            return;
        }
        let inner = folder.join(&name);
        for file in [folder.join(format!("{name}.rs")), inner.join("mod.rs")] {
            if let Some(source) = self.files.get(file.as_path()) {
                return self.add_file(path, source, &inner, is_test);
            }
        }
    }
}

/// Where a path leads that the file `of` gives, with the steps upwards taken.
fn beside(of: &Path, given: &str) -> PathBuf {
    let mut path = of.parent().unwrap_or(Path::new("")).to_owned();
    for step in given.split('/') {
        if step == ".." {
            path.pop();
        } else {
            path.push(step);
        }
    }
    path
}

/// The path in `#[path = ".."]`.
fn given_path(module: &syn::ItemMod) -> Option<String> {
    let attribute = module.attrs.iter().find(|a| a.path().is_ident("path"))?;
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_reached_along_mod_lines_only() {
        let files = [
            ("a/Cargo.toml", "[[bin]]\npath = \"x/one.rs\""),
            ("a/src/lib.rs", "mod b; mod c { mod d; } #[cfg(test)] mod tests;"),
            ("a/src/b/mod.rs", "mod e;"),
            ("a/src/b/e.rs", "include!(\"given.rs\");"),
            ("a/src/b/given.rs", ""),
            ("a/src/c/d.rs", ""),
            ("a/src/tests.rs", ""),
            ("a/src/dead.rs", ""),
            ("a/tests/t.rs", "mod m; #[path = \"../y/up.rs\"] mod up;"),
            ("a/tests/m.rs", ""),
            ("a/y/up.rs", ""),
            ("a/x/one.rs", ""),
            ("a/x/two.rs", ""),
        ];
        let parse = |(path, text): &(&str, &str)| Source::new(path, (*text).to_owned());
        let sources: Vec<Source> = files.iter().map(|f| parse(f).expect("parses")).collect();
        let mut complaints = BTreeSet::new();
        let crates = crates(&sources, &mut complaints);
        let dead: Vec<_> = complaints.iter().map(|c| c.path.to_str().expect("utf-8")).collect();
        assert_eq!(dead, ["a/src/dead.rs", "a/x/two.rs"]);
        let library = crates.iter().find(|c| c.folder == Path::new("a/src")).expect("found");
        let paths: Vec<String> = library.modules.keys().map(|p| p.join("::")).collect();
        assert_eq!(paths, ["", "b", "b::e", "c", "c::d", "tests"]);
        assert!(library.modules[&vec!["tests".to_owned()]].is_test);
    }
}
