//! One command more than a batch has types for.
//! The message says what to use instead.

use slotcar::prelude::*;

async fn too_many(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    let four = client.pipeline().incr("n").incr("n").incr("n").incr("n");
    let eight = four.incr("n").incr("n").incr("n").incr("n");
    let twelve = eight.incr("n").incr("n").incr("n").incr("n");
    let sixteen = twelve.incr("n").incr("n").incr("n").incr("n");
    let _all = sixteen.incr("n").run().await?;
    Ok(())
}

fn main() {}
