//! The function that the host calls for each request.
//!
//! `#[wstd::http_server]` would write nearly the same, but it panics when an answer cannot be
//! written to its end. A stream of events always ends so, when its reader leaves: that is no error
//! and must not be in the log.

use crate::routes;
use wasip2::exports::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wstd::http::request::try_from_incoming;
use wstd::http::server::Responder;

/// The component.
struct Edge;

impl Guest for Edge {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let responder = Responder::new(out);
        wstd::runtime::block_on(async {
            let answer = match try_from_incoming(request) {
                Ok(request) => routes::answer(request).await,
                Err(error) => Err(error),
            };
            match answer {
                // An error means that the reader has left. The body, and the client in it, is
                // dropped.
                Ok(answer) => drop(responder.respond(answer).await),
                Err(error) => responder.fail(error),
            }
        });
    }
}

wasip2::http::proxy::export!(Edge with_types_in wasip2);
