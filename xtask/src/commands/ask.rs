//! Starts a server on its own unix socket, reads the reply to COMMAND and the version, and ends it.
//!
//! It has its own RESP2 reader: a mistake in a reader that the core shares would not show.
//! Limits: 10 seconds to start. Spec: the RESP protocol,
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How long a server may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server reported.
pub(super) struct Answer {
    /// `Redis 8.0.6` and the like.
    pub(super) version: String,
    /// The reply to COMMAND.
    pub(super) commands: Reply,
}

/// The kinds of reply that COMMAND is made of.
#[derive(Debug)]
pub(super) enum Reply {
    /// An array or set.
    List(Vec<Reply>),
    /// An integer.
    Number(i64),
    /// A bulk or simple string.
    Text(String),
}

impl Reply {
    /// The items.
    pub(super) fn list(&self) -> Result<&[Self], String> {
        if let Self::List(items) = self { Ok(items) } else { Err(self.unexpected("a list")) }
    }

    /// The text.
    pub(super) fn text(&self) -> Result<&str, String> {
        if let Self::Text(text) = self { Ok(text) } else { Err(self.unexpected("a text")) }
    }

    /// The number.
    pub(super) fn number(&self) -> Result<i64, String> {
        if let Self::Number(number) = self { Ok(*number) } else { Err(self.unexpected("a number")) }
    }

    /// The value after a name, in a list that is a flattened map.
    pub(super) fn field(&self, name: &str) -> Result<&Self, String> {
        let mut pairs = self.list()?.chunks_exact(2);
        let found = pairs.find(|pair| matches!(&pair[0], Self::Text(text) if text == name));
        found.map(|pair| &pair[1]).ok_or_else(|| format!("COMMAND: no field {name}"))
    }

    fn unexpected(&self, expected: &str) -> String {
        format!("COMMAND: {expected} was expected where {self:?} stands")
    }
}

/// Asks the server of the given folder name and family.
pub(super) fn ask(name: &str, family: &str) -> Result<Answer, String> {
    let program = crate::servers::folder().join(name).join("bin").join(format!("{family}-server"));
    let server = Server::start(&program).map_err(|e| format!("{}: {e}", program.display()))?;
    server.ask(family).map_err(|e| format!("{name}: {e}"))
}

/// A running server. Dropping it ends the process and removes its files.
struct Server {
    /// The process.
    child: Child,
    /// A folder for its socket and files.
    folder: PathBuf,
}

impl Server {
    fn start(program: &Path) -> Result<Self, String> {
        let stem = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = std::env::temp_dir().join(format!("{stem}-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let child = Command::new(program)
            .args(["--port", "0", "--save", "", "--unixsocket", "socket", "--dir"])
            .arg(&folder)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Ok(Self { child, folder }),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error.to_string())
            }
        }
    }

    fn ask(&self, family: &str) -> Result<Answer, String> {
        let began = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(self.folder.join("socket")) {
                Ok(stream) => break stream,
                Err(e) if began.elapsed() > START_TIMEOUT => return Err(format!("no start: {e}")),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.write_all(b"COMMAND\r\nINFO server\r\n").map_err(|e| e.to_string())?;
        let mut reader = BufReader::new(stream);
        let commands = read(&mut reader).map_err(|e| e.to_string())?;
        let info = read(&mut reader).map_err(|e| e.to_string())?;
        let field = format!("{family}_version:");
        let number = info.text()?.lines().find_map(|line| line.strip_prefix(&field));
        let number = number.ok_or_else(|| format!("INFO lacks {field}"))?;
        let product = if family == "redis" { "Redis" } else { "Valkey" };
        Ok(Answer { version: format!("{product} {number}"), commands })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads one RESP2 reply.
fn read(reader: &mut impl BufRead) -> Result<Reply, String> {
    let mut line = String::new();
    reader.read_line(&mut line).map_err(|e| e.to_string())?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or("the server closed the connection")?;
    let number = || rest.parse::<i64>().map_err(|e| format!("{line:?}: {e}"));
    match kind {
        "*" => (0..number()?).map(|_| read(reader)).collect::<Result<_, _>>().map(Reply::List),
        "$" => {
            let len = usize::try_from(number()?).map_err(|e| format!("{line:?}: {e}"))?;
            let mut bytes = vec![0; len + 2];
            reader.read_exact(&mut bytes).map_err(|e| e.to_string())?;
            bytes.truncate(len);
            String::from_utf8(bytes).map(Reply::Text).map_err(|e| e.to_string())
        }
        ":" => number().map(Reply::Number),
        "+" => Ok(Reply::Text(rest.to_owned())),
        _ => Err(format!("not expected: {line}")),
    }
}
