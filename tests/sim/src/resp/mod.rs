//! The simulator's own RESP: requests in, replies out.
//!
//! It shares nothing with the client's codec on purpose: a misunderstanding of the protocol that
//! both sides share would stay hidden.
//!
//! Spec: "Redis serialization protocol specification", RESP2 and RESP3.

mod long_double;
mod number;
mod reply;
mod request;

pub(crate) use long_double::{is_long_double, long_double_sum};
pub(crate) use number::{double, parse_bound, parse_float};
pub(crate) use reply::{Proto, Reply};
pub(crate) use request::RequestReader;
