//! Breaks comments that are too wide, since rustfmt leaves comments alone.
//!
//! Only whole-line comments that exceed the width change. What is cut off moves to the next line if
//! that line continues the paragraph, else to a line of its own. The lines of a paragraph may come
//! out uneven; joining them is left to the author. Code and diagrams between fences do not change.

use super::sources::Source;
use super::text::WIDTH_MAX;

/// Rewrites every file that holds such a comment.
pub(super) fn run(sources: &[Source]) -> Result<(), String> {
    for source in sources.iter().filter(|s| s.ast.is_some() && !s.is_generated()) {
        let wrapped = wrap(&source.text);
        if wrapped != source.text {
            let path = crate::root().join(&source.path);
            std::fs::write(&path, wrapped).map_err(|e| format!("{}: {e}", path.display()))?;
            println!("wrapped {}", source.path.display());
        }
    }
    Ok(())
}

fn wrap(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len());
    // Cut off the line before, with that line's marker.
    let mut carried: Option<(String, String)> = None;
    let mut fenced = false;
    for line in text.lines() {
        let parts = split(line);
        fenced ^= parts.is_some_and(|(_, body)| body.starts_with("```"));
        let mut rest = line.to_owned();
        if let Some((marker, words)) = carried.take() {
            match parts {
                Some((next, body)) if next.trim_end() == marker.trim_end() && goes_on(body) => {
                    rest = format!("{marker}{words} {body}");
                }
                _ => carried = emit(&mut wrapped, format!("{marker}{words}")),
            }
        }
        // What was carried may itself be too wide for one line.
        while let Some((marker, words)) = carried.take() {
            carried = emit(&mut wrapped, format!("{marker}{words}"));
        }
        if fenced {
            wrapped.push_str(&rest);
            wrapped.push('\n');
        } else {
            carried = emit(&mut wrapped, rest);
        }
    }
    while let Some((marker, words)) = carried.take() {
        carried = emit(&mut wrapped, format!("{marker}{words}"));
    }
    wrapped
}

/// Writes as much of `line` as fits, and gives back the rest with its marker.
fn emit(wrapped: &mut String, line: String) -> Option<(String, String)> {
    let cut = cut(&line);
    wrapped.push_str(line[..cut.unwrap_or(line.len())].trim_end());
    wrapped.push('\n');
    let rest = line[cut?..].trim_start().to_owned();
    let (marker, body) = split(&line)?;
    // The second line of an item of a list stands under its first word.
    let hang = if body.starts_with("- ") { "  " } else { "" };
    Some((format!("{marker}{hang}"), rest))
}

/// Where to break `line`: at the last space that fits; `None` if it fits or must not be broken.
fn cut(line: &str) -> Option<usize> {
    let (marker, body) = split(line)?;
    if line.chars().count() <= WIDTH_MAX || line.contains("://") || body.starts_with('|') {
        return None;
    }
    let spaces = line.char_indices().enumerate().filter(|(_, (_, c))| *c == ' ');
    let fitting = spaces.filter(|(column, (at, _))| *column <= WIDTH_MAX && *at > marker.len());
    fitting.map(|(_, (at, _))| at).last()
}

/// A comment's indentation and marker with its blanks, and its text; `None` for other lines.
fn split(line: &str) -> Option<(&str, &str)> {
    let code = line.trim_start();
    let marker = ["//!", "///", "//"].into_iter().find(|m| code.starts_with(m))?;
    let body = code[marker.len()..].trim_start();
    Some(line.split_at(line.len() - body.len()))
}

/// Whether a comment's line belongs to the paragraph of the line before it.
fn goes_on(body: &str) -> bool {
    let begins = ["- ", "* ", "#", "```", "|", "1. "];
    !body.is_empty() && !begins.iter().any(|b| body.starts_with(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wide_comments_change_and_paragraphs_stay_apart() {
        let word = "nine char";
        let wide = [word; 12].join(" ");
        let same = format!("//! short\nlet x = \"{wide}\";\n// https://example.org/ {wide}\n");
        let same = format!("{same}/// ```text\n/// {wide}\n/// ```\n");
        assert_eq!(wrap(&same), same);

        let wrapped = wrap(&format!("    /// {wide}\n    /// goes on\n    ///\n    /// apart\n"));
        assert!(wrapped.lines().all(|l| l.chars().count() <= WIDTH_MAX), "{wrapped}");
        assert_eq!(wrapped.lines().count(), 4, "{wrapped}");
        assert!(wrapped.ends_with("char goes on\n    ///\n    /// apart\n"), "{wrapped}");

        let wrapped = wrap(&format!("//! - {wide}\n//! - other\n"));
        assert!(wrapped.contains("\n//!   ") && wrapped.ends_with("\n//! - other\n"), "{wrapped}");
        assert_eq!(wrap(&wrapped), wrapped);
    }
}
