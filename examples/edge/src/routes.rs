//! Maps paths to jobs, and errors of the cluster to HTTP status codes.
//!
//! Each command has a timeout, so that a failover does not keep an HTTP client waiting for longer
//! than it would wait anyway.

use crate::{events, limiter, memory, sessions};
use slotcar::{Client, Config, Error, ErrorKind, connect_with, connect_with_topology};
use std::time::Duration;
use wstd::http::{Body, Error as HttpError, Method, Request, Response, StatusCode};

/// The longest that one command may take, a failover included.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The largest session that is accepted, in bytes.
const BODY_MAX: usize = 64 << 10;

/// Answers a request.
pub(crate) async fn answer(request: Request<Body>) -> Result<Response<Body>, HttpError> {
    let (parts, mut body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let words: Vec<&str> = path.split('/').skip(1).collect();
    let outcome = match (&parts.method, words.as_slice()) {
        (&Method::GET, ["limit", caller]) => {
            with_client(async |c| limiter::answer(c, caller).await).await
        }
        (&Method::GET, ["session", id]) => with_client(async |c| sessions::get(c, id).await).await,
        (&Method::DELETE, ["session", id]) => {
            with_client(async |c| sessions::delete(c, id).await).await
        }
        (&Method::PUT, ["session", id]) => {
            let content = body.contents().await?;
            if content.len() > BODY_MAX {
                return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "64 KiB at most\n"));
            }
            with_client(async |c| sessions::put(c, id, content).await).await
        }
        (&Method::POST, ["events", channel]) => {
            let content = body.contents().await?;
            with_client(async |c| events::publish(c, channel, content).await).await
        }
        (&Method::GET, ["events", channel]) => {
            with_client(async |c| events::stream(c, channel).await).await
        }
        _ => return Ok(text(StatusCode::NOT_FOUND, "limit, session or events\n")),
    };
    Ok(outcome.unwrap_or_else(|error| failure(&error)))
}

/// An answer in text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response
}

/// Runs `handler` with a client of the cluster that `SLOTCAR_URL` names, and keeps the topology
/// that the client has learnt.
async fn with_client(
    handler: impl AsyncFnOnce(&Client) -> Result<Response<Body>, Error>,
) -> Result<Response<Body>, Error> {
    let url = std::env::var("SLOTCAR_URL");
    let url = url.unwrap_or_else(|_| "redis-cluster://127.0.0.1:7000".to_owned());
    let config = Config::from_url(&url)?.command_timeout(TIMEOUT);
    let kept = memory::load();
    let client = match &kept {
        // A topology that cannot be used, of an older version for example, is ignored.
        Some(topology) => match connect_with_topology(config.clone(), topology).await {
            Ok(client) => client,
            Err(_) => connect_with(config).await?,
        },
        None => connect_with(config).await?,
    };
    let answer = handler(&client).await;
    memory::store(kept.as_ref(), &client.topology());
    answer
}

fn failure(error: &Error) -> Response<Body> {
    let status = match error.kind() {
        ErrorKind::Config => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    text(status, format!("{error}\n"))
}
