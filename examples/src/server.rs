//! A server for an example: the one that `SLOTCAR_URL` names, or one that runs as long as the
//! example does.
//!
//! A started server listens on a free port of 127.0.0.1 only, keeps nothing on disk, and is killed
//! when the [`Server`] is dropped. Its program is searched on PATH, then among the servers that
//! `cargo xtask servers` fetches for the tests. If there is none, that command is run.

use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The version that is fetched if this machine has no server.
const FETCHED: &str = "valkey-8.1";

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its URL.
    url: String,
    /// Where it comes from, to be printed.
    origin: String,
    /// The process, if this value started it.
    child: Option<Child>,
}

impl Server {
    /// The server that `SLOTCAR_URL` names, or a new one.
    ///
    /// # Errors
    /// No server program was found and none could be fetched, or it did not start.
    pub fn find_or_start() -> Result<Self> {
        if let Ok(url) = std::env::var("SLOTCAR_URL") {
            return Ok(Self { url, origin: "named by SLOTCAR_URL".to_owned(), child: None });
        }
        let program = match on_path().or_else(fetched) {
            Some(program) => program,
            None => {
                fetch()?;
                fetched().ok_or_else(|| {
                    Error::other(format!("{FETCHED} was fetched but its program is not there"))
                })?
            }
        };
        Self::start(&program)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it comes from, to be printed.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn start(program: &Path) -> Result<Self> {
        // Another program may take the port before the server binds it. Then the server ends at
        // once and the next attempt uses another port.
        const ATTEMPTS: usize = 3;
        let mut last = Error::other("not tried");
        for _ in 0..ATTEMPTS {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            match start_at(program, address) {
                Ok(child) => {
                    let origin = format!("started from {}", program.display());
                    let url = format!("redis://{address}");
                    return Ok(Self { url, origin, child: Some(child) });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It keeps nothing on disk, so it may be killed.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Starts `program` and waits until it listens.
fn start_at(program: &Path, address: SocketAddr) -> Result<Child> {
    let mut child = Command::new(program)
        .args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| Error::new(e.kind(), format!("{}: {e}", program.display())))?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(Error::other(format!("{} ended at once: {status}", program.display())));
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(child);
        }
        if began.elapsed() > START_MAX {
            drop(child.kill());
            drop(child.wait());
            return Err(Error::other(format!("{} does not listen", program.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let programs = ["valkey-server", "redis-server"].into_iter();
    programs.flat_map(|p| folders.iter().map(move |f| f.join(p))).find(|p| p.is_file())
}

/// The program that `cargo xtask servers` fetched, if it did.
fn fetched() -> Option<PathBuf> {
    let folder = match std::env::var_os("SLOTCAR_SERVERS") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => workspace().join(".servers"),
    };
    folder.join(FETCHED).join("bin/valkey-server").canonicalize().ok()
}

fn fetch() -> Result<()> {
    println!("no server on this machine: fetching {FETCHED}, which takes about ten seconds");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["xtask", "servers", "--only", FETCHED])
        .current_dir(workspace())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(Error::other("no server: install redis-server or valkey-server, or set SLOTCAR_URL"))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
