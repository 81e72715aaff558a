//! The functions of the crate slotcar that connect: they find a transport on every executor.
//!
//! The servers are simulated ones on loopback sockets. That a client runs on a tokio runtime shows
//! in the tasks of that runtime: each connection is one. What needs a build without a feature is in
//! `slotcar/tests`.

mod executors;
mod ways;

use slotcar::prelude::*;
use slotcar::{Client, Error};
use slotcar_sim::{Served, Sim};

/// One server.
fn served() -> Served {
    Sim::standalone().seed(1).serve().expect("a port of 127.0.0.1")
}

/// Writes and reads through the client.
async fn use_client(client: &Client) -> Result<(), Error> {
    client.set("k", "v").await?;
    assert_eq!(client.get::<String>("k").await?, "v");
    Ok(())
}
