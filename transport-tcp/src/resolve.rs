//! The results of name lookups and the texts of dial errors, the same for both reactors.
//!
//! Invariants: the kind of an error is one that the core distinguishes (`Transport::connect` lists
//! them); its text names the endpoint or the address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// `host` as an address, if it is one: it needs no lookup.
pub(crate) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// The addresses in the resolver's answer for `host`: at least one, each once; or an error of kind
/// `NotFound`.
pub(crate) fn addresses(
    host: &str,
    answer: io::Result<impl IntoIterator<Item = SocketAddr>>,
) -> io::Result<Vec<SocketAddr>> {
    let not_found = |why: &str| {
        io::Error::new(io::ErrorKind::NotFound, format!("cannot resolve {host}: {why}"))
    };
    match answer {
        Ok(answers) => {
            let mut found: Vec<SocketAddr> = Vec::new();
            for address in answers {
                // Some resolvers list an address once per protocol; one dial is enough.
                if !found.contains(&address) {
                    found.push(address);
                }
            }
            if found.is_empty() { Err(not_found("the name has no address")) } else { Ok(found) }
        }
        Err(cause) => Err(not_found(&cause.to_string())),
    }
}

/// Adds the address to the error of a dial and keeps its kind.
pub(crate) fn at(address: SocketAddr, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("{address}: {cause}"))
}

/// Adds the path to the error of a dial of a unix socket; keeps its kind, except for `NotFound`.
#[cfg(unix)]
pub(crate) fn at_path(path: &Path, cause: &io::Error) -> io::Error {
    // `NotFound` would mean that a name does not resolve. If the socket file is missing, the server
    // does not run, or not yet.
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => io::ErrorKind::ConnectionRefused,
        kind => kind,
    };
    io::Error::new(kind, format!("unix:{}: {cause}", path.display()))
}

/// The error for a unix socket on a system without them.
#[cfg(not(unix))]
pub(crate) fn no_unix_sockets(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("unix:{}: this system has no unix sockets", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_skip_the_resolver() {
        let table = [
            ("127.0.0.1", Some("127.0.0.1:7")),
            ("::1", Some("[::1]:7")),
            ("localhost", None),
            ("256.0.0.1", None),
            ("", None),
        ];
        for (host, expected) in table {
            assert_eq!(literal(host, 7), expected.map(|a| a.parse().expect("address")), "{host}");
        }
    }

    #[test]
    fn an_answer_is_addresses_once_each_or_not_found_with_the_name() {
        let [a, b]: [SocketAddr; 2] =
            ["10.0.0.1:1", "10.0.0.2:1"].map(|a| a.parse().expect("address"));
        assert_eq!(addresses("h", Ok(vec![b, a, b])).expect("found"), [b, a]);
        let failed: io::Result<Vec<SocketAddr>> = Err(io::Error::other("no such host"));
        for (answer, why) in [(Ok(vec![]), "no address"), (failed, "no such host")] {
            let error = addresses("redis.local", answer).expect_err("nothing found");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            let text = error.to_string();
            assert!(text.contains("redis.local") && text.contains(why), "{text}");
        }
    }
}
