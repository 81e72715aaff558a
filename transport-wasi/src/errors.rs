//! Turns errors of the host into `io::Error`s with the kinds that the core distinguishes.
//!
//! The host gives error codes only while it connects or resolves names. For an open stream WASI 0.2
//! gives only a text, so every error of a stream is a `ConnectionReset`.
//!
//! Invariant: if the host denies something, the text says which permission is missing, and with
//! which option wasmtime grants it.

use std::io;
use std::net::SocketAddr;
use wasip2::io::streams::StreamError;
use wasip2::sockets::network::ErrorCode;

/// The text if the host denies a connection.
const TCP_DENIED: &str = "the host denies TCP to this address \
    and has to grant wasi:sockets/tcp to it (wasmtime: -S inherit-network)";

/// The text if the host denies name lookup.
const LOOKUP_DENIED: &str = "the host denies the lookup of names \
    and has to grant wasi:sockets/ip-name-lookup (wasmtime: -S allow-ip-name-lookup)";

/// The error of a socket that is not connected yet.
pub(crate) fn from_code(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::AccessDenied => {
            return io::Error::new(io::ErrorKind::PermissionDenied, TCP_DENIED);
        }
        ErrorCode::AddressInUse => io::ErrorKind::AddrInUse,
        ErrorCode::AddressNotBindable => io::ErrorKind::AddrNotAvailable,
        ErrorCode::ConnectionAborted => io::ErrorKind::ConnectionAborted,
        ErrorCode::ConnectionRefused => io::ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionReset => io::ErrorKind::ConnectionReset,
        ErrorCode::InvalidArgument => io::ErrorKind::InvalidInput,
        ErrorCode::NameUnresolvable
        | ErrorCode::PermanentResolverFailure
        | ErrorCode::TemporaryResolverFailure => io::ErrorKind::NotFound,
        ErrorCode::NotSupported => io::ErrorKind::Unsupported,
        ErrorCode::OutOfMemory => io::ErrorKind::OutOfMemory,
        ErrorCode::RemoteUnreachable => io::ErrorKind::HostUnreachable,
        ErrorCode::Timeout => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, code.name())
}

/// The error of a lookup of `host`. `at_once`: it failed before the host could have queried a
/// server.
pub(crate) fn unresolved(host: &str, code: ErrorCode, at_once: bool) -> io::Error {
    let (kind, why) = match code {
        ErrorCode::AccessDenied => (io::ErrorKind::PermissionDenied, LOOKUP_DENIED),
        // What wasmtime returns for a lookup that it does not allow.
        ErrorCode::PermanentResolverFailure if at_once => {
            (io::ErrorKind::PermissionDenied, LOOKUP_DENIED)
        }
        ErrorCode::InvalidArgument => (io::ErrorKind::NotFound, "not a valid name"),
        code => (io::ErrorKind::NotFound, code.name()),
    };
    io::Error::new(kind, format!("cannot resolve {host}: {why}"))
}

/// The error of an open stream.
pub(crate) fn broken(what: &str, cause: &wasip2::io::error::Error) -> io::Error {
    let why = cause.to_debug_string();
    io::Error::new(io::ErrorKind::ConnectionReset, format!("{what} failed: {why}"))
}

/// The error of a write.
pub(crate) fn unwritten(cause: StreamError) -> io::Error {
    match cause {
        StreamError::Closed => {
            io::Error::new(io::ErrorKind::BrokenPipe, "the other side has closed the connection")
        }
        StreamError::LastOperationFailed(cause) => broken("write", &cause),
    }
}

/// Adds the address to the error of a dial and keeps its kind.
pub(crate) fn at(address: SocketAddr, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("{address}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds that the core distinguishes, and the hints of denials.
    #[test]
    fn kinds_and_hints() {
        let table = [
            (from_code(ErrorCode::ConnectionRefused), io::ErrorKind::ConnectionRefused, "refused"),
            (from_code(ErrorCode::Timeout), io::ErrorKind::TimedOut, "timeout"),
            (from_code(ErrorCode::AccessDenied), io::ErrorKind::PermissionDenied, "sockets/tcp"),
            (from_code(ErrorCode::NotSupported), io::ErrorKind::Unsupported, "supported"),
            (
                unresolved("h", ErrorCode::NameUnresolvable, false),
                io::ErrorKind::NotFound,
                "resolve h",
            ),
            (
                unresolved("h", ErrorCode::PermanentResolverFailure, false),
                io::ErrorKind::NotFound,
                "permanent",
            ),
            (
                unresolved("h", ErrorCode::PermanentResolverFailure, true),
                io::ErrorKind::PermissionDenied,
                "ip-name-lookup",
            ),
            (unresolved("h", ErrorCode::InvalidArgument, true), io::ErrorKind::NotFound, "valid"),
            (unwritten(StreamError::Closed), io::ErrorKind::BrokenPipe, "closed"),
        ];
        for (error, kind, part) in table {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_dial_error_names_its_address() {
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        let error = at(address, &from_code(ErrorCode::ConnectionRefused));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "127.0.0.1:7: connection-refused");
    }
}
