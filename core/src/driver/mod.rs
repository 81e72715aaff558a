//! The part that awaits: moves bytes, dials, retries. The decisions are made below.
//! Levels: `alarm`, `signal`, `link`, `exchange`, `host`, `lane`, `node`, `dispatch`, `batch`.

pub(crate) mod alarm;
pub(crate) mod batch;
pub(crate) mod dispatch;
pub(crate) mod exchange;
pub(crate) mod host;
pub(crate) mod lane;
pub(crate) mod link;
pub(crate) mod node;
pub(crate) mod signal;
