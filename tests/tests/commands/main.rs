//! Every typed method against every server version, in both protocols: what is sent is accepted,
//! and what comes back fits the type that the method promises.
//!
//! What each command writes is tested word by word beside it; here only real servers' answers
//! count. One file per data type, one server per test and version.

mod keys;
mod lists;
mod server;
mod sets;
mod sorted_sets;
mod strings;

use slotcar::{Client, Config, Error};
use slotcar_tests::real::{Server, Version};

/// Runs a suite on a fresh server of every version, in RESP3 where there is and in RESP2.
fn on_every_server(suite: impl AsyncFn(&Client, &Version) -> Result<(), Error>) {
    for version in Version::all() {
        let server = Server::start(&version);
        for protocol in ["resp3", "resp2"] {
            let url = format!("{}?protocol={protocol}", server.url());
            let result = smol::block_on(async {
                let client = slotcar::connect_with(Config::from_url(&url)?).await?;
                client.flushall().await?;
                suite(&client, &version).await
            });
            result.unwrap_or_else(|error| panic!("{version}, {protocol}: {error}"));
        }
    }
}

/// A string of one's own.
fn s(text: &str) -> String {
    text.to_owned()
}
