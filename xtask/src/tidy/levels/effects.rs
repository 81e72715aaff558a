//! No effects in the pure levels: a decision can be tested by giving it data.
//!
//! Levels 0 to 5 hold no `async`, no sockets, no threads, no processes and no files. The check
//! looks at names, not at types: it finds what is written out, not what a macro expands to.

use super::{Complaint, Section};
use crate::tidy::items;
use crate::tidy::modules::Crate;
use syn::visit::{self, Visit};

/// Levels up to this one are pure.
const PURE_MAX: u32 = 5;

/// Modules of std that only act on the outside.
const EFFECTS: &[&str] = &["fs", "process", "thread"];

/// Types of `std::net` that act on the outside; addresses are data.
const SOCKETS: &[&str] = &["TcpListener", "TcpStream", "ToSocketAddrs", "UdpSocket"];

/// Effects in files of the pure levels.
pub(super) fn check(section: &Section, member: &Crate<'_>) -> Vec<Complaint> {
    let mut found = Vec::new();
    for module in member.modules.values().filter(|m| !m.is_test) {
        let path = &module.source.path;
        let inside = path.strip_prefix(&section.folder).unwrap_or(path);
        let listed = section.files.iter().find(|f| f.path == inside);
        if listed.and_then(|f| f.level).is_some_and(|level| level <= PURE_MAX) {
            let mut walk = Effects { found: Vec::new() };
            let items = module.items.iter().filter(|i| {
                !matches!(i, syn::Item::Mod(_)) && !items::is_test(items::attributes(i))
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
