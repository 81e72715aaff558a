//! What can be wrong with a configuration: the error names the setting, its value and what is
//! allowed.
//!
//! Invariant: no text here holds a password or a part of one. Where credentials may have been
//! written in the wrong place (as a port, or without their `@`), the error names the place and does
//! not show the text. Users find the error in `Error::details`.

use std::borrow::Cow;
use std::fmt;

/// Why a configuration cannot be used.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Two settings contradict each other.
    Conflict {
        /// The setting that has to be changed.
        key: &'static str,
        /// What it contradicts and what is allowed.
        reason: Cow<'static, str>,
    },
    /// A host is missing: `redis://`, `redis://:6379`, `redis://h1,,h2`.
    EmptyHost,
    /// The user name or password cannot be read.
    InvalidCredentials {
        /// What is allowed.
        reason: &'static str,
    },
    /// Not a host name, IPv4 address or IPv6 address in brackets.
    InvalidHost {
        /// As written.
        host: String,
    },
    /// A port that is missing, not a number, 0 or above 65535.
    InvalidPort {
        /// The host that it belongs to.
        host: String,
    },
    /// The URL does not parse.
    InvalidUrl {
        /// What is allowed.
        reason: &'static str,
    },
    /// A value that its setting does not allow.
    InvalidValue {
        /// The setting.
        key: &'static str,
        /// As written.
        value: String,
        /// What is allowed.
        allowed: Cow<'static, str>,
    },
    /// A setting that this deployment needs is missing.
    Missing {
        /// The setting.
        key: &'static str,
    },
    /// A query key that is written twice.
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A query key that is no setting.
    UnknownKey {
        /// As written.
        key: String,
        /// The keys that are allowed, with commas between them.
        allowed: String,
    },
    /// An unknown URL scheme.
    UnknownScheme {
        /// As written.
        scheme: String,
    },
}

impl ConfigError {
    /// `key` does not allow `value`.
    pub(super) fn value(
        key: &'static str,
        value: impl fmt::Display,
        allowed: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::InvalidValue { key, value: value.to_string(), allowed: allowed.into() }
    }

    /// The configuration asks for TLS, and the transport has none.
    pub(crate) fn no_tls() -> Self {
        Self::conflict(
            "tls",
            "this transport speaks no TLS: turn on the feature `tls` of the crate slotcar, or wrap \
             the transport in `slotcar_tls::Tls`",
        )
    }

    /// `key` contradicts another setting.
    pub(super) fn conflict(key: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Conflict { key, reason: reason.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { key, reason } => write!(f, "{key}: {reason}"),
            Self::EmptyHost => f.write_str("a host is missing: write host or host:port"),
            Self::InvalidCredentials { reason } => write!(f, "credentials: {reason}"),
            Self::InvalidHost { host } => write!(
                f,
                "`{}` is not a host: allowed are a name, an IPv4 address, and an IPv6 address in \
                 brackets",
                host.escape_debug()
            ),
            Self::InvalidPort { host } => {
                write!(f, "the port of `{}` is not a number from 1 to 65535", host.escape_debug())
            }
            Self::InvalidUrl { reason } => write!(f, "not a server's URL: {reason}"),
            Self::InvalidValue { key, value, allowed } => {
                write!(f, "{key}: `{}` is not {allowed}", value.escape_debug())
            }
            Self::Missing { key } => write!(f, "{key} is missing"),
            Self::RepeatedKey { key } => write!(f, "{key} is written twice"),
            Self::UnknownKey { key, allowed } => {
                write!(f, "unknown key `{}`: allowed are {allowed}", key.escape_debug())
            }
            Self::UnknownScheme { scheme } => write!(
                f,
                "unknown scheme `{}`: allowed are redis, rediss, valkey and valkeys, each also \
                 with -cluster or -sentinel, and unix",
                scheme.escape_debug()
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
