//! The order of files, `levels.txt`, and the rules that hang on it.
//!
//! **A file imports only from files that stand above it.** Levels group the files; the first six
//! are pure: no `async`, no sockets, threads or files, so that a decision can be tested by giving
//! it data. A circle that reads better than what would break it is written down with its reason,
//! and a reason that nothing needs any more is a complaint too.

use super::Complaint;
use super::imports::{Import, imports};
use super::modules::Crate;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// The list itself.
pub(super) const LEVELS: &str = include_str!("levels.txt");

/// Levels up to this one are pure.
const PURE_MAX: u32 = 5;

/// Modules of std that only act on the outside.
const EFFECTS: &[&str] = &["fs", "process", "thread"];

/// Types of `std::net` that do; addresses are words.
const SOCKETS: &[&str] = &["TcpListener", "TcpStream", "ToSocketAddrs", "UdpSocket"];

/// The order of one crate's files.
#[derive(Debug, PartialEq)]
pub(super) struct Section {
    /// The folder of its root.
    pub(super) folder: PathBuf,
    /// Its files, the lowest first.
    files: Vec<Listed>,
}

/// One line of the list.
#[derive(Debug, PartialEq)]
struct Listed {
    /// From the section's folder.
    path: PathBuf,
    /// Its level; `None` where a crate has no levels.
    level: Option<u32>,
    /// Files below it in the list that it imports from all the same.
    excepted: Vec<PathBuf>,
}

/// Reads the list; its head says how it is written.
pub(super) fn parse(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    let mut level = None;
    for (at, line) in text.lines().enumerate() {
        let bad = |why: &str| format!("levels.txt:{}: {why}: {line}", at + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["crate", folder] => {
                level = None;
                sections.push(Section { folder: folder.into(), files: Vec::new() });
            }
            ["level", number, ..] => level = Some(number.parse().map_err(|_| bad("no number"))?),
            ["except", path, "because", _, ..] => {
                let files = sections.last_mut().and_then(|s| s.files.last_mut());
                files.ok_or_else(|| bad("no file above"))?.excepted.push(path.into());
            }
            ["except", ..] => return Err(bad("expected `except FILE because REASON`")),
            [path] => {
                let section = sections.last_mut().ok_or_else(|| bad("no crate above"))?;
                section.files.push(Listed { path: path.into(), level, excepted: Vec::new() });
            }
            _ => return Err(bad("not a line of this list")),
        }
    }
    Ok(sections)
}

/// What breaks the order in `member`, whose files `section` lists.
pub(super) fn check(section: &Section, member: &Crate<'_>) -> Vec<Complaint> {
    let mut found = Vec::new();
    let place = |path: &Path| {
        let inside = path.strip_prefix(&section.folder).ok()?;
        section.files.iter().position(|f| f.path == inside)
    };
    let complaint =
        |path: &Path, line, text: String| Complaint { path: path.to_owned(), line, text };

    let shipped = member.modules.values().filter(|m| !m.is_test).map(|m| m.source);
    let present: BTreeSet<&Path> = shipped.map(|s| s.path.as_path()).collect();
    for path in present.iter().filter(|p| place(p).is_none()) {
        let text = "not in xtask/src/tidy/levels.txt: where does it belong?".to_owned();
        found.push(complaint(path, 0, text));
    }
    for file in &section.files {
        let path = section.folder.join(&file.path);
        if !present.contains(path.as_path()) {
            found.push(complaint(&path, 0, "listed in levels.txt, but not there".to_owned()));
        }
    }

    let imports = imports(member);
    let mut used = BTreeSet::new();
    for Import { from, line, to } in &imports {
        let (Some(from_at), Some(to_at)) = (place(from), place(to)) else { continue };
        if to_at < from_at {
            continue;
        }
        let (from_file, to_file) = (&section.files[from_at], &section.files[to_at]);
        if from_file.excepted.contains(&to_file.path) {
            used.insert((from_at, to_at));
            continue;
        }
        let text = format!("imports from {}, which stands below it", to_file.path.display());
        found.push(complaint(from, *line, text));
    }
    for (at, file) in section.files.iter().enumerate() {
        for path in &file.excepted {
            let excepted = section.files.iter().position(|f| f.path == *path);
            if !excepted.is_some_and(|to| used.contains(&(at, to))) {
                let text = format!("levels.txt excepts {}, for nothing", path.display());
                found.push(complaint(&section.folder.join(&file.path), 0, text));
            }
        }
    }
    found.extend(effects(section, member));
    found
}

/// Effects in files of the pure levels.
fn effects(section: &Section, member: &Crate<'_>) -> Vec<Complaint> {
    let mut found = Vec::new();
    for module in member.modules.values().filter(|m| !m.is_test) {
        let path = &module.source.path;
        let inside = path.strip_prefix(&section.folder).unwrap_or(path);
        let listed = section.files.iter().find(|f| f.path == inside);
        if listed.and_then(|f| f.level).is_some_and(|level| level <= PURE_MAX) {
            let mut walk = Effects { found: Vec::new() };
            let items = module.items.iter().filter(|i| {
                !matches!(i, syn::Item::Mod(_))
                    && !super::items::is_test(super::items::attributes(i))
            });
            items.for_each(|item| walk.visit_item(item));
            let rule = format!("levels 0 to {PURE_MAX} are pure");
            found.extend(walk.found.into_iter().map(|(span, what)| {
                Complaint::new(module.source, span.start().line, format!("{what}: {rule}"))
            }));
        }
    }
    found
}

/// Looks for effects.
struct Effects {
    /// Where, and what.
    found: Vec<(proc_macro2::Span, String)>,
}

impl<'ast> Visit<'ast> for Effects {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(keyword) = &signature.asyncness {
            self.found.push((keyword.span, "an async function".to_owned()));
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.found.push((block.async_token.span, "an async block".to_owned()));
        visit::visit_expr_async(self, block);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(root) = &item.tree
            && root.ident == "std"
            && let syn::UseTree::Path(next) = &*root.tree
        {
            self.take_std(&next.ident);
        }
        visit::visit_item_use(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.segments[0].ident == "std" {
            self.take_std(&path.segments[1].ident);
        }
        visit::visit_path(self, path);
    }

    fn visit_ident(&mut self, name: &'ast syn::Ident) {
        if SOCKETS.iter().any(|s| name == s) {
            self.found.push((name.span(), name.to_string()));
        }
    }
}

impl Effects {
    fn take_std(&mut self, module: &syn::Ident) {
        if EFFECTS.iter().any(|e| module == e) {
            self.found.push((module.span(), format!("std::{module}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::super::sources::Source;
    use super::*;

    const LIST: &str = "# order\ncrate a/src\nlevel 0 words\nlow.rs\nlevel 6 driver\ntop.rs
        except lib.rs because they are one\nlib.rs";

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let parse = |(path, text): &(&str, &str)| Source::new(path, (*text).to_owned());
        let mut sources: Vec<Source> = files.iter().map(|f| parse(f).expect("parses")).collect();
        sources.push(Source::new("a/Cargo.toml", String::new()).expect("text"));
        let crates = modules::crates(&sources, &mut BTreeSet::new());
        let list = parse_one();
        let found = check(&list, &crates[0]);
        found.into_iter().map(|c| format!("{} {}", c.path.display(), c.text)).collect()
    }

    fn parse_one() -> Section {
        parse(LIST).expect("well-formed").remove(0)
    }

    #[test]
    fn the_order_binds_and_exceptions_must_be_needed() {
        let lib = "mod low; mod top; struct A;";
        let good = [
            ("a/src/lib.rs", lib),
            ("a/src/low.rs", "pub struct Low;"),
            ("a/src/top.rs", "use crate::{A, low::Low}; async fn f() { std::fs::x(); }"),
        ];
        assert_eq!(complaints(&good), [""; 0]);

        let mut bad = good;
        bad[1].1 = "use crate::top::Top; use std::net::{IpAddr, TcpStream};
            async fn f() { std::thread::spawn(|| {}); }";
        let found = complaints(&bad);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("stands below"), "{found:?}");

        let mut bad = good;
        bad[2].1 = "";
        assert!(complaints(&bad)[0].contains("for nothing"));

        let mut bad = good.to_vec();
        bad[0].1 = "mod low; mod top; mod new; struct A;";
        bad.push(("a/src/new.rs", ""));
        assert!(complaints(&bad)[0].contains("where does it belong"));

        assert!(complaints(&[("a/src/lib.rs", "")]).iter().any(|c| c.contains("not there")));
    }

    #[test]
    fn the_list_is_well_formed() {
        let sections = parse(LEVELS).expect("well-formed");
        assert!(sections.iter().any(|s| s.folder == Path::new("core/src")));
        for text in ["a.rs", "crate a\nexcept b.rs because of x", "crate a\na.rs\nexcept b.rs"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
