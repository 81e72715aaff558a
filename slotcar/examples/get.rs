//! The smallest program of use: connects, reads one key, prints it.
//!
//! ```text
//! cargo run -p slotcar --example get --target wasm32-wasip2 -- redis://127.0.0.1:6379 key
//! ```
//!
//! A `redis-cluster://` URL makes it a client of a cluster. `cargo xtask wasi sizes` weighs it.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
use slotcar::Error;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
use slotcar::prelude::*;

#[cfg(all(target_os = "wasi", target_env = "p2"))]
fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let key = arguments.next().unwrap_or_else(|| "greeting".to_owned());
    wstd::runtime::block_on(async {
        let client = slotcar::connect(&url).await?;
        let value: Option<String> = client.get(&key).await?;
        println!("{}", value.as_deref().unwrap_or("(none)"));
        Ok(())
    })
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
fn main() {
    eprintln!("build this for wasm32-wasip2");
}
