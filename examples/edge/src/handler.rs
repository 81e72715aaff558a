//! What a host calls for a request: the answer, and an end without a word when its reader leaves.
//!
//! `#[wstd::http_server]` writes the same, but ends in a panic when an answer cannot be written to
//! its end. For a stream of events that is how it always ends: nothing is wrong then, and nothing
//! should be in the log.

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
                // An error says that the reader has left; the client goes with the answer's body.
                Ok(answer) => drop(responder.respond(answer).await),
                Err(error) => responder.fail(error),
            }
        });
    }
}

wasip2::http::proxy::export!(Edge with_types_in wasip2);
