//! Tells many subscribers that an order has changed, and tells them when they may have missed a
//! message.
//!
//! A script changes the order atomically; it is routed by its key. The message goes out on a
//! sharded channel in the same slot. A subscriber reads the order again when its subscription
//! reports a gap or lag. A consumer that must not miss a change reads a stream instead.

use slotcar::prelude::*;
use slotcar::{Client, Script, Update};
use slotcar_examples::Server;
use std::error::Error;
use std::process::ExitCode;

/// Sets the state, appends it to a stream, and returns the number of changes.
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
    // The hash tag, the part in braces, decides the slot: key, stream and channel share one.
    client.del(["{order:1}", "{order:1}:log"]).await?;
    let mut news = client.ssubscribe("{order:1}:news").await?;
    let change = Script::new(CHANGE);
    for state in ["paid", "packed", "sent"] {
        let keys = ["{order:1}", "{order:1}:log"];
        let changes: u64 = client.run_script(&change, keys, state).await?;
        let heard = client.spublish("{order:1}:news", state).await?;
        println!("change {changes}    {state}, received by {heard} subscriber");
    }
    let mut messages_left = 3;
    while messages_left > 0 {
        match news.next().await {
            Some(Update::Message(message)) => {
                println!("message     {}", String::from_utf8_lossy(message.payload()));
                messages_left -= 1;
            }
            Some(Update::Gap { .. } | Update::Lagged(_)) => read_again(&client).await?,
            Some(other) => println!("event       {other:?}"),
            None => break,
        }
    }
    let mut log = client.consume("{order:1}:log", "billing", "worker-1");
    for _ in 0..3 {
        let entry = log.next().await?;
        println!("stream      {} at {}", entry.get("state").map_or("?".into(), text), entry.id);
        log.ack(&entry.id).await?;
    }
    client.del(["{order:1}", "{order:1}:log"]).await?;
    Ok(())
}

/// What a subscriber does when it may have missed a message.
async fn read_again(client: &Client) -> Result<(), slotcar::Error> {
    let state: Option<String> = client.hget("{order:1}", "state").await?;
    println!("read again  {state:?}");
    Ok(())
}

fn text(bytes: &slotcar::Blob) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
