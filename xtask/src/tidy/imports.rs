//! Which file imports from which, by definition and not by name.
//!
//! A path is followed through re-exports to the file that defines its item: the `mod.rs` of a
//! folder may re-export from its files, and `crate::resp::Blob` means `resp/blob.rs`. These
//! re-exports are not imports. Test modules may import from anywhere. Other crates do not count.
//!
//! Limits: paths in strings (serde's `with`) are not seen; in macro calls only those that begin
//! with `crate`.

use super::items::{attributes, is_test};
use super::modules::{Crate, Module};
use proc_macro2::{Span, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use syn::visit::{self, Visit};

/// How many re-exports are followed from one to the next.
const HOPS_MAX: usize = 8;

/// A use of an item of another file of the same crate.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    /// The file that uses it.
    pub(super) from: PathBuf,
    /// Where, counted from 1.
    pub(super) line: usize,
    /// The file that defines it.
    pub(super) to: PathBuf,
}

/// What is known of a module's names.
#[derive(Default)]
struct Names {
    /// Items that the module itself defines.
    defined: BTreeSet<String>,
    /// Names that it imports, with the path of each below `crate`.
    imported: BTreeMap<String, Vec<String>>,
    /// Modules whose names it imports all.
    globs: Vec<Vec<String>>,
}

/// All imports between files of `member`, tests left out.
pub(super) fn imports(member: &Crate<'_>) -> BTreeSet<Import> {
    let mut resolver = Resolver { member, names: BTreeMap::new() };
    for (path, module) in &member.modules {
        resolver.names.insert(path, names(member, path, module.items));
    }
    let mut found = BTreeSet::new();
    for (path, module) in member.modules.iter().filter(|(_, m)| !m.is_test) {
        let offered = BTreeMap::new();
        let mut walk = Walk { resolver: &resolver, module, path, offered, found: &mut found };
        walk.take_re_exports();
        for item in module.items.iter().filter(|i| !is_test(attributes(i))) {
            match item {
                // Its own entry among the modules.
                syn::Item::Mod(_) => {}
                syn::Item::Use(item) if is_re_export(item) => {}
                item => walk.visit_item(item),
            }
        }
    }
    found
}

/// Whether others see what `item` imports.
fn is_re_export(item: &syn::ItemUse) -> bool {
    !matches!(item.vis, syn::Visibility::Inherited)
}

/// The names that `items`, of the module `path`, give to it.
fn names(member: &Crate<'_>, path: &[String], items: &[syn::Item]) -> Names {
    let mut names = Names::default();
    for item in items {
        let defined = match item {
            syn::Item::Const(i) => &i.ident,
            syn::Item::Enum(i) => &i.ident,
            syn::Item::Fn(i) => &i.sig.ident,
            syn::Item::Static(i) => &i.ident,
            syn::Item::Struct(i) => &i.ident,
            syn::Item::Trait(i) => &i.ident,
            syn::Item::Type(i) => &i.ident,
            syn::Item::Use(item) => {
                for leaf in leaves(&item.tree) {
                    let Some(target) = absolute(member, path, &leaf.path) else { continue };
                    match leaf.name {
                        Some(name) => drop(names.imported.insert(name, target)),
                        None => names.globs.push(target),
                    }
                }
                continue;
            }
            _ => continue,
        };
        names.defined.insert(defined.to_string());
    }
    names
}

/// One path of a `use`, with the name that it gets here; no name for `*`.
struct Leaf {
    /// As written, `self` at its end left out.
    path: Vec<String>,
    /// The last part, or what stands after `as`.
    name: Option<String>,
    /// Where it is written.
    span: Span,
}

fn leaves(tree: &syn::UseTree) -> Vec<Leaf> {
    fn walk(tree: &syn::UseTree, before: &[String], leaves: &mut Vec<Leaf>) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(p) => walk(&p.tree, &with(&p.ident), leaves),
            syn::UseTree::Group(g) => g.items.iter().for_each(|t| walk(t, before, leaves)),
            syn::UseTree::Glob(g) => {
                let span = g.star_token.spans[0];
                leaves.push(Leaf { path: before.to_vec(), name: None, span });
            }
            syn::UseTree::Name(n) if n.ident == "self" => {
                let name = before.last().cloned();
                leaves.push(Leaf { path: before.to_vec(), name, span: n.ident.span() });
            }
            syn::UseTree::Name(n) => {
                let name = Some(n.ident.to_string());
                leaves.push(Leaf { path: with(&n.ident), name, span: n.ident.span() });
            }
            syn::UseTree::Rename(r) => {
                let name = Some(r.rename.to_string());
                leaves.push(Leaf { path: with(&r.ident), name, span: r.ident.span() });
            }
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

/// The path below `crate` that `path` means in the module `here`; `None` outside of this crate.
fn absolute(member: &Crate<'_>, here: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([here, rest].concat()),
        "super" => {
            let (_, parent) = here.split_last()?;
            match rest.first().is_some_and(|next| next == "super") {
                true => absolute(member, parent, rest),
                false => Some([parent, rest].concat()),
            }
        }
        _ => {
            let child = [here, path].concat();
            member.modules.contains_key(&child[..=here.len()]).then_some(child)
        }
    }
}

/// Follows paths to files.
struct Resolver<'a> {
    /// The crate.
    member: &'a Crate<'a>,
    /// The names of each of its modules.
    names: BTreeMap<&'a Vec<String>, Names>,
}

impl<'a> Resolver<'a> {
    /// The module in whose file the item at `path` is defined, as far as re-exports tell.
    fn resolve(&self, path: &[String]) -> &'a Module<'a> {
        self.find(path, HOPS_MAX).unwrap_or_else(|| self.longest(path).0)
    }

    /// The module of the longest beginning of `path`, and what is left.
    fn longest<'p>(&self, path: &'p [String]) -> (&'a Module<'a>, &'a Vec<String>, &'p [String]) {
        let lengths = (0..=path.len()).rev();
        let mut entries = lengths.filter_map(|n| {
            let (key, module) = self.member.modules.get_key_value(&path[..n])?;
            Some((module, key, &path[n..]))
        });
        entries.next().expect("the root has the empty path")
    }

    fn find(&self, path: &[String], hops: usize) -> Option<&'a Module<'a>> {
        let (module, key, rest) = self.longest(path);
        let Some((name, rest)) = rest.split_first() else { return Some(module) };
        let names = &self.names[key];
        if names.defined.contains(name) {
            return Some(module);
        }
        let hops = hops.checked_sub(1)?;
        if let Some(target) = names.imported.get(name) {
            return self.find(&[target, rest].concat(), hops);
        }
        let through =
            names.globs.iter().map(|glob| [glob, std::slice::from_ref(name), rest].concat());
        through.into_iter().find_map(|target| self.find(&target, hops))
    }
}

/// Walks the items of one module and notes what they use of other files.
struct Walk<'w, 'a> {
    /// Follows paths.
    resolver: &'w Resolver<'a>,
    /// The module.
    module: &'w Module<'a>,
    /// Its path.
    path: &'w [String],
    /// What it re-exports of its children, with the path of each as written.
    offered: BTreeMap<String, Vec<String>>,
    /// All imports so far.
    found: &'w mut BTreeSet<Import>,
}

impl Walk<'_, '_> {
    fn take(&mut self, path: &[String], span: Span) {
        let Some(target) = absolute(self.resolver.member, self.path, path) else { return };
        let (from, to) = (self.module.source, self.resolver.resolve(&target).source);
        if from.path != to.path {
            self.found.insert(Import {
                from: from.path.clone(),
                line: span.start().line,
                to: to.path.clone(),
            });
        }
    }

    /// A module may offer what its own children hold; any other re-export is an import.
    fn take_re_exports(&mut self) {
        for item in self.module.items {
            let syn::Item::Use(item) = item else { continue };
            for leaf in leaves(&item.tree).into_iter().filter(|_| is_re_export(item)) {
                let target = absolute(self.resolver.member, self.path, &leaf.path);
                if !target.is_some_and(|t| t.len() > self.path.len() && t.starts_with(self.path)) {
                    self.take(&leaf.path, leaf.span);
                } else if let Some(name) = leaf.name {
                    self.offered.insert(name, leaf.path);
                }
            }
        }
    }

    /// Notes `crate::a::b` among the words of a macro call.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        for token in tokens {
            match token {
                TokenTree::Punct(p) if p.as_char() == ':' => {}
                TokenTree::Ident(word) if word == "crate" => {
                    start = word.span();
                    path = vec![word.to_string()];
                }
                TokenTree::Ident(word) if !path.is_empty() => path.push(word.to_string()),
                other => {
                    self.take(&std::mem::take(&mut path), start);
                    if let TokenTree::Group(group) = other {
                        self.take_tokens(group.stream());
                    }
                }
            }
        }
        self.take(&path, start);
    }
}

impl<'ast> Visit<'ast> for Walk<'_, '_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in leaves(&item.tree) {
            self.take(&leaf.path, leaf.span);
        }
    }

    /// `pub(in crate::config)` names a place, not an import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let span = path.segments[0].ident.span();
        // What a module offers and uses itself, it imports too.
        if let Some(offered) = self.offered.get(&words[0]).cloned() {
            self.take(&offered, span);
        } else if words.len() > 1 {
            self.take(&words, span);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.take_tokens(call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::super::sources::Source;
    use super::*;

    #[test]
    fn paths_lead_to_the_defining_file() {
        let files = [
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", "mod low; mod top; pub use low::Word; use low::thing::Thing;"),
            (
                "a/src/low/mod.rs",
                "mod thing; mod word; pub use word::*;\npub use thing::Thing; fn f(_: Thing) {}",
            ),
            ("a/src/low/thing.rs", "use super::Word;\npub struct Thing; fn f() { word(); }"),
            ("a/src/low/word.rs", "pub struct Word;\npub fn word() {}"),
            (
                "a/src/top.rs",
                "use crate::{Word, low::{self, Thing}};\nfn f(_: crate::low::word::Word) {}
                 fn g() { low::word::word(); assert!(crate::low::thing::ok()); std::mem::take(x); }
                 #[cfg(test)] mod tests { use super::super::Thing; }",
            ),
        ];
        let parse = |(path, text): &(&str, &str)| Source::new(path, (*text).to_owned());
        let sources: Vec<Source> = files.iter().map(|f| parse(f).expect("parses")).collect();
        let crates = modules::crates(&sources, &mut BTreeSet::new());
        let found = imports(&crates[0]);
        let short = |p: &PathBuf| p.strip_prefix("a/src").expect("inside").display().to_string();
        let found: Vec<String> = found
            .iter()
            .map(|i| format!("{}:{} {}", short(&i.from), i.line, short(&i.to)))
            .collect();
        assert_eq!(
            found,
            [
                "lib.rs:1 low/thing.rs",
                "low/mod.rs:2 low/thing.rs",
                "low/thing.rs:1 low/word.rs",
                "top.rs:1 low/mod.rs",
                "top.rs:1 low/thing.rs",
                "top.rs:1 low/word.rs",
                "top.rs:2 low/word.rs",
                "top.rs:3 low/thing.rs",
            ]
        );
    }
}
