//! A redirect: the server's answer that another node serves the slot.
//!
//! **Invariant**: a redirect whose slot or port is out of range gives a [`RedirectError`], never a
//! [`Redirect`]. Where one leads is decided in `driver/attempt/redirect.rs`.
//! Spec: cluster-spec, "MOVED Redirection" and "ASK redirection"; the setting
//! `cluster-preferred-endpoint-type` for hosts that are empty or `?`.

use super::error_class::ErrorClass;
use super::excerpt::excerpt;
use super::server_error::ServerError;
use std::fmt;

/// Slots are 0 to 16383.
const SLOT_COUNT: u64 = 16384;

impl ServerError {
    /// Where the command has to go instead; `None` for an error that is no redirect.
    pub(crate) fn redirect(&self) -> Option<Result<Redirect, RedirectError>> {
        let ask = match self.class() {
            ErrorClass::Ask => true,
            ErrorClass::Moved => false,
            _ => return None,
        };
        let target = parse_target(self.message());
        Some(match target {
            Ok((slot, host, port)) if ask => Ok(Redirect::Ask { slot, host, port }),
            Ok((slot, host, port)) => Ok(Redirect::Moved { slot, host, port }),
            Err(what) => Err(RedirectError { what, text: self.to_string().into() }),
        })
    }
}

/// Where a command has to go instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// For this command only, behind an ASKING.
    Ask {
        /// Checked: below 16384.
        slot: u16,
        /// The node that imports the slot.
        host: RedirectHost,
        /// Checked: 1 to 65535.
        port: u16,
    },
    /// For every command of this slot, from now on.
    Moved {
        /// Checked: below 16384.
        slot: u16,
        /// The node that owns the slot.
        host: RedirectHost,
        /// Checked: 1 to 65535.
        port: u16,
    },
}

/// The host of a redirect, which a server may omit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedirectHost {
    /// A name or an address, without brackets.
    Named(String),
    /// Empty or `NULL`: the same host as that of the server that sent the redirect.
    Same,
    /// `?`: the server does not know the name. Only a refresh of the topology can tell.
    Unknown,
}

/// A redirect that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectError {
    /// Which part is wrong.
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

/// Reads `3999 127.0.0.1:6381`. The host may be empty, an IPv6 address, or in brackets.
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

/// Only digits: `str::parse` would accept a plus sign as well.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

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
