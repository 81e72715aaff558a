//! The publisher: a process of its own, so that its CPU time is not counted as the subscriber's.
//!
//! The subscriber starts it once its subscription is confirmed. It ends after the last message.

use crate::args::{Addr, format_addrs, parse_addrs};
use crate::data::{BATCH, CHANNEL, MESSAGE};
use crate::wire::{Wire, encode, owner};
use std::io;
use std::process::{Child, Command, Stdio};

/// Starts a publisher of `count` messages: this program again, with the words that [`run`] reads.
///
/// # Errors
/// The system's, when it cannot start it.
pub fn start(addrs: &[Addr], sharded: bool, count: u64) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["publish", &format_addrs(addrs), &sharded.to_string(), &count.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

/// Publishes, in pipelines: addresses, whether sharded, how many.
///
/// # Errors
/// A sentence: the arguments', or the connection's.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [addrs, sharded, count] = words else { return Err("publish ADDRS SHARDED COUNT".into()) };
    let addrs = parse_addrs(addrs).ok_or("bad addresses")?;
    let sharded = sharded == "true";
    let count = count.parse::<usize>().map_err(|error| error.to_string())?;
    publish(&addrs, sharded, count).map_err(|error| format!("publisher: {error}"))
}

fn publish(addrs: &[Addr], sharded: bool, count: usize) -> io::Result<()> {
    let (name, node): (&[u8], _) =
        if sharded { (b"SPUBLISH", owner(CHANNEL)) } else { (b"PUBLISH", 0) };
    let mut wire = Wire::connect(&addrs[node])?;
    let mut one = Vec::new();
    encode(&mut one, &[name, CHANNEL.as_bytes(), MESSAGE]);
    let batch = one.repeat(BATCH);
    let mut left = count;
    while left > 0 {
        let now = left.min(BATCH);
        wire.exchange(&batch[..one.len() * now], now)?;
        left -= now;
    }
    Ok(())
}
