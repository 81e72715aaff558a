//! The error that callers see: what went wrong, at which node and with which command, and whether
//! the server may have run it.
//!
//! It says what happened; whether to try again is decided in `routing`. Lower levels have small
//! errors of their own, which become the source or the details of this one.
//!
//! **Invariants**: an `Error` is one pointer, so that a `Result` stays small (asserted in a test);
//! a clone shares its fields, so that one lost connection can fail many commands cheaply; `Display`
//! prints this level only, in lower case, and never a password.

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
/// A clone is cheap and shares the causes. `Display` prints what happened, the command, the node
/// and the number of attempts; [`std::error::Error::source`] is the cause.
#[derive(Clone)]
pub struct Error {
    /// Shared by clones; a method that changes a shared error copies the fields first.
    inner: Arc<Inner>,
}

/// What kind of failure it is: what a caller can act on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The client was closed, or is closing.
    Closed,
    /// The configuration or the arguments of the call are wrong: change the program.
    Config,
    /// There is no connection to the node, or it was lost: its name, its port or the network.
    Connect,
    /// The reply does not fit the type that the caller asked for.
    Convert,
    /// The server or the client refused the connection: credentials, database, protocol,
    /// certificates.
    Handshake,
    /// A limit of the configuration was reached; the details name it.
    Limit,
    /// The server sent bytes that are not RESP, or that the protocol does not allow there.
    Protocol,
    /// The server answered with an error; [`Error::server_error`] holds it.
    Server,
    /// The deadline passed.
    Timeout,
    /// No node can run the command: the slot has no owner, there is no replica, or no primary is
    /// known.
    Topology,
}

/// Whether the server may have run the command.
///
/// A command that is `NotSent` or `Refused` can be sent again without harm. One that is `Unknown`
/// or `Answered` may have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The server cannot have run it: not all its bytes were written.
    NotSent,
    /// The server answered that it did not run it (`MOVED`, `ASK`, `LOADING`, `READONLY`, ...).
    /// Never said of a script, a function or a module's command because of the text of its reply.
    Refused,
    /// Its bytes were written and no reply came: it may have run, once.
    Unknown,
    /// The server ran it and replied. The reply is an error of the command itself, or does not fit
    /// the type that the caller asked for. Of a script, a function or a module's command: it has
    /// answered, and it cannot be told whether it or the server speaks; see
    /// [`eval`](crate::commands::ScriptCommands::eval).
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
    /// The keys of one command are in different slots.
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
    /// The read policy needs a replica, and the shard has none that can answer.
    NoReplica {
        /// A slot of that shard.
        slot: u16,
    },
    /// Fewer replicas than were waited for have acknowledged a write; or as many, but the primary
    /// has not synced its append-only file.
    NotAcknowledged {
        /// How many were waited for.
        wanted: u32,
        /// How many have, when the wait ended.
        replicas: u32,
    },
    /// The server that the sentinels name as the primary says that it is a replica.
    NotPrimary,
    /// A command was for several nodes or slots, and some or all of them failed.
    Partial {
        /// How many parts of the command succeeded: nodes, or slots of a command that was split.
        succeeded: usize,
        /// What failed, by node, kind and delivery.
        failed: Vec<PartFailure>,
    },
    /// No node of the cluster serves the slot, by the cluster's own account.
    SlotUncovered {
        /// The slot.
        slot: u16,
        /// For how long this client has known.
        since: Duration,
    },
    /// Another server listens there than the one that the slot map means; the text names both.
    WrongNode,
}

/// Parts of a command that failed at one node in the same way.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFailure {
    /// The node, if one was chosen.
    pub endpoint: Option<Endpoint>,
    /// What kind of failure it is.
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
    /// How often the command was tried, the last time included; 0 for an error without a command.
    attempts: u32,
    /// What happened, without the names in the other fields.
    message: Cow<'static, str>,
    /// The command's name.
    command: Option<Arc<str>>,
    /// The node.
    endpoint: Option<Arc<Endpoint>>,
    /// The error that the server answered with, if it did.
    server_error: Option<ServerError>,
    /// What the error is about, as data.
    detail: Option<ErrorDetail>,
    /// The cause.
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// What kind of failure it is.
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

    /// How often the command was tried, the last time included; 0 for an error without a command.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// The error that the server answered with, if it did: to the command, or to the handshake
    /// before it.
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

impl Error {
    /// An error without command, node and cause.
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

    /// The error of a reply that does not fit the type asked for. If the reply holds a server's
    /// error, as that of EXEC may, it is an error of kind `Server`.
    pub(crate) fn undecodable(error: DecodeError) -> Self {
        match error.server_error() {
            Some(inside) => Self::server(Delivery::Answered, inside.clone()),
            None => Self::new(ErrorKind::Convert, Delivery::Answered, error.to_string())
                .with_cause(error),
        }
    }

    /// Adds to the message what may be the reason.
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

    /// Sets how often the command was tried.
    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.edit().attempts = attempts;
        self
    }

    /// Sets whether the server may have run it.
    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.edit().delivery = delivery;
        self
    }

    /// Adds the error that the server answered with; `Display` prints it.
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

    /// Adds a cause that other errors share.
    pub(crate) fn with_shared_cause(mut self, cause: Arc<dyn StdError + Send + Sync>) -> Self {
        self.edit().cause = Some(cause);
        self
    }

    /// The fields, copied first if a clone shares them.
    fn edit(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        // The message is that of the configuration's error: a program that prints only the top of
        // the chain would say nothing but "invalid configuration".
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

/// The most characters of a server's text that are shown; [`Error::server_error`] has all of it.
const SERVER_TEXT_MAX: usize = 200;

/// The server's text on one line, short, and without arguments of the caller: a server quotes those
/// of a command that it does not know, and they may hold a password or a value.
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
