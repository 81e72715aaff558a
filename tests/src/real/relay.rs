//! Real proxies in front of servers: twemproxy and HAProxy, as Debian's packages have them.
//!
//! `proxy` is a proxy of this harness, which breaks connections on purpose. These here are what
//! users have. The programs come from `.servers`, as `cargo xtask servers` leaves them.
//! **Invariants**: a started relay accepts connections; a dropped one is reaped. A missing program
//! is a failure, unless `SLOTCAR_VERSIONS` takes servers out.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::Server;
use super::version;
use super::wait::until_true;
use super::{address, scratch};

/// A proxy process.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    address: SocketAddr,
    /// The process.
    child: Child,
    /// Its files.
    folder: PathBuf,
}

impl Relay {
    /// A twemproxy that shares the keys out among servers; `password`: of the servers, and wanted
    /// of clients. `None` if it is not there and need not be.
    pub fn twemproxy(servers: &[&Server], password: Option<&str>) -> Option<Relay> {
        let (program, folder, address) = prepare("nutcracker-0.5", "nutcracker")?;
        let stats = address::fresh();
        let mut text = format!(
            "keys:\n  listen: {address}\n  hash: md5\n  distribution: modula\n  redis: true\n"
        );
        if let Some(password) = password {
            let _ = writeln!(text, "  redis_auth: {password}");
        }
        text.push_str("  servers:\n");
        for server in servers {
            let _ = writeln!(text, "   - {}:1", server.address());
        }
        let config = folder.join("config.yml");
        fs::write(&config, text).expect("the folder is this process's own");
        let mut command = Command::new(program);
        command.arg("-c").arg(config).arg("-p").arg(folder.join("pid"));
        command.arg("-o").arg(folder.join("log"));
        let port = address::free_port(stats);
        command.args(["-a", &stats.to_string(), "-s", &port.to_string()]);
        Some(Self::start(command, address, folder))
    }

    /// A HAProxy that leads to the one server whose ROLE is `master`, asked every 100 ms. `closes`:
    /// it closes the connections to a server that is it no more.
    pub fn haproxy(servers: &[&Server], closes: bool) -> Option<Relay> {
        let (program, folder, address) = prepare("haproxy-2.6", "haproxy")?;
        let down = if closes { " on-marked-down shutdown-sessions" } else { "" };
        let mut text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
             \x20timeout check 20s\n\
             listen primary\n bind {address}\n option tcp-check\n tcp-check connect\n\
             \x20tcp-check send ROLE\\r\\n\n tcp-check expect string master\n\
             \x20default-server inter 100ms fall 1 rise 1{down}\n"
        );
        for (index, server) in servers.iter().enumerate() {
            let _ = writeln!(text, " server s{index} {} check", server.address());
        }
        let config = folder.join("haproxy.cfg");
        fs::write(&config, text).expect("the folder is this process's own");
        let mut command = Command::new(program);
        command.arg("-f").arg(config);
        Some(Self::start(command, address, folder))
    }

    fn start(mut command: Command, address: SocketAddr, folder: PathBuf) -> Relay {
        let path = folder.join("log");
        let log = fs::File::create(&path).expect("the folder is this process's own");
        let errors = log.try_clone().expect("a file handle can be duplicated");
        command.current_dir(&folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut relay = Relay { address, child, folder };
        until_true("the proxy to listen", || {
            if let Ok(Some(status)) = relay.child.try_wait() {
                panic!("{status}: {}", fs::read_to_string(&path).unwrap_or_default());
            }
            TcpStream::connect(address).is_ok()
        });
        relay
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        scratch::discard(&self.folder);
    }
}

/// The program, a folder for it, and where it shall listen.
fn prepare(name: &str, program: &str) -> Option<(PathBuf, PathBuf, SocketAddr)> {
    let path = version::program(name, program)?;
    let ip = address::fresh();
    Some((path, scratch::folder(name), (ip, address::free_port(ip)).into()))
}
