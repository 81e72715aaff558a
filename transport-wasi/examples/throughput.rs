//! Pipelined reads as fast as they go, natively or in a component: the same code, for one figure.
//!
//! ```text
//! cargo run --release -p slotcar-wasi --example throughput -- redis://127.0.0.1:6379
//! cargo run --release -p slotcar-wasi --example throughput --target wasm32-wasip2 -- \
//!     redis://127.0.0.1:6379
//! ```
//!
//! Two connections at once, pipelines of 10,000 GETs. The second one runs in the host of the tests,
//! whose own code is not optimised much unless `SLOTCAR_WASI_HOST` names one that is.

use futures::future::join_all;
use slotcar::{Client, Config, Error, cmd};
use std::time::Instant;

/// Commands of a pipeline.
const PIPELINE: usize = 10_000;
/// Pipelines of each client.
const ROUNDS: usize = 100;
/// Clients, a connection each.
const CLIENTS: usize = 2;

async fn measure(clients: Vec<Client>) -> Result<(), Error> {
    clients[0].set("throughput", "a value of some bytes").await?;
    let began = Instant::now();
    let work = clients.iter().map(|client| async move {
        for _ in 0..ROUNDS {
            let mut pipeline = client.pipeline();
            (0..PIPELINE).for_each(|_| pipeline.push(cmd("GET").key("throughput")));
            let replies: Vec<String> = pipeline.run().await?;
            assert_eq!(replies.len(), PIPELINE);
        }
        Ok::<(), Error>(())
    });
    join_all(work).await.into_iter().collect::<Result<(), Error>>()?;
    let commands = PIPELINE * ROUNDS * CLIENTS;
    let seconds = began.elapsed().as_secs_f64();
    println!("{commands} GETs in {seconds:.2} s: {:.0} per second", commands as f64 / seconds);
    Ok(())
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
            clients.push(slotcar_wasi::connect_with(config).await?);
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
            clients.push(slotcar_tcp::connect_with(config).await?);
        }
        measure(clients).await
    })
}
