//! Rules on items: docs on fields, names, and what the pure levels must not hold.
//!
//! It checks the crates that ship, the simulator and this tool, and nothing below `#[cfg(test)]`.

use super::Complaint;
use super::modules::Crate;
use super::sources::Source;
use std::path::Path;
use syn::visit::{self, Visit};

/// Endings of type names that say nothing about what the type does.
const VAGUE_TYPES: &[&str] = &["Manager", "Handler", "Helper", "Util", "Utils"];

/// Old words for a primary and a replica. The protocol uses them, so they may stand in strings.
const OLD_ROLES: &[&str] = &["master", "slave"];

/// The folders of the crates that these rules are for.
const FOLDERS: &[&str] = &[
    "core/src",
    "tests/sim/src",
    "transport-js/src",
    "transport-tcp/src",
    "transport-tls/src",
    "transport-wasi/src",
    "xtask/src",
];

pub(super) fn check(member: &Crate<'_>) -> Vec<Complaint> {
    if !FOLDERS.iter().any(|folder| member.folder == Path::new(folder)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for module in member.modules.values().filter(|m| !m.is_test) {
        let mut visitor = Items { source: module.source, found: Vec::new() };
        // A module within has its own entry.
        let items = module.items.iter().filter(|i| !matches!(i, syn::Item::Mod(_)));
        items.for_each(|item| visitor.visit_item(item));
        found.append(&mut visitor.found);
    }
    found
}

/// Whether an item is compiled for tests only.
pub(super) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        // `cfg(test)` and `cfg(all(test, unix))`, not `cfg(not(test))` or `cfg(any(test, unix))`.
        let condition = list.tokens.to_string();
        let mut words = condition.split(|c: char| !c.is_alphanumeric() && c != '_');
        list.path.is_ident("cfg")
            && words.any(|w| w == "test")
            && !condition.contains("not")
            && !condition.starts_with("any")
    })
}

/// The attributes of an item that may be compiled for tests only.
pub(super) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(i) => &i.attrs,
        syn::Item::Fn(i) => &i.attrs,
        syn::Item::Impl(i) => &i.attrs,
        syn::Item::Mod(i) => &i.attrs,
        syn::Item::Static(i) => &i.attrs,
        syn::Item::Struct(i) => &i.attrs,
        syn::Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// Walks one file.
struct Items<'a> {
    /// The file.
    source: &'a Source,
    /// What is wrong so far.
    found: Vec<Complaint>,
}

impl Items<'_> {
    fn complain(&mut self, at: proc_macro2::Span, text: String) {
        self.found.push(Complaint::new(self.source, at.start().line, text));
    }

    fn check_type(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        if let Some(ending) = VAGUE_TYPES.iter().find(|e| text.ends_with(*e)) {
            self.complain(
                name.span(),
                format!("`{text}`: {ending} says nothing; what does it do?"),
            );
        }
    }
}

impl<'ast> Visit<'ast> for Items<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.check_type(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.check_type(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.check_type(&item.ident);
        visit::visit_item_trait(self, item);
    }

    /// The fields of a variant are told by the variant's own line.
    fn visit_variant(&mut self, _: &'ast syn::Variant) {}

    fn visit_field(&mut self, field: &'ast syn::Field) {
        let documented = field.attrs.iter().any(|a| a.path().is_ident("doc"));
        if let Some(name) = field.ident.as_ref().filter(|_| !documented) {
            self.complain(name.span(), format!("say in one line what field `{name}` holds"));
        }
        visit::visit_field(self, field);
    }

    fn visit_ident(&mut self, name: &'ast syn::Ident) {
        let text = name.to_string().to_lowercase();
        if OLD_ROLES.iter().any(|role| text.split('_').any(|part| part == *role)) {
            self.complain(name.span(), format!("`{name}`: call it primary or replica"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_rule_has_a_text_that_breaks_it() {
        let table: &[(&str, usize)] = &[
            ("struct A { /// Why.\n a: u8, b: u8 }", 1),
            ("enum A { B { c: u8 }, D(u8) }", 0),
            ("struct ConnectionManager; trait PushHandler {}", 2),
            ("fn f(master_addr: u8) { let remaster = master_addr; }", 2),
            ("#[cfg(test)] mod tests { struct A { a: u8 } }", 0),
            ("#[cfg(not(test))] struct A { a: u8 }", 1),
            ("const WORD: &str = \"get-master-addr-by-name\";", 0),
        ];
        for (text, count) in table {
            for (path, count) in [("core/src/lib.rs", *count), ("examples/src/lib.rs", 0)] {
                let manifest = Path::new(path).ancestors().nth(2).expect("deep").join("Cargo.toml");
                let sources = [(manifest.as_path(), ""), (Path::new(path), *text)]
                    .map(|(path, text)| Source::new(path, text.to_owned()).expect("parses"));
                let crates = modules::crates(&sources, &mut BTreeSet::new());
                assert_eq!(check(&crates[0]).len(), count, "{path}: {text}");
            }
        }
    }
}
