//! One live connection: the stream, the queue of commands, and the tasks that move its bytes.
//! Uses the folder `environment` only.

pub(crate) mod background_task;
pub(crate) mod dial;
pub(crate) mod dial_target;
pub(crate) mod io;
pub(crate) mod io_waker;
pub(crate) mod link;
mod objections;
pub(crate) mod pending_reply;
pub(crate) mod push_sink;
pub(crate) mod silence_watch;
pub(crate) mod submit;
pub(crate) mod turns;
