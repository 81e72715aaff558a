//! Loopback addresses and ports that no other test on this machine uses.
//!
//! Linux answers on all of 127.0.0.0/8. Each test process claims blocks of 250 addresses by holding
//! a listener in them, so the kernel keeps test processes apart and frees a block when one dies.
//! **Invariant**: an address is given out once per process; a port lies below the ephemeral range,
//! or an outgoing connection could sit on it when its server restarts.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::wait::BOUND;

/// A listener on this host and port of a block claims the block.
const CLAIM: (u8, u16) = (254, 6399);
/// First port that a server gets; with an address of its own this one is nearly always free.
const FIRST_PORT: u16 = 7000;
/// Servers before version 7 put the cluster bus here, and later ones by default.
const BUS_OFFSET: u16 = 10_000;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// The blocks and ports of this process.
struct Claims {
    /// One listener per claimed block.
    blocks: Vec<(TcpListener, [u8; 2])>,
    /// Host part of the next address in the newest block.
    next: u8,
    /// Ports promised to servers that may not have bound them yet.
    promised: BTreeSet<SocketAddr>,
}

static CLAIMS: Mutex<Claims> =
    Mutex::new(Claims { blocks: Vec::new(), next: 0, promised: BTreeSet::new() });

fn claims() -> MutexGuard<'static, Claims> {
    // A failed test must not fail the others: the state is consistent between any two statements.
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loopback address that no other test uses.
pub fn fresh() -> Ipv4Addr {
    let mut claims = claims();
    if claims.blocks.is_empty() || claims.next > 250 {
        let block = claim_block();
        claims.blocks.push(block);
        claims.next = 1;
    }
    let [second, third] = claims.blocks.last().expect("a block was just claimed").1;
    let last = claims.next;
    claims.next += 1;
    Ipv4Addr::new(127, second, third, last)
}

/// A port on `ip` that is free, together with its cluster bus port, and promised to the caller.
pub fn free_port(ip: Ipv4Addr) -> u16 {
    let mut claims = claims();
    let free = |port: u16| TcpListener::bind((ip, port)).is_ok();
    for port in FIRST_PORT..FIRST_PORT + 1000 {
        let address = SocketAddr::from((ip, port));
        if !claims.promised.contains(&address) && free(port) && free(port + BUS_OFFSET) {
            claims.promised.insert(address);
            return port;
        }
    }
    panic!("no free port on {ip}");
}

/// Listens on an address that [`free_port`] promised.
///
/// A process that is being started briefly holds copies of this process's sockets, also of those
/// that only tested whether a port is free. So an address that is taken is tried again.
pub fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let began = Instant::now();
    loop {
        match TcpListener::bind(at) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && began.elapsed() < BOUND => {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// An address without a listener: connections are refused.
pub fn refused() -> SocketAddr {
    let ip = fresh();
    SocketAddr::from((ip, free_port(ip)))
}

fn claim_block() -> (TcpListener, [u8; 2]) {
    const BLOCKS: u32 = 200 * 256;
    // Consecutive process ids are usual; a multiplier spreads them so that few claims collide.
    let start = process::id().wrapping_mul(2_654_435_761) % BLOCKS;
    for step in 0..BLOCKS {
        let at = (start + step) % BLOCKS;
        // 127.0.x.y is left to the machine's own services, some of which live there.
        let block = [u8::try_from(1 + at / 256).expect("at most 201"), (at % 256) as u8];
        let host = Ipv4Addr::new(127, block[0], block[1], CLAIM.0);
        if let Ok(listener) = TcpListener::bind((host, CLAIM.1)) {
            return (listener, block);
        }
    }
    panic!("every loopback block is claimed, or this system has only 127.0.0.1");
}

#[cfg(test)]
mod tests {
    use super::*;

    // More addresses than one block holds, and no two alike.
    #[test]
    fn addresses_are_given_out_once() {
        let given: BTreeSet<Ipv4Addr> = (0..600).map(|_| fresh()).collect();
        assert_eq!(given.len(), 600);
        assert!(given.iter().all(|ip| ip.octets()[0] == 127 && ip.octets()[1] > 0));
    }

    #[test]
    fn a_promised_port_is_not_promised_again() {
        let ip = fresh();
        let held = TcpListener::bind((ip, FIRST_PORT)).unwrap();
        let ports = [free_port(ip), free_port(ip)];
        assert_eq!(ports, [FIRST_PORT + 1, FIRST_PORT + 2], "{held:?}");
    }

    // What a process that is being started does: it holds a copy of the socket, then lets it go.
    #[test]
    fn an_address_that_is_let_go_of_is_listened_on() {
        let ip = fresh();
        let at = SocketAddr::from((ip, free_port(ip)));
        let held = TcpListener::bind(at).unwrap();
        let listening = thread::spawn(move || listen(at).map(|listener| listener.local_addr()));
        assert_eq!(TcpListener::bind(at).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(held);
        assert_eq!(listening.join().unwrap().unwrap().unwrap(), at);
    }
}
