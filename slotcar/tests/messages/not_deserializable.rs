//! A reply that is to become a type of the program, which serde cannot deserialize.
//! The message says what to derive.

use slotcar::prelude::*;

struct Session;

async fn of_mine(client: &slotcar::Client) -> Result<Session, slotcar::Error> {
    client.hgetall("session:1").await
}

fn main() {}
