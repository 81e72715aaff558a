//! The part that awaits: moves bytes, dials, retries, keeps the routes. The decisions are made
//! below. Levels: `observe`, `alarm`, `signal`, `link`, `exchange`, `host`, `request`, `lane`,
//! `node`, `discover`, `topology`, `react`, `dispatch`, `batch`.

pub(crate) mod alarm;
pub(crate) mod batch;
pub(crate) mod discover;
pub(crate) mod dispatch;
pub(crate) mod exchange;
pub(crate) mod host;
pub(crate) mod lane;
pub(crate) mod link;
pub(crate) mod node;
pub(crate) mod observe;
pub(crate) mod react;
pub(crate) mod request;
pub(crate) mod signal;
pub(crate) mod topology;
