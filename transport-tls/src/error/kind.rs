//! What can be done about an error of TLS.
//!
//! Each kind is another thing to do; the text of the error says which file or setting it is about.

/// What can be done about a [`TlsError`](crate::TlsError).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsErrorKind {
    /// The server's certificate is damaged, revoked, or not meant for a server.
    BadCertificate,
    /// The server requires a client certificate, and got none or does not accept it.
    ClientCertificate,
    /// The server closed the connection during the handshake. Another dial may succeed.
    Closed,
    /// The server's certificate has expired or is not valid yet, or a clock is wrong.
    Expired,
    /// The two sides have no protocol version or cipher in common.
    Incompatible,
    /// The server does not speak TLS on this port.
    NotTls,
    /// The server refused for another reason, or gave none: TLS 1.2 has no alert of its own for a
    /// missing client certificate. Or one side violated the protocol.
    Refused,
    /// A certificate, a key or a name in the configuration of this client cannot be used.
    Setup,
    /// The server's certificate is signed by no authority that this client trusts.
    UnknownIssuer,
    /// The server's certificate is valid, but for other names or addresses.
    WrongName,
}
