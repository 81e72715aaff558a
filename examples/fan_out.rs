//! Tell many what has changed, and let nobody believe that they know when they may not.
//!
//! A script changes an order, atomically, and is routed by its key; the news goes out on a sharded
//! channel of the same slot. A subscriber looks the order up again wherever the stream says that it
//! may have missed something. For those who cannot miss anything there is a stream besides.

use slotcar::{Client, Script, Update};
use slotcar_examples::Server;
use std::error::Error;
use std::process::ExitCode;

/// Sets a state, remembers it in a stream, and counts the changes.
const CHANGE: &str = "
    redis.call('HSET', KEYS[1], 'state', ARGV[1])
    redis.call('XADD', KEYS[2], '*', 'state', ARGV[1])
    return redis.call('HINCRBY', KEYS[1], 'changes', 1)";

fn main() -> ExitCode {
    let ran = Server::find_or_start().map_err(Into::into).and_then(|server| {
        println!("server      {} ({})", server.url(), server.origin());
        smol::block_on(run(server.url()))
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let client = slotcar::connect(url).await?;
    // The part in braces decides the slot: key, stream and channel live together.
    client.del(["{order:1}", "{order:1}:log"]).await?;
    let mut news = client.ssubscribe("{order:1}:news").await?;
    let change = Script::new(CHANGE);
    for state in ["paid", "packed", "sent"] {
        let keys = ["{order:1}", "{order:1}:log"];
        let changes: u64 = client.run_script(&change, keys, state).await?;
        let heard = client.spublish("{order:1}:news", state).await?;
        println!("change {changes}    {state}, told to {heard} subscriber");
    }
    let mut left = 3;
    while left > 0 {
        match news.next().await {
            Some(Update::Message(message)) => {
                println!("heard       {}", String::from_utf8_lossy(message.payload()));
                left -= 1;
            }
            Some(Update::Gap { .. } | Update::Lagged(_)) => look_up(&client).await?,
            Some(other) => println!("told        {other:?}"),
            None => break,
        }
    }
    let mut log = client.consume("{order:1}:log", "billing", "worker-1");
    for _ in 0..3 {
        let entry = log.next().await?;
        println!("certain     {} at {}", entry.get("state").map_or("?".into(), text), entry.id);
        log.ack(&entry.id).await?;
    }
    client.del(["{order:1}", "{order:1}:log"]).await?;
    Ok(())
}

/// What a subscriber does that may have missed something.
async fn look_up(client: &Client) -> Result<(), slotcar::Error> {
    let state: Option<String> = client.hget("{order:1}", "state").await?;
    println!("looked up   {state:?}");
    Ok(())
}

fn text(bytes: &slotcar::Blob) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
