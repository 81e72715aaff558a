//! An HTTP server's handler that counts its requests in a server: one client per request.
//!
//! A host that keeps requests apart starts an instance for each, so the client is made, used and
//! dropped within one call of the handler; nothing of it outlives the response.
//!
//! ```text
//! cargo build -p slotcar --example counter --target wasm32-wasip2
//! cargo xtask wasi host serve 8080 target/wasm32-wasip2/debug/examples/counter.wasm
//! ```
//!
//! `SLOTCAR_URL` says where the server is.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
use slotcar::Error as SlotcarError;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
use slotcar::prelude::*;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
use wstd::http::{Body, Error, Request, Response, StatusCode};

#[cfg(all(target_os = "wasi", target_env = "p2"))]
#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (status, text) = match count(request.uri().path()).await {
        Ok(count) => (StatusCode::OK, count.to_string()),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    };
    Ok(Response::builder().status(status).body(Body::from(text))?)
}

#[cfg(all(target_os = "wasi", target_env = "p2"))]
async fn count(path: &str) -> Result<i64, SlotcarError> {
    let url = std::env::var("SLOTCAR_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let client = slotcar::connect(&url).await?;
    client.incr(format!("requests:{path}")).await
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
fn main() {
    eprintln!("build this for wasm32-wasip2");
}
