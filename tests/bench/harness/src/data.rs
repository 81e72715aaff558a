//! The data that every server of the benchmark holds, and the expected sizes of replies.
//!
//! The runner loads it, and all peers read it. Keys have no hash tags, so they spread over all
//! slots.

use crate::args::Addr;
use crate::wire::{Wire, encode, owner};
use std::io;

/// Keys of the small values.
pub const KEYS: usize = 10_000;
/// Bytes of a small value.
pub const VALUE_LEN: usize = 100;
/// Bytes of the big value.
pub const BIG_LEN: usize = 1 << 20;
/// Commands of a pipeline, keys of an MGET, fields of the hash.
pub const BATCH: usize = 100;
/// The big value's key.
pub const BIG_KEY: &str = "big:000000000000";
/// The hash's key.
pub const HASH_KEY: &str = "hash:00000000000";
/// The channel of the subscribers.
pub const CHANNEL: &str = "chan:1";
/// What is published there.
pub const MESSAGE: &[u8] = b"message-16-bytes";

/// A small value.
pub const VALUE: &str = "v123456789v123456789v123456789v123456789v123456789\
                         v123456789v123456789v123456789v123456789v123456789";

/// The key of this number: 16 bytes.
pub fn key(index: usize) -> String {
    format!("key:{index:012}")
}

/// All keys of small values.
pub fn keys() -> Vec<String> {
    (0..KEYS).map(key).collect()
}

/// Loads the keys, the big value and the hash; of a cluster, the first three are the primaries.
///
/// # Errors
/// The connection's.
pub fn load(addrs: &[Addr], cluster: bool) -> io::Result<()> {
    let nodes = if cluster { 3 } else { 1 };
    let place = |key: &str| if cluster { owner(key) } else { 0 };
    let mut wires = addrs[..nodes].iter().map(Wire::connect).collect::<io::Result<Vec<_>>>()?;
    for chunk in keys().chunks(BATCH) {
        let mut requests = vec![(Vec::new(), 0); nodes];
        for key in chunk {
            let (bytes, count) = &mut requests[place(key)];
            encode(bytes, &[b"SET", key.as_bytes(), VALUE.as_bytes()]);
            *count += 1;
        }
        for (wire, (bytes, count)) in wires.iter_mut().zip(requests) {
            wire.exchange(&bytes, count)?;
        }
    }
    let big = vec![b'x'; BIG_LEN];
    wires[place(BIG_KEY)].call(&[b"SET", BIG_KEY.as_bytes(), &big])?;
    for index in 0..BATCH {
        let field = format!("field:{index:04}");
        let parts = [b"HSET", HASH_KEY.as_bytes(), field.as_bytes(), VALUE.as_bytes()];
        wires[place(HASH_KEY)].call(&parts)?;
    }
    Ok(())
}
