//! A rate limiter: a number of requests for each caller in each window, counted in the cluster.
//!
//! One script counts and sets the expiry. So no counter is left without an expiry if the host ends
//! the function between two commands. The script goes to the primary that owns the caller's key, in
//! one round trip.

use crate::routes::text;
use slotcar::prelude::*;
use slotcar::{Client, Error};
use wstd::http::{Body, Response, StatusCode};

/// Requests that are allowed in a window.
const LIMIT: u64 = 10;
/// Length of a window in milliseconds. It begins with the first request in it.
const WINDOW: u64 = 1000;

/// Counts a request; returns the count and the milliseconds that are left of the window.
const COUNT: &str = "local count = redis.call('INCR', KEYS[1]) \
    if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end \
    return {count, redis.call('PTTL', KEYS[1])}";

/// 200 with the number of requests that are left, or 429 with the seconds to wait.
pub(crate) async fn answer(client: &Client, caller: &str) -> Result<Response<Body>, Error> {
    let key = format!("limit:{caller}");
    let (count, rest): (u64, i64) = client.eval(COUNT, &key, WINDOW).await?;
    if count > LIMIT {
        let wait = rest.max(0).unsigned_abs().div_ceil(1000);
        let mut response = text(StatusCode::TOO_MANY_REQUESTS, "slow down\n");
        response.headers_mut().insert("Retry-After", wait.into());
        return Ok(response);
    }
    Ok(text(StatusCode::OK, format!("{} left\n", LIMIT - count)))
}
