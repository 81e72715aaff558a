//! Each typed method against each server version, in both protocols: the server accepts the
//! command, and the reply fits the method's type.
//!
//! Unit tests check the bytes of each command; here only the replies of real servers count. One
//! file per data type, one server per test and version.

mod decoding;
mod keys;
mod lists;
mod server;
mod sets;
mod sorted_sets;
mod strings;

use slotcar::prelude::*;
use slotcar::{Client, Error};
use slotcar_tests::real::{Server, Version};

/// Runs a suite on a new server of each version, in RESP2 and, where the server has it, in RESP3.
fn on_every_server(suite: impl AsyncFn(&Client, &Version) -> Result<(), Error>) {
    for version in Version::all() {
        let server = Server::start(&version);
        for protocol in ["resp3", "resp2"] {
            let url = format!("{}?protocol={protocol}", server.url());
            let result = smol::block_on(async {
                let client = slotcar::connect_with(slotcar_tests::patient(&url)).await?;
                client.flushall().await?;
                suite(&client, &version).await
            });
            result.unwrap_or_else(|error| panic!("{version}, {protocol}: {error}"));
        }
    }
}

/// An owned string.
fn s(text: &str) -> String {
    text.to_owned()
}
