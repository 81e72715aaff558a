//! Any requests to a server of the simulator.
//!
//! The first byte chooses version and deployment. The rest is what two clients send, in turn, cut
//! at each zero byte. A line without `*` is a request as a person types it, so that words of the
//! input are words of requests. Checked: nothing panics, no request costs the server its life.

use futures::io::{AsyncReadExt, AsyncWriteExt};
use slotcar::Transport;
use slotcar_sim::{Sim, Version};
use std::time::Duration;

/// Bytes of one input that are sent.
const BYTES_MAX: usize = 4096;
/// Commands that make a string as long as they are told: half a gigabyte is right, and slow.
const STRETCHERS: [&str; 2] = ["setrange", "setbit"];

pub(crate) fn run(input: &[u8]) {
    let Some((choice, requests)) = input.split_first() else { return };
    let requests = &requests[..requests.len().min(BYTES_MAX)];
    if makes_long_strings(requests) {
        return;
    }
    let version = if choice & 1 == 0 { Version::redis(8, 0, 2) } else { Version::redis(6, 0, 16) };
    let sim = if choice & 2 == 0 { Sim::standalone() } else { Sim::cluster(1, 0) };
    let sim = sim.version(version).seed(1).idle_limit(Duration::from_secs(1 << 40));
    let result = sim.try_run(|sim| async move {
        let transport = sim.transport();
        let endpoint = sim.endpoint("a");
        let Ok(mut first) = transport.connect(&endpoint).await else { return };
        let Ok(mut second) = transport.connect(&endpoint).await else { return };
        for (number, part) in requests.split(|byte| *byte == 0).enumerate() {
            let stream = if number % 2 == 0 { &mut first } else { &mut second };
            if stream.write_all(part).await.is_err() || stream.flush().await.is_err() {
                continue;
            }
            sim.advance(Duration::from_millis(2)).await;
            let mut buffer = vec![0; 1 << 16];
            // Reads what is there, and no more: nothing may come.
            let read = stream.read(&mut buffer);
            let _ = futures::future::select(
                read,
                transport.sleep_until(transport.now().after(Duration::from_millis(1))),
            )
            .await;
        }
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// Whether a request may make a string of more than a megabyte.
fn makes_long_strings(requests: &[u8]) -> bool {
    let text = String::from_utf8_lossy(requests).to_ascii_lowercase();
    let has_large_number =
        || text.split(|c: char| !c.is_ascii_digit()).any(|number| (7..=10).contains(&number.len()));
    STRETCHERS.iter().any(|name| text.contains(name)) && has_large_number()
}
