//! RESP, the protocol between client and server: bytes to frames, frames to types, and back.
//!
//! No I/O, no clock, no async. `scan` finds the frames in what was read, `de` decodes a frame
//! directly into the caller's type, `value` is the type for any reply, `encode` writes commands.
//! Invariant: no input makes anything here panic, recurse deeper than `DEPTH_MAX`, or allocate more
//! than the size of the frame times a small constant.
//! Spec: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

#![warn(clippy::indexing_slicing)]

mod blob;
mod byte_elements;
mod cursor;
mod de;
mod decode_error;
mod elements;
mod encode;
mod error_class;
mod excerpt;
mod from_reply;
mod hints;
#[cfg(test)]
pub(crate) mod properties;
mod redirect;
mod scan;
mod server_error;
mod server_text;
mod value;

pub use blob::Blob;
pub(crate) use de::{from_frame, from_frames, plain_value};
pub(crate) use decode_error::DecodeError;
pub(crate) use elements::{Elements, integer, is_null, put_common_head, put_integer};
pub(crate) use encode::{bulk_bytes, put_array_head, put_bulk};
pub(crate) use error_class::ErrorClass;
pub(crate) use excerpt::excerpt;
pub use from_reply::FromReply;
pub(crate) use redirect::{Redirect, RedirectHost};
pub(crate) use scan::{Found, FrameKind, ScanError, ScanLimits, Scanner, frame_kind, rewrite};
pub use server_error::ServerError;
pub use value::Value;
