//! Server-sent events from a sharded channel: every reader gets what is published on it.
//!
//! The stream and its client live as long as the request: when the reader leaves, the subscription
//! ends. The events `gap` and `lagged` say that messages may have been missed, so that a page can
//! fetch its data again.
//! Spec: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use crate::routes::text;
use futures::stream;
use slotcar::prelude::*;
use slotcar::{Client, Error, Update};
use std::fmt::Write as _;
use std::time::Duration;
use wstd::http::{Body, HeaderValue, Response, StatusCode};

/// After this long without an event a comment is sent: writing it fails if the reader has left.
const QUIET: Duration = Duration::from_secs(15);

/// Publishes; the answer is the number of connections that received it.
pub(crate) async fn publish(
    client: &Client,
    channel: &str,
    content: &[u8],
) -> Result<Response<Body>, Error> {
    let receivers = client.spublish(channel, content).await?;
    Ok(text(StatusCode::OK, format!("{receivers}\n")))
}

/// Streams what is published from now on.
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
            // Each line of a message is a field of its own.
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
        // The subscription moved to another node without missing a message: a comment.
        _ => ": moved\n\n".to_owned(),
    }
}
