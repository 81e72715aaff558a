//! A reply whose type was not written: it could be anything, so the compiler takes a type that has
//! no values.

use slotcar::prelude::*;

async fn forgotten(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    let _name = client.get("name").await?;
    Ok(())
}

fn main() {}
