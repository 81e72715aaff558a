//! One suite of requests and replies, for the simulator and for real servers.
//!
//! Each file in `conformance/` is a conversation. A request is on a line that starts with `> `, or
//! `~ ` when the order of the reply's elements means nothing, or `. ` when the reply is not
//! compared. Its reply is on the next line, as the newest real server gave it. `cargo test` runs
//! all files against the simulator and against each real server in `.servers`, or in the folder
//! that `SLOTCAR_SERVERS` names. A line `! since 7.0` gives the first version of a file (7.0 by
//! default). `SLOTCAR_BLESS` names a real server whose replies are then written to the files. For
//! servers with other replies, `conformance/differences` has these replies and the reason. The
//! simulator is compared for each of those versions too.

#![allow(clippy::unwrap_used, reason = "a suite that cannot be read has failed")]

mod raw;

use raw::{Raw, render, request, words};
use slotcar_sim::{Sim, Version};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A conversation.
struct Suite {
    path: PathBuf,
    /// The lines of the file.
    lines: Vec<String>,
}

impl Suite {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap();
            Self { path, lines: text.lines().map(str::to_owned).collect() }
        };
        paths.into_iter().map(read).collect()
    }

    /// Requests with their line numbers and expected replies.
    fn cases(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.lines.iter().enumerate().filter_map(|(at, line)| {
            let is_request = [">", "~", "."].contains(&line.split(' ').next().unwrap_or(""));
            let expected = self.lines.get(at + 1).map_or("", String::as_str);
            is_request.then_some((at, line.as_str(), expected))
        })
    }

    fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into_owned()
    }

    /// The first version that the file is for.
    fn since(&self) -> (u8, u8) {
        let line = self.lines.iter().find_map(|line| line.strip_prefix("! since "));
        line.map_or((7, 0), |text| version(text).unwrap())
    }
}

/// Replies of other servers, by server (or its family), suite and request.
struct Differences(Vec<[String; 4]>);

impl Differences {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/differences");
        let text = std::fs::read_to_string(path).unwrap();
        let parse = |line: &str| {
            let mut parts = line.split(" | ").map(str::to_owned);
            [(); 4].map(|()| parts.next().unwrap_or_else(|| panic!("too few parts: {line}")))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).map(parse).collect())
    }

    /// Whether `server` may give this reply.
    fn allow(&self, server: &str, suite: &str, line: &str, got: &str) -> bool {
        self.0.iter().any(|[of, in_suite, request, reply]| {
            server.starts_with(of.as_str()) && in_suite == suite && request == line && reply == got
        })
    }
}

fn version(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// The reply with its elements in order, where their order means nothing.
fn comparable(line: &str, reply: &str) -> String {
    if line.starts_with(". ") {
        return String::new();
    }
    if !line.starts_with("~ ") {
        return reply.to_owned();
    }
    let mut parts: Vec<&str> =
        reply.split(|c: char| " []{}~:".contains(c)).filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    parts.join(" ")
}

#[test]
fn the_simulator_answers_as_real_servers_do() {
    let versions = [
        ("redis-5.0", Version::redis(5, 0, 14)),
        ("redis-6.0", Version::redis(6, 0, 16)),
        ("redis-7.0", Version::redis(7, 0, 15)),
        ("redis-8.0", Version::redis(8, 0, 2)),
        ("valkey-8.0", Version::valkey(8, 0, 2)),
        ("valkey-8.1", Version::valkey(8, 1, 1)),
        ("valkey-9.1", Version::valkey(9, 1, 2)),
    ];
    let differences = Differences::read();
    let mut wrong = Vec::new();
    for (name, emulated) in versions {
        for suite in Suite::all() {
            if suite.since() > number(name) {
                continue;
            }
            let (suite, wrong, differences) = (&suite, &mut wrong, &differences);
            Sim::standalone().version(emulated).run(|sim| async move {
                let mut client = Raw::connect(&sim, "a").await;
                for (at, line, expected) in suite.cases() {
                    let got = client.ask(&line[2..]).await;
                    judge(wrong, differences, (name, suite, at), line, expected, &got);
                }
            });
        }
    }
    assert!(wrong.is_empty(), "{} replies differ\n{}", wrong.len(), wrong.join("\n"));
}

fn judge(
    wrong: &mut Vec<String>,
    differences: &Differences,
    (server, suite, at): (&str, &Suite, usize),
    line: &str,
    expected: &str,
    got: &str,
) {
    let same = comparable(line, got) == comparable(line, expected);
    if !same && !differences.allow(server, &suite.name(), line, got) {
        let suite = suite.name();
        let at = at + 1;
        wrong
            .push(format!("{server} {suite}:{at} {line}\n  expected {expected}\n  got      {got}"));
    }
}

/// The Redis version of a server, from the server's name.
fn number(name: &str) -> (u8, u8) {
    match name.split_once('-') {
        Some(("redis", text)) => version(text).unwrap_or((0, 0)),
        _ => (7, 9),
    }
}

/// A real server that dies with this value.
struct Real {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Real {
    fn start(home: &Path) -> Option<Self> {
        let binary = ["redis-server", "valkey-server"]
            .iter()
            .map(|name| home.join("bin").join(name))
            .find(|path| path.exists())?;
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let folder = std::env::temp_dir().join(format!("slotcar-conformance-{port}"));
        std::fs::create_dir_all(&folder).ok()?;
        let process = Command::new(binary)
            .args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"])
            // On a busy machine any command may be slow.
            .args(["--slowlog-log-slower-than", "-1"])
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { process, port, folder })
    }

    fn connect(&self) -> TcpStream {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < deadline, "no server: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(&request(&words(line))).unwrap();
    let mut buffer = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let len = stream.read(&mut chunk).unwrap();
        assert!(len > 0, "the server closed the connection after {line}");
        buffer.extend(&chunk[..len]);
        if let Some((text, _)) = render(&buffer) {
            return text;
        }
    }
}

#[test]
fn real_servers_answer_so_too() {
    let folder = match std::env::var_os("SLOTCAR_SERVERS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.servers"),
    };
    if !folder.exists() {
        eprintln!("SKIPPED: no real servers in {}; fetch them first", folder.display());
        return;
    }
    let bless = std::env::var("SLOTCAR_BLESS").unwrap_or_default();
    let mut homes: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    homes.sort();
    let differences = Differences::read();
    let mut wrong = Vec::new();
    for home in homes {
        let name = home.file_name().unwrap().to_string_lossy().into_owned();
        let Some(real) = Real::start(&home) else { continue };
        for mut suite in Suite::all() {
            if suite.since() > number(&name) {
                continue;
            }
            let mut stream = real.connect();
            ask(&mut stream, "FLUSHALL");
            let cases: Vec<_> = suite
                .cases()
                .map(|(at, line, expected)| (at, line.to_owned(), expected.to_owned()))
                .collect();
            // From the end, so that an insertion does not move lines that are still to be handled.
            let replies: Vec<String> =
                cases.iter().map(|(_, line, _)| ask(&mut stream, &line[2..])).collect();
            for ((at, line, expected), got) in cases.into_iter().zip(replies).rev() {
                if bless == name {
                    let has_reply = suite.lines.get(at + 1).is_some_and(|next| {
                        !next.is_empty() && ![">", "~", ".", "#", "!"].contains(&&next[..1])
                            || next.starts_with("! ")
                    });
                    if line.starts_with(". ") {
                    } else if has_reply {
                        suite.lines[at + 1] = got;
                    } else {
                        suite.lines.insert(at + 1, got);
                    }
                } else {
                    judge(&mut wrong, &differences, (&name, &suite, at), &line, &expected, &got);
                }
            }
            if bless == name {
                std::fs::write(&suite.path, suite.lines.join("\n") + "\n").unwrap();
            }
        }
    }
    assert!(bless.is_empty(), "wrote what {bless} answers");
    assert!(wrong.is_empty(), "{} replies differ\n{}", wrong.len(), wrong.join("\n"));
}
