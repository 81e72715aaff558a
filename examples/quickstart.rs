//! The first minutes with slotcar: connect, run commands, read typed replies, send many at once.
//!
//! Talks to the server that `SLOTCAR_URL` names, or starts one for as long as it runs.

use serde::Deserialize;
use slotcar::Client;
use slotcar::command::{get, incr};
use slotcar_examples::{Progress, Server};
use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

/// A hash on the server reads into a struct of one's own.
#[derive(Debug, Deserialize)]
struct User {
    name: String,
    visits: u64,
}

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
    let began = Instant::now();
    let client = slotcar_tcp::connect(url).await?;
    println!("connected   in {:.1?}", began.elapsed());

    client.set("quickstart:greeting", "hello from slotcar").await?;
    let greeting: Option<String> = client.get("quickstart:greeting").await?;
    let missing: Option<String> = client.get("quickstart:nothing").await?;
    println!("strings     greeting = {greeting:?}, nothing = {missing:?}");

    client.hset("quickstart:user", [("name", "Ada"), ("visits", "41")]).await?;
    client.hincrby("quickstart:user", "visits", 1).await?;
    let user: User = client.hgetall("quickstart:user").await?;
    let fields: HashMap<String, String> = client.hgetall("quickstart:user").await?;
    println!("a hash      {} came {} times; as a map {fields:?}", user.name, user.visits);

    let pipeline = client.pipeline().add(incr("quickstart:count")).add(get("quickstart:greeting"));
    let (count, greeting): (u64, String) = pipeline.run().await?;
    println!("a pipeline  count = {count}, greeting = {greeting:?}, in one round trip");

    let wrong = client.incr("quickstart:greeting").await.expect_err("it is a text");
    println!("an error    {wrong}");

    many(&client).await?;
    client
        .del(["quickstart:greeting", "quickstart:user", "quickstart:count", "quickstart:many"])
        .await?;
    Ok(())
}

/// All callers share one connection: what they ask for at the same time goes out in one write.
async fn many(client: &Client) -> Result<(), Box<dyn Error>> {
    const CALLERS: usize = 64;
    const ROUNDS: usize = 2_000;
    let mut progress = Progress::new("many", ROUNDS);
    for round in 1..=ROUNDS {
        let calls = (0..CALLERS).map(|_| client.incr("quickstart:many"));
        futures::future::try_join_all(calls).await?;
        progress.show(round);
    }
    let took = progress.finish();
    let total: usize = client.get("quickstart:many").await?;
    let rate = (total as f64 / took.as_secs_f64()) as u64;
    println!(
        "many        {total} commands from {CALLERS} callers in {took:.1?}, {rate} each second"
    );
    Ok(())
}
