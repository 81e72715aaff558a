//! A minimal client: writes requests, reads replies, shows them as text.
//!
//! It shares nothing with slotcar or with the simulator's servers, so a mistake in either shows.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot talk to its server has failed")]

use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use slotcar::{ByteStream, Transport as _};
use slotcar_sim::{Sim, SimTransport};
use std::fmt::Write as _;

/// A reply as one line: `OK`, `"text"`, `17`, `nil`, `[a b]`, `{k: v}`, `~[a]`, `push[a b]`, `! ERR
/// ...`.
pub(crate) fn render(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[1..end]).unwrap_or("?");
    let after = end + 2;
    match bytes[0] {
        b'+' => Some((line.to_owned(), after)),
        b'-' => Some((format!("! {line}"), after)),
        b':' => Some((line.to_owned(), after)),
        b',' => Some((format!("d{line}"), after)),
        b'#' => Some((if line == "t" { "true" } else { "false" }.to_owned(), after)),
        b'_' => Some(("nil".to_owned(), after)),
        b'$' | b'=' => {
            let Ok(len) = line.parse::<usize>() else { return Some(("nil".to_owned(), after)) };
            let text = bytes.get(after..after + len)?;
            bytes.get(after + len + 1)?;
            let mark = if bytes[0] == b'=' { "v" } else { "" };
            Some((format!("{mark}\"{}\"", text.escape_ascii()), after + len + 2))
        }
        kind @ (b'*' | b'~' | b'>' | b'%') => {
            let Ok(count) = line.parse::<usize>() else { return Some(("nil".to_owned(), after)) };
            let mut text = match kind {
                b'*' => "[",
                b'~' => "~[",
                b'>' => "push[",
                _ => "{",
            }
            .to_owned();
            let items = if kind == b'%' { count * 2 } else { count };
            let mut at = after;
            for index in 0..items {
                let (item, len) = render(bytes.get(at..)?)?;
                let is_value = kind == b'%' && index % 2 == 1;
                let gap = if is_value { ": " } else { " " };
                let _ = write!(text, "{}{item}", if index == 0 { "" } else { gap });
                at += len;
            }
            text.push(if kind == b'%' { '}' } else { ']' });
            Some((text, at))
        }
        other => panic!("no reply starts with {:?}", char::from(other)),
    }
}

/// Splits a typed line at spaces; double quotes keep spaces, and `\r`, `\n`, `\x..` work in them.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ' ' {
            continue;
        }
        let mut word = Vec::new();
        if c == '"' {
            while let Some(c) = chars.next()
                && c != '"'
            {
                match (c, chars.peek()) {
                    ('\\', Some('x')) => {
                        chars.next();
                        let hex: String = chars.by_ref().take(2).collect();
                        word.push(u8::from_str_radix(&hex, 16).unwrap());
                    }
                    ('\\', Some('n')) => {
                        chars.next();
                        word.push(b'\n');
                    }
                    ('\\', Some(_)) => word.push(chars.next().unwrap() as u8),
                    _ => word.extend(c.to_string().bytes()),
                }
            }
        } else {
            word.extend(c.to_string().bytes());
            while let Some(c) = chars.next_if(|c| *c != ' ') {
                word.extend(c.to_string().bytes());
            }
        }
        words.push(word);
    }
    words
}

/// The bytes of a request.
pub(crate) fn request(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// One connection.
pub(crate) struct Raw {
    stream: Box<dyn ByteStream>,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(sim: &Sim, server: &str) -> Self {
        Self::try_connect(&sim.transport(), sim, server).await.unwrap()
    }

    pub(crate) async fn try_connect(
        transport: &SimTransport,
        sim: &Sim,
        server: &str,
    ) -> std::io::Result<Self> {
        let stream = transport.connect(&sim.endpoint(server)).await?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends one request.
    pub(crate) async fn send(&mut self, line: &str) {
        self.stream.write_all(&request(&words(line))).await.unwrap();
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next reply or push; `closed` when the connection ends.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some((text, len)) =
                Some(&self.buffer).filter(|b| !b.is_empty()).and_then(|b| render(b))
            {
                self.buffer.drain(..len);
                return text;
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await {
                Ok(0) => return "closed".to_owned(),
                Ok(len) => self.buffer.extend(&chunk[..len]),
                Err(error) => return error.kind().to_string(),
            }
        }
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.next().await
    }

    /// Sends requests and compares their replies.
    pub(crate) async fn expect(&mut self, table: &[(&str, &str)]) {
        for (line, expected) in table {
            let got = self.ask(line).await;
            assert_eq!(got, *expected, "reply to {line}");
        }
    }
}
