//! Pipelined reads as fast as they go, natively or in a component: the same code, for one figure.
//!
//! ```text
//! throughput URL [COMMANDS OF A PIPELINE] [COMMANDS IN ALL]
//! ```
//!
//! Two connections at once. It prints how many GETs there were in a second. `cargo xtask wasi
//! throughput` builds and runs it both ways and compares.

use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Config, Error, cmd};
use std::time::Instant;

/// Clients, a connection each.
const CLIENTS: usize = 2;

async fn measure(clients: Vec<Client>) -> Result<(), Error> {
    let (pipeline, commands) = (number(2, 10_000), number(3, 2_000_000));
    clients[0].set("throughput", "a value of some bytes").await?;
    let began = Instant::now();
    let work = clients.iter().map(|client| async move {
        for _ in 0..commands / CLIENTS / pipeline {
            let mut all = client.pipeline();
            (0..pipeline).for_each(|_| all.push(cmd("GET").key("throughput")));
            let replies: Vec<String> = all.run().await?;
            assert_eq!(replies.len(), pipeline);
        }
        Ok::<(), Error>(())
    });
    join_all(work).await.into_iter().collect::<Result<(), Error>>()?;
    println!("{:.0}", commands as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// An argument that is a number.
fn number(at: usize, default: usize) -> usize {
    std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn url() -> String {
    std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned())
}

#[cfg(all(target_os = "wasi", target_env = "p2"))]
fn main() -> Result<(), Error> {
    wstd::runtime::block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let config = Config::from_url(&url())?;
            clients.push(slotcar::connect_with(config).await?);
        }
        measure(clients).await
    })
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
fn main() -> Result<(), Error> {
    smol::block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let config = Config::from_url(&url())?;
            clients.push(slotcar::connect_with(config).await?);
        }
        measure(clients).await
    })
}
