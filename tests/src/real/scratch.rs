//! Folders for the servers' files, and the reaper that outlives a killed test process.
//!
//! A test process has one root below the system's temporary folder. Next to it runs a small shell
//! that waits for the process to end, by any means, and then kills every process that works inside
//! the root. So servers in statics, which Rust never drops, end as well.
//! **Invariant**: the reaper kills nothing but processes whose working folder lies in the root.
//! After a panic, or with `SLOTCAR_KEEP=1`, the files stay and the path is printed.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Ends when its standard input ends: when the test process has ended.
const REAPER: &str = r#"
while read -r _; do :; done
for process in /proc/[0-9]*; do
    case "$(readlink "$process/cwd" 2>/dev/null)" in
        "$1"/*) kill -9 "${process#/proc/}" 2>/dev/null ;;
    esac
done
[ -e "$1/keep" ] || rm -rf "$1"
"#;

/// This process's root.
struct Root {
    /// The folder.
    path: PathBuf,
    /// Holds the reaper's input open; never read, never closed before the process ends.
    _reaper: Child,
    /// Number of the next folder.
    next: AtomicU32,
}

static ROOT: OnceLock<Root> = OnceLock::new();
static KEPT: AtomicBool = AtomicBool::new(false);

/// A new folder; `label` makes it recognisable.
pub fn folder(label: &str) -> PathBuf {
    let root = ROOT.get_or_init(open_root);
    let path = root.path.join(format!("{label}-{}", root.next.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// Removes a folder of this root, unless something failed and its files may tell why.
pub fn discard(folder: &Path) {
    if !KEPT.load(Ordering::Relaxed) {
        let _ = fs::remove_dir_all(folder);
    }
}

fn open_root() -> Root {
    let path = std::env::temp_dir().join(format!("slotcar-tests-{}", process::id()));
    // A leftover of an earlier process with the same id.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let path = fs::canonicalize(&path).expect("the folder was just made");
    let reaper = Command::new("/bin/sh")
        .args(["-c", REAPER, "reaper"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Ctrl-C goes to the foreground group: the reaper must outlive it.
        .process_group(0)
        .spawn()
        .expect("/bin/sh starts");
    if std::env::var_os("SLOTCAR_KEEP").is_some() {
        keep(&path);
    }
    let inner = path.clone();
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        keep(&inner);
        previous(panic);
    }));
    Root { path, _reaper: reaper, next: AtomicU32::new(0) }
}

fn keep(root: &Path) {
    if !KEPT.swap(true, Ordering::Relaxed) {
        let _ = fs::write(root.join("keep"), "");
        let _ = writeln!(std::io::stderr(), "server files kept in {}", root.display());
    }
}
