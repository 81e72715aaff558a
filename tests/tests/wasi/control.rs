//! Does for a component what it cannot do itself: starts, breaks and ends servers.
//!
//! The component's side is `transport-wasi/tests/real/remote.rs`. A request is a list of strings,
//! and so is its reply. A request that fails here fails in the component. What a component started
//! ends at the latest when its connection ends.

use slotcar_sim::{Served, Sim};
use slotcar_tests::real::proxy::Unreachable;
use slotcar_tests::real::{Fault, Proxy, Server, Version, address};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The versions that suites cover inside of components: differences between versions are the
/// core's, and the native suites cover all versions.
const USUAL: [&str; 2] = ["redis-7.0", "valkey-8.1"];

/// Separates strings.
const SEPARATOR: &str = "\u{1f}";

/// Listens for components, for as long as this process runs.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let at = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // When a component ends, its servers end.
            std::thread::spawn(move || drop(Control::default().serve(stream)));
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
    /// By id.
    unreachable: BTreeMap<String, Unreachable>,
    /// By id.
    served: BTreeMap<String, Served>,
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
            ["versions"] => usual().iter().flat_map(named).collect(),
            ["version", name] => Version::named(name).iter().flat_map(named).collect(),
            ["fresh"] => vec![address::fresh().to_string()],
            ["free_port", ip] => {
                vec![address::free_port(ip.parse().expect("an address")).to_string()]
            }
            ["refused"] => vec![address::refused().to_string()],
            ["launch", ref rest @ ..] => self.launch(rest),
            ["proxy", target] => {
                let proxy = Proxy::to(target.parse().expect("an address"));
                let (id, at) = (self.id(), proxy.address().to_string());
                self.proxies.insert(id.clone(), proxy);
                vec![id, at]
            }
            ["simulated", kind, first, second, seed] => {
                let count = |text: &str| text.parse().expect("a number");
                let builder = match kind {
                    "cluster" => Sim::cluster(count(first), count(second)),
                    "sentinel" => Sim::sentinel(count(first), count(second)),
                    _ => panic!("no such deployment: {kind}"),
                };
                let seed = seed.parse().expect("a number");
                let served = builder.seed(seed).serve().expect("it listens");
                let (id, url) = (self.id(), served.url());
                self.served.insert(id.clone(), served);
                vec![id, url]
            }
            ["unreachable"] => {
                let unreachable = Unreachable::open();
                let (id, at) = (self.id(), unreachable.address().to_string());
                self.unreachable.insert(id.clone(), unreachable);
                vec![id, at]
            }
            ["drop", id] => {
                self.servers.remove(id);
                self.proxies.remove(id);
                self.unreachable.remove(id);
                self.served.remove(id);
                Vec::new()
            }
            [what, id, ref rest @ ..] => {
                if let Some(server) = self.servers.get(id) {
                    tell_server(server, what, rest)
                } else if let Some(proxy) = self.proxies.get(id) {
                    tell_proxy(proxy, what, rest)
                } else if let Some(served) = self.served.get(id) {
                    tell_simulated(served, what, rest)
                } else {
                    panic!("nothing was started as {id}: {what} {rest:?}")
                }
            }
            _ => panic!("no such question: {words:?}"),
        }
    }

    fn launch(&mut self, words: &[&str]) -> Vec<String> {
        let [version, kind, ip, port, password, lines] = *words else {
            panic!("a launch wants six words: {words:?}")
        };
        let version = Version::named(version).expect("a version that was told");
        let mut options = Server::of(&version).config(lines);
        if kind == "sentinel" {
            options = options.sentinel();
        }
        if !ip.is_empty() {
            options = options.ip(ip.parse().expect("an address"));
        }
        if !port.is_empty() {
            options = options.port(port.parse().expect("a port"));
        }
        if !password.is_empty() {
            options = options.password(password);
        }
        let server = options.launch();
        let (id, at) = (self.id(), server.address().to_string());
        self.servers.insert(id.clone(), server);
        vec![id, at]
    }

    fn id(&mut self) -> String {
        self.last += 1;
        self.last.to_string()
    }
}

fn tell_server(server: &Server, what: &str, rest: &[&str]) -> Vec<String> {
    match (what, rest) {
        ("kill", []) => server.kill(),
        ("stop", []) => drop(server.stop()),
        ("pause", []) => server.pause(),
        ("resume", []) => server.resume(),
        ("ready", []) => server.wait_until_ready(),
        ("relaunch", [at]) => server.relaunch_on(at.parse().expect("an address")),
        ("config_at_restart", [lines]) => server.config_at_restart(lines),
        ("configuration", []) => return vec![server.configuration()],
        ("set_configuration", [text]) => server.set_configuration(text),
        _ => panic!("no such question: {what} {rest:?}"),
    }
    vec![server.address().to_string()]
}

fn tell_proxy(proxy: &Proxy, what: &str, rest: &[&str]) -> Vec<String> {
    match (what, rest) {
        ("fault", [word, with]) => proxy.set(fault(word, with)),
        ("retarget", [to]) => proxy.retarget(to.parse().expect("an address")),
        ("cut_now", []) => proxy.cut_now(),
        ("reset_now", []) => proxy.reset_now(),
        ("counts", []) => {
            let open = proxy.open() as u64;
            let counts = [proxy.accepted(), open, proxy.request_bytes(), proxy.reply_bytes()];
            return counts.iter().map(u64::to_string).collect();
        }
        _ => panic!("no such question: {what} {rest:?}"),
    }
    Vec::new()
}

fn fault(word: &str, with: &str) -> Fault {
    let number = || with.parse().expect("a number");
    let bytes = || {
        let digits = (0..with.len()).step_by(2).map(|at| &with[at..at + 2]);
        digits.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
    };
    match word {
        "accept_and_close" => Fault::AcceptAndClose,
        "answer" => Fault::Answer { bytes: bytes(), close: false },
        "answer_and_close" => Fault::Answer { bytes: bytes(), close: true },
        "black_hole" => Fault::BlackHole,
        "cut_replies_after" => Fault::CutRepliesAfter(number()),
        "cut_requests_after" => Fault::CutRequestsAfter(number()),
        "delay" => Fault::Delay(Duration::from_micros(number())),
        "hold_replies" => Fault::HoldReplies,
        "one_byte" => Fault::OneByte,
        "pass" => Fault::Pass,
        "refuse" => Fault::Refuse,
        _ => panic!("no such fault: {word}"),
    }
}

fn tell_simulated(served: &Served, what: &str, rest: &[&str]) -> Vec<String> {
    let sim = served.sim();
    match (what, rest) {
        ("sim_kill", [name]) => sim.kill(name),
        ("sim_move", [slot, to]) => sim.move_slot(slot.parse().expect("a slot"), to),
        ("sim_owner", [slot]) => return vec![sim.owner_of(slot.parse().expect("a slot"))],
        ("sim_primary", []) => return sim.agreed_primary().into_iter().collect(),
        _ => panic!("no such question: {what} {rest:?}"),
    }
    Vec::new()
}

fn usual() -> Vec<Version> {
    let all = Version::all();
    let (usual, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|version| USUAL.contains(&version.name()));
    if usual.is_empty() { others } else { usual }
}

fn named(version: &Version) -> [String; 2] {
    let (major, minor, patch) = version.number();
    [version.name().to_owned(), format!("{major}.{minor}.{patch}")]
}
