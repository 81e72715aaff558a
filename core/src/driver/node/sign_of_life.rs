//! Whether a node answers at all: for a caller that waits at it without an end, on a connection
//! that may be silent for hours.
//!
//! A PING on the node's shared connection asks. Any reply is a sign of life, also a refusal. One
//! reply serves every caller that asks within the progress timeout: a node with many blocked
//! callers gets few PINGs.

use super::node::Node;
use crate::command::cmd;
use crate::connection::queue::Entry;
use crate::driver::environment::environment::Environment;
use crate::driver::link::submit::submit;
use crate::error::{Error, ErrorDetail, ErrorKind};
use crate::time::Timestamp;
use std::sync::Arc;

impl Node {
    /// Whether the node has answered within the last progress timeout, or does so by `deadline`.
    /// Asks again, with pauses, while it cannot be reached.
    pub(crate) async fn shows_life(&self, env: &Arc<Environment>, deadline: Timestamp) -> bool {
        let ping = cmd("PING");
        let write = |out: &mut Vec<u8>| ping.write_to(out);
        let entry = Entry { len: ping.encoded_len(), replies: 1, deadline };
        let mut failures = 0;
        loop {
            let recently = self.heard_at().after(env.config().progress_timeout);
            if env.now() < recently {
                return true;
            }
            let error = match self.connect(env, deadline).await {
                Ok(link) => match submit(env, &link, entry, &write).await {
                    Ok(Ok(_)) => {
                        self.set_heard_at(env.now());
                        return true;
                    }
                    Ok(Err(_)) => None,
                    Err(error) => Some(error),
                },
                Err(error) => Some(error),
            };
            if error.as_ref().is_some_and(is_answer) {
                return true;
            }
            if env.now() >= deadline {
                return false;
            }
            failures += 1;
            env.sleep_until(env.now().after(env.backoff(failures)).min(deadline)).await;
        }
    }
}

/// Whether an error shows that the server answers: a refusal does. After the end of the client
/// there is nothing to find out.
fn is_answer(error: &Error) -> bool {
    let refused = matches!(error.kind(), ErrorKind::Closed | ErrorKind::Handshake);
    let has_other_role = matches!(error.details(), Some(ErrorDetail::NotPrimary));
    error.server_error().is_some() || refused || has_other_role
}
