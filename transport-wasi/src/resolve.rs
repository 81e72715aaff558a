//! Resolves names, by the host and without blocking other tasks of the component.
//!
//! Invariants: an IP address is not looked up, so it needs no permission; the result has at least
//! one address, each once, in the resolver's order; an error contains the name.

use crate::errors;
use crate::interest::Interest;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Poll, ready};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddress};

/// The addresses of `host`, each with `port`. Dropping the future ends the lookup.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let answers = resolve_addresses(&instance_network(), host)
        .map_err(|code| errors::unresolved(host, code, true))?;
    // Declared after `answers`, so dropped before it, as the host requires.
    let interest = Interest::new(answers.subscribe());
    let next = || {
        poll_fn(|cx| {
            loop {
                match answers.resolve_next_address() {
                    Err(ErrorCode::WouldBlock) => ready!(interest.poll(cx)),
                    answer => return Poll::Ready(answer),
                }
            }
        })
    };
    let mut found = Vec::new();
    while let Some(ip) = next().await.map_err(|code| errors::unresolved(host, code, false))? {
        let address = SocketAddr::new(to_std(ip), port);
        // Some resolvers list an address once per protocol; one dial is enough.
        if !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() {
        return Err(errors::unresolved(host, ErrorCode::NameUnresolvable, false));
    }
    Ok(found)
}

fn to_std(ip: IpAddress) -> IpAddr {
    match ip {
        IpAddress::Ipv4((a, b, c, d)) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
        }
    }
}
