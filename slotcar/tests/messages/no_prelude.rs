//! The methods of commands without the prelude: the compiler names the trait to import.
//! Importing one trait is enough for one group of commands.

async fn without(client: &slotcar::Client) -> Result<String, slotcar::Error> {
    client.get("name").await
}

fn main() {}
