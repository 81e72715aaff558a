//! A rate limiter: so many requests for each caller in each window, counted in the cluster.
//!
//! One script counts and sets the expiry, so a counter without an end cannot be left behind when a
//! function is cut off between two commands. It goes to the node that owns the caller's key, in one
//! round trip. The count is written, so it is the primary's.

use crate::routes::text;
use slotcar::{Client, Error};
use wstd::http::{Body, Response, StatusCode};

/// Requests in a window.
const LIMIT: u64 = 10;
/// Milliseconds of a window, which begins with the first request in it.
const WINDOW: u64 = 1000;

/// Counts a request; returns how many there were and how many milliseconds the window goes on.
const COUNT: &str = "local count = redis.call('INCR', KEYS[1]) \
    if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end \
    return {count, redis.call('PTTL', KEYS[1])}";

/// 200 with what is left, or 429 with the seconds to wait.
pub(crate) async fn answer(client: &Client, who: &str) -> Result<Response<Body>, Error> {
    let key = format!("limit:{who}");
    let (count, rest): (u64, i64) = client.eval(COUNT, &key, WINDOW).await?;
    if count > LIMIT {
        let wait = rest.max(0).unsigned_abs().div_ceil(1000);
        let mut response = text(StatusCode::TOO_MANY_REQUESTS, "slow down\n");
        response.headers_mut().insert("Retry-After", wait.into());
        return Ok(response);
    }
    Ok(text(StatusCode::OK, format!("{} left\n", LIMIT - count)))
}
