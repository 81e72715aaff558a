//! The list of commands that the package makes its methods from: `js/lib/commands.js`, and the same
//! names as types in `js/lib/commands.d.ts`.
//!
//! Taken from the command table of the core. A name with a character that no identifier has
//! (RESTORE-ASKING) is left out: `call` sends it.

use crate::Outcome;
use std::fmt::Write;
use std::path::PathBuf;

/// The table.
const TABLE: &str = include_str!("../../../core/src/command/table.rs");
/// What stands above each list.
const HEADER: &str = "\
// The commands of the command table. Written by `cargo xtask js commands`, never by hand.
";
/// Columns of a line of names.
const WIDTH: usize = 96;

/// Writes both files.
pub(super) fn write() -> Outcome {
    for (path, text) in files()? {
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails if a file differs from what would be written.
pub(super) fn check() -> Outcome {
    for (path, text) in files()? {
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            return Err(format!("{} is out of date: run cargo xtask js commands", path.display()));
        }
    }
    Ok(())
}

fn files() -> Result<[(PathBuf, String); 2], String> {
    let names = names(TABLE);
    if names.is_empty() {
        return Err("the command table of the core has no names that could be read".to_owned());
    }
    let folder = crate::root().join("js/lib");
    let types = names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    Ok([
        (folder.join("commands.js"), script(&names)),
        (folder.join("commands.d.ts"), declarations(&types)),
    ])
}

/// The names of commands, without those of subcommands, which are indented further.
fn names(table: &str) -> Vec<String> {
    let entries = table.lines().filter_map(|line| {
        let entry = line.strip_prefix("    ").filter(|entry| !entry.starts_with(' '))?;
        let (function, rest) = entry.split_once('"')?;
        let (name, _) = rest.split_once('"')?;
        ["c(", "p(", "with(c(", "with(p("].contains(&function).then_some(name)
    });
    let is_identifier = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    entries.filter(is_identifier).map(str::to_owned).collect()
}

fn script(names: &[String]) -> String {
    let mut text = format!("{HEADER}\nexport const COMMANDS = `\n");
    let mut line = String::new();
    for name in names {
        if line.len() + 1 + name.len() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_start());
            line.clear();
        }
        let _ = write!(line, " {name}");
    }
    let _ = writeln!(text, "{}", line.trim_start());
    text.push_str("`.trim().split(/\\s+/);\n");
    text
}

fn declarations(names: &[String]) -> String {
    let mut text = format!("{HEADER}\n/** The commands that are methods. */\n");
    text.push_str("export type CommandName =\n");
    for (at, name) in names.iter().enumerate() {
        let end = if at + 1 == names.len() { ";" } else { "" };
        let _ = writeln!(text, "  | \"{name}\"{end}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_commands_and_not_of_subcommands() {
        let table = "    c(\"GET\", R, &[one(1)]),\n    with(c(\"CLIENT\", 0, &[]), &[\n        \
                     c(\"KILL\", 0, &[]),\n    ]),\n    p(\"KEYS\", R, &[], Ask::A, Fold::B),\n    \
                     c(\"RESTORE-ASKING\", W, &[one(1)]),\n";
        assert_eq!(names(table), ["GET", "CLIENT", "KEYS"]);
    }

    #[test]
    fn the_lists_of_the_package_are_up_to_date() {
        assert_eq!(check(), Ok(()));
        assert!(names(TABLE).len() > 200);
    }
}
