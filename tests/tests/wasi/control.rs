//! Does for a component what it cannot do itself: starts, breaks and reaps servers.
//!
//! The component's side is `transport-wasi/tests/suites/remote.rs`. A question is a list of words,
//! its answer another one. What fails here, fails there: an answer says so. Whatever a component
//! started ends with its control, at the latest.

use slotcar_tests::real::{Fault, Proxy, Server, Version, address};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Between words.
const SEPARATOR: &str = "\u{1f}";

/// Listens for one component, for as long as it runs.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let at = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            // The end of the component is the end of its servers.
            let _ = Control::default().serve(stream);
        }
    });
    at
}

/// What a component has started.
#[derive(Default)]
struct Control {
    /// By id.
    servers: BTreeMap<String, Server>,
    /// By id.
    proxies: BTreeMap<String, Proxy>,
    /// The last id given.
    last: usize,
}

impl Control {
    fn serve(mut self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut question = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut question)?;
            let question = String::from_utf8_lossy(&question).into_owned();
            let words: Vec<&str> = question.split(SEPARATOR).collect();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.answer(&words)));
            let answer = match outcome {
                Ok(words) => format!("+{}", words.join(SEPARATOR)),
                Err(_) => "-the harness panicked; its words are in its own output".to_owned(),
            };
            let length = u32::try_from(answer.len()).expect("answers are short");
            stream.write_all(&[&length.to_be_bytes(), answer.as_bytes()].concat())?;
        }
    }

    fn answer(&mut self, words: &[&str]) -> Vec<String> {
        match *words {
            ["versions"] => Version::all().iter().flat_map(named).collect(),
            ["fresh"] => vec![address::fresh().to_string()],
            ["free_port", ip] => {
                vec![address::free_port(ip.parse().expect("an address")).to_string()]
            }
            ["launch", version, kind, ip, password, lines] => {
                let version = Version::named(version).expect("a version that was told");
                let mut options = Server::of(&version).config(lines);
                if kind == "sentinel" {
                    options = options.sentinel();
                }
                if !ip.is_empty() {
                    options = options.ip(ip.parse().expect("an address"));
                }
                if !password.is_empty() {
                    options = options.password(password);
                }
                let server = options.launch();
                self.last += 1;
                let (id, at) = (self.last.to_string(), server.address().to_string());
                self.servers.insert(id.clone(), server);
                vec![id, at]
            }
            ["proxy", target] => {
                let proxy = Proxy::to(target.parse().expect("an address"));
                self.last += 1;
                let (id, at) = (self.last.to_string(), proxy.address().to_string());
                self.proxies.insert(id.clone(), proxy);
                vec![id, at]
            }
            ["fault", id, fault] => {
                let proxy = self.proxies.get(id).expect("a proxy that was started");
                proxy.set(match fault {
                    "black_hole" => Fault::BlackHole,
                    "pass" => Fault::Pass,
                    "refuse" => Fault::Refuse,
                    _ => panic!("no such fault: {fault}"),
                });
                Vec::new()
            }
            ["drop", id] => {
                self.servers.remove(id);
                self.proxies.remove(id);
                Vec::new()
            }
            [what, id, ref rest @ ..] => {
                let server = self.servers.get(id).expect("a server that was launched");
                match (what, rest) {
                    ("kill", []) => server.kill(),
                    ("pause", []) => server.pause(),
                    ("resume", []) => server.resume(),
                    ("ready", []) => server.wait_until_ready(),
                    ("relaunch", [at]) => server.relaunch_on(at.parse().expect("an address")),
                    ("config_at_restart", [lines]) => server.config_at_restart(lines),
                    _ => panic!("no such question: {what} {rest:?}"),
                }
                vec![server.address().to_string()]
            }
            _ => panic!("no such question: {words:?}"),
        }
    }
}

fn named(version: &Version) -> [String; 2] {
    let (major, minor, patch) = version.number();
    [version.name().to_owned(), format!("{major}.{minor}.{patch}")]
}
