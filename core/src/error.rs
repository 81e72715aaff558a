//! The one error that callers see: what went wrong, where, and whether the server may have run it.
//!
//! It says what happened; what to do about it is `routing`'s business. Lower levels have small
//! errors of their own, which end up here as the source or in the details.
//!
//! Invariants: an `Error` is one pointer, so that a `Result` stays small (asserted in a test); a
//! clone shares everything, so that one lost stream can fail many commands; `Display` prints this
//! level only, in lower case, and never a password.
//! Called by every level from `command` up.

use crate::config::ConfigError;
use crate::endpoint::Endpoint;
use crate::resp::{DecodeError, ServerError};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// Why a call failed.
///
/// Cheap to clone; causes are shared between clones.
#[derive(Clone)]
pub struct Error {
    /// Shared by clones; a builder on a shared error copies it first.
    inner: Arc<Inner>,
}

/// What a caller can act on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The client was closed, or is closing.
    Closed,
    /// The configuration or a call's own arguments contradict themselves: change the program.
    Config,
    /// No connection to the node: its name, its port or the network.
    Connect,
    /// The reply does not fit the type that the caller asked for.
    Convert,
    /// The server and the client do not accept each other: credentials, database, protocol,
    /// certificates.
    Handshake,
    /// A limit of the configuration was reached; the details name it.
    Limit,
    /// The server's bytes are not RESP, or not what the protocol allows here.
    Protocol,
    /// The server answered with an error; [`Error::server_error`] holds it.
    Server,
    /// The deadline passed.
    Timeout,
    /// No node can take the command: a slot without an owner, no replica, no primary known.
    Topology,
}

/// Whether the server may have run the command.
///
/// Three words would do for retries; the fourth, `Answered`, is for the caller: a command that ran
/// and whose answer is merely unwelcome must not be sent again, and nothing about it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The server cannot have run it: not all of its bytes were written.
    NotSent,
    /// The server answered that it did not run it (`MOVED`, `ASK`, `LOADING`, `READONLY`, ...).
    Refused,
    /// Its bytes were written and no reply came: it may have run once.
    Unknown,
    /// The server ran it and answered; the answer is an error of the command itself, or does not
    /// fit the type asked for.
    Answered,
}

impl Delivery {
    /// Whether the command may have had an effect.
    #[must_use]
    pub const fn may_have_run(self) -> bool {
        matches!(self, Self::Unknown | Self::Answered)
    }
}

/// What an error is about, as data.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorDetail {
    /// The configuration is wrong.
    Config(ConfigError),
    /// Keys of one command live in two slots.
    CrossSlot {
        /// The slot of the first key.
        first: u16,
        /// The first slot that differs from it.
        second: u16,
    },
    /// A limit was reached.
    Limit {
        /// The field of [`crate::Config`] that sets the limit.
        name: &'static str,
        /// The limit, in the field's unit.
        max: u64,
    },
    /// The read policy asks for a replica, and the shard has none that can answer.
    NoReplica {
        /// A slot of that shard.
        slot: u16,
    },
    /// The server that sentinels name as the primary says itself that it is none.
    NotPrimary,
    /// Some of the nodes or slots that a command was for failed, or all of them did.
    Partial {
        /// How many parts of the command went well: nodes, or slots of one that was split.
        succeeded: usize,
        /// What failed, by node and kind.
        failed: Vec<PartFailure>,
    },
    /// The cluster itself says that nobody serves the slot.
    SlotUncovered {
        /// The slot.
        slot: u16,
        /// For how long this client has known.
        since: Duration,
    },
}

/// Parts of a command that failed alike at one node.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFailure {
    /// The node, if it came to that.
    pub endpoint: Option<Endpoint>,
    /// What can be done about it.
    pub kind: ErrorKind,
    /// Whether the node may have run its parts.
    pub delivery: Delivery,
    /// How many parts.
    pub parts: usize,
}

/// The fields of an [`Error`].
#[derive(Clone)]
struct Inner {
    /// What a caller can act on.
    kind: ErrorKind,
    /// Whether the server may have run the command.
    delivery: Delivery,
    /// Times that the command was tried, this one included; 0 when the error is not a command's.
    attempts: u32,
    /// What happened, without the names that the other fields hold.
    message: Cow<'static, str>,
    /// The command's name.
    command: Option<Arc<str>>,
    /// The node that it was meant for.
    endpoint: Option<Arc<Endpoint>>,
    /// What the server answered, if that was an error.
    server_error: Option<ServerError>,
    /// What an error of this kind needs besides.
    detail: Option<ErrorDetail>,
    /// The last cause.
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// What a caller can act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whether the server may have run the command.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.inner.delivery
    }

    /// The name of the command that failed.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.inner.command.as_deref()
    }

    /// The node where it failed.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.inner.endpoint.as_deref()
    }

    /// How often the command was tried, the last time included; 0 when the error is not a
    /// command's.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// What the server answered, if that was an error: of the command, or of the handshake before
    /// it.
    #[must_use]
    pub fn server_error(&self) -> Option<&ServerError> {
        self.inner.server_error.as_ref()
    }

    /// What the error is about, as data.
    #[must_use]
    pub fn details(&self) -> Option<&ErrorDetail> {
        self.inner.detail.as_ref()
    }
}

#[allow(dead_code, reason = "the levels above call these as they come")]
impl Error {
    /// An error that names nothing yet.
    pub(crate) fn new(
        kind: ErrorKind,
        delivery: Delivery,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                delivery,
                attempts: 0,
                message: message.into(),
                command: None,
                endpoint: None,
                server_error: None,
                detail: None,
                cause: None,
            }),
        }
    }

    /// An error that the server answered with.
    pub(crate) fn server(delivery: Delivery, error: ServerError) -> Self {
        Self::new(ErrorKind::Server, delivery, "server error").with_server_error(error)
    }

    /// A reply that could not become the type asked for. A server's error that stood inside it,
    /// as EXEC's reply may hold one, is the server's answer all the same.
    pub(crate) fn undecodable(error: DecodeError) -> Self {
        match error.server_error() {
            Some(inside) => Self::server(Delivery::Answered, inside.clone()),
            None => Self::new(ErrorKind::Convert, Delivery::Answered, error.to_string())
                .with_cause(error),
        }
    }

    /// Adds to what happened what that may mean.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        let inner = self.edit();
        inner.message = format!("{}{hint}", inner.message).into();
        self
    }

    /// Names the command.
    pub(crate) fn with_command(mut self, name: &str) -> Self {
        self.edit().command = Some(Arc::from(name));
        self
    }

    /// Names the node.
    pub(crate) fn with_endpoint(mut self, endpoint: &Endpoint) -> Self {
        self.edit().endpoint = Some(Arc::new(endpoint.clone()));
        self
    }

    /// Says how often the command was tried.
    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.edit().attempts = attempts;
        self
    }

    /// Replaces the judgement on whether the server may have run it.
    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.edit().delivery = delivery;
        self
    }

    /// Adds what the server answered; the text shows it.
    pub(crate) fn with_server_error(mut self, error: ServerError) -> Self {
        self.edit().server_error = Some(error);
        self
    }

    /// Adds what the error is about, as data.
    pub(crate) fn with_detail(mut self, detail: ErrorDetail) -> Self {
        self.edit().detail = Some(detail);
        self
    }

    /// Adds the cause.
    pub(crate) fn with_cause(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.with_shared_cause(Arc::new(cause))
    }

    /// Adds a cause that other errors have as well.
    pub(crate) fn with_shared_cause(mut self, cause: Arc<dyn StdError + Send + Sync>) -> Self {
        self.edit().cause = Some(cause);
        self
    }

    /// The fields, this error's own from now on.
    fn edit(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        // The message is the configuration's own: "invalid configuration" alone would help nobody
        // who prints only the top of the chain.
        Self::new(ErrorKind::Config, Delivery::NotSent, error.to_string())
            .with_detail(ErrorDetail::Config(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        f.write_str(&inner.message)?;
        if let Some(error) = &inner.server_error {
            write_server_text(error, f)?;
        }
        match (&inner.command, &inner.endpoint) {
            (Some(command), Some(endpoint)) => write!(f, ": {command} at {endpoint}")?,
            (Some(command), None) => write!(f, ": {command}")?,
            (None, Some(endpoint)) => write!(f, ": {endpoint}")?,
            (None, None) => {}
        }
        if inner.attempts > 1 {
            write!(f, ", attempt {}", inner.attempts)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `main` that returns an error prints this, so it reads as one line with the text first.
        let mut out = f.debug_struct("Error");
        out.field("text", &format_args!("{self}"))
            .field("kind", &self.inner.kind)
            .field("delivery", &self.inner.delivery);
        if let Some(detail) = &self.inner.detail {
            out.field("detail", detail);
        }
        if let Some(cause) = &self.inner.cause {
            out.field("cause", cause);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.cause.as_deref().map(|cause| cause as _)
    }
}

/// The longest part of a server's text that is shown, in characters; the whole is in
/// [`Error::server_error`].
const SERVER_TEXT_MAX: usize = 200;

/// The server's words, on one line, short, and without the caller's: servers quote the arguments of
/// a command that they do not know, and among those may be a password or a value.
fn write_server_text(error: &ServerError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(" \"")?;
    let (message, quotes) = error.message_without_arguments();
    let gap = if message.is_empty() { "" } else { " " };
    let mut text = error.code().chars().chain(gap.chars()).chain(message.chars());
    for character in text.by_ref().take(SERVER_TEXT_MAX) {
        match character {
            '\'' | '"' | '\\' => f.write_char(character)?,
            _ => write!(f, "{}", character.escape_debug())?,
        }
    }
    f.write_str(if quotes || text.next().is_some() { "...\"" } else { "\"" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn timeout() -> Error {
        Error::new(ErrorKind::Timeout, Delivery::Unknown, "no reply within 5s")
    }

    #[test]
    fn is_one_pointer_and_crosses_threads() {
        fn crosses<T: Send + Sync + Clone + StdError + 'static>() {}
        crosses::<Error>();
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn text_names_what_is_known() {
        let node = Endpoint::tcp("10.0.0.7", 6379);
        let table = [
            (timeout(), "no reply within 5s"),
            (timeout().with_attempts(1), "no reply within 5s"),
            (timeout().with_command("GET"), "no reply within 5s: GET"),
            (timeout().with_endpoint(&node), "no reply within 5s: 10.0.0.7:6379"),
            (
                timeout().with_command("GET").with_endpoint(&node).with_attempts(2),
                "no reply within 5s: GET at 10.0.0.7:6379, attempt 2",
            ),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_clone_shares_its_cause_and_is_edited_alone() {
        let lost = timeout().with_cause(io::Error::from(io::ErrorKind::ConnectionReset));
        let get = lost.clone().with_command("GET").with_delivery(Delivery::NotSent);
        assert_eq!((lost.command(), get.command()), (None, Some("GET")));
        assert_eq!((lost.delivery(), get.delivery()), (Delivery::Unknown, Delivery::NotSent));
        let shared = |e: &Error| e.source().map(|cause| std::ptr::from_ref(cause).cast::<()>());
        assert!(shared(&lost).is_some());
        assert_eq!(shared(&lost), shared(&get));
    }

    #[test]
    fn text_is_this_level_only_and_debug_tells_the_cause() {
        let error = timeout().with_cause(io::Error::other("cable cut"));
        assert!(!error.to_string().contains("cable"));
        assert!(format!("{error:?}").contains("cable cut"));
    }

    /// What a server answers is shown on one line, bounded, and without the arguments that it
    /// quotes.
    #[test]
    fn text_shows_what_the_server_said() {
        let get = |text: &str| {
            Error::server(Delivery::Answered, ServerError::from_text(text.as_bytes()))
                .with_command("GET")
        };
        let long = format!("ERR {}", "x".repeat(1000));
        let table = [
            ("WRONGTYPE not a string", "server error \"WRONGTYPE not a string\": GET".to_owned()),
            ("ERR", "server error \"ERR\": GET".to_owned()),
            ("", "server error \"\": GET".to_owned()),
            ("ERR a\r\n\u{1b}[1m", "server error \"ERR a\\r\\n\\u{1b}[1m\": GET".to_owned()),
            (
                "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'hunter2'",
                "server error \"ERR unknown command 'HELLO'...\": GET".to_owned(),
            ),
            (&long, format!("server error \"ERR {}...\": GET", "x".repeat(196))),
        ];
        for (said, text) in table {
            assert_eq!(get(said).to_string(), text);
            assert_eq!(get(said).server_error().map(ServerError::to_string).as_deref(), Some(said));
        }
        assert_eq!(get("ERR").kind(), ErrorKind::Server);
        assert_eq!(timeout().server_error(), None);
    }

    #[test]
    fn only_what_reached_the_server_may_have_run() {
        assert!(!Delivery::NotSent.may_have_run());
        assert!(!Delivery::Refused.may_have_run());
        assert!(Delivery::Unknown.may_have_run());
        assert!(Delivery::Answered.may_have_run());
    }

    #[test]
    fn a_wrong_configuration_is_told_in_full() {
        let wrong = ConfigError::EmptyHost;
        let error = Error::from(wrong.clone());
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), wrong.to_string());
        assert_eq!(error.details(), Some(&ErrorDetail::Config(wrong)));
    }

    #[test]
    fn a_server_error_inside_a_reply_is_the_servers() {
        let decode = |frame: &'static [u8]| {
            let frame = bytes::Bytes::from_static(frame);
            Error::undecodable(crate::resp::from_frame::<Vec<u64>>(&frame).unwrap_err())
        };
        let inside = decode(b"*2\r\n:1\r\n-WRONGTYPE no\r\n");
        assert_eq!(inside.kind(), ErrorKind::Server);
        assert_eq!(inside.server_error().map(ServerError::code), Some("WRONGTYPE"));
        assert_eq!(inside.delivery(), Delivery::Answered);
        assert_eq!(decode(b"*1\r\n+x\r\n").kind(), ErrorKind::Convert);
    }
}
