//! Rooms: folders that are one unit each.
//!
//! - Every file below a room's folder is listed in its room, and no other file is. A folder within
//!   belongs to the innermost room around it.
//! - A room ends with its `mod.rs`, which declares and re-exports and does nothing else.
//!
//! Since the files of a room stand together, the order of files is the order of rooms, too: the
//! check of imports (`levels.rs`) only has to name the rooms.

use super::{Complaint, LIST, Section, complaint};
use crate::tidy::items::{attributes, is_test};
use crate::tidy::modules::Crate;
use proc_macro2::Span;
use std::path::Path;

pub(super) fn check(section: &Section, member: &Crate<'_>) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in &section.files {
        let path = file.path.display();
        let name = |room: usize| &section.rooms[room].folder;
        let text = match (file.room, home(section, &file.path)) {
            (listed, home) if listed == home => continue,
            (_, Some(home)) => format!("{path} belongs in room {}", name(home)),
            (Some(room), None) => {
                format!("{path} lies outside of room {}; an empty line ends a room", name(room))
            }
            (None, None) => continue,
        };
        found.push(complaint(LIST, file.line, text));
    }
    for (at, room) in section.rooms.iter().enumerate() {
        let last = section.files.iter().rfind(|f| f.room == Some(at));
        let entrance = Path::new(&room.folder).join("mod.rs");
        if last.is_none_or(|file| file.path != entrance) {
            let text = format!("the last file of a room is its mod.rs: {}", entrance.display());
            found.push(complaint(LIST, last.map_or(room.line, |file| file.line), text));
        }
        found.extend(contents(&section.folder.join(entrance), member));
    }
    found
}

/// The innermost room whose folder holds `path`.
fn home(section: &Section, path: &Path) -> Option<usize> {
    let rooms = section.rooms.iter().enumerate();
    let around = rooms.filter(|(_, room)| path.starts_with(&room.folder));
    around.max_by_key(|(_, room)| room.folder.len()).map(|(at, _)| at)
}

/// What the `mod.rs` of a room holds besides declarations and re-exports.
fn contents(entrance: &Path, member: &Crate<'_>) -> Vec<Complaint> {
    let modules = member.modules.values().filter(|m| !m.is_test && m.source.path == entrance);
    let items = modules.flat_map(|m| m.items).filter(|i| !is_test(attributes(i)));
    let others = items.filter_map(other_item);
    let complain = |(what, span): (&str, Span)| {
        let text = format!("the mod.rs of a room only declares and re-exports: move the {what}");
        complaint(entrance, span.start().line, text)
    };
    others.map(complain).collect()
}

/// What kind of item this is and where, unless it declares a file or re-exports.
fn other_item(item: &syn::Item) -> Option<(&'static str, Span)> {
    Some(match item {
        syn::Item::Use(_) => return None,
        syn::Item::Mod(i) => ("module", i.content.as_ref().map(|_| i.ident.span())?),
        syn::Item::Const(i) => ("constant", i.ident.span()),
        syn::Item::Enum(i) => ("enum", i.ident.span()),
        syn::Item::Fn(i) => ("function", i.sig.ident.span()),
        syn::Item::Impl(i) => ("impl", i.impl_token.span),
        syn::Item::Macro(i) => ("macro", i.mac.path.segments[0].ident.span()),
        syn::Item::Static(i) => ("static", i.ident.span()),
        syn::Item::Struct(i) => ("struct", i.ident.span()),
        syn::Item::Trait(i) => ("trait", i.ident.span()),
        syn::Item::Type(i) => ("type", i.ident.span()),
        _ => ("item", Span::call_site()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::complaints;

    const LIST: &str = "crate a/src
room one/ the first
one/low.rs
one/inner/deep.rs
one/inner/mod.rs
one/mod.rs
room two/ the second
two/top.rs
two/mod.rs

lib.rs";

    const FILES: [(&str, &str); 7] = [
        ("lib.rs", "mod one; mod two; fn f() { crate::two::Top; }"),
        ("one/mod.rs", "mod low; mod inner; pub(crate) use low::Low; #[cfg(test)] mod tests {}"),
        ("one/low.rs", "pub(crate) struct Low;"),
        ("one/inner/mod.rs", "mod deep; fn f() {}"),
        ("one/inner/deep.rs", "use super::super::Low;"),
        ("two/mod.rs", "mod top; pub(crate) use top::Top;"),
        ("two/top.rs", "use crate::one::Low; pub(crate) struct Top;"),
    ];

    /// The complaints when `from` in the list is `to`.
    fn relisted(from: &str, to: &str) -> Vec<String> {
        assert!(LIST.contains(from), "{from}");
        complaints(&LIST.replace(from, to), &FILES)
    }

    /// The complaints when the file at `path` holds `text`.
    fn rewritten(path: &str, text: &str) -> Vec<String> {
        complaints(LIST, &FILES.map(|file| if file.0 == path { (path, text) } else { file }))
    }

    #[test]
    fn the_files_of_a_room_stand_together() {
        assert_eq!(complaints(LIST, &FILES), [""; 0]);
        let list = "xtask/src/tidy/levels.txt:";
        let table = [
            ("one/low.rs\n", "\none/low.rs\n", "one/low.rs belongs in room one/"),
            ("\none/mod.rs", "\nlevel 1 words\none/mod.rs", "one/mod.rs belongs in room one/"),
            ("two/mod.rs\n\n", "two/mod.rs\n", "lib.rs lies outside of room two/"),
            ("one/inner/mod.rs\none/mod.rs", "one/mod.rs\none/inner/mod.rs", "the last file"),
            ("room two", "room one/inner/ third\nroom two", "one/inner/deep.rs belongs in room"),
        ];
        for (from, to, expected) in table {
            let found = relisted(from, to);
            assert!(
                found.iter().any(|c| c.starts_with(list) && c.contains(expected)),
                "{from} {to}: {found:?}"
            );
        }
    }

    #[test]
    fn a_room_imports_only_from_rooms_above_it() {
        let found = rewritten("one/low.rs", "use crate::two::Top; pub(crate) struct Low;");
        let text = "room one/ imports from room two/, which stands below it (two/top.rs)";
        assert_eq!(found, [format!("a/src/one/low.rs:1 {text}")]);
        // Within a room, the order of files is all that counts.
        let found = rewritten("one/low.rs", "use super::inner::deep::D; pub(crate) struct Low;");
        assert!(found[0].ends_with("imports from one/inner/deep.rs, which stands below it"));
    }

    #[test]
    fn the_entrance_of_a_room_holds_no_code() {
        for item in
            ["fn f() {}", "struct A;", "impl A {}", "mod b {}", "macro_rules! m { () => {} }"]
        {
            let text = format!("mod top; pub(crate) use top::Top;\n{item}");
            let found = rewritten("two/mod.rs", &text);
            assert_eq!(found.len(), 1, "{item}: {found:?}");
            assert!(found[0].starts_with("a/src/two/mod.rs:2 the mod.rs of a room only"));
        }
    }
}
