//! A session store: bytes under an id, which expire half an hour after they were written.
//!
//! Writes go to the primary that owns the id's slot. Reads go to its replicas, to spare the
//! primary, and to the primary if no replica can answer. A replica may lag: a session that was just
//! written may still be read as it was before.

use crate::routes::text;
use slotcar::prelude::*;
use slotcar::{Blob, Client, Error, ReadFrom};
use std::time::Duration;
use wstd::http::{Body, Response, StatusCode};

/// How long a session is kept after it was written.
const TTL: Duration = Duration::from_secs(30 * 60);

fn key(id: &str) -> String {
    format!("session:{id}")
}

/// Writes a session.
pub(crate) async fn put(
    client: &Client,
    id: &str,
    content: &[u8],
) -> Result<Response<Body>, Error> {
    client.setex(key(id), TTL, content).await?;
    Ok(text(StatusCode::NO_CONTENT, ""))
}

/// Reads a session, or 404.
pub(crate) async fn get(client: &Client, id: &str) -> Result<Response<Body>, Error> {
    let reader = client.with_read_from(ReadFrom::PreferReplica);
    Ok(match reader.get::<Option<Blob>>(key(id)).await? {
        Some(content) => Response::new(Body::from(content.to_vec())),
        None => text(StatusCode::NOT_FOUND, "no such session\n"),
    })
}

/// Deletes a session.
pub(crate) async fn delete(client: &Client, id: &str) -> Result<Response<Body>, Error> {
    client.del(key(id)).await?;
    Ok(text(StatusCode::NO_CONTENT, ""))
}
