//! The files that the rules look at, read and parsed once.
//!
//! All files that git tracks or would add, without deleted ones. Rust files come with their syntax
//! tree; a file that does not parse is an error.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Text files: what has one of these endings, or one of these names.
const TEXT: &[&str] = &["rs", "md", "toml", "txt", "sh", "js", "mjs", "json", "yml", "run"];

/// One file.
pub(super) struct Source {
    /// From the workspace's root, with `/` between its parts.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
    /// Its syntax tree, if it is Rust.
    pub(super) ast: Option<syn::File>,
}

impl Source {
    pub(super) fn new(path: impl Into<PathBuf>, text: String) -> Result<Self, String> {
        let path = path.into();
        let rust = path.extension().is_some_and(|e| e == "rs");
        let ast = if rust { Some(parse(&path, &text)?) } else { None };
        Ok(Self { path, text, ast })
    }

    /// Written by a program of this project, so some rules on layout do not apply.
    pub(super) fn is_generated(&self) -> bool {
        self.text.starts_with("//!") && self.text.contains("ritten by `cargo xtask")
    }
}

fn parse(path: &Path, text: &str) -> Result<syn::File, String> {
    syn::parse_file(text).map_err(|e| format!("{}:{}: {e}", path.display(), e.span().start().line))
}

/// All text files of the project.
pub(super) fn read() -> Result<Vec<Source>, String> {
    let root = crate::root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .map_err(|e| format!("git ls-files: {e}"))?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)));
    }
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut sources = Vec::new();
    for path in listed.split_terminator('\0').map(Path::new) {
        let name = path.extension().or(path.file_name()).and_then(|n| n.to_str());
        if !name.is_some_and(|n| TEXT.contains(&n)) || !root.join(path).is_file() {
            continue;
        }
        let text = std::fs::read_to_string(root.join(path))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        sources.push(Source::new(path, text)?);
    }
    Ok(sources)
}
