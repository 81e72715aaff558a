//! The order of files, `levels.txt`, and the rules that depend on it.
//!
//! **A file imports only from files that stand above it.** Levels group the files; the first six
//! are pure (`levels/effects.rs`). A room is a folder that is one unit: its files stand together,
//! and so a room imports only from rooms above it (`levels/rooms.rs`).
//!
//! A circle that reads better than what would break it is written down with its reason. An
//! exception that no import needs is a complaint. A room has no exceptions.

mod effects;
mod rooms;

use super::Complaint;
use super::imports::{Import, imports};
use super::modules::Crate;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The list itself.
pub(super) const LEVELS: &str = include_str!("levels.txt");

/// Where the list stands, from the workspace's root.
const LIST: &str = "xtask/src/tidy/levels.txt";

/// The order of one crate's files.
#[derive(Debug, PartialEq)]
pub(super) struct Section {
    /// The folder of its root.
    pub(super) folder: PathBuf,
    /// Its files, the lowest first.
    files: Vec<Listed>,
    /// Its rooms, the lowest first.
    rooms: Vec<Room>,
}

/// A file in the list.
#[derive(Debug, PartialEq)]
struct Listed {
    /// From the section's folder.
    path: PathBuf,
    /// Its line in the list, counted from 1.
    line: usize,
    /// Its level; `None` where a crate has no levels.
    level: Option<u32>,
    /// The room that it is listed in: an index into the section's rooms.
    room: Option<usize>,
    /// Files below it in the list that it imports from all the same.
    excepted: Vec<PathBuf>,
}

/// A folder that is one unit.
#[derive(Debug, PartialEq)]
struct Room {
    /// From the section's folder, with a `/` at its end.
    folder: String,
    /// Its line in the list, counted from 1.
    line: usize,
}

/// Reads the list; its head says how it is written.
pub(super) fn parse(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    let (mut level, mut room) = (None, None);
    for (at, line) in text.lines().enumerate() {
        let bad = |why: &str| format!("levels.txt:{}: {why}: {line}", at + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => room = None,
            [first, ..] if first.starts_with('#') => {}
            ["crate", folder] => {
                (level, room) = (None, None);
                let (files, rooms) = (Vec::new(), Vec::new());
                sections.push(Section { folder: folder.into(), files, rooms });
            }
            ["level", number, ..] => {
                level = Some(number.parse().map_err(|_| bad("no number"))?);
                room = None;
            }
            ["room", folder, _, ..] if folder.ends_with('/') => {
                let rooms = &mut sections.last_mut().ok_or_else(|| bad("no crate above"))?.rooms;
                if rooms.iter().any(|r| r.folder == folder) {
                    return Err(bad("the room stands here for the second time"));
                }
                room = Some(rooms.len());
                rooms.push(Room { folder: folder.to_owned(), line: at + 1 });
            }
            ["room", ..] => return Err(bad("expected `room FOLDER/ WHAT IT IS FOR`")),
            ["except", ..] if room.is_some() => return Err(bad("a room has no exceptions")),
            ["except", path, "because", _, ..] => {
                let files = sections.last_mut().and_then(|s| s.files.last_mut());
                files.ok_or_else(|| bad("no file above"))?.excepted.push(path.into());
            }
            ["except", ..] => return Err(bad("expected `except FILE because REASON`")),
            [path] => {
                let section = sections.last_mut().ok_or_else(|| bad("no crate above"))?;
                let (path, excepted) = (path.into(), Vec::new());
                section.files.push(Listed { path, line: at + 1, level, room, excepted });
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

    let shipped = member.modules.values().filter(|m| !m.is_test).map(|m| m.source);
    let present: BTreeSet<&Path> = shipped.map(|s| s.path.as_path()).collect();
    for path in present.iter().filter(|p| place(p).is_none()) {
        found.push(complaint(path, 0, format!("not in {LIST}: where does it belong?")));
    }
    for file in &section.files {
        if !present.contains(section.folder.join(&file.path).as_path()) {
            found.push(complaint(
                LIST,
                file.line,
                format!("no such file: {}", file.path.display()),
            ));
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
        } else {
            found.push(complaint(from, *line, section.upward(from_file, to_file)));
        }
    }
    for (at, file) in section.files.iter().enumerate() {
        for path in &file.excepted {
            let excepted = section.files.iter().position(|f| f.path == *path);
            if !excepted.is_some_and(|to| used.contains(&(at, to))) {
                let text = format!("no import needs the exception for {}", path.display());
                found.push(complaint(LIST, file.line, text));
            }
        }
    }
    found.extend(rooms::check(section, member));
    found.extend(effects::check(section, member));
    found
}

impl Section {
    /// The complaint about an import against the order.
    fn upward(&self, from: &Listed, to: &Listed) -> String {
        let path = to.path.display();
        match (from.room, to.room) {
            (Some(a), Some(b)) if a != b => {
                let (from, to) = (&self.rooms[a].folder, &self.rooms[b].folder);
                format!("room {from} imports from room {to}, which stands below it ({path})")
            }
            _ => format!("imports from {path}, which stands below it"),
        }
    }
}

fn complaint(path: impl Into<PathBuf>, line: usize, text: String) -> Complaint {
    Complaint { path: path.into(), line, text }
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::super::sources::Source;
    use super::*;

    /// What `list`, of one section, says of `files`, which lie in the crate `a`.
    pub(super) fn complaints(list: &str, files: &[(&str, &str)]) -> Vec<String> {
        let parse_file = |(path, text): &(&str, &str)| {
            Source::new(format!("a/src/{path}"), (*text).to_owned()).expect("parses")
        };
        let mut sources: Vec<Source> = files.iter().map(parse_file).collect();
        sources.push(Source::new("a/Cargo.toml", String::new()).expect("text"));
        let crates = modules::crates(&sources, &mut BTreeSet::new());
        let section = parse(list).expect("well-formed").remove(0);
        let found = check(&section, &crates[0]);
        let found = found.into_iter();
        found.map(|c| format!("{}:{} {}", c.path.display(), c.line, c.text)).collect()
    }

    #[test]
    fn a_file_imports_only_from_above_and_exceptions_must_be_needed() {
        let list = "# order\ncrate a/src\nlevel 0 words\nlow.rs\nlevel 6 driver\ntop.rs
            except lib.rs because they are one\nlib.rs";
        let lib = "mod low; mod top; struct A;";
        let good = [
            ("lib.rs", lib),
            ("low.rs", "pub struct Low;"),
            ("top.rs", "use crate::{A, low::Low}; async fn f() { std::fs::x(); }"),
        ];
        assert_eq!(complaints(list, &good), [""; 0]);

        let mut bad = good;
        bad[1].1 = "use crate::top::Top; use std::net::{IpAddr, TcpStream};
            async fn f() { std::thread::spawn(|| {}); }";
        let found = complaints(list, &bad);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains("stands below"), "{found:?}");

        let mut bad = good;
        bad[2].1 = "";
        let text = "xtask/src/tidy/levels.txt:6 no import needs the exception for lib.rs";
        assert_eq!(complaints(list, &bad), [text]);

        let mut bad = good.to_vec();
        bad[0].1 = "mod low; mod top; mod new; struct A;";
        bad.push(("new.rs", ""));
        assert!(complaints(list, &bad)[0].contains("where does it belong"));

        let found = complaints(list, &[("lib.rs", "")]);
        assert!(found.contains(&"xtask/src/tidy/levels.txt:4 no such file: low.rs".to_owned()));
    }

    #[test]
    fn the_list_is_well_formed() {
        let sections = parse(LEVELS).expect("well-formed");
        assert!(sections.iter().any(|s| s.folder == Path::new("core/src")));
        let bad = [
            "a.rs",
            "crate a\nexcept b.rs because of x",
            "crate a\na.rs\nexcept b.rs",
            "room b/ what for",
            "crate a\nroom b/",
            "crate a\nroom b what for",
            "crate a\nroom b/ what for\nb/c.rs\n\nroom b/ once more",
            "crate a\nroom b/ what for\nb/c.rs\nexcept b/d.rs because of x",
        ];
        for text in bad {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
