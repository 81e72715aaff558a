//! A first tour of slotcar: commands on several shards, typed replies, reads from replicas, a
//! primary that dies, a slot that moves, and a subscription that follows its slot.
//!
//! With `SLOTCAR_URL` set, the example uses that server and leaves out the faults. Without it, a
//! simulated cluster runs in this process: nothing needs to be installed, and the times that the
//! example prints are simulated.

use serde::Deserialize;
use slotcar::prelude::*;
use slotcar::{Client, Error, ReadFrom, Subscription, Update};
use slotcar_examples::Progress;
use slotcar_sim::Sim;
use std::process::ExitCode;
use std::time::Duration;

/// A hash is read into a struct of the application.
#[derive(Debug, Deserialize)]
struct User {
    name: String,
    visits: u64,
}

fn main() -> ExitCode {
    let ran = match std::env::var("SLOTCAR_URL") {
        Ok(url) => {
            println!("server      {url}, named by SLOTCAR_URL");
            smol::block_on(async { tour(&slotcar::connect(&url).await?).await })
        }
        Err(_) => {
            println!("server      a simulated cluster in this process: 3 primaries, 3 replicas");
            println!("            (set SLOTCAR_URL to use a server of yours)");
            Sim::cluster(3, 1).seed(7).run(|sim| async move {
                let client = sim.client(sim.config()).await?;
                tour(&client).await?;
                faults(&sim, &client).await
            })
        }
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What works on every deployment.
async fn tour(client: &Client) -> Result<(), Error> {
    client.set("quickstart:greeting", "hello from slotcar").await?;
    let greeting: Option<String> = client.get("quickstart:greeting").await?;
    let missing: Option<String> = client.get("quickstart:nothing").await?;
    println!("strings     greeting = {greeting:?}, nothing = {missing:?}");

    client.hset("quickstart:user", [("name", "Ada"), ("visits", "41")]).await?;
    client.hincrby("quickstart:user", "visits", 1).await?;
    let user: User = client.hgetall("quickstart:user").await?;
    println!("a hash      {} came {} times", user.name, user.visits);

    let pipeline = client.pipeline().incr("quickstart:count").get::<String>("quickstart:greeting");
    let (count, greeting) = pipeline.run().await?;
    println!(
        "a pipeline  count = {count}, greeting = {greeting:?}, from the nodes that own the keys"
    );

    let wrong = client.incr("quickstart:greeting").await.expect_err("it is not a number");
    println!("an error    {wrong}");

    let keys: Vec<String> = (0..9).map(|number| format!("quickstart:{number}")).collect();
    client.mset(keys.iter().map(|key| (key, "x"))).await?;
    let found: u64 = client.exists(&keys).await?;
    println!("over shards {found} keys were set in one call and are there");
    many_callers(client).await?;
    client.del(keys).await?;
    client.del(["quickstart:greeting", "quickstart:user", "quickstart:count"]).await?;
    Ok(())
}

/// All callers share one connection per node. Commands that they send at the same time are written
/// together.
async fn many_callers(client: &Client) -> Result<(), Error> {
    const CALLERS: usize = 64;
    const ROUNDS: usize = 500;
    let mut progress = Progress::new("many", ROUNDS);
    for round in 1..=ROUNDS {
        let calls = (0..CALLERS).map(|caller| client.incr(format!("quickstart:many:{caller}")));
        futures::future::try_join_all(calls).await?;
        progress.show(round);
    }
    let took = progress.finish();
    println!("many        {} commands from {CALLERS} callers in {took:.1?}", CALLERS * ROUNDS);
    let keys: Vec<String> = (0..CALLERS).map(|n| format!("quickstart:many:{n}")).collect();
    client.del(keys).await?;
    Ok(())
}

/// Reads from replicas, a failover and a slot that moves. Only a simulated cluster can be told to
/// fail.
async fn faults(sim: &Sim, client: &Client) -> Result<(), Error> {
    let key = "quickstart:greeting";
    client.set(key, "still here").await?;
    sim.advance(Duration::from_millis(10)).await; // until the replica has it

    let reads = |sim: &Sim| ["a1", "b1", "c1"].iter().map(|s| sim.calls(s, "get")).sum::<u64>();
    let before = reads(sim);
    let from_replicas = client.with_read_from(ReadFrom::Replica);
    for _ in 0..10 {
        from_replicas.get::<String>(key).await?;
    }
    println!("replicas    answered {} of 10 reads", reads(sim) - before);

    let owner = sim.owner_of(Sim::slot_of(key));
    sim.kill(&owner);
    let start = sim.now();
    let greeting: String = client.with_timeout(Duration::from_secs(10)).get(key).await?;
    let (took, next) = (sim.now().since(start), sim.owner_of(Sim::slot_of(key)));
    println!("a failover  {owner} was killed; {next} answered {greeting:?} {took:.1?} later");

    let other = ["a", "b", "c"].into_iter().find(|name| *name != owner && *name != next);
    let other = other.expect("there are three shards");
    sim.move_slot(Sim::slot_of(key), other);
    let start = sim.now();
    let greeting: String = client.get(key).await?;
    let took = sim.now().since(start);
    println!("a move      the slot went to {other}, which answered {greeting:?} in {took:.1?}");
    client.del(key).await?;
    messages(sim, client).await
}

/// A sharded channel belongs to the node that owns its slot. The subscription follows the slot.
async fn messages(sim: &Sim, client: &Client) -> Result<(), Error> {
    let channel = "quickstart:news";
    let mut news = client.ssubscribe(channel).await?;
    client.spublish(channel, "first").await?;
    let first = next_text(&mut news).await;

    let slot = Sim::slot_of(channel);
    let owner = sim.owner_of(slot);
    let primaries = sim.servers().into_iter().filter(|name| sim.is_primary(name));
    let next = primaries.filter(|name| sim.is_up(name)).find(|name| *name != owner);
    let next = next.expect("there are three shards");
    sim.move_slot(slot, &next);
    // What happens to the subscription is reported in order among the messages.
    while let Some(update) = news.next().await {
        if matches!(update, Update::Moved { .. } | Update::Gap { .. }) {
            break;
        }
    }
    client.spublish(channel, "second").await?;
    let second = next_text(&mut news).await;
    println!("messages    {first:?} came from {owner}, {second:?} from {next}");
    Ok(())
}

/// The next message of a subscription.
async fn next_text(news: &mut Subscription) -> Option<String> {
    while let Some(update) = news.next().await {
        if let Update::Message(message) = update {
            return message.text().ok().map(str::to_owned);
        }
    }
    None
}
