//! An error that a server answered with, and the redirects among them.
//!
//! An error line is a code, by convention in capitals, and a message: `WRONGTYPE Operation ...`.
//! Nothing is assumed about it: any bytes give a [`ServerError`], and a redirect whose slot or port
//! is out of range gives a [`RedirectError`], never a redirect.
//! What to do about a code is decided in `routing`; here is only what it says.
//! Spec: RESP, "Simple errors" and "Bulk errors"; cluster-spec, "MOVED Redirection" and "ASK
//! redirection"; `cluster-preferred-endpoint-type` for hosts that are left empty or say `?`.

use super::cursor::{Cursor, Token};
use super::excerpt::excerpt;
use std::fmt;

/// Slots are 0 to 16383.
const SLOT_COUNT: u64 = 16384;

/// An error reply: a code such as `WRONGTYPE`, and a message.
///
/// Its text is the server's, code and message, with what is not UTF-8 replaced.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerError {
    /// The whole line. Invariant: `code_bytes` is on a character boundary.
    text: Box<str>,
    /// How much of `text` is the code.
    code_bytes: usize,
}

impl ServerError {
    /// From the text behind the type byte.
    pub(crate) fn from_text(text: &[u8]) -> Self {
        let text: Box<str> = String::from_utf8_lossy(text).into();
        let code_bytes = text.find(' ').unwrap_or(text.len());
        Self { text, code_bytes }
    }

    /// From a whole frame, `-` or `!`; `None` if it is another one.
    pub(crate) fn from_frame(frame: &[u8]) -> Option<Self> {
        match Cursor::new(frame).next() {
            Ok(Token::Error(text)) => Some(Self::from_text(text)),
            _ => None,
        }
    }

    /// The first word, which tells what went wrong: `ERR`, `WRONGTYPE`, `LOADING`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.text.get(..self.code_bytes).unwrap_or_default()
    }

    /// What follows the code, for people to read.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text.get(self.code_bytes + 1..).unwrap_or_default()
    }

    /// Where the command has to go instead; `None` if the code is neither `MOVED` nor `ASK`.
    pub(crate) fn redirect(&self) -> Option<Result<Redirect, RedirectError>> {
        let ask = match self.code() {
            "ASK" => true,
            "MOVED" => false,
            _ => return None,
        };
        let target = parse_target(self.message());
        Some(match target {
            Ok((slot, host, port)) if ask => Ok(Redirect::Ask { slot, host, port }),
            Ok((slot, host, port)) => Ok(Redirect::Moved { slot, host, port }),
            Err(what) => Err(RedirectError { what, text: self.text.clone() }),
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({:?})", self.text)
    }
}

impl std::error::Error for ServerError {}

/// A server's answer that another one has the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// For this command only, and after ASKING.
    Ask {
        /// Checked: below 16384.
        slot: u16,
        /// Who is importing the slot.
        host: RedirectHost,
        /// Checked: 1 to 65535.
        port: u16,
    },
    /// For this slot from now on.
    Moved {
        /// Checked: below 16384.
        slot: u16,
        /// Who owns the slot.
        host: RedirectHost,
        /// Checked: 1 to 65535.
        port: u16,
    },
}

/// The host of a redirect, which a server may leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedirectHost {
    /// A name or an address, without brackets.
    Named(String),
    /// Empty or `NULL`: the host that sent the redirect.
    Same,
    /// `?`: the server has no name to tell. Only a refresh of the topology can help.
    Unknown,
}

/// A redirect that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectError {
    /// The part that is wrong.
    what: &'static str,
    /// The server's whole line.
    text: Box<str>,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed redirect, {}: \"{}\"", self.what, excerpt(self.text.as_bytes()))
    }
}

impl std::error::Error for RedirectError {}

/// `3999 127.0.0.1:6381`. The host may be empty, may hold colons (IPv6) and may be in brackets.
fn parse_target(message: &str) -> Result<(u16, RedirectHost, u16), &'static str> {
    let mut words = message.split_ascii_whitespace();
    let slot = words.next().ok_or("no slot")?;
    let slot = number(slot).filter(|slot| *slot < SLOT_COUNT).ok_or("bad slot")?;
    let target = words.next().ok_or("no endpoint")?;
    let (host, port) = target.rsplit_once(':').ok_or("no port")?;
    let port = number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or("bad port")?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = match bare {
        "" | "NULL" => RedirectHost::Same,
        "?" => RedirectHost::Unknown,
        name => RedirectHost::Named(name.to_owned()),
    };
    Ok((u16::try_from(slot).map_err(|_| "bad slot")?, host, port))
}

/// Digits only: `str::parse` would take a plus sign, too.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_the_first_word_of_either_kind() {
        let table: [(&[u8], &str, &str); 6] = [
            (b"-ERR unknown command\r\n", "ERR", "unknown command"),
            (b"-WRONGTYPE\r\n", "WRONGTYPE", ""),
            (b"!9\r\nBUSY a\r\nb\r\n", "BUSY", "a\r\nb"),
            (b"|1\r\n+k\r\n:1\r\n-LOADING x\r\n", "LOADING", "x"),
            (b"-\r\n", "", ""),
            (b"-\xff\xfe x\r\n", "\u{fffd}\u{fffd}", "x"),
        ];
        for (frame, code, message) in table {
            let error = ServerError::from_frame(frame).expect("an error frame");
            assert_eq!((error.code(), error.message()), (code, message));
        }
        assert_eq!(ServerError::from_frame(b"+OK\r\n"), None);
        assert_eq!(ServerError::from_frame(b"!9\r\nBU"), None);
    }

    fn redirect(text: &str) -> Option<Result<Redirect, RedirectError>> {
        ServerError::from_text(text.as_bytes()).redirect()
    }

    // spec: cluster-spec, "MOVED Redirection"
    #[test]
    fn redirects_name_slot_host_and_port() {
        let named = |host: &str| RedirectHost::Named(host.to_owned());
        let table = [
            ("3999 127.0.0.1:6381", 3999, named("127.0.0.1"), 6381),
            ("0 node-1.redis.local:1", 0, named("node-1.redis.local"), 1),
            ("16383 ::1:65535", 16383, named("::1"), 65535),
            ("1 [fe80::1]:7000", 1, named("fe80::1"), 7000),
            ("1 :7000", 1, RedirectHost::Same, 7000),
            ("1 NULL:7000", 1, RedirectHost::Same, 7000),
            ("1 ?:7000", 1, RedirectHost::Unknown, 7000),
        ];
        for (target, slot, host, port) in table {
            let moved = Redirect::Moved { slot, host: host.clone(), port };
            assert_eq!(redirect(&format!("MOVED {target}")), Some(Ok(moved)));
            let ask = Redirect::Ask { slot, host, port };
            assert_eq!(redirect(&format!("ASK {target}")), Some(Ok(ask)));
        }
    }

    #[test]
    fn a_redirect_out_of_range_is_an_error_and_others_are_none() {
        let table = [
            ("MOVED", "no slot"),
            ("MOVED 1", "no endpoint"),
            ("MOVED 16384 h:1", "bad slot"),
            ("MOVED -1 h:1", "bad slot"),
            ("MOVED +1 h:1", "bad slot"),
            ("MOVED 99999999999999999999999 h:1", "bad slot"),
            ("MOVED x h:1", "bad slot"),
            ("ASK 1 h", "no port"),
            ("ASK 1 h:", "bad port"),
            ("ASK 1 h:0", "bad port"),
            ("ASK 1 h:65536", "bad port"),
            ("ASK 1 h:-1", "bad port"),
            ("ASK 1 [::1]", "bad port"),
        ];
        for (text, what) in table {
            let error = redirect(text).expect("a redirect's code").expect_err(text);
            assert_eq!(error.what, what, "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(redirect("MOVEDX 1 h:1"), None);
        assert_eq!(redirect("ERR MOVED 1 h:1"), None);
    }
}
