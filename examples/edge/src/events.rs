//! Server-sent events over a sharded channel: what is published anywhere comes to every reader.
//!
//! The stream lives as long as its request, and its client with it: the reader that leaves takes
//! the subscription along. What may have been missed is an event of its own (`gap`, `lagged`), so
//! that a page can fetch anew what it shows.
//! Spec: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use crate::routes::text;
use futures::stream;
use slotcar::{Client, Error, Update};
use std::fmt::Write as _;
use std::time::Duration;
use wstd::http::{Body, HeaderValue, Response, StatusCode};

/// After so long without an event comes a comment: it shows whether the reader is still there.
const QUIET: Duration = Duration::from_secs(15);

/// Publishes; answers how many connections were told.
pub(crate) async fn publish(
    client: &Client,
    channel: &str,
    content: &[u8],
) -> Result<Response<Body>, Error> {
    let told = client.spublish(channel, content).await?;
    Ok(text(StatusCode::OK, format!("{told}\n")))
}

/// Streams what is published, from the moment of the answer on.
pub(crate) async fn stream(client: &Client, channel: &str) -> Result<Response<Body>, Error> {
    let subscription = client.ssubscribe(channel).await?;
    let events = stream::unfold(subscription, |mut subscription| async move {
        let event = match subscription.next_within(QUIET).await {
            Ok(Some(update)) => event(&update),
            Ok(None) => return None,
            Err(_) => ": still here\n\n".to_owned(),
        };
        Some((event, subscription))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert("Content-Type", HeaderValue::from_static("text/event-stream"));
    headers.insert("Cache-Control", HeaderValue::from_static("no-store"));
    Ok(response)
}

/// An update as an event.
fn event(update: &Update) -> String {
    match update {
        Update::Message(message) => {
            let mut event = String::new();
            // A line end would begin another field.
            for line in String::from_utf8_lossy(message.payload()).lines() {
                let _ = writeln!(event, "data: {line}");
            }
            event + "\n"
        }
        Update::Subscribed { .. } => "event: ready\ndata\n\n".to_owned(),
        Update::Gap { duration, .. } => {
            format!("event: gap\ndata: {}\n\n", duration.as_millis())
        }
        Update::Lagged(count) => format!("event: lagged\ndata: {count}\n\n"),
        // Where it comes from is no reader's business; nothing was missed.
        _ => ": moved\n\n".to_owned(),
    }
}
